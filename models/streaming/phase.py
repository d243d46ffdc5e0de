"""The phase of a pitch that moves, exact in float32 for any length.

A running sum of frequencies loses digits as it grows: after seconds, ddsp's is off by
0.01 rad at the fundamental. Here a phase is a whole number of ticks, TICKS to the
cycle, and a rest below a tick. Whole numbers below 2^24 and their products are exact in
float32, so blocks of any size give the same phases, in TensorFlow Lite too.

Source: own; the split of products is Dekker's, "A floating-point technique for
extending the available precision", 1971.
"""

from __future__ import annotations

import math

import tensorflow as tf

TICKS = 65536  # in a cycle
MAX_HARMONICS = 256  # number * ticks stays below 2^24
MAX_HZ = 8192.0  # 13 bits before the point leave 11 for the factor


def wrap(cycles: tf.Tensor) -> tf.Tensor:
    """Cycles -> the same phase in [-0.5, 0.5]."""
    return cycles - tf.round(cycles)


def of_harmonics(ticks: tf.Tensor, rest: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Phases of harmonics from that of the fundamental.

    Args:
        ticks: Whole, in [0, TICKS); any shape.
        rest: Cycles, same shape.
        number: Harmonic numbers up to MAX_HARMONICS, [n_harmonics].

    Returns:
        Cycles in about [-0.5, 0.5], with an axis of harmonics at the end.
    """
    whole = wrap(tf.expand_dims(ticks, -1) * (number / TICKS))  # exact
    return whole + tf.expand_dims(rest, -1) * number


def advance(
    f0_hz: tf.Tensor,
    *,
    state: tuple[tf.Tensor, tf.Tensor],
    running: tf.Tensor,
    hop_size: int,
    sample_rate: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Phase at the beginning of every frame, as ddsp accumulates it.

    Between two frames the pitch is interpolated, and a sample's phase includes its own
    frequency: from frame to frame it grows by (hop + 1) / 2 times the first frequency
    and (hop - 1) / 2 times the second, over the sample rate.

    Args:
        f0_hz: Pitch of the frame before and of a block, [batch, n_frames + 1].
        state: Ticks and rest at the frame before, [batch, 1] each.
        running: 1 where phase passes from one frame to the next, 0 before the
            beginning; [batch, n_frames].
        hop_size: Samples between frames.
        sample_rate: Hz.

    Returns:
        Ticks, whole, in [0, TICKS), and the rest in cycles; [batch, n_frames + 1] each.
    """
    ends = tf.stack([f0_hz[:, :-1], f0_hz[:, 1:]], axis=-1)
    weights = (0.5 * (hop_size + 1) / sample_rate, 0.5 * (hop_size - 1) / sample_rate)
    grown = [tf.reduce_sum(part, axis=-1) * running for part in _cycles(ends, weights)]
    ticks = tf.concat([state[0], grown[0]], axis=1)
    rest = tf.cumsum(tf.concat([state[1], grown[1]], axis=1), axis=1)
    carry = tf.floor(rest * TICKS)
    whole = tf.cumsum(tf.cast(ticks, tf.int32), axis=1) + tf.cast(carry, tf.int32)
    return tf.cast(whole % TICKS, tf.float32), rest - carry / TICKS


def _cycles(
    f0_hz: tf.Tensor, factors: tuple[float, ...]
) -> tuple[tf.Tensor, tf.Tensor]:
    """f0_hz * factors modulo 1 as whole ticks and a rest, right to 1e-9 cycles.

    Args:
        f0_hz: Below MAX_HZ. Shape [..., n_factors].
        factors: Cycles per Hz, [n_factors].

    Returns:
        Ticks in [0, 2 * TICKS) and the rest in cycles, in [0, 2 / TICKS).
    """
    bits = [2.0 ** (11 - math.frexp(factor)[1]) for factor in factors]
    upper_factors = [
        math.floor(factor * n) / n for factor, n in zip(factors, bits, strict=True)
    ]  # 11 bits
    lower_factors = [f - u for f, u in zip(factors, upper_factors, strict=True)]
    upper = tf.floor(f0_hz)  # 13 bits
    exact = upper * tf.constant(upper_factors, tf.float32)
    exact -= tf.floor(exact)
    small = upper * tf.constant(lower_factors, tf.float32)
    small += (f0_hz - upper) * tf.constant(factors, tf.float32)
    ticks = tf.floor(exact * TICKS)
    small_ticks = tf.floor(small * TICKS)
    rest = (exact - ticks / TICKS) + (small - small_ticks / TICKS)
    return ticks + small_ticks, rest
