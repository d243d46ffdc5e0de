"""Linear filters for control curves, as state-space systems at the frame rate.

Each starts settled on a constant input (`StateSpace.settled`) and keeps the dtype of
its coefficients, which may be weights.
"""

import math

import tensorflow as tf

from models.layers import recurrences


def one_pole(alpha: tf.Tensor) -> recurrences.StateSpace:
    """y[t] = alpha y[t-1] + (1 - alpha) x[t] as a filter with gain 1 at 0 Hz."""
    return recurrences.StateSpace(
        transition=tf.reshape(alpha, [1, 1]),
        input_gain=tf.reshape(1.0 - alpha, [1]),
        output_gain=tf.reshape(alpha, [1]),
        feedthrough=1.0 - alpha,
        settled=tf.ones([1], alpha.dtype),
    )


def leaky_integrator(leak: tf.Tensor) -> recurrences.StateSpace:
    """y[t] = leak y[t-1] + x[t], from 0; leak 1 is a plain sum."""
    return recurrences.StateSpace(
        transition=tf.reshape(leak, [1, 1]),
        input_gain=tf.ones([1], leak.dtype),
        output_gain=tf.reshape(leak, [1]),
        feedthrough=tf.ones([], leak.dtype),
        settled=tf.zeros([1], leak.dtype),
    )


def biquad_lowpass(
    cutoff_hz: tf.Tensor, q: tf.Tensor, *, frame_rate: float
) -> recurrences.StateSpace:
    """The RBJ low-pass as a state-space filter, gain 1 at 0 Hz.

    Stable for every 0 < cutoff_hz < frame_rate / 2 and q > 0: in the cookbook's terms
    alpha = sin(w) / 2q is positive, so |a2| = |1 - alpha| / (1 + alpha) < 1 and
    |a1| = 2 |cos(w)| / (1 + alpha) < 2 / (1 + alpha) = 1 + a2, the stability triangle.

    The realisation is the state-variable one, which has the cookbook's response but
    states that do not cancel: at 7 Hz of 250 the direct forms lose four digits.

    Args:
        cutoff_hz: -3 dB frequency for q = 1/sqrt(2), Hz, scalar.
        q: Resonance, scalar; above 1/sqrt(2) the response overshoots.
        frame_rate: Frames per second.

    Returns:
        Filter with two states, the second of which settles on a constant input.

    Source:
        Bristow-Johnson, "Audio EQ cookbook", LPF, for the response; Zavalishin, "The
        art of VA filter design", section 4.4, for the realisation. The earlier
        implementation assumed 44.1 kHz; here the rate is the frame rate.
    """
    g = tf.tan(math.pi * cutoff_hz / frame_rate)
    inner = 1.0 / (1.0 + g * (g + 1.0 / q))
    gain = 2.0 * g * inner
    outer = g * gain
    zero, one = tf.zeros_like(g), tf.ones_like(g)
    return recurrences.StateSpace(
        transition=tf.stack(
            [tf.stack([2.0 * inner - 1.0, -gain]), tf.stack([gain, 1.0 - outer])]
        ),
        input_gain=tf.stack([gain, outer]),
        output_gain=tf.stack([gain / 2.0, 1.0 - outer / 2.0]),
        feedthrough=outer / 2.0,
        settled=tf.stack([zero, one]),
    )
