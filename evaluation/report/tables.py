"""Numbers of the report as text: cells and rows of its tables.

A missing score is shown as a dash with its reason.
"""

import dataclasses
import math
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from evaluation.metrics import catalogue
from evaluation.metrics import metric as metric_lib
from evaluation.scoring import rows as rows_lib
from evaluation.summary import paired
from prep import checked_json

DASH = "–"
MARKS = {paired.BETTER: "▲ better", paired.WORSE: "▼ worse"}


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


def number(value: float | None, *, decimals: int = 3) -> str:
    """A number as tables show it; a dash where it is missing."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0 or 0.01 <= abs(value) < 10000:
        return f"{value:.{decimals}f}"
    if 1e-4 <= abs(value) < 0.01:
        return f"{value:.{decimals + 2}f}"
    return f"{value:.2e}"


def headline(document: checked_json.Json) -> list[str]:
    """Keys of the metrics that the report shows first."""
    return list(document["settings"]["headline"])


def index_title(document: checked_json.Json) -> str:
    """Name of the index that decides the states."""
    return catalogue.BY_KEY[document.get("index_key", catalogue.INDEX.key)].title


def sort_key(value: float | None) -> str:
    """A number for sorting; empty when missing."""
    return "" if value is None else repr(value)


def signed(*values: float | None) -> list[str]:
    """Differences with their signs, all with the digits that the largest needs.

    Args:
        values: A difference, or its mean and the ends of its interval.

    Returns:
        A text each, with a true minus and not a hyphen; a dash where one is missing.
    """
    known = [abs(v) for v in values if v is not None and math.isfinite(v)]
    digits = 3 if max(known, default=0.0) >= 0.01 or not any(known) else 5
    texts = []
    for value in values:
        if value is None or not math.isfinite(value):
            texts.append(DASH)
            continue
        tiny = digits == 5 and 0 < abs(value) < 1e-5
        text = f"{value:+.2e}" if tiny else f"{value:+.{digits}f}"
        is_zero = float(text) == 0.0
        texts.append(text[1:] if is_zero else text.replace("-", "\u2212", 1))
    return texts


def slots(document: checked_json.Json) -> dict[str, int]:
    """Colour of each run and system: 0 the recording, 1 the baseline, then the rest."""
    found = {rows_lib.RECORDING: 0}
    ordered = sorted(document["systems"], key=lambda system: not system["is_baseline"])
    for slot, system in enumerate(ordered, start=1):
        found[system["name"]] = slot
        found |= dict.fromkeys(system["runs"], slot)
    return found


def systems_in_order(document: checked_json.Json) -> list[checked_json.Json]:
    """Systems with the baseline first."""
    return sorted(document["systems"], key=lambda system: not system["is_baseline"])


def _aim(metric: metric_lib.Metric) -> str:
    """Returns which way is better, in words."""
    return {
        metric_lib.LOWER: "Lower is better",
        metric_lib.HIGHER: "Higher is better",
        metric_lib.RECORDING: "Nearer to the recording is better",
    }[metric.better]


def score_row(metric: metric_lib.Metric, document: checked_json.Json) -> ScoreRow:
    """A metric with one cell a system, baseline first."""
    systems = systems_in_order(document)
    pairs = {pair["candidate"]: pair for pair in document["comparisons"]}
    recording = document["recording"].get(metric.key)
    cells = [
        make_cell(
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
        recording=number(recording) if metric.better == metric_lib.RECORDING else "",
        cells=cells,
    )


def make_cell(
    aggregate: checked_json.Json, *, comparison: checked_json.Json | None
) -> Cell:
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


def mark_of(comparison: checked_json.Json) -> tuple[str, str]:
    """Better or worse, and whether that is decided."""
    outcome = comparison["outcome"]
    if outcome in MARKS:
        return MARKS[outcome], outcome
    mean = comparison["difference"]["mean"]
    if mean == 0:
        return "= the same", "open"
    leaning = "△ better" if mean < 0 else "▽ worse"
    return f"{leaning}, not decided", "open"


def interval_text(interval: checked_json.Json) -> str:
    """A difference of badness with its interval."""
    mean, low, high = signed(interval["mean"], interval["low"], interval["high"])
    return mean if interval["low"] is None else f"{mean} [{low}, {high}]"


def full_rows(
    metric: metric_lib.Metric, document: checked_json.Json
) -> checked_json.Json:
    """Everything that is known of a metric, for the researcher's table."""
    pairs = {pair["candidate"]: pair for pair in document["comparisons"]}
    lines = []
    for system in systems_in_order(document):
        aggregate = system["metrics"][metric.key]
        # The baseline has no comparison with itself.
        pair = pairs.get(system["name"])
        comparison = pair["metrics"].get(metric.key) if pair else None
        lines.append(
            {
                "system": system["name"],
                "mean": number(aggregate["mean"]),
                "interval": _range(aggregate),
                "by_run": ", ".join(number(v) for v in aggregate["by_run"].values()),
                "recording": number(aggregate["recording"])
                if metric.better == metric_lib.RECORDING
                else "",
                "distance": number(aggregate["distance"])
                if metric.better == metric_lib.RECORDING
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


def _range(interval: checked_json.Json) -> str:
    """An interval's ends."""
    if interval["low"] is None:
        return DASH
    return f"[{number(interval['low'])}, {number(interval['high'])}]"


def _signed_range(interval: checked_json.Json) -> str:
    """The ends of a difference's interval."""
    if interval["low"] is None:
        return DASH
    low, high = signed(interval["low"], interval["high"])
    return f"[{low}, {high}]"


def _skipped(aggregate: checked_json.Json) -> str:
    """Says how many clips were skipped and why."""
    if not aggregate["n_skipped"]:
        return "0"
    reasons = "; ".join(f"{why} ({n})" for why, n in aggregate["reasons"].items())
    return f"{aggregate['n_skipped']}: {reasons}"


def _comparison(comparison: checked_json.Json | None) -> checked_json.Json | None:
    """A comparison as text."""
    if comparison is None or comparison["difference"]["mean"] is None:
        return None
    mark, outcome = mark_of(comparison)
    return {
        "difference": interval_text(comparison["difference"]),
        "simultaneous": _signed_range(comparison["simultaneous"]),
        "effect": number(comparison["effect_size"], decimals=2),
        "share": f"{comparison['share_better']:.0%}"
        if comparison["share_better"] is not None
        else DASH,
        "units": f"{comparison['n_units']} {comparison['unit']}s",
        "mark": mark,
        "outcome": outcome,
        "reason": comparison["reason"],
    }


def clip_cell(scores: Mapping[str, Any], key: str) -> Cell:
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
    for metric in (
        catalogue.INDEX,
        catalogue.HEARD_INDEX,
        *catalogue.COLLAPSE,
        *catalogue.FIDELITY,
    ):
        recording = row["recording"]["values"].get(metric.key)
        found.append(
            ScoreRow(
                title=metric.title,
                unit=metric.unit,
                plain=metric.plain,
                aim=_aim(metric),
                recording=number(recording)
                if metric.better == metric_lib.RECORDING
                else "",
                cells=[clip_cell(row["runs"][run], metric.key) for run in runs],
            )
        )
    return found


def markdown_cell(text: str) -> str:
    """Text that ends no cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").split())


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, a line a row; its cells as `markdown_cell` returns them."""
    lines = (" | ".join(row) for row in (head, ["---"] * len(head), *rows))
    return "".join(f"| {line} |\n" for line in lines)
