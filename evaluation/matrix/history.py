"""Earlier results of the matrix in the same folder, which later invocations join.

An invocation runs a part of the matrix; matrix.json holds the whole. What an invocation
does not touch is kept, as long as it is of the same dataset and the run folders still
hold it.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from absl import logging

from evaluation.matrix import experiments as matrix_experiments
from evaluation.matrix import note
from evaluation.matrix import runner
from evaluation.summary import builder
from models.runs import layout
from models.runs import record as run_record
from prep import checked_json
from prep.dataset import info

JSON_NAME = "matrix.json"
SCHEMA_VERSION = 2
RUNS_NAME = "runs"  # folder of all runs, beside matrix.json
REPORT_NAME = "report-{}"  # folder of an experiment's scorecard, there too
PLAN = matrix_experiments.EXPERIMENTS
_RUNGS = (*matrix_experiments.RUNGS, *matrix_experiments.TRANSFORMER_RUNS)
MAX_NAME = 200  # bytes; file systems allow 255, of which REPORT_NAME takes some


@dataclasses.dataclass(frozen=True)
class _Tracked:
    """What is read of a row's `tracked`; a number that is not known is null."""

    last_step: int
    alarms: tuple[str, ...]
    best_loss: float | None = None
    best_step: float | None = None
    slope: float | None = None
    entropy_first: float | None = None
    entropy_last: float | None = None
    entropy_trend: float | None = None
    movement: float | None = None
    clip_diversity: float | None = None
    step_ms: float | None = None
    backward_ms: float | None = None
    memory_mb: float | None = None


@dataclasses.dataclass(frozen=True)
class _Row:
    """What is read of a row of matrix.json."""

    experiment: str
    run: str
    rung: str
    seed: int
    state: str
    tracked: _Tracked
    command: tuple[str, ...] = ()
    exit_code: int = 0
    outcome: str = ""
    said: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Experiment:
    """What is read of an experiment."""

    name: str
    title: str
    rungs: dict[str, str]
    rung_overlays: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Dataset:
    """What is read of the dataset's facts."""

    data_dir: str
    plan_hash: str = ""


@dataclasses.dataclass(frozen=True)
class _Document:
    """What is read of matrix.json."""

    schema_version: int
    dataset: _Dataset
    experiments: tuple[_Experiment, ...]
    runs: tuple[_Row, ...]
    reports: dict[str, str]
    commands: tuple[tuple[str, ...], ...]
    skipped: dict[str, str]

    def __post_init__(self) -> None:
        """Raises ValueError for another version, and for names of no folders."""
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f"schema_version {self.schema_version} is not {SCHEMA_VERSION}, which "
                "this version of the project reads"
            )
        rows = [name for row in self.runs for name in (row.experiment, row.run)]
        for name in (*rows, *self.reports):
            if "/" in name or "\0" in name or not 0 < len(name.encode()) <= MAX_NAME:
                raise ValueError(f"{name[:40]!r} names no folder")


def read(folder: pathlib.Path, dataset: info.DatasetInfo) -> checked_json.Json:
    """Reads what is to be kept of the earlier results in a folder.

    Args:
        folder: Of the preset.
        dataset: What is run on now; results on others are not kept.

    Returns:
        `commands`, `experiments`, `runs`, `reports` and `skipped` of matrix.json.
    """
    empty: checked_json.Json = {
        "commands": [],
        "experiments": [],
        "runs": [],
        "reports": {},
        "skipped": {},
    }
    path = folder / JSON_NAME
    if not path.exists():
        return empty
    try:
        found = checked_json.load(path.read_bytes(), str(path))
        document = checked_json.build(_Document, found, str(path))
    except checked_json.DamagedError as error:
        logging.warning("%s; its rows are not kept.", error)
        return empty
    identity = document.dataset.plan_hash or document.dataset.data_dir
    if identity != _identity(facts(dataset)):
        logging.warning(
            "%s is about the dataset %s; its rows are not kept beside those on %s.",
            path,
            identity,
            _identity(facts(dataset)),
        )
        return empty
    # Rows whose run folder was replaced or taken away are not kept.
    kept = [_moved(row, folder) for row in found["runs"]]
    gone = [row["path"] for row in kept if not _still_holds(row)]
    if gone:
        logging.warning("%d runs are not as %s says: %s.", len(gone), path, gone)
    return {
        **{key: found.get(key, empty[key]) for key in empty},
        "runs": [row for row in kept if row["path"] not in gone],
        "reports": {
            name: _moved_report(report, name, folder)
            for name, report in found["reports"].items()
        },
    }


def facts(dataset: info.DatasetInfo) -> checked_json.Json:
    """Returns the facts of a dataset that matrix.json states."""
    return {
        "data_dir": str(dataset.data_dir),
        "plan_hash": dataset.plan_hash,
        "n_train": dataset.n_examples("train"),
        "n_eval": dataset.n_examples("eval"),
    }


def _identity(dataset: Mapping[str, Any]) -> str:
    """Returns a dataset's hash, or its place where that is not known."""
    return str(dataset["plan_hash"] or dataset["data_dir"])


def _moved(row: checked_json.Json, folder: pathlib.Path) -> checked_json.Json:
    """A row with the place where its run is now, if the whole folder was moved."""
    path = folder / RUNS_NAME / row["experiment"] / row["run"]
    return {**row, "path": str(path)}


def _moved_report(report: str, name: str, folder: pathlib.Path) -> str:
    """A scorecard's place now; what is no place is returned as it is."""
    place = folder / REPORT_NAME.format(name)
    is_place = pathlib.PurePath(report).name == place.name
    there = (place / builder.SUMMARY_NAME).is_file()
    return str(place) if is_place and there else report


def _still_holds(row: checked_json.Json) -> bool:
    """Tells if a run that a row calls done is still the one in its folder."""
    if row["state"] not in runner.DONE:
        return True
    try:
        record = run_record.read_record(row["path"])
    except layout.RunError:
        return False
    run_words = [note.words_of(start.command[1:]) for start in record.starts]
    wanted = note.words_of(row.get("command", []))
    same = "command" not in row or all(words == wanted for words in run_words)
    return record.outcome == row["state"] and same


def merge(
    earlier: checked_json.Json,
    *,
    experiments: Sequence[checked_json.Json],
    rows: Sequence[checked_json.Json],
    reports: Mapping[str, str | None],
    skipped: Mapping[str, str],
    command: Sequence[str],
) -> checked_json.Json:
    """Earlier results and new ones; where both have something, the new one counts.

    Args:
        earlier: As `read` returns it.
        experiments: What is planned now.
        rows: Of the runs so far.
        reports: By experiment; None for one that is not judged yet.
        skipped: Why, by experiment.
        command: What was typed.

    Returns:
        The same keys as `earlier`, in the plan's order.
    """
    planned = {one["name"]: one for one in earlier["experiments"]}
    for one in experiments:
        planned[one["name"]] = _joined(planned.get(one["name"]), one)
    runs = {(row["experiment"], row["run"]): row for row in (*earlier["runs"], *rows)}
    names = {one["name"] for one in experiments}
    others = {k: why for k, why in earlier["skipped"].items() if k not in names}
    all_reports = {**earlier["reports"], **reports}
    commands = [one for one in earlier["commands"] if one != list(command)]
    return {
        "commands": [*commands, list(command)],
        "experiments": sorted(
            planned.values(), key=lambda one: _place(one["name"], PLAN)
        ),
        "runs": sorted(runs.values(), key=_place_of_row),
        "reports": {k: report for k, report in all_reports.items() if report},
        "skipped": others | dict(skipped),
    }


def _joined(
    before: checked_json.Json | None, now: checked_json.Json
) -> checked_json.Json:
    """An experiment with the rungs that it had before, too."""
    if before is None:
        return now
    both: checked_json.Json = {
        key: {**before[key], **now[key]}
        for key in ("rungs", "rung_overlays")
        if key in before
    }
    return {**now, **both}


def _place(name: str, order: Sequence[str]) -> int:
    """Returns the place of a name; unknown ones come last."""
    return order.index(name) if name in order else len(order)


def _place_of_row(row: checked_json.Json) -> tuple[int, int, int]:
    return (
        _place(row["experiment"], PLAN),
        _place(row["rung"], _RUNGS),
        row["seed"],
    )
