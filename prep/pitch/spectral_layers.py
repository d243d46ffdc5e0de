"""Convolution layers 2 to 6 of CREPE as products in frequency.

`y[t] = sum over m = -31 .. 32 of x[t + m] w[31 + m]`, t = 0 .. T-1, zeros outside. A
discrete Fourier transform of N points wraps around, and what is wrapped must not reach
an output that is wanted: an output t and an input n may only meet at n - t in -(T-1) ..
T-1, so `N >= T + the longest reach` is enough, 160 for T = 128 where a product of
polynomials would need 191.

The frequencies are odd, `w_k = 2 pi (k + 1/2) / N`: all N/2 of them are complex, none
is a special case. Time is centred on (T - 1) / 2, which makes cosines even and sines
odd in time. So positions come and go in mirrored halves: with `u[n] = x[T/2 + n]` and
`v[n] = x[T/2 - 1 - n]`, n = 0 .. T/2 - 1, and `K_k = sum of w[31 + m] exp(i w_k m)`,

    Xr = sum of (u + v)[n] cos(w_k (n + 1/2)),   Xi = - sum of (u - v)[n] sin(...)
    Y_k = X_k K_k
    e[n] = 2/N sum of Yr cos(w_k (n + 1/2)),     o[n] = - 2/N sum of Yi sin(...)
    y[T/2 + n] = e[n] + o[n],                    y[T/2 - 1 - n] = e[n] - o[n]

which is half the work of the plain transform going and a third coming back. Pooling
keeps the halves mirrored, so the next layer's sums and differences are at hand.

A complex product takes three real ones: with `P1 = Xr Kr`, `P2 = Xi Ki` and
`P3 = (Xr + Xi)(Kr + Ki)` the real part is `P1 - P2` and the imaginary one
`P3 - P1 - P2`.

Source: own; three-product complex multiplication is Gauss's.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from prep import products as products_lib
from prep.pitch import first_layer
from prep.pitch import weights as crepe_weights

TRANSFORM_SIZES = {128: 160, 64: 96, 32: 64, 16: 32, 8: 16}  # T -> N
_N_TAPS = 64
_LEFT_TAPS = 31  # taps before the current position ("same")
_CHANNELS_PER_CHUNK = 64  # of a kernel's float64 transform at a time


@dataclasses.dataclass(frozen=True)
class LayerConstants:
    """What one of the convolutions 2 to 6 computes with.

    Attributes:
        upper_table: Bias and padding of positions T/2 .. T-1, [T/2, n_out], in the
            order of `even_then_odd`, as `lower_table` and the rows of `inverse`.
        lower_table: The same of positions T/2 - 1 .. 0.
        forward: Matrices [N/2, T/2] to the real and the imaginary part.
        kernels: `K_k`: real, imaginary, their sum; each [N/2, n_in, n_out].
        inverse: Matrices [T/2, N/2] to `e` and `o`.
    """

    upper_table: np.ndarray
    lower_table: np.ndarray
    forward: list[np.ndarray]
    kernels: list[np.ndarray]
    inverse: list[np.ndarray]


def layer_constants(
    weights: crepe_weights.ConvolutionWeights,
    previous: crepe_weights.ConvolutionWeights,
    *,
    n_positions: int,
) -> LayerConstants:
    """Computes the constants of a layer, float32.

    Args:
        weights: Of this layer.
        previous: Of the layer before, whose normalisation is folded in here.
        n_positions: T, the positions that come in; a key of `TRANSFORM_SIZES`.
    """
    # Tables: what bias and folded shift add to each position.
    scale, shift = previous.affine()
    half = n_positions // 2
    order = first_layer.even_then_odd(half)
    table = _same_padding_table(weights.kernel, shift, n_positions=n_positions)
    table = (table + weights.bias).astype(np.float32)  # [T, n_out]
    # Transforms over positions, there and back.
    angles = _angles(n_positions) * (np.arange(half) + 0.5)  # [N/2, T/2]
    gain = 2 / TRANSFORM_SIZES[n_positions]
    matrices = [part.astype(np.float32) for part in (np.cos(angles), -np.sin(angles))]
    return LayerConstants(
        upper_table=table[half:][order],
        lower_table=table[half - 1 :: -1][order],
        forward=matrices,
        kernels=_transformed_kernels(weights.kernel, scale, n_positions),
        inverse=[gain * matrix.T[order] for matrix in matrices],
    )


class SpectralLayer:
    """One of the convolutions 2 to 6, with bias, ReLU and pooling.

    Args:
        weights: Of this layer.
        previous: Of the layer before.
        n_positions: T, the positions that come in; a key of `TRANSFORM_SIZES`.
        products: How matrices are multiplied.
    """

    def __init__(
        self,
        weights: crepe_weights.ConvolutionWeights,
        previous: crepe_weights.ConvolutionWeights,
        *,
        n_positions: int,
        products: products_lib.Products,
    ):
        self._products = products
        constants = layer_constants(weights, previous, n_positions=n_positions)
        self._rising = first_layer.rising_channels(weights)
        self._upper_table = first_layer.constant(constants.upper_table[:, np.newaxis])
        self._lower_table = first_layer.constant(constants.lower_table[:, np.newaxis])
        self._forward = [products.constant(matrix) for matrix in constants.forward]
        self._inverse = [products.constant(matrix) for matrix in constants.inverse]
        # One after the other, so that only one of them is in memory twice.
        kernels = constants.kernels
        self._kernels = [products.constant(kernels.pop(0)) for _ in range(3)]

    def __call__(
        self,
        mirrored: tuple[tf.Tensor, tf.Tensor],
        inverse_deviation: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs the layer.

        Args:
            mirrored: u + v and u - v of the layer before, each [T/2, n_frames, n_in].
            inverse_deviation: Factor of each frame, [n_frames], where the input was
                left without it.

        Returns:
            The same of h of this layer, each [T/4, n_frames, n_out].
        """
        real, imaginary = (
            self._over_positions(matrix, part)
            for matrix, part in zip(self._forward, mirrored, strict=True)
        )
        product1, product2, product3 = (
            self._in_each_bin(part, kernel)
            for part, kernel in zip(
                (real, imaginary, real + imaginary), self._kernels, strict=True
            )
        )
        even = self._over_positions(self._inverse[0], product1 - product2)
        odd = self._over_positions(self._inverse[1], product3 - product1 - product2)
        if inverse_deviation is not None:
            even *= inverse_deviation[:, tf.newaxis]
            odd *= inverse_deviation[:, tf.newaxis]
        upper = self._pooled(even + odd + self._upper_table)
        lower = self._pooled(even - odd + self._lower_table)
        return upper + lower, upper - lower

    def _pooled(self, positions: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(first_layer.pool(positions, self._rising))

    def _over_positions(self, matrix: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """[m, n] times [n, n_frames, n_channels] -> [m, n_frames, n_channels]."""
        n, n_frames, n_channels = values.shape
        flat = tf.reshape(values, [n, n_frames * n_channels])
        product = self._products.float32(matrix @ self._products.rounded(flat))
        return tf.reshape(product, [matrix.shape[0], n_frames, n_channels])

    def _in_each_bin(self, values: tf.Tensor, kernels: tf.Tensor) -> tf.Tensor:
        """[n_bins, n_frames, n_in] times [n_bins, n_in, n_out].

        One matrix product a bin: as one batched product it takes half as long again.
        """
        values = tf.unstack(self._products.rounded(values))
        pairs = zip(values, tf.unstack(kernels), strict=True)
        return self._products.float32(
            tf.stack([value @ kernel for value, kernel in pairs])
        )


def _angles(n_positions: int) -> np.ndarray:
    """The odd frequencies in radians, [N/2, 1]."""
    n = TRANSFORM_SIZES[n_positions]
    return 2 * np.pi * (np.arange(n // 2)[:, np.newaxis] + 0.5) / n


def _transformed_kernels(
    kernel: np.ndarray, scale: np.ndarray, n_positions: int
) -> list[np.ndarray]:
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
    return parts


def _same_padding_table(
    kernel: np.ndarray, shift: np.ndarray, *, n_positions: int
) -> np.ndarray:
    """Computes what a constant `shift` adds to each output, [T, n_out]."""
    by_tap = np.einsum("min,i->mn", kernel.astype(np.float64), shift)
    running = np.concatenate([np.zeros((1, by_tap.shape[1])), np.cumsum(by_tap, 0)])
    first = np.clip(_LEFT_TAPS - np.arange(n_positions), 0, _N_TAPS)
    last = np.clip(_LEFT_TAPS - np.arange(n_positions) + n_positions, 0, _N_TAPS)
    return running[last] - running[first]


def classifier_constants(
    weights: crepe_weights.CrepeWeights,
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the last layer's kernel and bias for mirrored positions.

    Returns:
        Kernel [4 * n_channels, 360], whose rows belong to both positions of u + v and
        then of u - v, and bias [360]; the sixth layer's normalisation is folded in.
    """
    scale, shift = weights.convolutions[-1].affine()
    kernel = weights.classifier_kernel.reshape(4, len(scale), crepe_weights.N_BINS)
    bias = weights.classifier_bias + np.einsum("pcb,c->b", kernel, shift)
    scaled = kernel * scale[:, np.newaxis]
    # Of u + v and u - v, where u are positions 2, 3 and v are 1, 0.
    upper, lower = scaled[[2, 3]], scaled[[1, 0]]
    mirrored = np.concatenate([upper + lower, upper - lower]) / 2
    flat = mirrored.reshape(-1, crepe_weights.N_BINS)
    return flat.astype(np.float32), bias.astype(np.float32)


class Classifier:
    """The dense layer at the end, with the sixth layer's normalisation folded in."""

    def __init__(
        self, weights: crepe_weights.CrepeWeights, products: products_lib.Products
    ):
        self._products = products
        kernel, bias = classifier_constants(weights)
        self._kernel = products.constant(kernel)
        self._bias = first_layer.constant(bias)

    def __call__(self, mirrored: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Two of [2, n_frames, n_channels] -> activations, [n_frames, 360]."""
        columns = [column for part in mirrored for column in tf.unstack(part)]
        features = tf.concat(columns, axis=1)
        product = self._products.rounded(features) @ self._kernel
        return tf.sigmoid(self._products.float32(product) + self._bias)
