"""Values that change over training: weights that warm up and ramp, temperatures.

A schedule is a pure function of the step tensor, so a graph traced once serves all of
training. Arguments called `Scheduled` accept a plain number, which means a constant.

Source: the plan's earlier implementation (warm-up, then a linear ramp); own code.
"""

from __future__ import annotations

import dataclasses
import math

import gin
import tensorflow as tf


@gin.register(module="models.schedules")
@dataclasses.dataclass(frozen=True)
class Ramp:
    """`start` until `warmup_steps`, then linear to `end` over `ramp_steps`, then `end`.

    Attributes:
        start: Value before and during the warm-up.
        end: Value after the ramp; None means `start`, a constant.
        warmup_steps: Steps that keep `start`.
        ramp_steps: Steps of the ramp; 0 jumps to `end` when the warm-up is over.

    Source:
        docs/plan.md, "Losses": `start + (end - start) * clip((step - warmup) / ramp)`.
    """

    start: float
    end: float | None = None
    warmup_steps: int = 0
    ramp_steps: int = 0

    def __post_init__(self) -> None:
        """Checks the arguments."""
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name}={value} of a Ramp must be a finite number.")
        for name, steps in (
            ("warmup_steps", self.warmup_steps),
            ("ramp_steps", self.ramp_steps),
        ):
            if steps < 0:
                raise ValueError(
                    f"{name}={steps} of a Ramp counts training steps: give 0 or more."
                )

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The value at a step.

        Args:
            step: Number of completed training steps, scalar, any integer dtype.

        Returns:
            Scalar float32.
        """
        end = self.start if self.end is None else self.end
        position = tf.cast(step, tf.float32) - float(self.warmup_steps)
        if self.ramp_steps == 0:
            done = tf.cast(position >= 0.0, tf.float32)
        else:
            done = tf.clip_by_value(position / float(self.ramp_steps), 0.0, 1.0)
        return self.start + (end - self.start) * done

    def at(self, step: tf.Tensor | None) -> tf.Tensor:
        """The value at a step, or the final value where there is none (no training)."""
        if step is None:
            return tf.constant(self.start if self.end is None else self.end)
        return self(step)

    @property
    def largest(self) -> float:
        """The largest absolute value that the schedule ever takes."""
        return max(abs(self.start), abs(self.start if self.end is None else self.end))


Scheduled = float | Ramp


def as_ramp(value: Scheduled) -> Ramp:
    """A schedule from a schedule or a plain number.

    Args:
        value: A `Ramp`, returned as it is, or a number, which becomes a constant.

    Returns:
        A schedule.

    Raises:
        TypeError: If the value is neither.
    """
    if isinstance(value, Ramp):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Ramp(start=float(value))
    raise TypeError(
        f"{value!r} is no schedule: give a number or @models.schedules.Ramp()."
    )
