"""Learning-rate schedules, the optimiser, gradient clipping.

The defaults are ddsp's: Adam, exponential decay by 0.98 each 10000 steps, clipping at a
global norm of 3.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

SCHEDULES = ("constant", "exponential", "cosine")
CLIP_MODES = ("global", "element", "none")


@dataclasses.dataclass(frozen=True)
class OptimSettings:
    """How weights are updated.

    Attributes:
        learning_rate: Rate after the warm-up.
        schedule: One of `SCHEDULES`.
        minimum: What the rate falls to (and the warm-up rises from).
        warmup_steps: Steps over which the rate rises linearly.
        decay_steps: Exponential: steps in which the rate (above the minimum) falls by
            `decay_rate`; with a rate of 0.5 it is the half-life.
        decay_rate: See `decay_steps`.
        total_steps: Cosine: the step at which the minimum is reached.
        clip_norm: Bound of the global norm, or of each element's size.
        clip_mode: One of `CLIP_MODES`.
    """

    learning_rate: float = 1e-3
    schedule: str = "exponential"
    minimum: float = 0.0
    warmup_steps: int = 0
    decay_steps: float = 10000
    decay_rate: float = 0.98
    total_steps: int | None = None
    clip_norm: float = 3.0
    clip_mode: str = "global"

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot work."""
        if self.schedule not in SCHEDULES:
            raise ValueError(f"lr_schedule={self.schedule!r}; one of {SCHEDULES}.")
        if self.clip_mode not in CLIP_MODES:
            raise ValueError(f"clip_mode={self.clip_mode!r}; one of {CLIP_MODES}.")
        if not self.learning_rate > 0 or not 0 <= self.minimum <= self.learning_rate:
            raise ValueError(
                f"learning_rate={self.learning_rate}, lr_min={self.minimum}; the rate "
                "is above 0 and the minimum between 0 and the rate."
            )
        if self.warmup_steps < 0 or not self.decay_steps > 0:
            raise ValueError(
                f"lr_warmup_steps={self.warmup_steps}, "
                f"lr_decay_steps={self.decay_steps}; at least 0 and above 0."
            )
        if self.clip_mode != "none" and not self.clip_norm > 0:
            raise ValueError(
                f"grad_clip_norm={self.clip_norm}; above 0, or clip_mode='none'."
            )
        if self.schedule == "cosine" and not self.total_steps:
            raise ValueError(
                "lr_schedule='cosine' needs total_steps, the run's length."
            )


class Schedule(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then constant, exponential or cosine.

    With s the steps after the warm-up and m the minimum:
    exponential m + (lr - m) * rate^(s / decay_steps), as ddsp's for m = 0;
    cosine m + (lr - m) * (1 + cos(pi * s / remaining)) / 2.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5, one period.
    """

    def __init__(self, settings: OptimSettings):
        super().__init__()
        self.settings = settings

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of the update that follows `step` updates."""
        settings = self.settings
        step = tf.cast(step, tf.float32)
        warmup = tf.cast(settings.warmup_steps, tf.float32)
        after = tf.maximum(step - warmup, 0.0)
        # The first of n warm-up updates moves already: (step + 1) of n + 1 parts.
        rise = tf.minimum((step + 1.0) / (warmup + 1.0), 1.0)
        share = tf.where(step < warmup, rise, self._decay(after))
        return settings.minimum + (settings.learning_rate - settings.minimum) * share

    def _decay(self, after: tf.Tensor) -> tf.Tensor:
        """The share of the rate above the minimum, 1 falling to 0."""
        settings = self.settings
        if settings.schedule == "exponential":
            return settings.decay_rate ** (after / settings.decay_steps)
        if settings.schedule == "cosine":
            length = max((settings.total_steps or 1) - settings.warmup_steps, 1)
            return 0.5 * (1.0 + tf.cos(math.pi * tf.minimum(after / length, 1.0)))
        return tf.ones_like(after)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that Keras saves."""
        return dataclasses.asdict(self.settings)


def make_optimizer(settings: OptimSettings) -> tf.keras.optimizers.Optimizer:
    """Adam with the schedule; beta 0.9 and 0.999, epsilon 1e-7 as in ddsp."""
    return tf.keras.optimizers.Adam(Schedule(settings), jit_compile=False)


def clip_gradients(
    gradients: Sequence[tf.Tensor], *, settings: OptimSettings
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Bounds gradients.

    Args:
        gradients: Dense gradients.
        settings: Says how, and how much.

    Returns:
        Bounded gradients, and the global norm before.
    """
    norm = tf.linalg.global_norm(gradients)
    if settings.clip_mode == "global":
        clipped, _ = tf.clip_by_global_norm(
            gradients, settings.clip_norm, use_norm=norm
        )
        return list(clipped), norm
    if settings.clip_mode == "element":
        bound = settings.clip_norm
        return [tf.clip_by_value(item, -bound, bound) for item in gradients], norm
    return list(gradients), norm
