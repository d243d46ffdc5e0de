"""Controls -> audio block by block: harmonics with carried phase, filtered noise.

The same sound as ddsp's `Harmonic` and `FilteredNoise` over the whole sequence. Frame i
stands at sample i * hop_size; between two frames pitch is interpolated and amplitudes
cross over, so sound is made for a frame when the next one is known, and, because noise
filters are centred, when the half of a filter has passed: the output lags behind by
`latency_frames`.

Only operations that TensorFlow Lite has are used: float32, products, no FFT. The noise
filter's transform is a product with a constant matrix.

Source: ddsp.core.harmonic_synthesis, upsample_with_windows, frequency_filter. Differs:
the phase does not lose precision with time (`models.streaming.phase`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from models.streaming import block_noise
from models.streaming import phase
from models.synths import noise as noise_synth
from models.synths import oscillators

SynthState = dict[str, tf.Tensor]

# Makes a step of a ramp: float32 has no value between 0 and 1 / _STEEP Hz beside a
# Nyquist frequency. Comparing costs TensorFlow Lite ten times as much.
_STEEP = 2.0**30


@dataclasses.dataclass(frozen=True)
class SynthSettings:
    """What decides the sound beside the controls.

    Attributes:
        sample_rate: Hz.
        hop_size: Samples between frames.
        n_harmonics: Sinusoids.
        n_noise_bands: Bands of the noise filter.
        noise_window: ddsp's `window_size` of the noise filter; 0 means its own length.
        amplitude_method: "window" or "linear", as ddsp's `amp_resample_method`.
    """

    sample_rate: int
    hop_size: int
    n_harmonics: int
    n_noise_bands: int
    noise_window: int = 0
    amplitude_method: str = "window"

    def __post_init__(self) -> None:
        if self.amplitude_method not in ("window", "linear"):
            raise ValueError(
                f"amp_resample_method={self.amplitude_method!r} cannot be streamed; "
                "'window' and 'linear' can."
            )
        if self.n_harmonics > phase.MAX_HARMONICS:
            raise ValueError(
                f"{self.n_harmonics} harmonics: those above {phase.MAX_HARMONICS} have "
                "no exact phase."
            )


class BlockSynth:
    """Plays controls in blocks of frames.

    Args:
        settings: What decides the sound.
    """

    def __init__(self, settings: SynthSettings):
        self.settings = settings
        hop = settings.hop_size
        self._cross = _crossing(hop, settings.amplitude_method)
        basis = noise_synth.band_responses(
            settings.n_noise_bands, settings.noise_window
        )
        self._n_taps = basis.shape[1]
        self._filters = block_noise.FrameConvolution(hop, basis)
        # ddsp drops so much of the convolution to centre the filter.
        self._noise_lead = (self._n_taps - 1) // 2 - 1
        self.latency_frames = max(1, math.ceil(self._noise_lead / hop))

    def initial_state(self, batch_size: int | tf.Tensor = 1) -> SynthState:
        """Returns the state before the first frame."""
        hop, lag = self.settings.hop_size, self.latency_frames
        zeros = lambda *shape: tf.zeros([batch_size, *shape])
        n_tail = lag * hop - self._noise_lead + self._n_taps - 1
        return {
            "started": zeros(1, 1),
            "f0_hz": zeros(1, 1),
            "harmonics": zeros(1, self.settings.n_harmonics),
            "phase_ticks": zeros(1),
            "phase_rest": zeros(1),
            "queue": zeros((lag - 1) * hop),
            "noise_tail": zeros(n_tail),
        }

    def __call__(
        self,
        controls: Mapping[str, tf.Tensor],
        noise: tf.Tensor,
        *,
        state: SynthState,
        exists: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, SynthState]:
        """Plays a block.

        Args:
            controls: amps, harmonic_distribution, noise_magnitudes, f0_hz as they
                sound, each [batch, n_frames, n_channels], n_frames static.
            noise: White noise of the block's frames in [-1, 1],
                [batch, n_frames * hop_size]; zeros after the end of the sound.
            state: From `initial_state` or the block before.
            exists: 0 for frames before the first one, where controls come late, then
                1; [batch, n_frames, 1]. None means that all frames exist.

        Returns:
            Harmonic and noise audio, each [batch, n_frames * hop_size],
            `latency_frames` behind the controls; the next state. The first
            `latency_frames` frames of all come before the beginning: drop them.
        """
        if exists is None:
            exists = tf.ones_like(controls["f0_hz"])
        following = {"started": exists[:, -1:]}
        exists = tf.concat([state["started"], exists], axis=1)
        harmonic, parts = self._play_harmonics(controls, state, exists)
        following |= parts
        joined = tf.concat([state["queue"], harmonic], axis=1)
        n_samples = noise.shape[1]
        following["queue"] = joined[:, n_samples:]
        filtered, following["noise_tail"] = self._filter_noise(
            controls["noise_magnitudes"], noise, state["noise_tail"]
        )
        return joined[:, :n_samples], filtered, following

    def _play_harmonics(
        self, controls: Mapping[str, tf.Tensor], state: SynthState, exists: tf.Tensor
    ) -> tuple[tf.Tensor, SynthState]:
        """Harmonic audio from the frame before the block to its last frame."""
        hop, rate = self.settings.hop_size, self.settings.sample_rate
        f0_hz = tf.concat([state["f0_hz"], controls["f0_hz"]], axis=1)
        loud = controls["amps"] * controls["harmonic_distribution"]
        loud = tf.concat([state["harmonics"], loud], axis=1) * exists
        ticks, rest = phase.advance(
            f0_hz[:, :, 0],
            state=(state["phase_ticks"], state["phase_rest"]),
            running=exists[:, :-1, 0],
            hop_size=hop,
            sample_rate=rate,
        )  # [batch, n_frames + 1] each: where each frame begins
        n_frames = int(controls["f0_hz"].shape[1])
        flat = lambda x: tf.reshape(x, [-1, 1])  # [batch * n_frames, 1]
        first_hz = flat(f0_hz[:, :-1])
        change = flat(f0_hz[:, 1:]) - first_hz
        j = tf.range(hop, dtype=tf.float32)
        within = (j + 1.0) * first_hz + (0.5 / hop * j * (j + 1.0)) * change
        ends = tf.stack([loud[:, :-1], loud[:, 1:]], axis=2)
        ends = tf.reshape(ends, [-1, 2, self.settings.n_harmonics])
        audio = self._bank(
            ticks=tf.reshape(ticks[:, :n_frames], [-1]),
            rest=tf.reshape(rest[:, :n_frames], [-1]),
            # As in ddsp, a sample's phase includes its own frequency.
            within=tf.expand_dims(within, 1) / rate,
            moving_hz=tf.expand_dims(first_hz + change * (j / hop), 1),
            ends=ends,
        )
        return tf.reshape(audio, [-1, n_frames * hop]), {
            "f0_hz": f0_hz[:, -1:],
            "harmonics": loud[:, -1:],
            "phase_ticks": ticks[:, -1:],
            "phase_rest": rest[:, -1:],
        }

    def _bank(
        self,
        *,
        ticks: tf.Tensor,
        rest: tf.Tensor,
        within: tf.Tensor,
        moving_hz: tf.Tensor,
        ends: tf.Tensor,
    ) -> tf.Tensor:
        """Sums harmonics between frames, each cut off where it reaches Nyquist.

        With k = 8 block + column, sin(k p) is a sum of products of sines of 8 columns
        and of the blocks, as in `models.synths.oscillators`. Samples are the last axis:
        short last axes leave a processor's vectors empty, in TensorFlow Lite above all.

        Args:
            ticks: Phase at the frame, [n_intervals].
            rest: Its rest in cycles, same shape.
            within: Cycles since the frame, [n_intervals, 1, hop_size].
            moving_hz: Pitch, same shape.
            ends: Amplitudes at both ends, [n_intervals, 2, n_harmonics].

        Returns:
            [n_intervals, hop_size].
        """
        n_harmonics, width = self.settings.n_harmonics, oscillators.WIDTH
        n_blocks = -(-n_harmonics // width)
        padded = n_blocks * width
        multiples = np.concatenate(
            [np.arange(1.0, width + 1.0), width * np.arange(float(n_blocks))]
        )
        number = tf.constant(multiples[:, np.newaxis], tf.float32)
        cycles = tf.expand_dims(phase.of_harmonics(ticks, rest, number[:, 0]), -1)
        cycles = phase.wrap(cycles + phase.wrap(within * number))
        sine, cosine = oscillators.sine_and_cosine(cycles)  # [n_intervals, 16, hop]
        ends = tf.pad(ends, [[0, 0], [0, 0], [0, padded - n_harmonics]])
        # Products of two by two are slower as products of matrices, with XLA above all.
        first, second = (tf.expand_dims(ends[:, end], -1) for end in (0, 1))
        loud = first * self._cross[0] + second * self._cross[1]
        harmonic = np.arange(1.0, padded + 1.0)[:, np.newaxis]
        below = self.settings.sample_rate / 2 - moving_hz * tf.constant(
            harmonic, tf.float32
        )
        loud *= tf.clip_by_value(_STEEP * below, 0.0, 1.0)  # [n_intervals, padded, hop]
        loud = tf.reshape(loud, [-1, n_blocks, width, self.settings.hop_size])
        columns = lambda wave: tf.expand_dims(wave[:, :width], 1)
        of_sine = tf.reduce_sum(loud * columns(cosine), axis=2)
        of_cosine = tf.reduce_sum(loud * columns(sine), axis=2)
        blocks = of_sine * sine[:, width:] + of_cosine * cosine[:, width:]
        return tf.reduce_sum(blocks, axis=1)

    def _filter_noise(
        self, magnitudes: tf.Tensor, noise: tf.Tensor, tail: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Noise through each frame's filter, added up where filters ring on."""
        hop = self.settings.hop_size
        n_frames = int(magnitudes.shape[1])
        framed = tf.reshape(noise, [-1, n_frames, hop])
        ringing = self._filters(framed, magnitudes)  # [batch, n_frames, hop + taps - 1]
        added = block_noise.overlap_add(ringing, hop)
        offset = int(tail.shape[1]) - (self._n_taps - 1)
        tail = tf.pad(tail, [[0, 0], [0, n_frames * hop]])
        tail += tf.pad(added, [[0, 0], [offset, 0]])
        return tail[:, : n_frames * hop], tail[:, n_frames * hop :]


def _crossing(hop_size: int, method: str) -> tf.Tensor:
    """Weights of a frame and of the next one between them, [2, hop_size]."""
    position = np.arange(hop_size) / hop_size
    if method == "window":
        position = 0.5 - 0.5 * np.cos(np.pi * position)
    return tf.constant(np.stack([1.0 - position, position]), tf.float32)
