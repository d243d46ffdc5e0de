"""Intervals of the collapse index, of controls or as heard: of a system, between two.

The index of a set of clips is not a mean over clips, so units are resampled and the
index computed anew. Both systems of a pair are resampled alike. Units that determine
nothing of the index by themselves are part of every resample: they say nothing of how
much it would differ with other recordings.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from evaluation.collapse_index import index
from evaluation.collapse_index import sums as index_sums
from evaluation.metrics import catalogue
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
        n_units: How many of them determine anything of the index.
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


class _RunSums:
    """Sums of a system's runs by unit, added up for many sets of units at once."""

    def __init__(
        self, table: score_table.ScoreTable, system: str, key: str = "collapse_index"
    ):
        self._keys = [field.name for field in dataclasses.fields(index_sums.Sums)]
        is_heard = key == catalogue.HEARD_INDEX.key
        self._scale = index.HEARD if is_heard else index.CONTROLS
        self.arrays = [  # a run each, [n_units, n_keys]
            np.stack([getattr(sums, key) for key in self._keys], axis=1)
            for sums in (table.unit_sums(run, key) for run in table.systems[system])
        ]

    def determined(self) -> np.ndarray:
        """Tells which units by themselves have an index, in all runs. [n_units]."""
        alone = np.eye(len(self.arrays[0]))
        runs = range(len(self.arrays))
        each = [np.isfinite(self.run_indices(alone, run=run)) for run in runs]
        return np.all(each, axis=0)

    def verdicts(self) -> list[index.Verdict]:
        """The verdict of each run over all units."""
        return [
            index.judge(
                index_sums.Sums(
                    **dict(zip(self._keys, array.sum(axis=0).tolist(), strict=True))
                ),
                scale=self._scale,
            )
            for array in self.arrays
        ]

    def run_indices(self, counts: np.ndarray, *, run: int) -> np.ndarray:
        """Index of one run for every row of counts of units. Shape [n_sets]."""
        totals = counts @ self.arrays[run]  # [n_sets, n_keys]
        columns = dict(zip(self._keys, totals.T, strict=True))
        return index.indices(index_sums.Sums(**columns), scale=self._scale)

    def indices(self, counts: np.ndarray) -> np.ndarray:
        """Mean index of the runs for every row of counts. Shape [n_sets]."""
        runs = range(len(self.arrays))
        return np.mean([self.run_indices(counts, run=run) for run in runs], axis=0)


def every_index(
    table: score_table.ScoreTable, key: str = "collapse_index"
) -> dict[str, SystemIndex]:
    """An index of each system by its name."""
    return {name: system_index(table, name, key) for name in table.systems}


def system_index(
    table: score_table.ScoreTable, system: str, key: str = "collapse_index"
) -> SystemIndex:
    """Computes an index of a system over all clips.

    Args:
        table: All scores.
        system: Its name.
        key: Which: of controls, or as heard.
    """
    sums = _RunSums(table, system, key)
    determined = sums.determined()
    _, unit = table.units()
    # The interval, over units resampled with all their clips.
    resampled = _resample(determined, sums.indices)
    interval = resampled.interval(bounds=(0.0, 1.0))
    # What the system lost: the largest of the mean severities.
    verdicts = sums.verdicts()
    severities = _mean_over_runs([verdict.severities for verdict in verdicts])
    known = {key: value for key, value in severities.items() if not math.isnan(value)}
    point = state_of(interval.mean, interval.mean)
    return SystemIndex(
        interval=interval,
        state=agreed([interval, *_run_intervals(sums, determined)]),
        point_state=point,
        kind=max(known, key=lambda name: known[name]) if known else "",
        severities=severities,
        components=_mean_over_runs([verdict.components for verdict in verdicts]),
        by_run={
            run: verdict.index
            for run, verdict in zip(table.systems[system], verdicts, strict=True)
        },
        unit=unit,
        n_units=resampled.n_units,
    )


def _resample(determined: np.ndarray, statistic: paired.Statistic) -> paired.Resampled:
    """Resamples the units that determine an index; the others always count once.

    Args:
        determined: Whether each unit does. Shape [n_units].
        statistic: Of counts of all units, see `paired.resample`.
    """

    def of_determined(counts: np.ndarray) -> np.ndarray:
        every = np.ones((len(counts), determined.size))
        every[:, determined] = counts
        return statistic(every)

    return paired.resample(int(np.count_nonzero(determined)), of_determined)


def _mean_over_runs(dictionaries: Sequence[dict[str, float]]) -> dict[str, float]:
    """Key by key mean; NaN as soon as one run's is."""
    return {
        key: float(np.mean([one[key] for one in dictionaries]))
        for key in dictionaries[0]
    }


def _run_intervals(sums: _RunSums, determined: np.ndarray) -> list[paired.Interval]:
    """Of each run by itself; none for a single one, whose is the system's."""
    n_runs = len(sums.arrays)
    return [
        _resample(determined, functools.partial(sums.run_indices, run=run)).interval()
        for run in range(n_runs if n_runs > 1 else 0)
    ]


def agreed(intervals: Sequence[paired.Interval]) -> str:
    """The side of the threshold that all intervals lie on, or `OPEN`.

    A mean over runs alone would look the more certain the more there are, although
    another training could turn out as the worst of them.
    """
    states = {state_of(one.low, one.high) for one in intervals}
    return states.pop() if len(states) == 1 else OPEN


def state_of(low: float, high: float) -> str:
    """On which side of the threshold an interval lies."""
    if low >= index.THRESHOLD:
        return COLLAPSED
    return HEALTHY if high < index.THRESHOLD else OPEN


def compare_index(
    table: score_table.ScoreTable,
    baseline: str,
    candidate: str,
    *,
    n_tests: int,
    key: str = "collapse_index",
) -> paired.Comparison:
    """Compares an index of two systems over the same clips.

    Every clip counts by its sums; effect size and share are of the clips that have an
    index by themselves.

    Args:
        table: All scores.
        baseline: Name of the baseline system.
        candidate: Name of the candidate system.
        n_tests: How many metrics are judged together.
        key: Which: of controls, or as heard.
    """
    first = _RunSums(table, baseline, key)
    second = _RunSums(table, candidate, key)
    _, unit = table.units()
    # Both systems are resampled over the same units: the difference is paired.
    resampled = _resample(
        first.determined() & second.determined(),
        lambda counts: second.indices(counts) - first.indices(counts),
    )
    wide = resampled.interval(confidence=1 - (1 - paired.CONFIDENCE) / n_tests)
    clips = paired.compare(
        table.badness(baseline, key),
        table.badness(candidate, key),
        recordings=table.recordings,
        n_tests=n_tests,
    )
    # A difference that changes sign between seeds is not decided.
    references, estimates = (
        [verdict.index for verdict in one.verdicts()] for one in (first, second)
    )
    by_seed = np.array([est - ref for est in estimates for ref in references])
    n_units = resampled.n_units
    outcome, reason = paired.decide(wide, by_seed, unit=unit, n_units=n_units)
    return dataclasses.replace(
        clips,
        difference=resampled.interval(),
        simultaneous=wide,
        unit=unit,
        n_units=n_units,
        n_clips=len(table.rows),
        n_skipped=0,
        outcome=outcome,
        reason=reason,
        baseline_mean=float(np.mean(references)),
        candidate_mean=float(np.mean(estimates)),
    )
