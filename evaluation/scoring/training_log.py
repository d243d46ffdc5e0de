"""What the plan tracks of a training run, from the rows of metrics.jsonl.

Every figure is NaN where the run is too short to show it. Source: the list "Track" of
the plan's experiment matrix; the definitions are own.
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.runs import layout
from models.runs import metrics_log
from prep import errors

EARLY_SHARE = (
    0.8  # of the whole fall of the loss: until there the fall is the early one
)
MIN_POINTS = 4  # logged steps; fewer show no slope
LOSS_KEYS = ("held_out/spectral_distance", "losses/total_loss")
LogRow = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Tracked:
    """Figures of one run.

    Attributes:
        last_step: Of the log.
        best_loss: Spectral loss on the held-out batch of the checkpoint that was kept
            as the best; without such a batch the lowest training loss.
        best_step: Where it was reached.
        slope: Change of the loss after the early fast drop, % per 1000 steps; below 0
            it still falls.
        entropy_first: Normalised harmonic entropy at the first measurement.
        entropy_last: At the last.
        entropy_trend: Its slope per 1000 steps.
        movement: Of the distribution within the held-out clips at the end: mean
            distance of a frame's to its clip's mean one, 0 to 1.
        clip_diversity: Across them at the end: mean divergence of a clip's mean
            distribution from the mean over clips, bits; NaN for one clip, and for logs
            from before it was measured.
        step_ms: Median time of a step, milliseconds.
        backward_ms: Forward and backward part of it.
        memory_mb: Largest resident size of the training process, MB; NaN for logs
            from before it was measured.
        alarms: Names of collapse alarms that were raised at the end.
    """

    last_step: int
    best_loss: float
    best_step: int
    slope: float
    entropy_first: float
    entropy_last: float
    entropy_trend: float
    movement: float
    clip_diversity: float
    step_ms: float
    backward_ms: float
    memory_mb: float
    alarms: tuple[str, ...]


def read_rows(run_dir: pathlib.Path) -> list[LogRow]:
    """Reads a run's metrics.jsonl; lines that are no rows are left out.

    Args:
        run_dir: The run's directory; a run without a log has no rows.

    Raises:
        InputError: If a row holds something else than numbers where they belong.
    """
    try:
        rows: list[LogRow] = list(metrics_log.read_metrics(run_dir))
    except OSError as error:
        raise errors.InputError(
            f"{run_dir}: its log cannot be read: {error}."
        ) from error
    for row in rows:
        for key, value in row.items():
            # Keys with a room, such as losses/total_loss, are numbers or missing.
            if "/" in key and not isinstance(value, int | float | None):
                raise errors.InputError(
                    f"{run_dir / layout.METRICS_NAME} is damaged: {key} of step "
                    f"{row['step']} is no number."
                )
    return rows


def track(rows: Sequence[LogRow]) -> Tracked:
    """Reads the figures off a log.

    Args:
        rows: Of metrics.jsonl, in order.
    """
    steps, losses = _series(rows, LOSS_KEYS[0])
    if not losses.size:
        steps, losses = _series(rows, LOSS_KEYS[1])
    best = int(np.argmin(losses)) if losses.size else -1
    # The checkpoint that was kept, which an alarm may have made another than the
    # lowest loss.
    _, kept = _series(rows, "held_out/best_step")
    if kept.size and kept[-1] in steps:
        best = int(np.flatnonzero(steps == kept[-1])[0])
    # Trends: of the timbre from first to last, and of the loss at the end.
    entropy_steps, entropy = _series(rows, "controls/normalized_entropy")
    train_steps, train_losses = _series(rows, LOSS_KEYS[1])
    return Tracked(
        last_step=int(rows[-1]["step"]) if rows else 0,
        best_loss=float(losses[best]) if losses.size else math.nan,
        best_step=int(steps[best]) if losses.size else 0,
        slope=late_slope(train_steps, train_losses),
        entropy_first=float(entropy[0]) if entropy.size else math.nan,
        entropy_last=float(entropy[-1]) if entropy.size else math.nan,
        entropy_trend=_slope(entropy_steps, entropy) * 1000,
        movement=_last(rows, "controls/distribution_spread"),
        clip_diversity=_last(rows, "controls/clip_diversity"),
        step_ms=median(rows, "time/step_ms"),
        backward_ms=median(rows, "time/forward_backward_ms"),
        memory_mb=largest(rows, "memory/peak_mb"),
        alarms=tuple(_alarm_names(rows)),
    )


def _series(rows: Sequence[LogRow], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a key, without gaps."""
    known = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    if not known:
        return np.zeros(0), np.zeros(0)
    steps, values = zip(*known, strict=True)
    return np.array(steps, float), np.array(values, float)


def late_slope(steps: np.ndarray, losses: np.ndarray) -> float:
    """Slope of the loss after its early fast drop, % per 1000 steps.

    The early drop ends where the loss has first made `EARLY_SHARE` of its whole fall.

    Args:
        steps: Of the logged losses. Shape [n].
        losses: Shape [n].
    """
    if losses.size < MIN_POINTS:
        return math.nan
    fall = losses[0] - np.min(losses)
    begin = int(np.argmax(losses <= losses[0] - EARLY_SHARE * fall))
    late, values = steps[begin:], losses[begin:]
    if late.size < MIN_POINTS or np.min(values) <= 0:
        return math.nan
    return math.expm1(_slope(late, np.log(values)) * 1000) * 100


def _slope(xs: np.ndarray, ys: np.ndarray) -> float:
    """Slope of a regression line, NaN for fewer than two positions."""
    if xs.size < 2 or np.ptp(xs) == 0:
        return math.nan
    return float(np.polyfit(xs, ys, 1)[0])


def median(rows: Sequence[LogRow], key: str) -> float:
    """Median of a key's values; NaN without any."""
    _, values = _series(rows, key)
    return float(np.median(values)) if values.size else math.nan


def largest(rows: Sequence[LogRow], key: str) -> float:
    """Largest of a key's values; NaN without any."""
    _, values = _series(rows, key)
    return float(values.max()) if values.size else math.nan


def _last(rows: Sequence[LogRow], key: str) -> float:
    """Last of a key's values."""
    _, values = _series(rows, key)
    return float(values[-1]) if values.size else math.nan


def _alarm_names(rows: Sequence[LogRow]) -> list[str]:
    """Alarms of the last row that lists any field of that name."""
    listed = [row["alarms"] for row in rows if isinstance(row.get("alarms"), list)]
    return [str(name) for name in listed[-1]] if listed else []
