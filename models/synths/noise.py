"""Filtered noise: ddsp's, with half of its transforms gone.

A frame's filter is linear in its magnitudes, so from magnitudes to the filter's
spectrum is one matrix, known beforehand, where ddsp goes through an inverse transform,
a window and a transform. What is left is one transform of the noise and one back, and
the gradient takes one more.

Conventions: those of `ddsp.core.frequency_filter`. Frame i filters the samples from
i * hop_size on; the filter's delay is taken out.

Source:
    ddsp.synths.FilteredNoise and ddsp.core.frequency_filter of ddsp 3.7.0; the
    arrangement and the gradient are own.
"""

import typing

import ddsp
import gin
import numpy as np
import tensorflow as tf

from models.layers import compiled


def _filter_matrices(
    n_bands: int, *, window_size: int, fft_size: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Real and imaginary part of each band's spectrum, and the filters' length.

    Both of shape [n_bands, fft_size // 2 + 1].
    """
    with tf.init_scope():
        bands = tf.eye(n_bands)[tf.newaxis]
        response = ddsp.core.frequency_impulse_response(bands, window_size)[0].numpy()
    spectrum = np.fft.rfft(response.astype(np.float64), fft_size)
    real, imaginary = spectrum.real.astype("f4"), spectrum.imag.astype("f4")
    return real, imaginary, response.shape[1]


def _filter_size(n_bands: int, window_size: int) -> int:
    """Length of the impulse responses that ddsp designs."""
    largest = 2 * (n_bands - 1)
    if not 0 < window_size < largest:
        return largest
    return _filter_matrices(n_bands, window_size=window_size, fft_size=largest)[2]


def _add_frames(frames: tf.Tensor, hop_size: int) -> tf.Tensor:
    """Overlaps and adds. [batch, n_frames, size] -> [batch, n_samples]."""
    n_parts = -(-frames.shape[2] // hop_size)
    missing = n_parts * hop_size - frames.shape[2]
    parts = tf.split(tf.pad(frames, [[0, 0], [0, 0], [0, missing]]), n_parts, axis=2)
    hops = tf.add_n(
        [
            tf.pad(part, [[0, 0], [i, n_parts - 1 - i], [0, 0]])
            for i, part in enumerate(parts)
        ]
    )
    return tf.reshape(hops, [-1, hops.shape[1] * hop_size])


def _cut_frames(audio: tf.Tensor, *, n_frames: int, hop_size: int, size: int):
    """The transpose of `_add_frames`. [batch, n_samples] -> [batch, n_frames, size]."""
    n_parts = -(-size // hop_size)
    hops = tf.reshape(audio, [-1, audio.shape[1] // hop_size, hop_size])
    parts = [hops[:, i : i + n_frames] for i in range(n_parts)]
    return tf.concat(parts, axis=2)[..., :size]


@compiled.compiled
def _forward(noise, magnitudes, real, imaginary, hop_size, fft_size, start):
    n_samples, n_frames = noise.shape[1], magnitudes.shape[1]
    missing = n_frames * hop_size - n_samples
    padded = tf.pad(noise, [[0, 0], [0, missing]])
    frames = tf.reshape(padded, [-1, n_frames, hop_size])
    source = tf.signal.rfft(frames, [fft_size])
    response = tf.complex(
        tf.tensordot(magnitudes, real, axes=1),
        tf.tensordot(magnitudes, imaginary, axes=1),
    )
    audio = _add_frames(tf.signal.irfft(source * response, [fft_size]), hop_size)
    return audio[:, start : start + n_samples], source


@compiled.compiled
def _backward(upstream, source, real, imaginary, hop_size, fft_size, start):
    n_frames = source.shape[1]
    n_parts = -(-fft_size // hop_size)
    total = (n_frames + n_parts - 1) * hop_size
    padded = tf.pad(upstream, [[0, 0], [start, total - start - upstream.shape[1]]])
    frames = _cut_frames(padded, n_frames=n_frames, hop_size=hop_size, size=fft_size)
    inner = fft_size // 2 - 1
    # an inverse transform counts bins other than 0 and Nyquist twice and divides by n
    scale = tf.concat([[1.0], tf.fill([inner], 2.0), [1.0]], axis=0) / float(fft_size)
    spectrum = tf.signal.rfft(frames, [fft_size]) * tf.math.conj(source)
    by_real = tf.tensordot(tf.math.real(spectrum) * scale, real, axes=[[2], [1]])
    by_imaginary = tf.tensordot(
        tf.math.imag(spectrum) * scale, imaginary, axes=[[2], [1]]
    )
    return by_real + by_imaginary


def filter_noise(
    noise: tf.Tensor, magnitudes: tf.Tensor, *, window_size: int = 0
) -> tf.Tensor:
    """Filters noise by a magnitude response that changes from frame to frame.

    Args:
        noise: No gradient flows to it. Shape [batch, n_samples].
        magnitudes: Linear gain of each band, 0 Hz to Nyquist. Shape
            [batch, n_frames, n_bands].
        window_size: Length of the filters in samples; 0 for 2 * (n_bands - 1).

    Returns:
        As `ddsp.core.frequency_filter`. Shape [batch, n_samples].

    Raises:
        ValueError: If frames of one length cannot fill the audio.
    """
    n_samples = noise.shape[1]
    _, n_frames, n_bands = magnitudes.shape
    hop_size = -(-n_samples // n_frames)
    if -(-n_samples // hop_size) != n_frames:
        raise ValueError(
            f"{n_frames} frames of magnitudes cannot cover {n_samples} samples with "
            "one hop; set the synth's n_samples to n_frames * hop_size."
        )
    filter_size = _filter_size(n_bands, window_size)
    fft_size = ddsp.core.get_fft_size(hop_size, filter_size)
    real, imaginary, _ = _filter_matrices(
        n_bands, window_size=window_size, fft_size=fft_size
    )
    matrices = tf.constant(real), tf.constant(imaginary)
    how = hop_size, fft_size, (filter_size - 1) // 2 - 1  # the filters' delay

    @tf.custom_gradient
    def apply(magnitudes):
        audio, source = _forward(noise, magnitudes, *matrices, *how)
        return audio, lambda upstream: _backward(upstream, source, *matrices, *how)

    return apply(magnitudes)


@gin.register(module="models.noise")
class FastFilteredNoise(ddsp.synths.FilteredNoise):
    """ddsp's `FilteredNoise`: its arguments, its controls and its draws of noise."""

    def get_signal(self, magnitudes: tf.Tensor) -> tf.Tensor:
        """Draws noise and filters it.

        Args:
            magnitudes: Scaled. Shape [batch, n_frames, n_bands].

        Returns:
            Shape [batch, n_samples].
        """
        magnitudes = ddsp.core.tf_float32(magnitudes)
        shape: typing.Any = [int(magnitudes.shape[0]), self.n_samples]
        noise = tf.random.uniform(shape, minval=-1.0, maxval=1.0)
        return filter_noise(noise, magnitudes, window_size=self.window_size)
