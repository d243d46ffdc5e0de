"""CREPE in TensorFlow: the published network, exact, many times faster than published.

Frames have 1024 samples at 16 kHz. With centring (the default) frame i describes the
audio around sample `i * hop_size`; what lies beyond the ends is zero.
`prep.pitch.first_layer` and `prep.pitch.spectral_layers` say how the network is
rearranged, `prep.pitch.frames` how audio comes to it in batches; the numbers differ
from the published arithmetic by float32 rounding, about 1e-6 in an activation.

Silence: a constant frame (digital silence, a constant offset) is what the network makes
of a frame of zeros. That is no pitch, though its confidence is not 0: see
`prep.pitch.tracker`. NaN and infinite samples are refused.

Three guards keep the rearranged arithmetic exact on audio that float32 is bad at:

- batches of frames that are all constant are not computed at all;
- a constant offset is taken off the batch where that helps;
- a frame whose mean exceeds `crepe_frames.MAX_OFFSET` deviations even so is normalised
  first and goes through the plain first convolution. So do all frames when the hop is
  no multiple of 64.
"""

from collections.abc import Iterable
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from prep import products as products_lib
from prep import tensorflow_setup
from prep.pitch import first_layer
from prep.pitch import frames as crepe_frames
from prep.pitch import spectral_layers
from prep.pitch import weights as crepe_weights

SAMPLE_RATE = crepe_weights.SAMPLE_RATE
FRAME_SIZE = crepe_weights.FRAME_SIZE
BLOCK_SIZE = first_layer.BLOCK_SIZE  # samples
BATCH_FRAMES = 64  # frames of one pass; more costs memory, fewer rereads the weights
DIRECT_BATCH_FRAMES = 32  # frames of one pass through the plain first convolution


class CrepeNetwork:
    """The network of one capacity with the published weights.

    Args:
        capacity: `full` or `tiny`; with an installed crepe package also `small`,
            `medium` and `large`.
        batch_frames: Frames that are computed together. 64 is a good size on 2 cores.
        weights: Already loaded weights; by default the installed ones.
        products: How its matrices are multiplied.

    Raises:
        ValueError: If there is no such capacity or `batch_frames` is below 1.
        FileNotFoundError: If no installed package has the weights.
    """

    def __init__(
        self,
        capacity: str = "full",
        *,
        batch_frames: int = BATCH_FRAMES,
        weights: crepe_weights.CrepeWeights | None = None,
        products: products_lib.Products | None = None,
    ):
        if batch_frames < 1:
            raise ValueError(f"batch_frames={batch_frames}: at least 1 is needed.")
        weights = weights or crepe_weights.load_weights(capacity)
        layers = weights.convolutions
        self.capacity = weights.capacity
        self._batch_frames = batch_frames
        products = products or products_lib.Products()
        self._first = first_layer.FirstLayer(layers[0], products)
        self._others = [
            spectral_layers.SpectralLayer(
                layer, previous, n_positions=n_positions, products=products
            )
            for previous, layer, n_positions in zip(
                layers, layers[1:], spectral_layers.TRANSFORM_SIZES, strict=False
            )
        ]
        self._classifier = spectral_layers.Classifier(weights, products)
        # XLA fuses the pointwise part; its matrix products are slower than oneDNN's.
        self._assemble = tf.function(
            self._first.mirrored_frames,
            jit_compile=tensorflow_setup.compiles_kernels(),
            autograph=False,
        )
        self._run_blocks = tf.function(self._blocks_to_activations, autograph=False)
        self._run_frames = tf.function(self._frames_to_activations, autograph=False)
        self._silence: np.ndarray | None = None

    def activations(
        self,
        audio_16k: np.ndarray,
        hop_size: int = 64,
        *,
        n_frames: int | None = None,
        center: bool = True,
    ) -> np.ndarray:
        """The activation of each pitch bin in each frame.

        Args:
            audio_16k: Audio at 16 kHz, [n_samples]. The level does not matter.
            hop_size: Samples between frames, > 0. Multiples of 64 are fast.
            n_frames: How many; by default what crepe answers, `1 + n_samples //
                hop_size` when centred. Frames beyond the end see zeros.
            center: Whether frame i is centred on sample `i * hop_size` or begins there.

        Returns:
            Values in 0 .. 1, float32 [n_frames, 360]; bin b stands for
            `1997.379 + 20 b` cents above 10 Hz.

        Raises:
            ValueError: If an argument is out of range, the audio is not one row of
                finite numbers, or, without centring, shorter than a frame.
        """
        audio_16k = np.asarray(audio_16k)
        blocks = self.activation_blocks(
            [audio_16k], hop_size, n_frames=n_frames, center=center
        )
        parts = list(blocks)
        if not parts:
            return np.zeros((0, crepe_weights.N_BINS), np.float32)
        return np.concatenate(parts)

    def activation_blocks(
        self,
        chunks: Iterable[np.ndarray],
        hop_size: int = 64,
        *,
        n_frames: int | None = None,
        center: bool = True,
    ) -> Iterator[np.ndarray]:
        """Like `activations`, for audio that comes in pieces; memory does not grow.

        Args:
            chunks: Consecutive pieces of the audio, each [n_samples] of any length.
            hop_size: As in `activations`.
            n_frames: As in `activations`.
            center: As in `activations`.

        Yields:
            Activations of consecutive frames, [up to batch_frames, 360].
        """
        if hop_size < 1 or hop_size != int(hop_size):
            raise ValueError(
                f"hop_size={hop_size}: a whole number of samples is needed."
            )
        if n_frames is not None and n_frames < 0:
            raise ValueError(f"n_frames={n_frames}: it cannot be negative.")
        spans = crepe_frames.cut_spans(
            chunks,
            batch_frames=self._batch_frames,
            hop_size=int(hop_size),
            n_frames=n_frames,
            center=center,
        )
        for span, n_wanted in spans:
            yield self._batch(span, int(hop_size))[:n_wanted]

    def _batch(self, span: np.ndarray, hop_size: int) -> np.ndarray:
        """Activations of one batch of frames, [batch_frames, 360]."""
        windows = np.lib.stride_tricks.sliding_window_view(span, FRAME_SIZE)
        frames = windows[::hop_size]
        mean, deviation, constant = crepe_frames.measure_frames(span, hop_size)
        if constant.all():
            return np.tile(self._silent_activation(), (len(frames), 1))
        offset, direct = crepe_frames.choose_offset(
            mean, deviation=deviation, constant=constant
        )
        if hop_size % BLOCK_SIZE:
            direct = ~constant
        shared = ~(constant | direct)
        activations = np.empty((len(frames), crepe_weights.N_BINS), np.float32)
        if shared.any():
            mean_left = np.where(shared, mean - offset, 0).astype(np.float32)
            activations[:] = self._run_blocks(
                tf.constant((span - offset).reshape(-1, BLOCK_SIZE), tf.float32),
                tf.constant(mean_left),
                deviation=tf.constant(deviation, tf.float32),
                hop_blocks=hop_size // BLOCK_SIZE,
            )
        if direct.any():
            normalised = (frames[direct] - mean[direct, np.newaxis]) / deviation[
                direct, np.newaxis
            ]
            activations[direct] = self._direct(normalised)
        activations[constant] = self._silent_activation()
        return activations

    def _blocks_to_activations(
        self,
        blocks: tf.Tensor,
        mean: tf.Tensor,
        *,
        deviation: tf.Tensor,
        hop_blocks: int,
    ) -> tf.Tensor:
        products = self._first.shared_products(blocks)
        hidden = self._assemble(
            products, mean, deviation=deviation, hop_blocks=hop_blocks
        )
        return self._later_layers(hidden, 1.0 / deviation)

    def _frames_to_activations(self, frames: tf.Tensor) -> tf.Tensor:
        return self._later_layers(self._first.frames(frames), None)

    def _later_layers(
        self, hidden: tuple[tf.Tensor, tf.Tensor], inverse_deviation: tf.Tensor | None
    ) -> tf.Tensor:
        hidden = self._others[0](hidden, inverse_deviation)
        for layer in self._others[1:]:
            hidden = layer(hidden)
        return self._classifier(hidden)

    def _direct(self, frames: np.ndarray) -> np.ndarray:
        """Activations of normalised frames by the plain first convolution."""
        n_frames, size = len(frames), DIRECT_BATCH_FRAMES
        padded = np.zeros((-(-n_frames // size) * size, FRAME_SIZE), np.float32)
        padded[:n_frames] = frames
        parts = [
            self._run_frames(tf.constant(padded[first : first + size])).numpy()
            for first in range(0, len(padded), size)
        ]
        return np.concatenate(parts)[:n_frames]

    def _silent_activation(self) -> np.ndarray:
        """Computes the network's answer to a frame of zeros, [360]."""
        if self._silence is None:
            self._silence = self._direct(np.zeros((1, FRAME_SIZE), np.float32))[0]
        return self._silence
