"""What the report says, as text and charts: summary.json -> values of the templates.

Numbers are turned into text here, so that the templates compute nothing. A missing
score is shown as a dash with its reason.
"""

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import markupsafe

from evaluation import charts
from evaluation import collapse_index
from evaluation import compare
from evaluation import evaluate
from evaluation import metrics
from evaluation import score_table
from evaluation import verdict

Json = dict[str, Any]
DASH = "–"

COMPONENT_TEXTS = {
    "frozen": "Movement of the timbre that is missing, against the recording.",
    "narrow": "Harmonics that are missing.",
    "flat": "Dynamics that are missing: level against the recording's level.",
    "noisy": "Tone that has turned into noise.",
    "silent": "Sound that is missing where the recording sounds.",
}
MARKS = {compare.BETTER: "▲ better", compare.WORSE: "▼ worse"}


@dataclasses.dataclass(frozen=True)
class Cell:
    """A number of a system in a table.

    Attributes:
        text: The number.
        mark: "▲ better", "△ better, not decided", ... or empty.
        outcome: "better", "worse", "open" or "", for its colour.
        detail: Difference and interval, or why there is no number.
        sort: For sorting; empty when missing.
    """

    text: str
    mark: str = ""
    outcome: str = ""
    detail: str = ""
    sort: str = ""


@dataclasses.dataclass(frozen=True)
class ScoreRow:
    """A metric in a table."""

    title: str
    unit: str
    plain: str
    aim: str
    recording: str
    cells: list[Cell]


@dataclasses.dataclass(frozen=True)
class Card:
    """A system's verdict."""

    name: str
    role: str
    slot: int
    state: str
    sentence: str
    index: str
    meter: markupsafe.Markup
    lines: list[str]


def number(value: float | None, *, decimals: int = 3) -> str:
    """A number as tables show it; a dash where it is missing."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0 or 0.01 <= abs(value) < 10000:
        return f"{value:.{decimals}f}"
    return f"{value:.2e}"


def slots(document: Json) -> dict[str, int]:
    """Colour of each run and system: 0 the recording, 1 the baseline, then the rest."""
    found = {"recording": 0}
    ordered = sorted(document["systems"], key=lambda system: not system["is_baseline"])
    for slot, system in enumerate(ordered, start=1):
        found[system["name"]] = slot
        found |= dict.fromkeys(system["runs"], slot)
    return found


def systems_in_order(document: Json) -> list[Json]:
    """Systems with the baseline first."""
    return sorted(document["systems"], key=lambda system: not system["is_baseline"])


def build(document: Json, rows: Sequence[Mapping[str, Any]]) -> Json:
    """Builds all that the templates need but the clips' media.

    Args:
        document: The content of summary.json.
        rows: Of scores.jsonl.

    Returns:
        Values by name.
    """
    systems = systems_in_order(document)
    names = [system["name"] for system in systems]
    candidates = [name for name in names if name != document["baseline"]]
    headline = [metrics.BY_KEY[key] for key in metrics.HEADLINE]
    return {
        "title": f"{', '.join(candidates) or names[0]} against {document['baseline']}"
        if len(candidates) < 3
        else f"{len(candidates)} candidates against {document['baseline']}",
        "headline": document["verdict"]["headline"],
        "caution": document["verdict"]["caution"],
        "summary_line": _summary_line(document),
        "cards": [_card(system, document) for system in systems],
        "systems": names,
        "baseline": document["baseline"],
        "scores": [score_row(metric, document) for metric in headline],
        "all_scores": [_full_rows(metric, document) for metric in metrics.ALL],
        "components": _components(systems),
        "component_texts": COMPONENT_TEXTS,
        "gates": document["gates"],
        "leaderboard": _leaderboard(document) if len(systems) > 2 else [],
        "clip_columns": _clip_columns(document),
        "clip_rows": _clip_rows(document, rows),
        "training": _training(document),
        "differences": document["config_differences"],
        "runs": _runs(document),
        "run_names": list(document["runs"]),
        "settings": _settings(document),
        "glossary": metrics.ALL[: -len(metrics.SCALES)],
        "n_tests": len(metrics.HEADLINE),
        "clip_secs": f"{document['dataset']['example_secs']:g}",
    }


def _summary_line(document: Json) -> str:
    """What was judged, in a line."""
    dataset = document["dataset"]
    clips = f"{document['n_clips']} clips of {dataset['example_secs']:g} s"
    plural = "s" if document["n_recordings"] != 1 else ""
    return (
        f"{clips} from {document['n_recordings']} recording{plural} that training "
        f"{'did not hear' if dataset['split'] == 'eval' else 'heard'}"
    )


def _card(system: Json, document: Json) -> Card:
    """A system's verdict."""
    told = document["verdict"]["systems"][system["name"]]
    interval = system["index"]["interval"]
    value = interval["mean"]
    kind = system["index"]["kind"]
    lines = list(document["verdict"]["comparisons"].get(system["name"], []))
    if kind and value is not None and value >= 0.1:
        lines.insert(0, f"Furthest from the recording: {verdict.LEANINGS[kind]}.")
    index = number(value, decimals=2)
    if interval["low"] is not None:
        index += f" [{number(interval['low'], decimals=2)}, "
        index += f"{number(interval['high'], decimals=2)}]"
    label = f"Collapse index {index}; collapsed from {collapse_index.THRESHOLD}"
    meter = charts.meter(
        value,
        low=interval["low"],
        high=interval["high"],
        threshold=collapse_index.THRESHOLD,
        label=label,
    )
    return Card(
        name=system["name"],
        role="baseline" if system["is_baseline"] else "candidate",
        slot=slots(document)[system["name"]],
        state=told["state"],
        sentence=told["sentence"],
        index=index,
        meter=markupsafe.Markup(meter),
        lines=lines,
    )


def _aim(metric: metrics.Metric) -> str:
    """Which way is better, in words."""
    return {
        metrics.LOWER: "lower is better",
        metrics.HIGHER: "higher is better",
        metrics.RECORDING: "nearer to the recording is better",
    }[metric.better]


def score_row(metric: metrics.Metric, document: Json) -> ScoreRow:
    """A metric with one cell a system, baseline first."""
    systems = systems_in_order(document)
    pairs = {pair["candidate"]: pair for pair in document["comparisons"]}
    recording = document["recording"].get(metric.key)
    cells = [
        _cell(
            system["metrics"][metric.key],
            comparison=pairs.get(system["name"], {"metrics": {}})["metrics"].get(
                metric.key
            ),
        )
        for system in systems
    ]
    return ScoreRow(
        title=metric.title,
        unit=metric.unit,
        plain=metric.plain,
        aim=_aim(metric),
        recording=number(recording) if metric.better == metrics.RECORDING else "",
        cells=cells,
    )


def _cell(aggregate: Json, *, comparison: Json | None) -> Cell:
    """A system's number with what the comparison says."""
    value = aggregate["mean"]
    text = number(value)
    if value is None:
        reasons = "; ".join(aggregate["reasons"]) or "not measured"
        return Cell(text=text, detail=reasons)
    if comparison is None or comparison["difference"]["mean"] is None:
        return Cell(text=text, sort=repr(value))
    mark, outcome = mark_of(comparison)
    return Cell(
        text=text,
        mark=mark,
        outcome=outcome,
        detail=interval_text(comparison["difference"]),
        sort=repr(value),
    )


def mark_of(comparison: Json) -> tuple[str, str]:
    """Better or worse, and whether that is decided."""
    outcome = comparison["outcome"]
    if outcome in MARKS:
        return MARKS[outcome], outcome
    mean = comparison["difference"]["mean"]
    if mean == 0:
        return "= the same", "open"
    leaning = "△ better" if mean < 0 else "▽ worse"
    return f"{leaning}, not decided", "open"


def interval_text(interval: Json) -> str:
    """A difference of badness with its interval."""
    mean = interval["mean"]
    text = f"{mean:+.3f}"
    if interval["low"] is None:
        return text
    return f"{text} [{interval['low']:+.3f}, {interval['high']:+.3f}]"


def _full_rows(metric: metrics.Metric, document: Json) -> Json:
    """Everything that is known of a metric, for the researcher's table."""
    pairs = {pair["candidate"]: pair for pair in document["comparisons"]}
    lines = []
    for system in systems_in_order(document):
        aggregate = system["metrics"][metric.key]
        pair = pairs.get(system["name"])
        comparison = pair["metrics"].get(metric.key) if pair else None
        lines.append(
            {
                "system": system["name"],
                "mean": number(aggregate["mean"]),
                "interval": _range(aggregate),
                "by_run": ", ".join(number(v) for v in aggregate["by_run"].values()),
                "recording": number(aggregate["recording"])
                if metric.better == metrics.RECORDING
                else "",
                "n": aggregate["n"],
                "skipped": _skipped(aggregate),
                "comparison": _comparison(comparison),
                "sort": "" if aggregate["mean"] is None else repr(aggregate["mean"]),
            }
        )
    return {
        "title": metric.title,
        "unit": metric.unit,
        "key": metric.key,
        "lines": lines,
    }


def _range(interval: Json) -> str:
    """An interval's ends."""
    if interval["low"] is None:
        return DASH
    return f"[{number(interval['low'])}, {number(interval['high'])}]"


def _skipped(aggregate: Json) -> str:
    """How many clips were skipped and why."""
    if not aggregate["n_skipped"]:
        return "0"
    reasons = "; ".join(f"{why} ({n})" for why, n in aggregate["reasons"].items())
    return f"{aggregate['n_skipped']}: {reasons}"


def _comparison(comparison: Json | None) -> Json | None:
    """A comparison as text."""
    if comparison is None or comparison["difference"]["mean"] is None:
        return None
    mark, outcome = mark_of(comparison)
    return {
        "difference": interval_text(comparison["difference"]),
        "simultaneous": _range(comparison["simultaneous"]),
        "effect": number(comparison["effect_size"], decimals=2),
        "share": f"{comparison['share_better']:.0%}"
        if comparison["share_better"] is not None
        else DASH,
        "units": f"{comparison['n_units']} {comparison['unit']}s",
        "mark": mark,
        "outcome": outcome,
        "reason": comparison["reason"],
    }


def _components(systems: Sequence[Json]) -> markupsafe.Markup:
    """Chart of the index's components."""
    severities = {system["name"]: system["index"]["severities"] for system in systems}
    return markupsafe.Markup(
        charts.component_bars(severities, threshold=collapse_index.THRESHOLD)
    )


def _leaderboard(document: Json) -> list[Json]:
    """Systems in order of merit."""
    by_name = {system["name"]: system for system in document["systems"]}
    rows = []
    for entry in document["leaderboard"]:
        system = by_name[entry["system"]]
        rows.append(
            {
                "place": entry["place"],
                "system": entry["system"],
                "state": document["verdict"]["systems"][entry["system"]]["state"],
                "cells": [
                    _cell(system["metrics"][key], comparison=None)
                    for key in metrics.HEADLINE
                ],
                "cost": _cost(document["runs"][system["runs"][0]]["cost"]),
                "n_runs": len(system["runs"]),
            }
        )
    return rows


def _cost(cost: Json) -> Json:
    """What a run costs, as text."""
    render = cost["render_secs"]
    step = cost["step_ms"]
    return {
        "parameters": f"{cost['n_parameters']:,}",
        "render": DASH if render is None else f"{render:.3f} s",
        "step_time": _milliseconds(step),
        "backward_time": _milliseconds(cost["forward_backward_ms"]),
        "memory": f"{cost['peak_memory_mb']:.0f} MB",
    }


def _milliseconds(value: float | None) -> str:
    return DASH if value is None else f"{value:.0f} ms"


def _clip_columns(document: Json) -> list[Json]:
    """Columns of the table of all clips: a headline metric of a run each."""
    return [
        {"metric": metrics.BY_KEY[key].title, "key": key, "run": run}
        for key in metrics.HEADLINE
        for run in document["runs"]
    ]


def _clip_rows(document: Json, rows: Sequence[Mapping[str, Any]]) -> list[Json]:
    """The table of all clips."""
    columns = _clip_columns(document)
    found = []
    for row in rows:
        cells = [_clip_cell(row["runs"][c["run"]], c["key"]) for c in columns]
        found.append(
            {
                "clip": row["clip"],
                "pitched": f"{row['n_pitched'] / row['n_frames']:.0%}",
                "pitched_sort": repr(row["n_pitched"] / row["n_frames"]),
                "cells": cells,
            }
        )
    return found


def _clip_cell(scores: Mapping[str, Any], key: str) -> Cell:
    """A score of one clip."""
    value = scores["values"].get(key)
    if value is None:
        return Cell(text=DASH, detail=scores["reasons"].get(key, "not measured"))
    return Cell(text=number(value), sort=repr(value))


def clip_scores(row: Mapping[str, Any], *, runs: Sequence[str]) -> list[ScoreRow]:
    """All scores of one clip, for its own table.

    Args:
        row: Of scores.jsonl.
        runs: In the order of the columns.
    """
    found = []
    for metric in (metrics.INDEX, *metrics.COLLAPSE, *metrics.FIDELITY):
        recording = row["recording"]["values"].get(metric.key)
        found.append(
            ScoreRow(
                title=metric.title,
                unit=metric.unit,
                plain=metric.plain,
                aim=_aim(metric),
                recording=number(recording)
                if metric.better == metrics.RECORDING
                else "",
                cells=[_clip_cell(row["runs"][run], metric.key) for run in runs],
            )
        )
    return found


def _training(document: Json) -> list[markupsafe.Markup]:
    """Charts of what training logged."""
    colours = slots(document)
    found = []
    for key, title in evaluate.CURVE_KEYS.items():
        series = [
            charts.Series(name=name, slot=colours[name], xs=c["steps"], ys=c["values"])
            for name, c in (
                (name, run["training"].get(key))
                for name, run in document["runs"].items()
            )
            if c
        ]
        if series:
            svg = charts.line_chart(
                series, title=title, x_label="steps", y_label=title, log_y="loss" in key
            )
            found.append(markupsafe.Markup(svg))
    return found


def _runs(document: Json) -> list[Json]:
    """Facts of each run."""
    return [
        {
            "name": name,
            "system": score_table.system_name(name),
            "path": run["path"],
            "step": run["step"],
            "seed": run["seed"],
            "config_hash": run["config_hash"] or DASH,
            "commit": (run["commit"] or DASH)[:12],
            "gin_files": ", ".join(run["gin_files"] or []) or DASH,
            "versions": ", ".join(
                f"{package} {version}"
                for package, version in (run["versions"] or {}).items()
            ),
            **_cost(run["cost"]),
        }
        for name, run in document["runs"].items()
    ]


def _settings(document: Json) -> list[tuple[str, str]]:
    """How it was measured, line by line."""
    settings, dataset = document["settings"], document["dataset"]
    masks = settings["masks"]
    return [
        (
            "Dataset",
            f"{dataset['data_dir']}, split {dataset['split']}, content "
            f"{dataset['plan_hash'] or DASH}, {dataset['sample_rate']} Hz, "
            f"{dataset['frame_rate']} frames/s",
        ),
        ("Checkpoint", str(settings["checkpoint"])),
        ("Noise seed", str(settings["seed"])),
        (
            "Pitch tracker",
            f"CREPE {settings['crepe_capacity']}, centred frames, on both sides",
        ),
        ("Pitched frames", f"confidence of at least {masks['min_confidence']:g}"),
        (
            "Audible frames",
            f"within {masks['range_db']:g} dB of the clip's loudest frame and above "
            f"{masks['floor_db']:g} dB",
        ),
        (
            "Intervals",
            f"{settings['confidence']:.0%}, percentile bootstrap over "
            f"{document['n_units']} {document['unit']}s, "
            f"{settings['n_resamples']} resamples",
        ),
        (
            "Versions of the evaluation",
            ", ".join(f"{name} {v}" for name, v in settings["versions"].items()),
        ),
    ]
