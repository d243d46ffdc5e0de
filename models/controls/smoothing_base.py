"""What all smoothers of control curves offer: a sequence form and a step form.

`smoother(frames)` takes [batch, n_frames, n_channels] and is parallel in time;
`initial_state(frame)` and `step(frame, state)` give the same output frame by frame.
Recurrences start settled on the first frame, so there is no fade-in.
"""

from __future__ import annotations

import math

import tensorflow as tf

from models.layers import recurrences


def logit(probability: float) -> float:
    """Inverse of the sigmoid."""
    return math.log(probability / (1.0 - probability))


class Smoother(tf.keras.layers.Layer):
    """What all smoothers offer; subclasses give `systems`, filters in series."""

    latency_frames = 0  # how many frames `step` lags behind the sequence form

    def systems(self) -> list[recurrences.StateSpace]:
        """The filters, in the order in which they are applied."""
        raise NotImplementedError

    def initial_state(self, frame: tf.Tensor) -> list[tf.Tensor]:
        """State before the first frame, settled on it.

        Args:
            frame: The first frame, [batch, n_channels].

        Returns:
            One state for each filter.
        """
        return [recurrences.steady_state(system, frame) for system in self.systems()]

    def step(
        self, frame: tf.Tensor, state: list[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Smooths one frame.

        Args:
            frame: [batch, n_channels].
            state: From `initial_state` or the step before.

        Returns:
            The smoothed frame and the next state.
        """
        following = []
        for system, current in zip(self.systems(), state, strict=True):
            frame, after = recurrences.filter_step(system, frame, current)
            following.append(after)
        return frame, following

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
