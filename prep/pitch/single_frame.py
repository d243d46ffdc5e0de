"""CREPE of one frame at a time, for those who cannot wait for a batch.

The network of `prep.pitch.network`, rearranged in the same way, but in NumPy: of one
frame the arithmetic is so small that TensorFlow would spend most of the time between
its operations. The frame is normalised first, in float64, so that the level and a
constant offset do not matter.

Source: own; the network as in `prep.pitch.weights`.
"""

import numpy as np

from prep.pitch import first_layer
from prep.pitch import spectral_layers
from prep.pitch import weights as crepe_weights

FRAME_SIZE = crepe_weights.FRAME_SIZE
_PADDING = (first_layer.LEFT_PAD, first_layer.RIGHT_PAD)


class SingleFrameNetwork:
    """The network of one capacity with the published weights.

    Args:
        capacity: `full` or `tiny`; with an installed crepe package also the others.
        weights: Already loaded weights; by default the installed ones.

    Raises:
        ValueError: If there is no such capacity.
        FileNotFoundError: If no installed package has the weights.
    """

    def __init__(
        self,
        capacity: str = "tiny",
        *,
        weights: crepe_weights.CrepeWeights | None = None,
    ):
        weights = weights or crepe_weights.load_weights(capacity)
        layers = weights.convolutions
        self._first = layers[0]
        self._taps = np.ascontiguousarray(layers[0].kernel[:, 0])  # [512, n_out]
        self._others = [
            _Layer(layer, previous, n_positions=n_positions)
            for previous, layer, n_positions in zip(
                layers, layers[1:], spectral_layers.TRANSFORM_SIZES, strict=False
            )
        ]
        self._kernel, self._bias = spectral_layers.classifier_constants(weights)

    def activations(self, frame: np.ndarray) -> np.ndarray:
        """Computes the activation of each pitch bin.

        Args:
            frame: Audio at 16 kHz, finite, [1024]. The level does not matter.

        Returns:
            Values in 0 .. 1, float32 [360], as `CrepeNetwork.activations` gives them.

        Raises:
            ValueError: If the frame has another shape.
        """
        if frame.shape != (FRAME_SIZE,):
            raise ValueError(
                f"frame has shape {frame.shape}; [{FRAME_SIZE}] is needed."
            )
        mirrored = self._first_layer(_normalised(frame))
        for layer in self._others:
            mirrored = layer(*mirrored)
        logits = np.concatenate(mirrored).reshape(-1) @ self._kernel + self._bias
        return 1.0 / (1.0 + np.exp(-logits))

    def _first_layer(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The plain first convolution; mirrored positions, [64, n_out] each."""
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(frame, _PADDING), len(self._taps)
        )[:: first_layer.STRIDE]
        raw = np.ascontiguousarray(windows) @ self._taps  # [256, n_out]
        pooled = _pool(raw[0::2], raw[1::2], self._first.gamma > 0)
        hidden = np.maximum(pooled + self._first.bias, 0)
        upper, lower = hidden[64:], hidden[63::-1]
        return upper + lower, upper - lower


class _Layer:
    """One of the convolutions 2 to 6 of one frame; see `prep.pitch.spectral_layers`."""

    def __init__(
        self,
        weights: crepe_weights.ConvolutionWeights,
        previous: crepe_weights.ConvolutionWeights,
        *,
        n_positions: int,
    ):
        self._constants = spectral_layers.layer_constants(
            weights, previous, n_positions=n_positions
        )
        self._rising = weights.gamma > 0

    def __call__(
        self, plus: np.ndarray, minus: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Takes u + v and u - v, [T/2, n_in] each; gives them, [T/4, n_out] each."""
        constants = self._constants
        real, imaginary = constants.forward[0] @ plus, constants.forward[1] @ minus
        # Gauss's three products of complex numbers, each [N/2, n_out].
        product1, product2, product3 = (
            (part[:, np.newaxis] @ kernel)[:, 0]
            for part, kernel in zip(
                (real, imaginary, real + imaginary), constants.kernels, strict=True
            )
        )
        even = constants.inverse[0] @ (product1 - product2)
        odd = constants.inverse[1] @ (product3 - product1 - product2)
        upper = self._pooled(even + odd + constants.upper_table)
        lower = self._pooled(even - odd + constants.lower_table)
        return upper + lower, upper - lower

    def _pooled(self, positions: np.ndarray) -> np.ndarray:
        half = len(positions) // 2
        pooled = _pool(positions[:half], positions[half:], self._rising)
        return np.maximum(pooled, 0)


def _pool(even: np.ndarray, odd: np.ndarray, rising: np.ndarray) -> np.ndarray:
    """The larger of each pair where the scale is positive, otherwise the smaller."""
    return np.where(rising, np.maximum(even, odd), np.minimum(even, odd))


def _normalised(frame: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1, float32; a constant frame becomes zeros."""
    if frame.min() == frame.max():
        return np.zeros(FRAME_SIZE, np.float32)
    centred = frame.astype(np.float64)
    centred -= centred.mean()
    deviation = max(
        float(np.sqrt(np.mean(np.square(centred)))), crepe_weights.MIN_DEVIATION
    )
    return (centred / deviation).astype(np.float32)
