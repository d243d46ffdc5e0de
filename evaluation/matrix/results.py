"""What came out of the experiment matrix, as matrix.json and matrix.md."""

import dataclasses
import json
import math
import os
import pathlib
import shlex
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from evaluation.matrix import experiments as matrix_experiments
from evaluation.matrix import history
from evaluation.matrix import runner
from evaluation.matrix import scorecards
from evaluation.report import tables
from evaluation.summary import builder
from models.runs import record
from prep import checked_json
from prep import errors
from prep import files
from prep import processes
from prep.dataset import info

JSON_NAME = history.JSON_NAME
TEXT_NAME = "matrix.md"
COLUMNS = (
    ("best_loss", "Best loss", 3),
    ("best_step", "at step", 0),
    ("slope", "Slope after the early drop, % per 1000 steps", 1),
    ("entropy_first", "Entropy, first", 3),
    ("entropy_last", "last", 3),
    ("entropy_trend", "trend per 1000 steps", 3),
    ("movement", "Movement within clips", 3),
    ("clip_diversity", "Diversity across clips, bits", 3),
    ("step_ms", "Step, ms", 0),
    ("backward_ms", "forward and backward, ms", 0),
    ("memory_mb", "Memory, MB", 0),
)
VERDICT_COLUMNS = (
    "System",
    "Collapse index",
    "State",
    "Spectral loss",
    "Loudness, dB",
    "Diversity across clips, bits",
)


def write(
    folder: pathlib.Path,
    *,
    experiments: Sequence[matrix_experiments.Experiment],
    rows: Sequence[Mapping[str, Any]],
    reports: Mapping[str, str | None],
    dataset: info.DatasetInfo,
    command: Sequence[str],
    skipped: Mapping[str, str] | None = None,
) -> checked_json.Json:
    """Writes both files; earlier results of the folder that are not replaced stay.

    Args:
        folder: Of the preset.
        experiments: What was planned.
        rows: What was run, so far.
        reports: Where each judged experiment's scorecard is, or why there is none; None
            for one that has not been judged since its runs changed.
        dataset: What it ran on.
        command: What was typed.
        skipped: Why an experiment cannot be done, by its name.

    Returns:
        The content of matrix.json. Versions, machine and commit are those of the last
        invocation; each run's own are in its run.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "schema_version": history.SCHEMA_VERSION,
        "dataset": history.facts(dataset),
        "versions": record.versions(),
        "machine": record.machine(),
        "commit": record.commit(),
    }
    # Read anew each time, and alone: another part of the matrix may run beside this.
    with processes.holding(folder, wait_secs=math.inf):
        joined = history.merge(
            history.read(folder, dataset),
            experiments=[dataclasses.asdict(one) for one in experiments],
            rows=[dict(row) for row in rows],
            reports=reports,
            skipped=skipped or {},
            command=command,
        )
        document = builder.to_json({**facts, **joined})
        text = json.dumps(document, indent=1, allow_nan=False)
        files.write_text(folder / JSON_NAME, text + "\n")
        files.write_text(folder / TEXT_NAME, to_text(document))
    return dict(document)


def to_text(document: Mapping[str, Any]) -> str:
    """The results as a page of text.

    Args:
        document: The content of matrix.json; scorecards' summaries are read from where
            it says that they are.
    """
    data = document["dataset"]
    machine = document["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in document["versions"].items())
    parts = [
        "# Experiment matrix\n",
        *(f"`{shlex.join(command)}`\n" for command in document["commands"]),
        f"Dataset {data['plan_hash'] or data['data_dir']}: {data['n_train']} training "
        f"and {data['n_eval']} eval clips. {versions}. {machine['cores']} cores, "
        f"{len(machine['gpus'])} GPUs.\n",
    ]
    # A chapter an experiment: its runs, why some failed, its verdict.
    for experiment in document["experiments"]:
        rows = [r for r in document["runs"] if r["experiment"] == experiment["name"]]
        parts.append(f"## {experiment['title']}\n")
        why = document["skipped"].get(experiment["name"])
        nothing = f"Skipped: {why}.\n" if why else "Not run yet.\n"
        parts.append(_table(rows) if rows else nothing)
        parts.extend(_failure(row) for row in rows if row["state"] == runner.FAILED)
        if experiment["name"] in document["reports"]:
            parts.append(_verdict(document["reports"][experiment["name"]]))
    return "\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One experiment's runs."""
    head = ["Run", "State", "Steps", *(title for _, title, _ in COLUMNS), "Alarms"]
    lines = []
    for row in rows:
        tracked = row["tracked"]
        lines.append(
            [
                tables.markdown_cell(row["run"]),
                row["state"],
                str(tracked["last_step"]),
                *(_number(tracked.get(key), decimals) for key, _, decimals in COLUMNS),
                tables.markdown_cell(", ".join(tracked["alarms"])) or tables.DASH,
            ]
        )
    return tables.markdown_table(head, lines)


def _number(value: float | None, decimals: int) -> str:
    if value is None or not math.isfinite(value):
        return tables.DASH
    return f"{value:.{decimals}f}"


def _failure(row: Mapping[str, Any]) -> str:
    """Why a run is not done."""
    code, outcome = row.get("exit_code", 0), row.get("outcome", "")
    if not code:
        return (
            f"**{row['run']} is not done**: it ended by {outcome!r}; the same "
            "command goes on with it.\n"
        )
    said = "\n".join(f"    {line}" for line in row.get("said", []))
    return (
        f"**{row['run']} failed**: exit code {code}, outcome "
        f"{outcome!r}. It said last:\n\n{said}\n"
    )


def _verdict(report: str) -> str:
    """A scorecard's verdict and decisions."""
    folder = pathlib.Path(report)
    # `report` may be a sentence of any length.
    if not os.path.isfile(folder / builder.SUMMARY_NAME):
        return f"{report}.\n"
    try:
        found = scorecards.read(folder)
    except errors.InputError as error:
        return f"{error}\n"
    # One row a system, the best first.
    systems = {system.name: system for system in found.systems}
    rows = []
    for place in found.leaderboard:
        system = systems[place.system]
        means = {key: metric.mean for key, metric in system.metrics.items()}
        rows.append(
            [
                tables.markdown_cell(system.name),
                tables.number(system.index.interval.mean, decimals=2),
                found.verdict.systems[system.name].state,
                tables.number(means.get("spectral_loss")),
                tables.number(means.get("loudness_distance")),
                tables.number(means.get("clip_diversity")),
            ]
        )
    return "\n".join(
        [
            f"**{found.verdict.headline}** {found.verdict.caution}\n",
            tables.markdown_table(VERDICT_COLUMNS, rows),
            *map(scorecards.gate_line, found.gates),
            "",
        ]
    )
