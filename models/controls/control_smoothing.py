"""From raw decoder outputs to the controls that sound: head and smoothing in order.

The plan's names for what may be smoothed are `harm_gain` (amps), `noise_gain` (all
noise bands alike) and `harm_dist` (the distribution).
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import gin
import tensorflow as tf

from models.controls import filters
from models.controls import heads
from models.controls import smoothing

TARGETS = {
    "harm_gain": "amps",
    "noise_gain": "noise_magnitudes",
    "harm_dist": "harmonic_distribution",
}
POSITIONS = ("before", "after")


@gin.register(module="models.controls")
class ControlSmoothing(tf.keras.layers.Layer):
    """Smooths chosen controls, before or after the head's activation.

    Attributes set by gin:
        smoother: A smoother class, `@models.smoothing.OnePole` without parentheses;
            every target gets its own, so learned coefficients are not shared.
        targets: Any of harm_gain, noise_gain, harm_dist.
        position: "before" smooths raw outputs, in which equal steps are equal ratios;
            "after" smooths linear controls, as the earlier implementation did.
    """

    def __init__(
        self,
        smoother: Callable[[], filters.Smoother] = smoothing.OnePole,
        targets: Sequence[str] = ("harm_gain", "noise_gain"),
        position: str = "after",
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Guards: names that gin may misspell, a layer where a class is needed.
        unknown = sorted(set(targets) - set(TARGETS))
        if unknown or not targets:
            raise ValueError(
                f"targets={tuple(targets)}: give at least one of {sorted(TARGETS)}"
                + (f"; {unknown} are not known." if unknown else ".")
            )
        if position not in POSITIONS:
            raise ValueError(f"position={position!r} is not one of {POSITIONS}.")
        if not callable(smoother) or isinstance(smoother, filters.Smoother):
            raise TypeError(
                "smoother must be a class, so that each target gets its own: write "
                "@models.smoothing.OnePole without parentheses."
            )

        # A smoother a target. The attribute's name is part of every checkpoint.
        self.position = position
        self.smoothers = {TARGETS[target]: smoother() for target in targets}
        if position == "after" and any(
            isinstance(layer, smoothing.ArResidual) for layer in self.smoothers.values()
        ):
            raise ValueError(
                "ArResidual adds up changes and would only grow on scaled controls, "
                "which are never negative: set ControlSmoothing.position = 'before'."
            )

    @property
    def latency_frames(self) -> int:
        """Frames by which the block form of the slowest smoother lags behind."""
        return max(layer.latency_frames for layer in self.smoothers.values())

    def call(self, controls: heads.ControlTensors) -> heads.ControlTensors:
        """Smooths the targets among the controls.

        Args:
            controls: Raw or scaled, each [batch, n_frames, n_channels].

        Returns:
            A new dictionary; what is no target is passed on.
        """
        smoothed = dict(controls)
        for key, smoother in self.smoothers.items():
            smoothed[key] = smoother(controls[key])
        return smoothed


def scale_and_smooth(
    raw: heads.ControlTensors,
    f0_hz: tf.Tensor,
    *,
    head: heads.Head,
    smooth: Callable[[heads.ControlTensors], heads.ControlTensors] | None,
    position: str,
    step: tf.Tensor | None = None,
) -> tuple[heads.ControlTensors, heads.ControlTensors]:
    """Raw outputs -> final controls and the same before smoothing.

    After smoothing, amplitudes are clipped at 0 (a resonant low-pass may undershoot)
    and the distribution is masked and normalised again, because the pitch may have
    moved.

    Args:
        raw: Raw decoder outputs, each [batch, n_frames, n_channels].
        f0_hz: Hz, [batch, n_frames, 1].
        head: The activation.
        smooth: What smooths a dictionary of controls; None smooths nothing.
        position: "before" or "after" the head.
        step: Training step for the head's schedules; None outside training.

    Returns:
        Scaled controls that the synths play, and scaled controls without smoothing.
    """
    unsmoothed = head(raw, f0_hz, step=step)
    if smooth is None:
        return unsmoothed, unsmoothed
    if position == "before":
        return head(smooth(raw), f0_hz, step=step), unsmoothed
    smoothed = {key: tf.nn.relu(value) for key, value in smooth(unsmoothed).items()}
    smoothed["harmonic_distribution"] = head.renormalize(
        smoothed["harmonic_distribution"], f0_hz
    )
    return smoothed, unsmoothed
