"""The layers of CREPE, rearranged so that the same numbers cost a fraction of the work.

Two facts make most of the published arithmetic unnecessary.

1. Frames overlap. At a hop of 64 samples neighbours share all but one block of 64, and
   the first convolution (512 taps, stride 4) meets the same samples 16 times over.
   `FirstLayer` here multiplies each block of audio with the taps once, for all frames.
2. Long convolutions are products in frequency: layers 2 to 6, which have 64 taps on 128
   down to 8 positions, in `prep.pitch.spectral_layers`.

Everything is time-major, `[position, frame, channel]`: a transform over positions is
one matrix product `[M, T] x [T, frames * channels]`, the product in frequency is one
batch of `[frames, n_in] x [n_in, n_out]`, and nothing large is ever transposed.

A published layer is: convolution, bias, ReLU, normalisation `scale * h + shift`,
pooling over pairs. Pooling takes the larger of two, so it commutes with everything that
rises; with a negative `scale` it becomes the smaller of two. So a layer here hands on
`h = relu(pooled(convolution + bias))` alone. The `scale` goes into the next layer's
kernel. The `shift` becomes a table that the next layer adds to its output: a table and
not one number a channel, because the zeros around the positions come after the
normalisation.

Source: own; the network as in `prep.pitch.weights`.
"""

import numpy as np
import tensorflow as tf

from prep import products as products_lib
from prep.pitch import weights as crepe_weights

BLOCK_SIZE = 64  # samples; the unit that frames share
FRAME_SIZE = crepe_weights.FRAME_SIZE
STRIDE = 4  # samples between outputs of the first convolution
N_GROUPS = FRAME_SIZE // BLOCK_SIZE  # blocks in a frame
N_PHASES = BLOCK_SIZE // STRIDE  # outputs of the first convolution in a block
REACH = 4  # blocks to either side that the 512 taps can touch
LEFT_PAD = 254  # zeros before a frame in the first convolution ("same")
RIGHT_PAD = 254  # and behind it


def constant(values: np.ndarray) -> tf.Tensor:
    """Returns a float32 (or bool) constant that is added to or chosen by."""
    dtype = tf.bool if values.dtype == bool else tf.float32
    return tf.constant(values, dtype)


def even_then_odd(n: int) -> np.ndarray:
    """0, 2, 4, .. 1, 3, 5, ..: pooling over pairs is then the larger of two halves."""
    return np.concatenate([np.arange(0, n, 2), np.arange(1, n, 2)])


def pool(positions: tf.Tensor, rising: tf.Tensor | None) -> tf.Tensor:
    """Pools pairs of positions.

    Args:
        positions: Shape [2 * n, ...], in the order of `even_then_odd`.
        rising: Which channels have a positive scale, bool [n_channels]; None if all.

    Returns:
        The larger of each pair where rising, otherwise the smaller, [n, ...].
    """
    even, odd = tf.split(positions, 2, axis=0)
    if rising is None:
        return tf.maximum(even, odd)
    return tf.where(rising, tf.maximum(even, odd), tf.minimum(even, odd))


def rising_channels(weights: crepe_weights.ConvolutionWeights) -> tf.Tensor | None:
    """Finds the channels of a layer that grow with their input, for `pool`."""
    rising = weights.gamma > 0
    return None if rising.all() else constant(rising)


class FirstLayer:
    """The first convolution on blocks of audio that all frames share.

    Let `A[p]` be block p of the audio, g the place of a block in a frame and q one of
    the block's 16 output positions. With `W[m, q][r] = w[64 m + r - 4 q + 254]` (0
    outside of the 512 taps),

        y[16 g + q] = sum over m = -4 .. 4 with 0 <= g + m <= 15 of  A[p + m] . W[m, q]

    where p is the frame's first block plus g. The condition is the frame's edge. The
    products `Z_m[p] = A[p] . W[m]` know nothing of frames; a frame sees of them

        g = 0 .. 3:    L + Z_-1 + .. + Z_-g       L is the sum over m = 0 .. 4
        g = 4 .. 11:   L + Z_-1 + .. + Z_-4       the same numbers for every frame
        g = 12 .. 15:  R + Z_1 + .. + Z_(15-g)    R is the sum over m = -4 .. 0

    and these are additions of samples inside the frame only: nothing cancels.

    A frame is normalised as `(a - mean) / deviation`. The convolution is linear and
    ReLU and pooling commute with a positive factor, so the layer computes `deviation *
    h` from `raw - mean * tap_sums + deviation * bias` and the next one divides.
    """

    def __init__(
        self, weights: crepe_weights.ConvolutionWeights, products: products_lib.Products
    ):
        self._products = products
        taps = weights.kernel[:, 0]  # [512, n_out]
        self._taps = constant(taps[np.newaxis, :, np.newaxis])
        self._bias = constant(weights.bias)
        self._rising = rising_channels(weights)
        wide = [range(REACH + 1), range(-REACH, 1)]  # L and R
        self._wide = products.constant(_block_kernels(taps, wide))
        before, after = (-1, -2, -3, -4), (1, 2, 3)
        self._narrow = [
            products.constant(_block_kernels(taps, [range(m, m + 1) for m in offsets]))
            for offsets in (before, after)
        ]
        self._n_out = taps.shape[1]
        self._tap_sums = constant(_tap_sums(taps))  # [16, 16, 1, n_out]

    def shared_products(self, blocks: tf.Tensor) -> list[tf.Tensor]:
        """Multiplies all blocks with the taps: three matrix products in all.

        Args:
            blocks: Audio, float32 [n_blocks, 64].

        Returns:
            L and R together, Z_-1 .. Z_-4 together, Z_1 .. Z_3 together, each
            [n_rows, n_pieces, 16, n_out] with the phases even then odd. Row i is p = i
            in L, p = i + 4 in R and block i in Z.
        """
        n_windows = blocks.shape[0] - REACH
        blocks = self._products.rounded(blocks)
        windows = [blocks[m : n_windows + m] for m in range(REACH + 1)]
        wide = tf.concat(windows, axis=1) @ self._wide  # [n_windows, 2 * 16 * n_out]
        products = [wide, *(blocks @ kernels for kernels in self._narrow)]
        products = [self._products.float32(product) for product in products]
        return [
            tf.reshape(product, [product.shape[0], -1, N_PHASES, self._n_out])
            for product in products
        ]

    def mirrored_frames(
        self,
        products: list[tf.Tensor],
        mean: tf.Tensor,
        *,
        deviation: tf.Tensor,
        hop_blocks: int,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Assembles the frames' outputs from the shared products.

        Args:
            products: What `shared_products` returns.
            mean: Of each frame, [n_frames].
            deviation: Of each frame, > 0, [n_frames].
            hop_blocks: Blocks from frame to frame.

        Returns:
            `deviation * h` at positions 64 .. 127, each plus and minus its mirror image
            63 .. 0: two tensors [64, n_frames, n_out], as `SpectralLayer` wants them.
        """
        n_frames = mean.shape[0]
        # [16, n_rows, n_out] each; XLA only turns the index around.
        left, right, *pieces = (
            tf.transpose(piece, [1, 0, 2])
            for product in products
            for piece in tf.unstack(product, axis=1)
        )
        before, after = pieces[:REACH], pieces[REACH:]

        def rows(array: tf.Tensor, first: int) -> tf.Tensor:
            last = first + hop_blocks * (n_frames - 1)
            return array[:, first : last + 1 : hop_blocks]

        def finish(pooled: tf.Tensor) -> tf.Tensor:
            return tf.nn.relu(pooled + deviation[:, tf.newaxis] * self._bias)

        def edge(raw: tf.Tensor, group: int) -> tf.Tensor:
            centred = raw - mean[:, tf.newaxis] * self._tap_sums[group]
            return finish(pool(centred, self._rising))

        groups = {}
        for group in range(REACH):
            raw = rows(left, group)
            for m in range(1, group + 1):
                raw += rows(before[m - 1], group - m)
            groups[group] = edge(raw, group)
            raw = rows(right, N_GROUPS - 1 - group - REACH)
            for m in range(1, group + 1):
                raw += rows(after[m - 1], N_GROUPS - 1 - group + m)
            groups[N_GROUPS - 1 - group] = edge(raw, N_GROUPS - 1 - group)
        shared = pool(_interior(left, before), self._rising)  # row i is p = i + 4
        centre = mean[:, tf.newaxis] * self._tap_sums[REACH, 0]
        for group in range(REACH, N_GROUPS - REACH):
            groups[group] = finish(rows(shared, group - REACH) - centre)
        return _mirror(groups)

    def frames(self, frames: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The plain way, for frames that are normalised already.

        Args:
            frames: Shape [n_frames, 1024].

        Returns:
            h in the form of `mirrored_frames`.
        """
        padded = tf.pad(frames, [[0, 0], [LEFT_PAD, RIGHT_PAD]])
        raw = tf.nn.conv2d(
            padded[:, tf.newaxis, :, tf.newaxis],
            self._taps,
            strides=(1, 1, STRIDE, 1),
            padding="VALID",
        )[:, 0]  # [n_frames, 256, n_out]
        raw = tf.transpose(raw, [1, 0, 2])
        even_odd = tf.concat([raw[0::2], raw[1::2]], axis=0)
        hidden = tf.nn.relu(pool(even_odd, self._rising) + self._bias)
        upper, lower = hidden[64:], hidden[63::-1]
        return upper + lower, upper - lower


def _block_kernels(taps: np.ndarray, pieces: list[range]) -> np.ndarray:
    """`W[m, q]` of some pieces side by side, [64 * n, n_pieces * 16 * n_out].

    A piece is a run of n values of m, whose kernels are below each other.
    """
    phase = even_then_odd(N_PHASES)  # [16]
    n_rows, n_out = BLOCK_SIZE * len(pieces[0]), taps.shape[1]
    kernels = np.empty((n_rows, len(pieces), N_PHASES, n_out), np.float32)
    for place, offsets in enumerate(pieces):
        sample = np.arange(BLOCK_SIZE * offsets[0], BLOCK_SIZE * (offsets[-1] + 1))
        tap = sample[:, np.newaxis] - STRIDE * phase + LEFT_PAD  # [n_rows, 16]
        kernels[:, place] = taps[np.clip(tap, 0, len(taps) - 1)]
        kernels[:, place][(tap < 0) | (tap >= len(taps))] = 0
    return kernels.reshape(n_rows, -1)


def _tap_sums(taps: np.ndarray) -> np.ndarray:
    """The sum of the taps inside the frame, [16 groups, 16 phases, 1, n_out]."""
    running = np.zeros((len(taps) + 1, taps.shape[1]))
    np.cumsum(taps, axis=0, dtype=np.float64, out=running[1:])
    first_tap = LEFT_PAD - STRIDE * np.arange(N_GROUPS * N_PHASES)
    below = running[np.clip(first_tap, 0, len(taps))]
    sums = running[np.clip(first_tap + FRAME_SIZE, 0, len(taps))] - below
    grouped = sums.reshape(N_GROUPS, N_PHASES, 1, -1)[:, even_then_odd(N_PHASES)]
    return grouped.astype(np.float32)


def _interior(left: tf.Tensor, before: list[tf.Tensor]) -> tf.Tensor:
    """The full sum over m = -4 .. 4; row i is p = i + 4."""
    n_rows = left.shape[1] - REACH
    total = left[:, REACH:]
    for m, piece in enumerate(before, start=1):
        total += piece[:, REACH - m : REACH - m + n_rows]
    return total


def _mirror(groups: dict[int, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    half = N_GROUPS // 2
    upper = [groups[half + place] for place in range(half)]
    lower = [groups[half - 1 - place][::-1] for place in range(half)]
    pairs = list(zip(upper, lower, strict=True))
    return (
        tf.concat([up + low for up, low in pairs], axis=0),
        tf.concat([up - low for up, low in pairs], axis=0),
    )
