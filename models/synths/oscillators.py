"""A harmonic oscillator bank that never holds a sample of a single harmonic.

Audio is computed in intervals, the hop_size samples from one control frame to the next.
Within one, harmonic k has the amplitude left * fade_out + right * fade_in and the phase
k times the fundamental's. With k = width * block + column, the angle addition theorem

    sin(k p) = sin(width block p) cos(column p) + cos(width block p) sin(column p)

needs sines of `width` columns and of the blocks alone, and lets the sum over columns
be one small matrix product an interval. So the sines per sample fall from n_harmonics
to about 4 * sqrt(n_harmonics), memory from [batch, n_samples, n_harmonics] to one
chunk, and nothing is kept for the way back, where sines are computed again.

Conventions: phases in cycles, float64 until each multiple is wrapped to [-0.5, 0.5], so
the highest harmonic is as exact as the first; amplitudes linear, float32. Harmonic 1 is
channel 0.

Source:
    The sound is that of `ddsp.core.harmonic_synthesis`; the arrangement is own.
"""

import collections.abc

import numpy as np
import tensorflow as tf

from models.layers import compiled

WIDTH = 8  # harmonics a block; its square near the usual 60 to 100 harmonics
CHUNK_INTERVALS = (
    256  # intervals computed at once: 8 MB of intermediates at a hop of 64
)


def _fit_sine(n_terms: int) -> tuple[float, ...]:
    """Coefficients c of t * sum(c[i] * t**(2 i)) = sin(2 pi t) for |t| <= 1/4."""
    nodes = 0.25 * np.cos(np.pi * (np.arange(512) + 0.5) / 512)  # dense at the ends
    powers = np.vander(nodes**2, n_terms, increasing=True)
    return tuple(np.linalg.lstsq(powers, np.sin(2 * np.pi * nodes) / nodes)[0].tolist())


SINE_COEFFICIENTS = _fit_sine(6)  # largest error 3e-11, far below float32's 6e-8


def _sine_near_zero(cycles: tf.Tensor) -> tf.Tensor:
    """sin(2 pi cycles) for cycles in [-0.25, 0.25]."""
    square = cycles * cycles
    *lower, highest = SINE_COEFFICIENTS
    polynomial = highest * square
    for coefficient in reversed(lower[1:]):
        polynomial = (polynomial + coefficient) * square
    return cycles * (polynomial + lower[0])


def sine_and_cosine(cycles: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sine and cosine of wrapped phases.

    A polynomial, because XLA's own sine on a CPU takes one number at a time.

    Args:
        cycles: Phase in cycles, in [-0.5, 0.5], float32. Any shape.

    Returns:
        sin(2 pi cycles) and cos(2 pi cycles), to 1e-7.

    Source:
        own; least squares on Chebyshev nodes.
    """
    size = tf.abs(cycles)
    folded = tf.sign(cycles) * (0.25 - tf.abs(size - 0.25))
    return _sine_near_zero(folded), _sine_near_zero(0.25 - size)


def _multiples(cycles: tf.Tensor, numbers: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """Sine and cosine of multiples. [n, hop_size] -> each [n, n_numbers, hop_size]."""
    phases = cycles[:, tf.newaxis] * tf.constant(numbers[:, np.newaxis], tf.float64)
    return sine_and_cosine(tf.cast(phases - tf.round(phases), tf.float32))


def _tables(cycles: tf.Tensor, n_blocks: int) -> tuple[tf.Tensor, ...]:
    """Sines and cosines of the columns, then of the blocks."""
    columns = _multiples(cycles, np.arange(1.0, WIDTH + 1.0))
    return *columns, *_multiples(cycles, WIDTH * np.arange(float(n_blocks)))


def _by_block(amplitudes: tf.Tensor) -> tf.Tensor:
    """[n, 2, n_blocks * WIDTH] -> [n, 2 * n_blocks, WIDTH]."""
    n_rows = 2 * amplitudes.shape[2] // WIDTH
    return tf.reshape(amplitudes, [tf.shape(amplitudes)[0], n_rows, WIDTH])


def _synthesize(cycles: tf.Tensor, amplitudes: tf.Tensor, fades: tf.Tensor):
    """Audio of some intervals.

    Args:
        cycles: Phase of the fundamental, float64. Shape [n, hop_size].
        amplitudes: At both ends of each interval. Shape [n, 2, n_blocks * WIDTH].
        fades: Weights of the ends. Shape [2, hop_size].

    Returns:
        Shape [n, hop_size].
    """
    n_blocks = amplitudes.shape[2] // WIDTH
    sine, cosine, block_sine, block_cosine = _tables(cycles, n_blocks)
    rows = _by_block(amplitudes)
    shape = [-1, 2, n_blocks, cycles.shape[1]]
    cosines = tf.reshape(tf.matmul(rows, cosine), shape)
    sines = tf.reshape(tf.matmul(rows, sine), shape)
    blocks = cosines * block_sine[:, tf.newaxis] + sines * block_cosine[:, tf.newaxis]
    return tf.reduce_sum(tf.reduce_sum(blocks, axis=2) * fades, axis=1)


def _amplitude_gradient(
    cycles: tf.Tensor, upstream: tf.Tensor, *, fades: tf.Tensor, n_blocks: int
) -> tf.Tensor:
    """Gradient of both ends' amplitudes. Shape [n, 2, n_blocks * WIDTH]."""
    sine, cosine, block_sine, block_cosine = _tables(cycles, n_blocks)
    faded = (upstream[:, tf.newaxis] * fades)[:, :, tf.newaxis]  # [n, 2, 1, hop_size]
    shape = [-1, 2 * n_blocks, cycles.shape[1]]
    to_cosines = tf.reshape(faded * block_sine[:, tf.newaxis], shape)
    to_sines = tf.reshape(faded * block_cosine[:, tf.newaxis], shape)
    rows = tf.matmul(to_cosines, cosine, transpose_b=True)
    rows += tf.matmul(to_sines, sine, transpose_b=True)
    return tf.reshape(rows, [-1, 2, n_blocks * WIDTH])


def _slope(cycles: tf.Tensor, amplitudes: tf.Tensor, fades: tf.Tensor) -> tf.Tensor:
    """Derivative of the audio by the fundamental's cycles. Shape [n, hop_size]."""
    n_blocks = amplitudes.shape[2] // WIDTH
    numbers = tf.range(1.0, n_blocks * WIDTH + 1.0)
    sine, cosine, block_sine, block_cosine = _tables(cycles, n_blocks)
    rows = _by_block(amplitudes * numbers * (2.0 * np.pi))
    shape = [-1, 2, n_blocks, cycles.shape[1]]
    cosines = tf.reshape(tf.matmul(rows, cosine), shape)
    sines = tf.reshape(tf.matmul(rows, sine), shape)
    blocks = cosines * block_cosine[:, tf.newaxis] - sines * block_sine[:, tf.newaxis]
    return tf.reduce_sum(tf.reduce_sum(blocks, axis=2) * fades, axis=1)


def _in_chunks(
    function: collections.abc.Callable[..., tf.Tensor],
    *sequences: tf.Tensor,
) -> tf.Tensor:
    """Applies a function to a few intervals at a time, so that memory stays small."""
    # Intervals padded to whole chunks, [n_chunks, CHUNK_INTERVALS, ...].
    n_intervals = sequences[0].shape[0] or tf.shape(sequences[0])[0]
    n_chunks = -(-n_intervals // CHUNK_INTERVALS)
    missing = n_chunks * CHUNK_INTERVALS - n_intervals

    def cut(sequence):
        inner = sequence.shape[1:].as_list()
        padded = tf.pad(sequence, [[0, missing]] + [[0, 0]] * len(inner))
        return tf.reshape(padded, [n_chunks, CHUNK_INTERVALS, *inner])

    chunks = [cut(sequence) for sequence in sequences]

    # The first chunk is computed before the loop, which needs its shape.
    first = function(*(chunk[0] for chunk in chunks))
    results = tf.TensorArray(tf.float32, n_chunks, element_shape=first.shape)
    _, results = tf.while_loop(
        lambda index, _: index < n_chunks,
        lambda index, results: (
            index + 1,
            results.write(index, function(*(chunk[index] for chunk in chunks))),
        ),
        (1, results.write(0, first)),
        maximum_iterations=n_chunks - 1,
    )
    stacked = results.stack()
    return tf.reshape(stacked, [-1, *first.shape[1:].as_list()])[:n_intervals]


@compiled.compiled
def _forward(cycles, amplitudes, fades):
    return _in_chunks(lambda c, a: _synthesize(c, a, fades), cycles, amplitudes)


@compiled.compiled
def _backward(cycles, upstream, fades, n_blocks):
    def gradient(cycles, upstream):
        return _amplitude_gradient(cycles, upstream, fades=fades, n_blocks=n_blocks)

    return _in_chunks(gradient, cycles, upstream)


@compiled.compiled
def _phase_slope(cycles, amplitudes, fades):
    return _in_chunks(lambda c, a: _slope(c, a, fades), cycles, amplitudes)


def harmonic_bank(
    cycles: tf.Tensor,
    amplitudes: tf.Tensor,
    *,
    fade_in: tf.Tensor,
    phase_gradient: bool = False,
) -> tf.Tensor:
    """Sums harmonics whose amplitudes fade from one control frame to the next.

    Args:
        cycles: Phase of the fundamental at each sample, any offset, float64. Shape
            [n_intervals, hop_size].
        amplitudes: Amplitude of each harmonic at the start and at the end of each
            interval. Shape [n_intervals, 2, n_harmonics].
        fade_in: Weight of the end's amplitude, the start's is 1 minus it. Shape
            [hop_size].
        phase_gradient: Whether gradients flow to `cycles`; costs about as much as the
            bank itself.

    Returns:
        Audio, float32. Shape [n_intervals, hop_size].

    Source:
        own.
    """
    n_harmonics = amplitudes.shape[2]
    n_blocks = -(-n_harmonics // WIDTH)
    padding = [[0, 0], [0, 0], [0, n_blocks * WIDTH - n_harmonics]]
    fades = tf.stack([1.0 - fade_in, fade_in])

    @tf.custom_gradient
    def bank(cycles, amplitudes):
        def gradient(upstream):
            by_cycles = None
            if phase_gradient:
                slope = _phase_slope(cycles, amplitudes, fades)
                by_cycles = tf.cast(upstream * slope, tf.float64)
            return by_cycles, _backward(cycles, upstream, fades, n_blocks)

        return _forward(cycles, amplitudes, fades), gradient

    return bank(cycles, tf.pad(amplitudes, padding))
