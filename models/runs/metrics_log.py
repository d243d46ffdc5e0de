"""metrics.jsonl, TensorBoard and the progress line: what training says as it goes.

A row of metrics.jsonl is one flat JSON object with `step`; keys are the names of the
TensorBoard scalars, e.g. `losses/total_loss`, `held_out/spectral_distance`,
`controls/top1_share`, `time/step_ms`. A value that is not finite is null. Older runs
have two names that mean another number in the report; they are read as today's.
"""

import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import TextIO

import tensorflow as tf
from absl import logging

from models.runs import event_files
from models.runs import layout
from prep import checked_json
from prep import files

PACE_WEIGHT = 0.3  # of the newest row in the estimate of the time left
TAIL_SIZE = 1 << 16  # bytes; holds several rows, of which one has about 2,000
Row = checked_json.Json
_OLD_NAMES = {
    "held_out/spectral_loss": "held_out/spectral_distance",
    "controls/harmonic_distribution_entropy": "controls/entropy_nats",
    "reference/harmonic_distribution_entropy": "reference/entropy_nats",
}


def read_metrics(run_dir: str | pathlib.Path) -> list[Row]:
    """Reads a run's metrics.jsonl; damaged lines are left out."""
    path = pathlib.Path(run_dir) / layout.METRICS_NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return []
    return list(_whole_rows(content))


def last_step(run_dir: str | pathlib.Path) -> int:
    """The step of the last row, read from the end of the file; 0 without rows."""
    try:
        with open(pathlib.Path(run_dir) / layout.METRICS_NAME, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - TAIL_SIZE))
            tail = file.read()
            rows = list(_whole_rows(tail[tail.find(b"\n") + 1 :] if start else tail))
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return rows[-1]["step"] if rows else 0


def _whole_rows(content: bytes) -> Iterator[Row]:
    """Rows that can be read and say their step; how many cannot is warned of once."""
    n_damaged = 0
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict) and type(row.get("step")) is int:
            yield {_OLD_NAMES.get(str(key), str(key)): row[key] for key in row}
        elif line.strip() and number < len(lines):  # a kill may cut the last one
            n_damaged += 1
    if n_damaged:
        logging.warning("Left out %d damaged lines of metrics.jsonl.", n_damaged)


class MetricsLog:
    """Appends rows to metrics.jsonl and scalars to TensorBoard."""

    def __init__(self, run_dir: pathlib.Path, *, first_step: int):
        """Opens the log.

        Args:
            run_dir: The run's directory.
            first_step: Rows and TensorBoard's events of later steps are from a run that
                was cut short and goes on from here; they are dropped. -1 drops all.
        """
        self._path = run_dir / layout.METRICS_NAME
        self._events_dir = run_dir / "summaries" / "train"
        self._drop_after(first_step)
        self._writer = tf.summary.create_file_writer(str(self._events_dir))

    def _drop_after(self, step: int) -> None:
        """Leaves out what a run that goes on from `step` will say again."""
        kept = [row for row in read_metrics(self._path.parent) if row["step"] <= step]
        if self._path.exists():
            files.write_text(self._path, "".join(_line(row) for row in kept))
        for events in self._events_dir.glob("events.out.tfevents.*"):
            event_files.drop_after(events, step)

    def write(self, row: Row) -> None:
        """Appends a row; numbers go to TensorBoard too."""
        with open(self._path, "a", encoding="utf-8") as handle:
            handle.write(_line(row))
        with self._writer.as_default(step=row["step"]):
            for key, value in row.items():
                is_number = isinstance(value, int | float) and math.isfinite(value)
                if is_number and key != "step":
                    tf.summary.scalar(key, value)

    def text(self, name: str, content: str, *, step: int) -> None:
        """Shows a text in TensorBoard, as a block of code."""
        block = "\n".join("    " + line for line in content.splitlines())
        with self._writer.as_default(step=step):
            tf.summary.text(name, block)

    def flush(self) -> None:
        """Writes what TensorBoard still holds back."""
        self._writer.flush()

    def close(self) -> None:
        """Ends the log."""
        self._writer.close()


def _line(row: Row) -> str:
    cleaned = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
    return json.dumps(cleaned, allow_nan=False) + "\n"


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
        row: Row,
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
    row: Row,
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


class RowMeans:
    """RowMeans of what was added since the last row."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self._sums: dict[str, tuple[float, int]] = {}
        self._latest: dict[str, float] = {}
        self._fixed: dict[str, float] = {}

    def add(self, values: checked_json.Json) -> None:
        """Adds a step's numbers."""
        for key, value in values.items():
            self._latest[key] = float(value)
            total, count = self._sums.get(key, (0.0, 0))
            self._sums[key] = (total + float(value), count + 1)

    def set(self, key: str, value: float) -> None:
        """Sets a number that is shown as it is, not as a mean."""
        self._fixed[key] = value

    def last(self, key: str) -> float:
        """The newest value added under a name; NaN if there is none."""
        return self._latest.get(key, math.nan)

    def take(self) -> dict[str, float]:
        """The means, and a fresh start."""
        means = {key: total / count for key, (total, count) in self._sums.items()}
        if means:
            means |= self._fixed
        self._sums = {}
        return means
