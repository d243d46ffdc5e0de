"""Linear filters for control curves, and the layer that applies them in series.

Filters are state-space systems at the frame rate. Each starts settled on a constant
input (`StateSpace.settled`) and keeps the dtype of its coefficients, which may be
weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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


class Smoother(tf.keras.layers.Layer):
    """Base of all smoothers; a subclass gives `systems`, linear filters in series."""

    latency_frames = 0  # how many frames the block form lags behind the sequence form

    def systems(self) -> list[recurrences.StateSpace]:
        """Returns the filters in the order in which they are applied."""
        raise NotImplementedError

    def initial_state(self, frame: tf.Tensor) -> list[tf.Tensor]:
        """Returns the state before the first frame, settled on it.

        Args:
            frame: The first frame, [batch, n_channels].

        Returns:
            One state for each filter.
        """
        return [recurrences.steady_state(system, frame) for system in self.systems()]

    def smooth_block(
        self, frames: tf.Tensor, *, state: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Smooths a block of frames.

        Args:
            frames: [batch, n_frames, n_channels].
            state: From `initial_state` or the block before.

        Returns:
            Smoothed frames, same shape, `latency_frames` late, and the next state.
        """
        following = []
        for system, current in zip(self.systems(), state, strict=True):
            frames, after = recurrences.filter_block(system, frames, current)
            following.append(after)
        return frames, following

    def call(self, frames: tf.Tensor) -> tf.Tensor:
        """Smooths a sequence.

        Args:
            frames: [batch, n_frames, n_channels].

        Returns:
            Same shape; a constant comes back unchanged.
        """
        states = self.initial_state(frames[:, 0])
        for system, state in zip(self.systems(), states, strict=True):
            frames = recurrences.filter_frames(system, frames, initial_state=state)
        return frames
