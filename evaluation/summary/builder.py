"""Scores of all clips -> summary.json: aggregates, comparisons, gates, verdict.

A pure function of the rows of scores.jsonl and of what is known of the runs. Every
aggregate is the mean over recordings of the mean over their clips (over clips where
the report has fewer than `paired.MIN_UNITS` recordings), and says how many clips it
rests on, how many were skipped and why. NaN becomes null.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.collapse_index import index as collapse_index
from evaluation.metrics import catalogue
from evaluation.metrics import metric as metric_lib
from evaluation.summary import configurations
from evaluation.summary import gates
from evaluation.summary import index_intervals
from evaluation.summary import paired
from evaluation.summary import score_table
from evaluation.summary import verdict
from prep import checked_json
from prep import errors

SUMMARY_NAME = "summary.json"
SCHEMA_VERSION = 2  # rises when fields are added that readers may need
PARTS = {  # what every summary has, and what it is in Python
    "verdict": dict,
    "systems": list,
    "comparisons": list,
    "leaderboard": list,
    "gates": list,
    "clips": list,
    "runs": dict,
}


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """A metric of a system over all clips.

    Attributes:
        mean: Over recordings, of the mean over their clips and over runs.
        low: Lower end of its interval, NaN where there is none.
        high: Upper end.
        by_run: The mean of each run.
        recording: The recordings' own mean over the same clips, NaN without one.
        distance: Mean distance from the recordings; NaN where closeness is no aim.
        n: Clips that count.
        n_skipped: Clips in which a run has no value.
        reasons: How often each reason for that occurs.
    """

    mean: float
    low: float
    high: float
    by_run: dict[str, float]
    recording: float
    distance: float
    n: int
    n_skipped: int
    reasons: dict[str, int]


@dataclasses.dataclass(frozen=True)
class System:
    """All that is known of a system by itself.

    Attributes:
        name: Its name.
        is_baseline: Whether the others are compared with it.
        runs: Its trainings.
        index: Its collapse index.
        threshold: From which index on it is called collapsed.
        metrics: Aggregate by metric.
    """

    name: str
    is_baseline: bool
    runs: list[str]
    index: index_intervals.SystemIndex
    threshold: float
    metrics: dict[str, Aggregate]


@dataclasses.dataclass(frozen=True)
class Pair:
    """A candidate beside the baseline.

    Attributes:
        baseline: Name of the baseline.
        candidate: Name of the candidate.
        n_tests: How many headline metrics are judged together.
        metrics: Comparison by metric.
    """

    baseline: str
    candidate: str
    n_tests: int
    metrics: dict[str, paired.Comparison]


def build(
    rows: Sequence[Mapping[str, Any]],
    *,
    runs: Mapping[str, checked_json.Json],
    baseline: str,
    settings: checked_json.Json,
    dataset: checked_json.Json,
    skipped_runs: Sequence[checked_json.Json] = (),
) -> checked_json.Json:
    """Builds the summary.

    Args:
        rows: Of scores.jsonl.
        runs: What is known of each run by name: path, seed, step, config and so on.
        baseline: Name of the system that the others are compared with.
        settings: How it was measured.
        dataset: What it was measured on.
        skipped_runs: `run` and `reason` of each run that could not be judged.

    Returns:
        The content of summary.json.

    Raises:
        KeyError: If there is no such baseline.
    """
    table = score_table.ScoreTable(rows)
    if baseline not in table.systems:
        raise KeyError(
            f"baseline {baseline!r} is not among the systems {sorted(table.systems)}"
        )
    # The index decides states and gates, so it comes first: that of the controls, or
    # where only audio is given, that of what is heard.
    found = {
        metric.key: index_intervals.every_index(table, metric.key)
        for metric in (catalogue.INDEX, catalogue.HEARD_INDEX)
        if table.has_sums(metric.key)
    }
    decisive, indices = next(iter(found.items()))
    # Each system by itself, then each candidate beside the baseline.
    systems = [
        _describe_system(
            table,
            name,
            indices={key: every[name] for key, every in found.items()},
            is_baseline=name == baseline,
        )
        for name in table.systems
    ]
    comparisons = [
        _compare_systems(table, baseline, name, indices=list(found))
        for name in table.systems
        if name != baseline
    ]
    units, unit = table.units()
    facts = {
        "schema_version": SCHEMA_VERSION,
        "baseline": baseline,
        "dataset": dataset,
        "settings": settings,
        "n_clips": len(rows),
        "n_recordings": len(set(table.recordings)),
        "unit": unit,
        "n_units": len(units),
        "recording": _describe_recordings(table),
        "systems": systems,
        "comparisons": comparisons,
        "index_key": decisive,
        "gates": gates.decide_all(gates.TableScores(table), indices)
        if decisive == catalogue.INDEX.key
        else [],
        "runs": dict(runs),
        "skipped_runs": list(skipped_runs),
        "config_differences": configurations.differences(runs),
    }
    # JSON from here on: the verdict reads what the file holds.
    document: checked_json.Json = to_json(facts)
    document["leaderboard"] = _leaderboard(document["systems"])
    document["verdict"] = verdict.write(document)
    return document


def _describe_recordings(table: score_table.ScoreTable) -> dict[str, float]:
    """Means of the recordings' own scores."""
    return {
        metric.key: table.mean(table.recording_values(metric.key))
        for metric in catalogue.COLLAPSE
    }


def _describe_system(
    table: score_table.ScoreTable,
    name: str,
    *,
    indices: Mapping[str, index_intervals.SystemIndex],
    is_baseline: bool,
) -> System:
    """Aggregates of one system; the first of the indices decides its state."""
    aggregates = {
        metric.key: _aggregate(table, name, metric.key) for metric in catalogue.ALL
    }
    # An index of all clips is not the mean of the clips' indices: every clip counts.
    for key, index in indices.items():
        own = aggregates[key]
        is_known = math.isfinite(index.interval.mean)
        aggregates[key] = dataclasses.replace(
            own,
            mean=index.interval.mean,
            low=index.interval.low,
            high=index.interval.high,
            by_run=index.by_run,
            n=len(table.rows) if is_known else own.n,
            n_skipped=0 if is_known else own.n_skipped,
            reasons={} if is_known else own.reasons,
        )
    return System(
        name=name,
        is_baseline=is_baseline,
        runs=table.systems[name],
        index=next(iter(indices.values())),
        threshold=collapse_index.THRESHOLD,
        metrics=aggregates,
    )


def _aggregate(table: score_table.ScoreTable, system: str, key: str) -> Aggregate:
    """Mean with interval of one metric of a system, over the clips that have it."""
    # A clip counts when every training of the system has a score for it.
    by_run = np.stack([table.values(run, key) for run in table.systems[system]])
    counted = np.all(np.isfinite(by_run), axis=0)
    reasons = [
        _join_reasons(table, system, key, int(clip))
        for clip in np.flatnonzero(~counted)
    ]
    # Recordings, not clips, are independent: the interval is over their means.
    owners = [n for n, keep in zip(table.recordings, counted, strict=True) if keep]
    units = paired.pair_units(
        by_run[:, counted].mean(axis=0), owners, unit=paired.unit_of(table.recordings)
    )
    interval = paired.bootstrap_mean(units)

    def mean_of_counted(values: np.ndarray) -> float:
        return table.mean(np.where(counted, values, np.nan))

    return Aggregate(
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        by_run={
            run: mean_of_counted(values)
            for run, values in zip(table.systems[system], by_run, strict=True)
        },
        recording=mean_of_counted(table.recording_values(key)),
        distance=mean_of_counted(_distance(table, system, key)),
        n=int(np.count_nonzero(counted)),
        n_skipped=int(np.count_nonzero(~counted)),
        reasons=metric_lib.count_reasons(reasons),
    )


def _join_reasons(
    table: score_table.ScoreTable, system: str, key: str, clip: int
) -> str:
    """Why a clip does not count for a system: the reasons of its runs, each once."""
    found = [table.reason(run, key, clip) for run in table.systems[system]]
    return ", ".join(dict.fromkeys(filter(None, found))) or "not measured"


def _distance(table: score_table.ScoreTable, system: str, key: str) -> np.ndarray:
    """Measures a system's distance from the recordings; NaN where that is no aim."""
    badness = table.badness(system, key).mean(axis=0)
    if catalogue.BY_KEY[key].better != metric_lib.RECORDING:
        return np.full_like(badness, np.nan)
    return badness


def _compare_systems(
    table: score_table.ScoreTable,
    baseline: str,
    candidate: str,
    *,
    indices: Sequence[str],
) -> Pair:
    """All comparisons of a candidate with the baseline."""
    headline = catalogue.headline(indices)
    n_tests = len(headline)
    # Metrics of the headline share one error rate, the rest another.
    found = {
        metric.key: paired.compare(
            table.badness(baseline, metric.key),
            table.badness(candidate, metric.key),
            recordings=table.recordings,
            n_tests=n_tests if metric.key in headline else len(catalogue.ALL),
        )
        for metric in catalogue.ALL
        if metric.key not in indices
    }
    # An index is resampled from its sums and not from clips.
    for key in indices:
        found[key] = index_intervals.compare_index(
            table, baseline, candidate, n_tests=n_tests, key=key
        )
    return Pair(
        baseline=baseline,
        candidate=candidate,
        n_tests=n_tests,
        metrics={key: found[key] for key in catalogue.BY_KEY if key in found},
    )


def _leaderboard(systems: Sequence[checked_json.Json]) -> list[checked_json.Json]:
    """Systems in order: not collapsed, not judged, collapsed; each by spectral loss."""

    def rank(system: checked_json.Json) -> tuple[bool, bool, float]:
        loss = system["metrics"]["spectral_loss"]["mean"]
        return (
            verdict.has_collapsed(system),
            bool(verdict.unjudged_runs(system)),
            math.inf if loss is None else loss,
        )

    return [
        {"place": place, "system": system["name"]}
        for place, system in enumerate(sorted(systems, key=rank), start=1)
    ]


def to_json(value: Any) -> Any:
    """Converts to JSON: dataclasses become objects, NaN and infinities null."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: to_json(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_summary(document: checked_json.Json, path: pathlib.Path) -> None:
    """Writes summary.json."""
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_summary(path: pathlib.Path) -> checked_json.Json:
    """Reads summary.json.

    Raises:
        InputError: If it is missing, damaged or of a later version of the program.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise errors.InputError(f"{path} cannot be read: {error}.") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if (
        not isinstance(version, int)
        or not PARTS.items()
        <= {key: type(value) for key, value in document.items()}.items()
    ):
        raise errors.InputError(f"{path} is no summary of ddsp_report, or is damaged.")
    if version > SCHEMA_VERSION:
        raise errors.InputError(
            f"{path} is of version {version}, this program reads up to "
            f"{SCHEMA_VERSION}; use the program that wrote it."
        )
    return document
