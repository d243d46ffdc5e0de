"""Filtered noise: ddsp's, by small matrix products that give one hop a frame.

A frame's filter is linear in its magnitudes, so from magnitudes to the filter's
spectrum is one matrix, known beforehand, where ddsp goes through an inverse transform,
a window and a transform. A frame of noise is short, so its transform is a matrix too.
With N the noise's and H the filter's spectrum, frame t - p reaches p hops further, and

    Z_t = sum over p of N_(t-p) H_(t-p) exp(2 pi i k p hop_size / dft_size)

is the spectrum of whatever sounds in hop t: frames overlap as spectra, and the way back
from them gives one hop a frame in place of all that a filtered frame lasts.

Conventions: those of `ddsp.core.frequency_filter`. Frame i filters the samples from
i * hop_size on; the filter's delay is taken out. Spectra are pairs of real and
imaginary part, [batch, n_frames, n_bins] each.

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

_Spectrum = tuple[tf.Tensor, tf.Tensor]


def band_responses(n_bands: int, window_size: int) -> np.ndarray:
    """Computes the impulse response of each noise band alone.

    Args:
        n_bands: Bands from 0 Hz to half the sample rate.
        window_size: ddsp's, of the filter; 0 means its own length.

    Returns:
        float32, [n_bands, n_taps].
    """
    with tf.init_scope():  # a constant, also while a graph is traced
        bands = tf.eye(n_bands)[tf.newaxis]
        return ddsp.core.frequency_impulse_response(bands, window_size)[0].numpy()


def _turns(steps: np.ndarray, *, dft_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of each bin's turn in so many samples. [n_steps, n_bins]."""
    angles = 2.0 * np.pi * np.outer(steps, np.arange(dft_size // 2 + 1)) / dft_size
    return np.cos(angles).astype("f4"), np.sin(angles).astype("f4")


def _inverse(hop_size: int, dft_size: int) -> tuple[np.ndarray, np.ndarray]:
    """From a spectrum's parts to the first samples. [n_bins, hop_size] each."""
    cosine, sine = _turns(np.arange(hop_size), dft_size=dft_size)
    counted = np.full([dft_size // 2 + 1, 1], 2.0, "f4")  # a bin and its mirror image
    counted[0] = 1.0
    if dft_size % 2 == 0:
        counted[-1] = 1.0
    return counted * cosine.T / dft_size, -counted * sine.T / dft_size


def _product(left: _Spectrum, right: _Spectrum) -> _Spectrum:
    real = left[0] * right[0] - left[1] * right[1]
    return real, left[0] * right[1] + left[1] * right[0]


def _conjugate(spectrum: _Spectrum) -> _Spectrum:
    return spectrum[0], -spectrum[1]


def _sum(spectra: list[_Spectrum]) -> _Spectrum:
    real, imaginary = zip(*spectra, strict=True)
    return tf.add_n(real), tf.add_n(imaginary)


@compiled.compiled
def _forward(noise, magnitudes, real, imaginary, hop_size, dft_size, start):
    # Frames of zeros at both ends, which the first and last hops would reach for.
    n_samples, n_frames = noise.shape[1], magnitudes.shape[1]
    n_parts = dft_size // hop_size
    n_before, n_hops = n_parts - 1, n_frames + n_parts - 1
    total = (n_hops + n_before) * hop_size
    first = n_before * hop_size
    padded = tf.pad(noise, [[0, 0], [first, total - first - n_samples]])
    frames = tf.reshape(padded, [-1, n_hops + n_before, hop_size])
    gains = tf.pad(magnitudes, [[0, 0], [n_before, n_before], [0, 0]])

    # Spectra of noise and filters.
    cosine, sine = _turns(np.arange(hop_size), dft_size=dft_size)
    source = tf.tensordot(frames, cosine, 1), tf.tensordot(frames, -sine, 1)
    response = tf.tensordot(gains, real, 1), tf.tensordot(gains, imaginary, 1)
    filtered = _product(source, response)

    # Hop t from the frames t - p.
    delays = zip(*_turns(hop_size * np.arange(n_parts), dft_size=dft_size), strict=True)
    reaching = [
        _product(tuple(x[:, n_before - p :][:, :n_hops] for x in filtered), delay)
        for p, delay in enumerate(delays)
    ]
    hops = tf.add_n(
        [
            tf.tensordot(part, matrix, 1)
            for part, matrix in zip(
                _sum(reaching), _inverse(hop_size, dft_size), strict=True
            )
        ]
    )
    audio = tf.reshape(hops, [-1, n_hops * hop_size])[:, start : start + n_samples]
    return audio, *(part[:, n_before : n_before + n_frames] for part in source)


@compiled.compiled
def _backward(
    upstream, source_real, source_imaginary, real, imaginary, hop_size, dft_size, start
):
    # The hops' spectra.
    n_frames, n_parts = source_real.shape[1], dft_size // hop_size
    total = (n_frames + n_parts - 1) * hop_size
    padded = tf.pad(upstream, [[0, 0], [start, total - start - upstream.shape[1]]])
    hops = tf.reshape(padded, [-1, n_frames + n_parts - 1, hop_size])
    by_hop = [
        tf.tensordot(hops, matrix.T, 1) for matrix in _inverse(hop_size, dft_size)
    ]

    # Frame t reached the hops t + p; what it was made of is a product.
    delays = zip(*_turns(hop_size * np.arange(n_parts), dft_size=dft_size), strict=True)
    reached = [
        _product(tuple(x[:, p : p + n_frames] for x in by_hop), _conjugate(delay))
        for p, delay in enumerate(delays)
    ]
    by_response = _product(_sum(reached), (source_real, -source_imaginary))
    return tf.tensordot(by_response[0], real, [[2], [1]]) + tf.tensordot(
        by_response[1], imaginary, [[2], [1]]
    )


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
    # The filters' spectra, long enough for all hops that a filtered frame lasts.
    responses = band_responses(n_bands, window_size)
    filter_size = responses.shape[1]
    dft_size = hop_size * -(-(hop_size + filter_size - 1) // hop_size)
    spectra = np.fft.rfft(responses.astype(np.float64), dft_size)
    matrices = [tf.constant(part.astype("f4")) for part in (spectra.real, spectra.imag)]
    how = hop_size, dft_size, (filter_size - 1) // 2 - 1  # the filters' delay

    @tf.custom_gradient
    def apply(magnitudes):
        audio, *source = _forward(noise, magnitudes, *matrices, *how)
        return audio, lambda upstream: _backward(upstream, *source, *matrices, *how)

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
