"""What came out of the experiment matrix, as matrix.json and matrix.md."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from evaluation import evaluate
from evaluation import matrix
from evaluation import matrix_plan
from evaluation import report_tables
from evaluation import summary
from models import dataset_info
from models import run_record

JSON_NAME = "matrix.json"
TEXT_NAME = "matrix.md"
SCHEMA_VERSION = 1
COLUMNS = (
    ("best_loss", "Best loss", 3),
    ("best_step", "at step", 0),
    ("slope", "Slope after the early drop, % per 1000 steps", 1),
    ("entropy_first", "Entropy, first", 3),
    ("entropy_last", "last", 3),
    ("entropy_trend", "trend per 1000 steps", 3),
    ("diversity", "Diversity", 3),
    ("step_ms", "Step, ms", 0),
    ("backward_ms", "forward and backward, ms", 0),
)


def write(
    folder: pathlib.Path,
    *,
    experiments: Sequence[matrix_plan.Experiment],
    rows: Sequence[Mapping[str, Any]],
    reports: Mapping[str, str],
    dataset: dataset_info.DatasetInfo,
    command: Sequence[str],
) -> None:
    """Writes both files.

    Args:
        folder: Of the preset.
        experiments: What was planned.
        rows: What was run, so far.
        reports: Where each judged experiment's scorecard is, or why there is none.
        dataset: What it ran on.
        command: What was typed.
    """
    document = summary.to_json(
        {
            "schema_version": SCHEMA_VERSION,
            "command": list(command),
            "dataset": {
                "data_dir": str(dataset.data_dir),
                "plan_hash": dataset.plan_hash,
                "n_train": dataset.n_examples("train"),
                "n_eval": dataset.n_examples("eval"),
            },
            "versions": run_record.versions(),
            "machine": run_record.machine(),
            "commit": run_record.commit(),
            "experiments": [dataclasses.asdict(one) for one in experiments],
            "runs": list(rows),
            "reports": dict(reports),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, allow_nan=False)
    (folder / JSON_NAME).write_text(text + "\n", encoding="utf-8")
    (folder / TEXT_NAME).write_text(to_text(document, folder=folder), encoding="utf-8")


def to_text(document: Mapping[str, Any], *, folder: pathlib.Path) -> str:
    """The results as a page of text.

    Args:
        document: The content of matrix.json.
        folder: Of the preset, in which the scorecards' summaries are looked up.
    """
    data = document["dataset"]
    machine = document["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in document["versions"].items())
    parts = [
        "# Experiment matrix\n",
        f"`{' '.join(document['command'])}`\n",
        f"Dataset {data['plan_hash'] or data['data_dir']}: {data['n_train']} training "
        f"and {data['n_eval']} eval clips. {versions}. {machine['cores']} cores, "
        f"{len(machine['gpus'])} GPUs.\n",
    ]
    for experiment in document["experiments"]:
        rows = [r for r in document["runs"] if r["experiment"] == experiment["name"]]
        parts.append(f"## {experiment['title']}\n")
        parts.append(_table(rows) if rows else "Not run yet.\n")
        parts.extend(_failure(row) for row in rows if row["state"] != matrix.FINISHED)
        if experiment["name"] in document["reports"]:
            parts.append(_verdict(document["reports"][experiment["name"]]))
    return "\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One experiment's runs."""
    head = ["Run", "State", "Steps", *(title for _, title, _ in COLUMNS), "Alarms"]
    lines = [" | ".join(head), " | ".join(["---"] * len(head))]
    for row in rows:
        tracked = row["tracked"]
        cells = [
            row["run"],
            row["state"],
            str(tracked["last_step"]),
            *(_number(tracked[key], decimals) for key, _, decimals in COLUMNS),
            ", ".join(tracked["alarms"]) or report_tables.DASH,
        ]
        lines.append(" | ".join(cells))
    return "".join(f"| {line} |\n" for line in lines)


def _number(value: float | None, decimals: int) -> str:
    if value is None or not math.isfinite(value):
        return report_tables.DASH
    return f"{value:.{decimals}f}"


def _failure(row: Mapping[str, Any]) -> str:
    """Why a run failed."""
    said = "\n".join(f"    {line}" for line in row.get("said", []))
    return (
        f"**{row['run']} failed**: exit code {row['exit_code']}, outcome "
        f"{row['outcome']!r}. It said last:\n\n{said}\n"
    )


def _verdict(report: str) -> str:
    """A scorecard's verdict and decisions."""
    path = pathlib.Path(report) / evaluate.SUMMARY_NAME
    if not path.is_file():
        return f"{report}.\n"
    document = json.loads(path.read_text("utf-8"))
    lines = [f"**{document['verdict']['headline']}** {document['verdict']['caution']}"]
    lines.append("")
    lines.append("| System | Collapse index | State | Spectral loss | Loudness, dB |")
    lines.append("|---|---|---|---|---|")
    for entry in document["leaderboard"]:
        system = next(s for s in document["systems"] if s["name"] == entry["system"])
        cells = [
            system["name"],
            report_tables.number(system["index"]["interval"]["mean"], decimals=2),
            document["verdict"]["systems"][system["name"]]["state"],
            report_tables.number(system["metrics"]["spectral_loss"]["mean"]),
            report_tables.number(system["metrics"]["loudness_distance"]["mean"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for gate in document["gates"]:
        evidence = " ".join(gate["evidence"])
        lines.append(f"- {gate['question']} **{gate['answer']}**. {evidence}")
    return "\n".join(lines) + "\n"
