"""Intervals of the collapse index: of a system, and between two.

The index of a set of clips is not a mean over clips, so units are resampled and the
index computed anew. Both systems of a pair are resampled alike.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from evaluation.collapse_index import index
from evaluation.summary import paired
from evaluation.summary import score_table

COLLAPSED = "collapsed"
HEALTHY = "healthy"
OPEN = "not decided"


@dataclasses.dataclass(frozen=True)
class SystemIndex:
    """The collapse index of a system.

    Attributes:
        interval: Index with its interval; NaN ends where units are few.
        state: `COLLAPSED` or `HEALTHY` when the interval, and that of every run by
            itself, lies on one side of the threshold, or `OPEN`.
        point_state: The same by the index alone, never open unless it is NaN.
        kind: The component with the largest severity.
        severities: Severity by component, mean over runs.
        components: Component by name, mean over runs.
        by_run: Index by run.
        unit: "recording" or "clip".
        n_units: How many.
    """

    interval: paired.Interval
    state: str
    point_state: str
    kind: str
    severities: dict[str, float]
    components: dict[str, float]
    by_run: dict[str, float]
    unit: str
    n_units: int


class _Resampler:
    """Sums of a system's runs by unit, as arrays that can be resampled."""

    def __init__(self, table: score_table.ScoreTable, system: str):
        self._keys: list[str] = []
        arrays = []
        for run in table.systems[system]:
            sums = table.unit_sums(run)
            self._keys = list(sums[0])
            arrays.append([[one[key] for key in self._keys] for one in sums])
        self.array = np.asarray(arrays)  # [n_runs, n_units, n_keys]

    def verdict(self, draw: np.ndarray, *, run: int) -> index.Verdict:
        """The verdict of one run over the drawn units."""
        total = self.array[run, draw].sum(axis=0)
        return index.judge(dict(zip(self._keys, total, strict=True)))

    def verdicts(self, draw: np.ndarray) -> list[index.Verdict]:
        """The verdict of each run over the drawn units."""
        return [self.verdict(draw, run=run) for run in range(len(self.array))]

    def run_index(self, draw: np.ndarray, *, run: int) -> float:
        """Index of one run over the drawn units."""
        return self.verdict(draw, run=run).index

    def index(self, draw: np.ndarray) -> float:
        """Mean index of the runs over the drawn units."""
        return float(np.mean([verdict.index for verdict in self.verdicts(draw)]))


def every_index(table: score_table.ScoreTable) -> dict[str, SystemIndex]:
    """The index of each system by its name; resampling takes its time, so once."""
    return {name: system_index(table, name) for name in table.systems}


def system_index(table: score_table.ScoreTable, system: str) -> SystemIndex:
    """Computes the index of a system over all clips.

    Args:
        table: All scores.
        system: Its name.
    """
    resampler = _Resampler(table, system)
    units, unit = table.units()
    interval = paired.bootstrap_statistic(
        len(units), resampler.index, bounds=(0.0, 1.0)
    )
    verdicts = resampler.verdicts(np.arange(len(units)))
    severities = _mean_over_runs([verdict.severities for verdict in verdicts])
    known = {key: value for key, value in severities.items() if not math.isnan(value)}
    point = _state(interval.mean, interval.mean)
    return SystemIndex(
        interval=interval,
        state=_agreed([interval, *_intervals(resampler, len(units))]),
        point_state=point,
        kind=max(known, key=lambda name: known[name]) if known else "",
        severities=severities,
        components=_mean_over_runs([verdict.components for verdict in verdicts]),
        by_run={
            run: verdict.index
            for run, verdict in zip(table.systems[system], verdicts, strict=True)
        },
        unit=unit,
        n_units=len(units),
    )


def _mean_over_runs(dictionaries: Sequence[dict[str, float]]) -> dict[str, float]:
    """Key by key mean; NaN as soon as one run's is."""
    return {
        key: float(np.mean([one[key] for one in dictionaries]))
        for key in dictionaries[0]
    }


def _intervals(resampler: _Resampler, n_units: int) -> list[paired.Interval]:
    """Of each run by itself; none for a single one, whose is the system's."""
    n_runs = len(resampler.array)
    return [
        paired.bootstrap_statistic(
            n_units, functools.partial(resampler.run_index, run=run), bounds=(0.0, 1.0)
        )
        for run in range(n_runs if n_runs > 1 else 0)
    ]


def _agreed(intervals: Sequence[paired.Interval]) -> str:
    """The side of the threshold that all intervals lie on.

    A mean over runs alone would look the more certain the more there are, although
    another training could turn out as the worst of them.
    """
    states = {_state(one.low, one.high) for one in intervals}
    return states.pop() if len(states) == 1 else OPEN


def _state(low: float, high: float) -> str:
    """On which side of the threshold an interval lies."""
    if low >= index.THRESHOLD:
        return COLLAPSED
    return HEALTHY if high < index.THRESHOLD else OPEN


def compare_index(
    table: score_table.ScoreTable, baseline: str, candidate: str, *, n_tests: int
) -> paired.Comparison:
    """Compares the index of two systems over the same clips.

    Args:
        table: All scores.
        baseline: Name of the baseline system.
        candidate: Name of the candidate system.
        n_tests: How many metrics are judged together.
    """
    first = _Resampler(table, baseline)
    second = _Resampler(table, candidate)
    units, unit = table.units()

    def difference(draw: np.ndarray) -> float:
        return second.index(draw) - first.index(draw)

    usual = paired.bootstrap_statistic(len(units), difference)
    wide = paired.bootstrap_statistic(
        len(units), difference, confidence=1 - (1 - paired.CONFIDENCE) / n_tests
    )
    clips = paired.compare(
        table.badness(baseline, "collapse_index"),
        table.badness(candidate, "collapse_index"),
        recordings=table.recordings,
        n_tests=n_tests,
    )
    whole = np.arange(len(units))
    by_seed = np.array(
        [
            est.index - ref.index
            for est in second.verdicts(whole)
            for ref in first.verdicts(whole)
        ]
    )
    outcome, reason = paired.decide(wide, by_seed, unit=unit, n_units=len(units))
    return dataclasses.replace(
        clips,
        difference=usual,
        simultaneous=wide,
        unit=unit,
        n_units=len(units),
        outcome=outcome,
        reason=reason,
    )
