"""The progress line: where training is, and for how long it will go on."""

import sys
import time
from typing import TextIO

from models.runs import metrics_log

PACE_WEIGHT = 0.3  # of the newest row in the estimate of the time left


def duration_text(secs: float) -> str:
    """A duration as a person says it: '45 s', '12 min', '3 h 20 min'."""
    if secs < 90:
        return f"{secs:.0f} s"
    if secs < 5400:
        return f"{secs / 60:.0f} min"
    return f"{secs // 3600:.0f} h {secs % 3600 / 60:.0f} min"


class ProgressLine:
    """One line that tells a person where training is; rewritten on a terminal."""

    def __init__(
        self, *, n_steps: int, quiet: bool = False, stream: TextIO | None = None
    ):
        """Nothing is shown yet."""
        self._n_steps = n_steps
        self._quiet = quiet
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._before: tuple[float, int] | None = None
        self._pace: float | None = None
        self._shown = 0.0
        self._width = 0

    def update(
        self,
        row: metrics_log.Row,
        *,
        alarms: tuple[str, ...] = (),
        left_at_most: float | None = None,
    ) -> None:
        """Shows a row: on a terminal each one, in a file at most one every 10 s.

        Args:
            row: What to show.
            alarms: Those that stand.
            left_at_most: Seconds until a limit, if there is one.
        """
        now = time.monotonic()
        step = int(row["step"])
        left = self._left(now, step)
        if left is not None and left_at_most is not None:
            left = min(left, max(left_at_most, 0.0))
        is_last = step >= self._n_steps
        waits = not self._is_terminal and now - self._shown < 10.0 and not is_last
        if self._quiet or waits:
            return
        self._shown = now
        self._print(progress_text(row, self._n_steps, left, alarms))

    def _left(self, now: float, step: int) -> float | None:
        """Seconds left, by a pace in which the newest rows weigh most.

        The first steps, most of whose time goes into building graphs, are left out.
        """
        before, self._before = self._before, (now, step)
        if before is None or step <= before[1] or before[1] == 0:
            return None
        pace = (now - before[0]) / (step - before[1])
        old = pace if self._pace is None else self._pace
        self._pace = old + PACE_WEIGHT * (pace - old)
        return self._pace * max(self._n_steps - step, 0)

    def _print(self, text: str) -> None:
        if self._is_terminal:
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def finish(self) -> None:
        """Leaves the line standing."""
        if self._is_terminal and self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0


def progress_text(
    row: metrics_log.Row,
    n_steps: int,
    left_secs: float | None,
    alarms: tuple[str, ...] = (),
) -> str:
    """The progress line's words."""
    parts = [f"step {row['step']}/{n_steps}"]
    if "losses/total_loss" in row:
        parts.append(f"loss {row['losses/total_loss']:.3f}")
    if "held_out/spectral_distance" in row:
        parts.append(
            f"held-out {row['held_out/spectral_distance']:.3f} "
            f"(best {row['held_out/best_loss']:.3f} at {row['held_out/best_step']})"
        )
    if "time/step_ms" in row:
        parts.append(f"{row['time/step_ms']:.0f} ms/step")
    if left_secs is not None:
        parts.append(f"{duration_text(left_secs)} left")
    if alarms:
        parts.append("ALARM " + ", ".join(alarms))
    return "  ".join(parts)
