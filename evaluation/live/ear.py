"""Pitch, confidence and loudness of a stream, as soon as they can be known.

    ear = Ear(player.sample_rate, frame_rate=player.frame_rate)
    heard = ear.push(samples)  # of any length; a Performance of the frames now known

Frames are those of preparation: frame i describes the signal around sample
`i * hop_size`, loudness by `prep.loudness`, pitch by CREPE in a window of 1024 samples
at 16 kHz. Half of that window lies after the frame, so a frame is known 32 ms late; a
model's rate above 16 kHz adds 1 ms. Each frame is decoded alone (`argmax`): the offline
tracker's most likely path needs the future, and a path that only knows the past was
tried and is further from it than no path (docs/render.md).

The same stream gives the same frames, bit for bit, whatever blocks it comes in.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from evaluation.live import hop_resampler
from evaluation.render import performance
from prep import features
from prep import loudness as loudness_lib
from prep.pitch import single_frame
from prep.pitch import tracker

WINDOW = features.CREPE_FRAME  # samples at 16 kHz
HALF_WINDOW = WINDOW // 2
# Louder samples are clipped here, 60 dB above full scale, so that no power overflows.
MAX_SAMPLE = 1000.0


class Network(Protocol):
    """What an ear needs of `prep.pitch.single_frame.SingleFrameNetwork`."""

    def activations(self, frame: np.ndarray) -> np.ndarray:
        """Activations [360] of a frame [1024]."""
        ...


class Ear:
    """Tracks a stream.

    Args:
        sample_rate: Of the stream, samples/s.
        frame_rate: Frames/s; divides `sample_rate` and 16000.
        capacity: Of CREPE, `tiny` or `full`; full is too slow to be played live.
        pitch_every: Frames from one look at the pitch to the next; between them pitch
            and confidence stay. Divides the work by as much.
        network: In the place of CREPE's.

    Attributes:
        hop_size: Samples from frame to frame.
        latency_samples: By which the latest known frame may lie behind the latest
            sample, at most `hop_size` more until the next one is known.

    Raises:
        ValueError: If a rate does not fit or `pitch_every` is below 1.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        frame_rate: int = 250,
        capacity: str = "tiny",
        pitch_every: int = 1,
        network: Network | None = None,
    ):
        if pitch_every < 1:
            raise ValueError(f"pitch_every={pitch_every}: at least 1 is needed.")
        hop_16k = tracker.hop_of(frame_rate)
        if sample_rate % frame_rate:
            raise ValueError(
                f"frame_rate={frame_rate} does not divide sample_rate={sample_rate}: "
                f"the hop would be {sample_rate / frame_rate:.2f} samples."
            )
        self.frame_rate = frame_rate
        self.hop_size = sample_rate // frame_rate
        self._pitch_every = pitch_every
        self._network = network or single_frame.SingleFrameNetwork(capacity)
        # Frame i needs the hop of 16 kHz that ends half a window after its sample.
        self._resample = hop_resampler.make(
            sample_rate,
            features.CREPE_RATE,
            first_output=HALF_WINDOW - hop_16k,
            n_outputs=hop_16k,
        )
        # Hops that lie between the beginning and frame 0: their frames would stand
        # before the beginning and are not given.
        self._n_early = (HALF_WINDOW - 1) // hop_16k
        self.latency_samples = self._resample.stop - 1
        self.reset()

    def reset(self) -> None:
        """Forgets what was heard: before the next sample there is silence."""
        size = self._resample.stop - self._resample.first
        self._held = np.zeros(size, np.float32)  # input of the hop to come
        self._n_held = self._n_early * self.hop_size - self._resample.first
        self._window = np.zeros(WINDOW, np.float32)  # at 16 kHz
        self._n_skipped = 0  # early frames that have passed
        self._until_pitch = 0  # frames
        self._pitch = (0.0, 0.0)  # Hz and confidence of the latest look

    @property
    def n_missing(self) -> int:
        """Samples until the next frame."""
        return len(self._held) - self._n_held

    def push(self, samples: np.ndarray) -> performance.Performance:
        """Takes a block.

        Args:
            samples: Mono, finite, [n_samples] of any length.

        Returns:
            The frames that it made known, in order; maybe none.

        Raises:
            ValueError: If the block is not one row of finite numbers; it is then as if
                it had never come.
        """
        samples = _checked(samples)
        frames = []
        while len(samples) >= self.n_missing:
            n_taken = self.n_missing
            self._held[self._n_held :] = samples[:n_taken]
            samples = samples[n_taken:]
            frame = self._hear_hop()
            # What the next hop needs again.
            self._n_held = len(self._held) - self.hop_size
            self._held[: self._n_held] = self._held[self.hop_size :]
            if self._n_skipped < self._n_early:
                self._n_skipped += 1
            else:
                frames.append(self._measure(frame))
        self._held[self._n_held : self._n_held + len(samples)] = samples
        self._n_held += len(samples)
        f0_hz, f0_confidence, loudness_db = (
            np.array(frames, np.float32).reshape(-1, 3).T
        )
        return performance.Performance(
            self.frame_rate, f0_hz, f0_confidence, loudness_db
        )

    def _hear_hop(self) -> np.ndarray:
        """Moves the window over the held hop; returns it, [1024] at 16 kHz."""
        hop = self._resample(self._held)
        self._window = np.concatenate([self._window, hop])[-WINDOW:]
        return self._window

    def _measure(self, window: np.ndarray) -> tuple[float, float, float]:
        """Pitch, confidence and loudness of the frame in the middle of a window."""
        if not self._until_pitch:
            activations = self._network.activations(window)[np.newaxis]
            f0_hz, f0_confidence = tracker.decode_argmax(activations)
            self._pitch = (f0_hz[0], f0_confidence[0])
            self._until_pitch = self._pitch_every
        self._until_pitch -= 1
        reach = loudness_lib.REFERENCE_FFT // 2
        (loudness_db,) = loudness_lib.frame_loudness(
            window[HALF_WINDOW - reach : HALF_WINDOW + reach],
            sample_rate=features.CREPE_RATE,
            hop_size=1,
            n_fft=loudness_lib.REFERENCE_FFT,
        )
        return (*self._pitch, loudness_db)


def _checked(samples: np.ndarray) -> np.ndarray:
    """The block as float32 within bounds."""
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise ValueError(
            f"samples have shape {samples.shape}; one row [n_samples] is needed: mix "
            "the channels down first."
        )
    if not np.isfinite(samples).all():
        raise ValueError(
            f"{np.count_nonzero(~np.isfinite(samples))} samples of the block are NaN "
            "or infinite; leave it out or send silence in its place."
        )
    return np.clip(samples, -MAX_SAMPLE, MAX_SAMPLE).astype(np.float32)
