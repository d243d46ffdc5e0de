"""metrics.jsonl and TensorBoard: what training says as it goes.

A row of metrics.jsonl is one flat JSON object with `step`; keys are the names of the
TensorBoard scalars, e.g. `losses/total_loss`, `held_out/spectral_distance`,
`controls/top1_share`, `time/step_ms`. A value that is not finite is null. Older runs
have two names that mean another number in the report; they are read as today's.
"""

import json
import math
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf
from absl import logging
from tensorflow.core.util import event_pb2

from models.runs import layout
from prep import checked_json
from prep import files

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
            drop_events_after(events, step)

    def write(self, row: Row) -> None:
        """Appends a row; numbers go to TensorBoard too."""
        with open(self._path, "a", encoding="utf-8") as handle:
            handle.write(_line(row))
        with self._writer.as_default(step=row["step"]):
            for key, value in row.items():
                is_number = isinstance(value, int | float) and math.isfinite(value)
                if is_number and key != "step":
                    tf.summary.scalar(key, value)

    def flush(self) -> None:
        """Writes what TensorBoard still holds back."""
        self._writer.flush()

    def close(self) -> None:
        """Ends the log."""
        self._writer.close()


def drop_events_after(path: pathlib.Path, step: int) -> None:
    """Removes the events of later steps from an event file, in one step.

    A last event that a kill cut short goes too; without an event that counts the file
    is deleted.

    Args:
        path: The file.
        step: The last step that stays; -1 leaves none.
    """
    all_events = list(_whole_events(path))
    kept = [data for data, at in all_events if at <= step]
    if len(kept) == len(all_events):
        return
    if step < 0 or not kept:
        path.unlink()
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # TensorBoard skips it
    with tf.io.TFRecordWriter(str(aside)) as writer:
        for data in kept:
            writer.write(data)
    os.replace(aside, path)


def _whole_events(path: pathlib.Path) -> Iterator[tuple[bytes, int]]:
    """Serialised events and their steps, up to where a file is damaged."""
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            data = record.numpy()
            yield data, event_pb2.Event.FromString(data).step
    except tf.errors.DataLossError:
        return


def _line(row: Row) -> str:
    cleaned = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
    return json.dumps(cleaned, allow_nan=False) + "\n"


class RowMeans:
    """Means of what was added since the last row."""

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
