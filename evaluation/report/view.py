"""What the report says, as text and charts: summary.json -> values of the templates.

Numbers are turned into text here, so that the templates compute nothing. A missing
score is shown as a dash with its reason.
"""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import markupsafe

from evaluation.collapse_index import index as collapse_index
from evaluation.metrics import catalogue
from evaluation.report import bar_charts
from evaluation.report import charts
from evaluation.report import tables
from evaluation.report import text
from evaluation.summary import run_facts
from evaluation.summary import verdict
from prep import checked_json

COMPONENT_TEXTS = {
    "frozen": "Movement of the timbre that is missing, against the recording.",
    "narrow": "Harmonics that are missing.",
    "flat": "Dynamics that are missing: level against the recording's level.",
    "noisy": "Tone that has turned into noise.",
    "silent": "Sound that is missing where the recording sounds.",
}


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
    marks: str
    lines: list[str]


def build(
    document: checked_json.Json, rows: Sequence[Mapping[str, Any]]
) -> checked_json.Json:
    """Builds all that the templates need but the clips' media.

    Args:
        document: The content of summary.json.
        rows: Of scores.jsonl.

    Returns:
        Values by name.
    """
    # The baseline first, then candidates in the order of the summary.
    systems = tables.systems_in_order(document)
    names = [system["name"] for system in systems]
    candidates = [name for name in names if name != document["baseline"]]
    headline = [catalogue.BY_KEY[key] for key in tables.headline(document)]
    return {
        "title": _title(document, candidates),
        "headline": document["verdict"]["headline"],
        "compared": document["verdict"]["compared"],
        "caution": document["verdict"]["caution"],
        "single_training": document["verdict"]["single_training"],
        "skipped_runs": document["skipped_runs"],
        "summary_line": _summary_line(document),
        "cards": [_card(system, document) for system in systems],
        "index_title": tables.index_title(document),
        "systems": names,
        "baseline": document["baseline"],
        "scores": [tables.score_row(metric, document) for metric in headline],
        "all_scores": [tables.full_rows(metric, document) for metric in catalogue.ALL],
        "components": _components(systems),
        "component_texts": COMPONENT_TEXTS,
        "kinds": text.kind_rows(systems),
        "several_runs": any(len(system["runs"]) > 1 for system in systems),
        "gates": document["gates"],
        "leaderboard": _leaderboard(document) if len(systems) > 2 else [],
        "clip_columns": _clip_columns(document),
        "clip_rows": _clip_rows(document, rows),
        "training": _training(document),
        "differences": document["config_differences"],
        "runs": text.describe_runs(document),
        "run_names": list(document["runs"]),
        "settings": text.describe_settings(document),
        "glossary": catalogue.ALL[: -len(catalogue.SCALES)],
        "n_tests": len(headline),
        "of_audio": verdict.is_of_audio(document),
        "alignment": text.describe_alignment(document),
    }


def _title(document: checked_json.Json, candidates: Sequence[str]) -> str:
    """Who is compared with whom."""
    baseline = document["baseline"]
    if not candidates and len(document["runs"]) < 2:
        return f"{baseline} against its recordings"
    if not candidates:
        return f"{baseline}, trained {len(document['runs'])} times"
    if len(candidates) > 2:
        return f"{len(candidates)} candidates against {baseline}"
    return f"{', '.join(candidates)} against {baseline}"


def _summary_line(document: checked_json.Json) -> str:
    """Returns what was judged, in a line."""
    dataset = document["dataset"]
    n_clips = document["n_clips"]
    clips = (
        f"{n_clips} clip{'s' if n_clips != 1 else ''} of {dataset['example_secs']:g} s"
    )
    plural = "s" if document["n_recordings"] != 1 else ""
    if verdict.is_of_audio(document):
        return (
            f"{n_clips} clip{'s' if n_clips != 1 else ''} from "
            f"{document['n_recordings']} recording{plural}, judged by audio alone at "
            f"{dataset['sample_rate']} Hz"
        )
    n_skipped = len(document["skipped_runs"])
    skipped = f"; {n_skipped} run{'s' if n_skipped > 1 else ''} skipped, see Runs"
    # Of another dataset the caution says that nobody knows.
    heard = "did not hear" if dataset["split"] == "eval" else "heard"
    known = "" if verdict.strangers(document) else f" that training {heard}"
    return (
        f"{clips} from {document['n_recordings']} recording{plural}{known}"
        f"{skipped if n_skipped else ''}"
    )


def _card(system: checked_json.Json, document: checked_json.Json) -> Card:
    """A system's verdict."""
    told = document["verdict"]["systems"][system["name"]]
    interval = system["index"]["interval"]
    value = interval["mean"]
    kind = system["index"]["kind"]
    lines = [
        *told["notes"],
        *document["verdict"]["comparisons"].get(system["name"], []),
    ]
    # Of a collapsed system the sentence says it already.
    if value is not None and 0.1 <= value < collapse_index.THRESHOLD:
        lines.insert(0, f"What it lacks most: {verdict.LACKS[kind]}.")
    index = tables.number(value, decimals=2)
    if interval["low"] is not None:
        index += f" [{tables.number(interval['low'], decimals=2)}, "
        index += f"{tables.number(interval['high'], decimals=2)}]"
    title = tables.index_title(document)
    label = f"{title} {index}; collapsed from {collapse_index.THRESHOLD}"
    by_run = [one for one in system["index"]["by_run"].values() if one is not None]
    trainings = by_run if len(system["runs"]) > 1 else []
    meter = bar_charts.meter(
        value,
        low=interval["low"],
        high=interval["high"],
        threshold=collapse_index.THRESHOLD,
        label=label,
        trainings=trainings,
    )
    return Card(
        name=system["name"],
        role=_role(system) if document["comparisons"] else "",
        slot=tables.slots(document)[system["name"]],
        state=told["state"],
        sentence=told["sentence"],
        index=index,
        meter=markupsafe.Markup(meter),
        marks="grey: each training" if trainings else "",
        lines=lines,
    )


def _role(system: checked_json.Json) -> str:
    """Returns what a system is among several."""
    return "baseline" if system["is_baseline"] else "candidate"


def _components(systems: Sequence[checked_json.Json]) -> markupsafe.Markup:
    """Chart of the index's components."""
    severities = {system["name"]: system["index"]["severities"] for system in systems}
    return markupsafe.Markup(
        bar_charts.component_bars(severities, threshold=collapse_index.THRESHOLD)
    )


def _leaderboard(document: checked_json.Json) -> list[checked_json.Json]:
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
                    tables.make_cell(system["metrics"][key], comparison=None)
                    for key in tables.headline(document)
                ],
                "cost": text.describe_cost(document["runs"][system["runs"][0]]["cost"]),
                "n_runs": len(system["runs"]),
            }
        )
    return rows


def _clip_columns(document: checked_json.Json) -> list[checked_json.Json]:
    """Columns of the table of all clips: a headline metric of a run each."""
    return [
        {"metric": catalogue.BY_KEY[key].title, "key": key, "run": run}
        for key in tables.headline(document)
        for run in document["runs"]
    ]


def _clip_rows(
    document: checked_json.Json, rows: Sequence[Mapping[str, Any]]
) -> list[checked_json.Json]:
    """The table of all clips."""
    columns = _clip_columns(document)
    found = []
    for row in rows:
        cells = [tables.clip_cell(row["runs"][c["run"]], c["key"]) for c in columns]
        found.append(
            {
                "clip": row["clip"],
                "pitched": f"{row['n_pitched'] / row['n_frames']:.0%}",
                "pitched_sort": repr(row["n_pitched"] / row["n_frames"]),
                "cells": cells,
            }
        )
    return found


def _training(document: checked_json.Json) -> list[markupsafe.Markup]:
    """Charts of what training logged."""
    colours = tables.slots(document)
    found = []
    for key, title in run_facts.CURVE_KEYS.items():
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
                series, title=title, x_label="steps", log_y="loss" in key
            )
            found.append(markupsafe.Markup(svg))
    return found
