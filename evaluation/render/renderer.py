"""Plays a performance with a trained model, in blocks, into stems.

    rendering = render.Renderer(run.model)
    for part in rendering.play(performance): ...

`evaluation.render.decoding` gives the controls; here synths and reverb play them,
always going on from a state, so that blocks have no joints. Memory does not depend on
the length.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from evaluation.render import decoding
from evaluation.render import performance
from evaluation.render import transfer
from models import autoencoder
from models.streaming import block_model
from models.streaming import block_noise
from models.streaming import compiled_synth
from models.streaming import convolvers

BLOCK_FRAMES = 1000  # frames computed at once; calls cost more than short blocks do
WINDOW_FRAMES = 1000  # of decoders that have no state: the usual example length


@dataclasses.dataclass(frozen=True)
class RenderOptions:
    """How to play.

    Attributes:
        dry: Whether the learned reverb is left out.
        mask_unvoiced: Whether harmonics are silent where there is no pitch.
        seed: Which noise.
        tail_secs: How long the reverb rings on after the end.
        block_frames: Frames computed at once; decides memory, not the sound.
        window_frames: Frames of a window of decoders without a state.
    """

    dry: bool = False
    mask_unvoiced: bool = False
    seed: int = 0
    tail_secs: float = 0.0
    block_frames: int = BLOCK_FRAMES
    window_frames: int = WINDOW_FRAMES


@dataclasses.dataclass(frozen=True)
class Stems:
    """A stretch of sound, float32 [n_samples] each.

    Attributes:
        harmonic: Harmonics alone.
        noise: Noise alone.
        reverb: What the reverb adds to their sum.
    """

    harmonic: np.ndarray
    noise: np.ndarray
    reverb: np.ndarray

    @property
    def mix(self) -> np.ndarray:
        """All together."""
        return self.harmonic + self.noise + self.reverb

    def __getitem__(self, samples: slice) -> Stems:
        """Some of its samples."""
        return Stems(*(getattr(self, stem)[samples] for stem in STEMS))


STEMS = tuple(field.name for field in dataclasses.fields(Stems))


class Renderer:
    """A model ready to play performances of any length.

    Args:
        model: A built model.
        options: How to play.

    Raises:
        models.streaming.block_controls.StreamError: If the synths cannot be run in
        blocks.
    """

    def __init__(
        self, model: autoencoder.LadderAutoencoder, options: RenderOptions | None = None
    ):
        self.model = model
        self.options = options or RenderOptions()
        settings = block_model.synth_settings(model)
        self._synth = compiled_synth.shared_synth(settings)
        self.frame_rate = model.conditioning.frame_rate
        self.sample_rate = self._synth.settings.sample_rate
        self.hop_size = self._synth.settings.hop_size
        self._decoder = (
            decoding.BlockDecoder(model, block_frames=self.options.block_frames)
            if decoding.runs_in_blocks(model.decoder)
            else None
        )

    def play(self, played: performance.Performance) -> Iterator[Stems]:
        """Plays a performance.

        Args:
            played: At the model's frame rate.

        Yields:
            Parts, n_frames * hop_size samples in all, then the reverb's tail.
        """
        yield from self.synthesize(self.decode(played), n_frames=played.n_frames)

    # ---- features -> controls

    def decode(self, played: performance.Performance) -> Iterator[decoding.Controls]:
        """Features -> controls that sound.

        Args:
            played: At the model's frame rate.

        Yields:
            Stretches of controls, each [n_frames, n_channels].

        Raises:
            ValueError: If the frame rate is another, or there is no frame.
        """
        if played.frame_rate != self.frame_rate:
            raise ValueError(
                f"the performance has {played.frame_rate} frames/s, the model "
                f"{self.frame_rate}; measure it at the model's rate."
            )
        if not played.n_frames:
            raise ValueError("the performance has no frame.")
        # A decoder that goes on from a state, or windows that overlap.
        stretches = (
            self._decoder.decode(played)
            if self._decoder
            else decoding.decode_windows(
                self.model, played, window_frames=self.options.window_frames
            )
        )
        if not self.options.mask_unvoiced:
            yield from stretches
            return
        # Harmonics only where there is a note.
        weight = transfer.note_weight(played)[:, np.newaxis]
        start = 0
        for stretch in stretches:
            n_frames = len(stretch["amps"])
            yield {
                **stretch,
                "amps": stretch["amps"] * weight[start : start + n_frames],
            }
            start += n_frames

    # ---- controls -> audio

    def synthesize(
        self, stretches: Iterator[decoding.Controls], *, n_frames: int
    ) -> Iterator[Stems]:
        """Controls -> stems.

        Args:
            stretches: Controls as `decode` yields them.
            n_frames: How many in all.

        Yields:
            Parts; see `play`.
        """
        size, hop = self.options.block_frames, self.hop_size
        lag = self._synth.latency_frames * hop
        noise = block_noise.WhiteNoise(self.options.seed)
        reverb = self._reverb(size * hop)
        state = self._synth.initial_state(1)
        n_samples, n_block = n_frames * hop, size * hop
        n_tail = (
            0 if self.options.dry else round(self.options.tail_secs * self.sample_rate)
        )
        blocks = _reblock(stretches, size)
        last = None
        for start in range(0, n_samples + n_tail + lag, n_block):
            last = next(blocks, None) or _held(last, size)
            drawn = noise.span(start, n_block) * _until(n_samples, start, n_block)
            harmonic, filtered, state = self._synth.play(
                {
                    key: tf.constant(last[key][np.newaxis])
                    for key in decoding.CONTROL_KEYS
                },
                tf.constant(drawn[np.newaxis], tf.float32),
                state=state,
            )
            # Sound lags behind: what comes before the beginning or after the end of
            # the controls is a fade towards them, not a part of them.
            sounding = _until(n_samples, start - lag, n_block)
            part = reverb.add(
                harmonic.numpy()[0] * sounding, filtered.numpy()[0] * sounding
            )
            yield part[max(0, lag - start) : n_samples + n_tail + lag - start]

    def _reverb(self, n_block: int) -> _Reverb:
        """The learned reverb for blocks of a size."""
        response = block_model.impulse_response(self.model)
        silent = self.options.dry or not np.any(response)
        return _Reverb(None if silent else response, n_block)


class _Reverb:
    """Adds the reverb's stem to blocks of the dry ones."""

    def __init__(self, response: np.ndarray | None, n_block: int):
        self._convolver = None
        if response is not None:
            self._convolver = convolvers.make_convolver(response, n_block)
            self._state = self._convolver.initial_state()

    def add(self, harmonic: np.ndarray, noise: np.ndarray) -> Stems:
        """A block of all three stems."""
        wet = np.zeros_like(harmonic)
        if self._convolver is not None:
            wet = self._convolver.process(harmonic + noise, self._state)
        return Stems(harmonic, noise, wet)


def _until(end: int, start: int, n_samples: int) -> np.ndarray:
    """1 for samples from 0 to `end`, 0 for others; samples count from `start`."""
    time = np.arange(start, start + n_samples)
    return ((time >= 0) & (time < end)).astype(np.float32)


def _reblock(
    stretches: Iterator[decoding.Controls], size: int
) -> Iterator[decoding.Controls]:
    """Cuts stretches of any length anew; the last block holds its last frame."""
    waiting: list[decoding.Controls] = []
    n_waiting = 0
    for stretch in stretches:
        waiting.append(stretch)
        n_waiting += len(stretch["amps"])
        if n_waiting < size:
            continue
        joined = _join(waiting)
        n_whole = n_waiting // size * size
        for start in range(0, n_whole, size):
            yield decoding.cut(joined, start, start + size)
        waiting, n_waiting = (
            [decoding.cut(joined, n_whole, n_waiting)],
            n_waiting - n_whole,
        )
    if n_waiting:
        joined = _join(waiting)
        yield _join([joined, _held(joined, size - n_waiting)])


def _join(stretches: list[decoding.Controls]) -> decoding.Controls:
    """Stretches one after another."""
    return {
        key: np.concatenate([s[key] for s in stretches])
        for key in decoding.CONTROL_KEYS
    }


def _held(controls: decoding.Controls | None, n_frames: int) -> decoding.Controls:
    """The last frame, repeated."""
    assert controls is not None
    return {
        key: np.repeat(value[-1:], n_frames, axis=0) for key, value in controls.items()
    }
