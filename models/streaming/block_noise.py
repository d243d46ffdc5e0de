"""The noise of a stream: white noise by its place in time, and a filter a frame.

However a stream is cut into blocks, sample n of the noise is the same number; so what
is played live is what is rendered to a file.

ddsp designs a filter from the magnitudes of a frame by way of FFTs. Its taps are linear
in the magnitudes, so the taps of each band alone are all there is to know, and the
transforms become products with constant matrices, which TensorFlow Lite has and runs
faster than an FFT at these sizes.

Source: ddsp.core.frequency_filter, frequency_impulse_response. Differs: no FFT.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

_CHUNK = 4096  # samples of noise drawn at once


class WhiteNoise:
    """Uniform noise in [-1, 1], a function of the seed and the place in time alone.

    Args:
        seed: Which noise, not negative.
    """

    def __init__(self, seed: int = 0):
        if seed < 0:
            raise ValueError(f"seed={seed} must not be negative.")
        # Drawn numbers are kept for the next block; the numbers do not depend on it.
        self._chunk = functools.lru_cache(maxsize=2)(functools.partial(_draw, seed))

    def span(self, start: int, n_samples: int) -> np.ndarray:
        """Noise from a sample on.

        Args:
            start: First sample; before sample 0 there is silence.
            n_samples: How many.

        Returns:
            float32, [n_samples].
        """
        if start < 0:
            n_silent = min(-start, n_samples)
            silence = np.zeros(n_silent, np.float32)
            return np.concatenate([silence, self.span(0, n_samples - n_silent)])
        first, offset = divmod(start, _CHUNK)
        if offset + n_samples <= _CHUNK:
            return self._chunk(first)[offset : offset + n_samples]
        last = (start + n_samples - 1) // _CHUNK
        chunks = [self._chunk(index) for index in range(first, last + 1)]
        return np.concatenate(chunks)[offset : offset + n_samples]


def _draw(seed: int, index: int) -> np.ndarray:
    """One chunk of the noise."""
    generator = np.random.Generator(np.random.Philox(key=[seed, index]))
    chunk = 2.0 * generator.random(_CHUNK, dtype=np.float32) - np.float32(1.0)
    chunk.flags.writeable = False
    return chunk


class FrameConvolution:
    """Convolves each frame of a signal with a filter of its own.

    As products with constant matrices: transform, multiply, transform back.

    Args:
        frame_size: Samples in a frame.
        basis: Impulse responses whose weighted sum is a frame's filter,
            [n_weights, n_taps].
    """

    def __init__(self, frame_size: int, basis: np.ndarray):
        n_out = frame_size + basis.shape[1] - 1
        n_fft = n_out + n_out % 2
        halves = lambda z: np.concatenate([z.real, z.imag], axis=-1)
        to_spectrum = halves(np.fft.rfft(np.eye(frame_size), n_fft))
        to_response = halves(np.fft.rfft(basis, n_fft))
        n_bins = n_fft // 2 + 1
        unit = np.eye(n_bins)
        back = [np.fft.irfft(unit, n_fft), np.fft.irfft(1j * unit, n_fft)]
        self._to_spectrum = tf.constant(to_spectrum, tf.float32)
        self._to_response = tf.constant(to_response, tf.float32)
        self._to_audio = tf.constant(np.concatenate(back)[:, :n_out], tf.float32)

    def __call__(self, frames: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Convolves.

        Args:
            frames: [batch, n_frames, frame_size].
            weights: Of the basis, [batch, n_frames, n_weights].

        Returns:
            [batch, n_frames, frame_size + n_taps - 1].
        """
        real, imag = tf.split(_product(frames, self._to_spectrum), 2, axis=-1)
        of_real, of_imag = tf.split(_product(weights, self._to_response), 2, axis=-1)
        product = tf.concat(
            [real * of_real - imag * of_imag, real * of_imag + imag * of_real], axis=-1
        )
        return _product(product, self._to_audio)


def _product(frames: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Frames times a constant matrix, as one plain product."""
    flat = tf.matmul(tf.reshape(frames, [-1, matrix.shape[0]]), matrix)
    return tf.reshape(flat, [-1, frames.shape[1], matrix.shape[1]])


def overlap_add(frames: tf.Tensor, hop_size: int) -> tf.Tensor:
    """Adds frames up, each one hop after the one before.

    Args:
        frames: [batch, n_frames, frame_size].
        hop_size: Samples between frames, at most frame_size.

    Returns:
        [batch, (n_frames - 1) * hop_size + frame_size].
    """
    if frames.shape[1] == 1:
        return tf.reshape(frames, [-1, frames.shape[2]])
    return tf.signal.overlap_and_add(frames, hop_size)
