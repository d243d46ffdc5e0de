"""Harmonic synthesiser: ddsp's sound, more exact, at a fraction of its cost.

Phase belongs to the fundamental alone. It is summed over frames in float64 and known in
closed form between them, where f0 is linear, so the highest harmonic of a long clip is
still in phase; ddsp sums every harmonic's float32 phase over all samples, which by four
seconds has lost the upper ones. Compare with ddsp over short clips and with float64
arithmetic over long ones.

Conventions: frame i acts at sample i * hop_size, f0_hz in Hz, 0 Hz is silence's phase
standing still, amplitudes linear. The last frame is held for the last interval.

Source:
    ddsp.core.harmonic_synthesis, oscillator_bank, resample and upsample_with_windows of
    ddsp 3.7.0. Differs: phase in float64; no 'nearest' or 'cubic' amplitudes.
"""

import typing

import ddsp
import gin
import numpy as np
import tensorflow as tf

from models.synths import oscillators

FADES = ("window", "linear")  # amplitude interpolations that two frames suffice for


def _next_frames(frames: tf.Tensor) -> tf.Tensor:
    """The frame after each, the last one held. Shape of `frames`."""
    return tf.concat([frames[:, 1:], frames[:, -1:]], axis=1)


def _fade_in(method: str, hop_size: int) -> tf.Tensor:
    """Weight of the next frame at each sample of an interval. Shape [hop_size]."""
    position = np.arange(hop_size) / hop_size
    if method == "window":
        position = 0.5 - 0.5 * np.cos(np.pi * position)
    return tf.constant(position, tf.float32)


def fundamental_cycles(
    f0_hz: tf.Tensor, *, hop_size: int, sample_rate: int
) -> tf.Tensor:
    """Phase of the fundamental at each sample, f0 being linear between frames.

    Args:
        f0_hz: Shape [batch, n_frames, 1].
        hop_size: Samples a frame.
        sample_rate: Hz.

    Returns:
        Phase in cycles, float64, less the whole cycles at the start of each interval.
        As in ddsp, the first sample has already advanced by one sample's worth. Shape
        [batch, n_frames, hop_size].
    """
    start = tf.cast(f0_hz, tf.float64) / sample_rate  # cycles a sample
    change = _next_frames(start) - start
    n_done = tf.range(1, hop_size + 1, dtype=tf.float64)
    ramp = n_done * (n_done - 1.0) / (2.0 * hop_size)  # sum of i / hop_size, i < n_done
    within = start * n_done + change * ramp
    before = tf.cumsum(within[..., -1:], axis=1, exclusive=True)
    return before - tf.stop_gradient(tf.floor(before)) + within


def below_nyquist(f0_hz: tf.Tensor, *, n_harmonics: int, sample_rate: int) -> tf.Tensor:
    """Marks the harmonics k = 1, 2, ... of a pitch below the Nyquist frequency.

    Args:
        f0_hz: Hz, shape [batch, n_frames, 1].
        n_harmonics: How many harmonics the distribution has.
        sample_rate: Hz.

    Returns:
        1 where k * f0 < sample_rate / 2, else 0; [batch, n_frames, n_harmonics].
    """
    number = tf.range(1, n_harmonics + 1, dtype=f0_hz.dtype)
    return tf.cast(f0_hz * number < sample_rate / 2.0, f0_hz.dtype)


def _crossing_audio(
    cycles: tf.Tensor,
    amplitudes: tf.Tensor,
    *,
    f0_hz: tf.Tensor,
    crossing: tf.Tensor,
    fade_in: tf.Tensor,
    sample_rate: int,
) -> tf.Tensor:
    """Audio of harmonics that cross Nyquist within an interval, cut off where they do.

    There are few: none while f0 is steady, a handful in a glide.

    Args:
        cycles: Shape [batch, n_frames, hop_size].
        amplitudes: At both ends. Shape [batch, n_frames, 2, n_harmonics].
        f0_hz: Shape [batch, n_frames, 1].
        crossing: Shape [batch, n_frames, n_harmonics].
        fade_in: Shape [hop_size].
        sample_rate: Hz.

    Returns:
        Shape [batch, n_frames, hop_size].
    """
    places = tf.where(crossing)  # [n_crossings, 3]: clip, frame, harmonic
    interval, harmonic = places[:, :2], places[:, 2:]
    number = harmonic + 1
    start = tf.gather_nd(f0_hz, interval)  # [n_crossings, 1]
    end = tf.gather_nd(_next_frames(f0_hz), interval)
    hop_size = cycles.shape[2]
    position = tf.range(hop_size, dtype=tf.float32) / hop_size
    frequency = tf.cast(number, tf.float32) * (start + (end - start) * position)
    ends = tf.gather_nd(tf.transpose(amplitudes, [0, 1, 3, 2]), places)
    envelope = ends[:, :1] * (1.0 - fade_in) + ends[:, 1:] * fade_in
    envelope = tf.where(frequency < sample_rate / 2.0, envelope, 0.0)
    phase = tf.gather_nd(cycles, interval) * tf.cast(number, tf.float64)
    radians = tf.cast(phase - tf.stop_gradient(tf.round(phase)), tf.float32) * 2 * np.pi
    shape = tf.shape(cycles, out_type=tf.int64)
    return tf.scatter_nd(interval, envelope * tf.sin(radians), shape)


def synthesize_harmonics(
    amplitudes: tf.Tensor,
    f0_hz: tf.Tensor,
    *,
    n_samples: int,
    sample_rate: int,
    fade: str = "window",
    f0_gradient: bool = False,
) -> tf.Tensor:
    """Synthesises audio from the amplitude of every harmonic and the fundamental.

    Args:
        amplitudes: Linear. Shape [batch, n_frames, n_harmonics].
        f0_hz: Shape [batch, n_frames, 1].
        n_samples: Length of the audio, a multiple of n_frames.
        sample_rate: Hz.
        fade: How amplitudes move between frames: 'window', overlapping Hann windows as
            ddsp's default, or 'linear'.
        f0_gradient: Whether gradients flow to `f0_hz`; they cost two more passes.

    Returns:
        Audio, silent where a harmonic is at or above Nyquist. Shape [batch, n_samples].

    Raises:
        ValueError: If n_samples is not a multiple of n_frames.
    """
    n_frames, n_harmonics = amplitudes.shape[1], amplitudes.shape[2]
    if not n_frames or n_samples % n_frames:
        raise ValueError(
            f"n_samples={n_samples} is not a multiple of n_frames={n_frames}; set the "
            "synth's n_samples to n_frames * hop_size of the controls."
        )
    # Phase of the fundamental at each sample; harmonic k has k times as much.
    hop_size = n_samples // n_frames
    f0_hz = f0_hz if f0_gradient else tf.stop_gradient(f0_hz)
    fade_in = _fade_in(fade, hop_size)
    cycles = fundamental_cycles(f0_hz, hop_size=hop_size, sample_rate=sample_rate)

    # Harmonics below Nyquist at both ends of an interval: the bank, all at once.
    audible = below_nyquist(f0_hz, n_harmonics=n_harmonics, sample_rate=sample_rate) > 0
    audible_next = _next_frames(audible)
    ends = tf.stack([amplitudes, _next_frames(amplitudes)], axis=2)
    steady = tf.logical_and(audible, audible_next)[:, :, tf.newaxis]
    audio = oscillators.harmonic_bank(
        tf.reshape(cycles, [-1, hop_size]),
        tf.reshape(tf.where(steady, ends, 0.0), [-1, 2, n_harmonics]),
        fade_in=fade_in,
        phase_gradient=f0_gradient,
    )

    # Those that cross Nyquist within it are few: one by one, cut off where they do.
    crossing = _crossing_audio(
        cycles,
        ends,
        f0_hz=f0_hz,
        crossing=tf.math.logical_xor(audible, audible_next),
        fade_in=fade_in,
        sample_rate=sample_rate,
    )
    audio = tf.reshape(audio, tf.shape(cycles)) + crossing
    return tf.reshape(audio, [-1, n_samples])


@gin.register(module="models.synths")
class FastHarmonic(ddsp.synths.Harmonic):
    """ddsp's `Harmonic` with the same controls and sound, computed per interval.

    Args:
        n_samples: Length of the audio; a multiple of the controls' n_frames.
        sample_rate: Hz.
        scale_fn: Applied to raw amplitudes and harmonic distribution; None for scaled
            ones.
        normalize_below_nyquist: Removes harmonics at or above Nyquist from the
            distribution before it is normalised to sum to 1.
        amp_resample_method: 'window' or 'linear'.
        f0_gradient: Whether f0_hz is trained. Where it is data, as everywhere on the
            ladder, False spends nothing on the sines' gradient.
        name: Key of the processor's outputs.

    Raises:
        ValueError: If `amp_resample_method` is another.
    """

    def __init__(
        self,
        n_samples: int = 64000,
        sample_rate: int = 16000,
        scale_fn: typing.Callable[[tf.Tensor], tf.Tensor] | None = (
            ddsp.core.exp_sigmoid
        ),
        normalize_below_nyquist: bool = True,
        amp_resample_method: str = "window",
        f0_gradient: bool = False,
        name: str = "harmonic",
    ) -> None:
        if amp_resample_method not in FADES:
            raise ValueError(
                f"amp_resample_method={amp_resample_method!r}, but FastHarmonic offers "
                f"{' and '.join(FADES)}; use synths.Harmonic for others."
            )
        super().__init__(
            n_samples=n_samples,
            sample_rate=sample_rate,
            scale_fn=scale_fn,
            normalize_below_nyquist=normalize_below_nyquist,
            amp_resample_method=amp_resample_method,
            name=name,
        )
        self.f0_gradient = f0_gradient

    def get_signal(
        self,
        amplitudes: tf.Tensor,
        harmonic_distribution: tf.Tensor,
        f0_hz: tf.Tensor,
    ) -> tf.Tensor:
        """Synthesises audio from scaled controls.

        Args:
            amplitudes: Overall amplitude, scaled. Shape [batch, n_frames, 1].
            harmonic_distribution: Scaled and normalised. Shape [batch, n_frames,
                n_harmonics].
            f0_hz: Shape [batch, n_frames, 1].

        Returns:
            Shape [batch, n_samples].
        """
        return synthesize_harmonics(
            ddsp.core.tf_float32(amplitudes * harmonic_distribution),
            ddsp.core.tf_float32(f0_hz),
            n_samples=self.n_samples,
            sample_rate=self.sample_rate,
            fade=self.amp_resample_method,
            f0_gradient=self.f0_gradient,
        )
