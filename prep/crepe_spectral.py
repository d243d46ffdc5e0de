"""Convolution layers 2 to 6 of CREPE as products in frequency.

`y[t] = sum over m = -31 .. 32 of x[t + m] w[31 + m]`, t = 0 .. T-1, zeros outside. A
discrete Fourier transform of N points wraps around, and what is wrapped must not reach
an output that is wanted: an output t and an input n may only meet at n - t in -(T-1) ..
T-1, so `N >= T + the longest reach` is enough, 160 for T = 128 where a product of
polynomials would need 191.

The frequencies are odd, `w_k = 2 pi (k + 1/2) / N`: all N/2 of them are complex, none
is a special case, and time is centred on (T - 1) / 2, which makes cosines even and
sines odd in time. With `X_k = sum of x[n] exp(-i w_k (n - (T-1)/2))` and
`K_k = sum of w[31 + m] exp(i w_k m)`,

    y[t] = 2/N  Re  sum over k of  X_k K_k exp(i w_k (t - (T-1)/2)).

A complex product takes three real ones: with `P1 = Xr Kr`, `P2 = Xi Ki` and
`P3 = (Xr + Xi)(Kr + Ki)` the real part is `P1 - P2` and the imaginary one `P3 - P1 -
P2`, so `y = 2/N sum of P1 (cos + sin) + P2 (sin - cos) - P3 sin`: one real matrix of
3N/2 columns.

Source: own; three-product complex multiplication is Gauss's.
"""

import numpy as np
import tensorflow as tf

from prep import crepe_layers
from prep import crepe_weights

TRANSFORM_SIZES = {128: 160, 64: 96, 32: 64, 16: 32, 8: 16}  # T -> N
_N_TAPS = 64
_LEFT_TAPS = 31  # taps before the current position ("same")
_CHANNELS_PER_CHUNK = 64  # of a kernel's float64 transform at a time


class SpectralLayer:
    """One of the convolutions 2 to 6, with bias, ReLU and pooling.

    Args:
        weights: Of this layer.
        previous: Of the layer before, whose normalisation is folded in here.
        n_positions: T, the positions that come in; a key of `TRANSFORM_SIZES`.
        mirrored: Whether the input comes as sums and differences of mirrored halves, as
            from `FirstLayer`; the transform then costs half.
    """

    def __init__(
        self,
        weights: crepe_weights.ConvolutionWeights,
        previous: crepe_weights.ConvolutionWeights,
        *,
        n_positions: int,
        mirrored: bool = False,
    ):
        self._n_positions = n_positions
        self._mirrored = mirrored
        self._rising = crepe_layers.rising_channels(weights)
        scale, shift = previous.affine()
        order = crepe_layers.even_then_odd(n_positions)
        table = _same_padding_table(weights.kernel, shift, n_positions=n_positions)
        table = (table + weights.bias)[order, np.newaxis]  # [T, 1, n_out]
        self._table = tf.constant(table, tf.float32)
        self._kernels = _transformed_kernels(weights.kernel, scale, n_positions)
        angles = _angles(n_positions) * (np.arange(n_positions) - (n_positions - 1) / 2)
        cos, sin = np.cos(angles), np.sin(angles)
        if mirrored:
            half = n_positions // 2
            self._forward = [
                tf.constant(part[:, half:], tf.float32) for part in (cos, -sin)
            ]
        else:
            parts = np.concatenate([cos, -sin, cos - sin])
            self._forward = [tf.constant(parts, tf.float32)]
        inverse = np.concatenate([cos + sin, sin - cos, -sin])  # [3N/2, T]
        inverse *= 2 / TRANSFORM_SIZES[n_positions]
        self._inverse = tf.constant(inverse.T[order], tf.float32)

    def __call__(
        self,
        hidden: tf.Tensor | tuple[tf.Tensor, tf.Tensor],
        inverse_deviation: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Runs the layer.

        Args:
            hidden: [T, n_frames, n_in], or the two mirrored halves.
            inverse_deviation: Factor of each frame, [n_frames], where the input was
                left without it.

        Returns:
            h of this layer, [T/2, n_frames, n_out].
        """
        products = self._products(self._transform(hidden))
        n_bins, n_frames, n_out = products.shape
        flat = tf.reshape(products, [n_bins, n_frames * n_out])
        output = self._inverse @ flat
        output = tf.reshape(output, [self._n_positions, n_frames, n_out])
        if inverse_deviation is not None:
            output *= inverse_deviation[:, tf.newaxis]
        return tf.nn.relu(crepe_layers.pool(output + self._table, self._rising))

    def _transform(
        self, hidden: tf.Tensor | tuple[tf.Tensor, tf.Tensor]
    ) -> list[tf.Tensor]:
        """Real part, imaginary part and their sum, each [N/2, n_frames, n_in]."""
        parts = hidden if self._mirrored else (hidden,)
        n_frames, n_in = parts[0].shape[1:]
        bins = [
            tf.reshape(
                matrix @ tf.reshape(part, [-1, n_frames * n_in]), [-1, n_frames, n_in]
            )
            for matrix, part in zip(self._forward, parts, strict=True)
        ]
        if self._mirrored:
            return [*bins, bins[0] + bins[1]]
        return bins

    def _products(self, bins: list[tf.Tensor]) -> tf.Tensor:
        """P1, P2, P3, [3N/2, n_frames, n_out]."""
        if self._mirrored:
            parts = [x @ k for x, k in zip(bins, self._kernels, strict=True)]
            return tf.concat(parts, axis=0)
        return bins[0] @ tf.concat(self._kernels, axis=0)


def _angles(n_positions: int) -> np.ndarray:
    """The odd frequencies in radians, [N/2, 1]."""
    n = TRANSFORM_SIZES[n_positions]
    return 2 * np.pi * (np.arange(n // 2)[:, np.newaxis] + 0.5) / n


def _transformed_kernels(
    kernel: np.ndarray, scale: np.ndarray, n_positions: int
) -> list[tf.Tensor]:
    """`K_k` of the scaled kernel: real, imaginary, sum; each [N/2, n_in, n_out].

    Taps that can only meet padding are left out. In float64, some channels at a time.
    """
    reach = np.arange(-_LEFT_TAPS, _N_TAPS - _LEFT_TAPS)
    reach = reach[np.abs(reach) < n_positions]
    phase = np.exp(1j * _angles(n_positions) * reach)  # [N/2, n_taps]
    used = kernel[reach + _LEFT_TAPS]
    _, n_in, n_out = used.shape
    parts = [np.empty((len(phase), n_in, n_out), np.float32) for _ in range(3)]
    for first in range(0, n_in, _CHANNELS_PER_CHUNK):
        chunk = slice(first, first + _CHANNELS_PER_CHUNK)
        scaled = used[:, chunk] * scale[chunk, np.newaxis]
        flat = scaled.reshape(len(reach), -1)
        real = (phase.real @ flat).reshape(len(phase), -1, n_out)
        imaginary = (phase.imag @ flat).reshape(len(phase), -1, n_out)
        values = (real, imaginary, real + imaginary)
        for part, value in zip(parts, values, strict=True):
            part[:, chunk] = value
    return [tf.constant(part) for part in parts]


def _same_padding_table(
    kernel: np.ndarray, shift: np.ndarray, *, n_positions: int
) -> np.ndarray:
    """What a constant `shift` on every position adds to each output, [T, n_out]."""
    by_tap = np.einsum("min,i->mn", kernel.astype(np.float64), shift)
    running = np.concatenate([np.zeros((1, by_tap.shape[1])), np.cumsum(by_tap, 0)])
    first = np.clip(_LEFT_TAPS - np.arange(n_positions), 0, _N_TAPS)
    last = np.clip(_LEFT_TAPS - np.arange(n_positions) + n_positions, 0, _N_TAPS)
    return running[last] - running[first]


class Classifier:
    """The dense layer at the end, with the sixth layer's normalisation folded in."""

    def __init__(self, weights: crepe_weights.CrepeWeights):
        scale, shift = weights.convolutions[-1].affine()
        n_channels = len(scale)
        kernel = weights.classifier_kernel.reshape(-1, n_channels, crepe_weights.N_BINS)
        bias = weights.classifier_bias + np.einsum("pcb,c->b", kernel, shift)
        scaled = (kernel * scale[:, np.newaxis]).reshape(-1, crepe_weights.N_BINS)
        self._kernel = tf.constant(scaled, tf.float32)
        self._bias = tf.constant(bias, tf.float32)

    def __call__(self, hidden: tf.Tensor) -> tf.Tensor:
        """[4, n_frames, n_channels] -> activations, [n_frames, 360]."""
        features = tf.transpose(hidden, [1, 0, 2])
        features = tf.reshape(features, [features.shape[0], -1])
        return tf.sigmoid(features @ self._kernel + self._bias)
