"""Paired comparison of two systems over the same clips.

The unit is the recording: clips of one recording share a player, a room and an
afternoon, so their differences are averaged first. In a report of fewer than
`MIN_UNITS` recordings clips become the units of all its metrics, which is said, and an
interval then speaks about these recordings only. Several seeds of a system are averaged
clip by clip; a difference is called decided only when every pair of seeds agrees on its
sign.

All values are *badness*: turned so that lower is better (`metric.Metric.badness`). A
clip counts when both systems have a value; the rest is counted as skipped.

Resampling five or six recordings gives too narrow an interval: what holds by chance in
all of them excludes zero at any level. So an interval reaches at least as far as
Student's t with the bootstrap's standard error does, which for normal differences is
exact.

Sources: percentile bootstrap, Efron and Tibshirani, "An Introduction to the Bootstrap",
    1993, ch. 13 (of means it is that of scipy.stats.bootstrap, which a test compares),
    and its narrowness for small samples, Hesterberg, "What teachers should know about
    the bootstrap", The American Statistician 2015, sec. 3; Bonferroni's correction over
    the headline metrics; effect size d_z (mean over standard deviation of the
    differences), Lakens, "Calculating and reporting effect sizes", Frontiers in
    Psychology 2013.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import scipy.stats

MIN_UNITS = 5  # recordings or clips; below, resampling them cannot give an interval
N_RESAMPLES = 9999  # bootstrap resamples; the interval's ends then move < 2 %
BLOCK_SIZE = 1000  # resamples computed at once, for their memory
CONFIDENCE = 0.95
SEED = 20201  # of the resampling: the same scores give the same report

BETTER = "better"
WORSE = "worse"
UNDECIDED = "not decided"


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; NaN ends where there is none."""

    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Candidate minus baseline in one metric, as badness: below 0 is better.

    Attributes:
        difference: Mean over units with the interval of level `CONFIDENCE`.
        simultaneous: The same mean with the wider interval that holds for all
            headline metrics at once.
        effect_size: Mean over standard deviation of the differences; NaN for fewer
            than two units or equal differences.
        share_better: Share of the clips in which the candidate is better.
        unit: "recording" or "clip".
        n_units: Units used.
        n_clips: Clips used.
        n_skipped: Clips in which a system has no value.
        outcome: `BETTER`, `WORSE` or `UNDECIDED`.
        reason: Why it is not decided; empty otherwise.
        baseline_mean: The baseline's badness over these units alone; NaN where
            only differences are known.
        candidate_mean: The candidate's.
    """

    difference: Interval
    simultaneous: Interval
    effect_size: float
    share_better: float
    unit: str
    n_units: int
    n_clips: int
    n_skipped: int
    outcome: str
    reason: str
    baseline_mean: float = math.nan
    candidate_mean: float = math.nan


def bootstrap_mean(values: np.ndarray, *, confidence: float = CONFIDENCE) -> Interval:
    """Mean with its bootstrap interval.

    Args:
        values: One value a unit. Shape [n_units].
        confidence: Of the interval, between 0 and 1.

    Returns:
        The mean, and the interval where there are `MIN_UNITS` units. Equal values
        give an interval of no width, up to rounding.
    """
    return resample_mean(values).interval(confidence=confidence)


def resample_mean(values: np.ndarray) -> "Resampled":
    """Resamples the mean of values, one a unit. Shape [n_units]."""
    if not values.size:
        return Resampled(math.nan, np.zeros(0), n_units=0)
    return resample(values.size, lambda counts: counts @ values / values.size)


@dataclasses.dataclass(frozen=True)
class Resampled:
    """A statistic of all units, and of each resample of them.

    Attributes:
        whole: Of all units, once each.
        values: Of each resample, NaN where it does not determine the statistic; empty
            for fewer than `MIN_UNITS` units. Shape [N_RESAMPLES].
        n_units: How many units there are.
    """

    whole: float
    values: np.ndarray
    n_units: int

    def interval(
        self,
        *,
        confidence: float = CONFIDENCE,
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> Interval:
        """Percentile interval, at least as wide as Student's t.

        Args:
            confidence: Of the interval.
            bounds: What the statistic cannot leave; nor does its interval.
        """
        if not self.values.size or not math.isfinite(self.whole):
            return Interval(self.whole, math.nan, math.nan)
        known = self.values[np.isfinite(self.values)]
        tail = (1 - confidence) / 2
        low, high = np.quantile(known, [tail, 1 - tail])
        wide = _widen(
            Interval(self.whole, float(low), float(high)),
            standard_error=float(np.std(known, ddof=1)),
            n_units=self.n_units,
            confidence=confidence,
        )
        return Interval(self.whole, max(wide.low, bounds[0]), min(wide.high, bounds[1]))


Statistic = Callable[[np.ndarray], np.ndarray]


def resample(n_units: int, statistic: Statistic) -> Resampled:
    """Computes a statistic of all units and of resamples of them.

    Args:
        n_units: How many units there are.
        statistic: Takes how often each unit counts, shape [n_sets, n_units], and
            returns a number a set, shape [n_sets].

    Returns:
        The statistic; resamples only where there are `MIN_UNITS` units.
    """
    whole = float(statistic(np.ones((1, n_units)))[0])
    if n_units < MIN_UNITS:
        return Resampled(whole, np.zeros(0), n_units=n_units)
    counts = draw_counts(n_units)
    blocks = [
        statistic(counts[start : start + BLOCK_SIZE].astype(float))
        for start in range(0, N_RESAMPLES, BLOCK_SIZE)
    ]
    return Resampled(whole, np.concatenate(blocks), n_units=n_units)


@functools.lru_cache(maxsize=2)  # the same draws serve every metric of a report
def draw_counts(n_units: int) -> np.ndarray:
    """Draws units with repeats, the same each time.

    Returns:
        How often each resample holds each unit; a row adds up to `n_units`. Shape
        [N_RESAMPLES, n_units], uint16.
    """
    generator = np.random.default_rng(SEED)
    counts = np.empty((N_RESAMPLES, n_units), np.uint16)
    for start in range(0, N_RESAMPLES, BLOCK_SIZE):
        block = counts[start : start + BLOCK_SIZE]
        draws = generator.integers(n_units, size=block.shape)
        # One count over all rows: each row's units have numbers of their own.
        draws += np.arange(len(block))[:, np.newaxis] * n_units
        block[:] = np.bincount(draws.ravel(), minlength=block.size).reshape(block.shape)
    counts.setflags(write=False)
    return counts


def _widen(
    interval: Interval, *, standard_error: float, n_units: int, confidence: float
) -> Interval:
    """Makes a percentile interval reach as far as Student's t.

    Args:
        interval: From resampling.
        standard_error: Standard deviation over the resamples; they spread less than
            the mean of new units would, by sqrt((n - 1) / n).
        n_units: How many units were resampled.
        confidence: Of the interval.
    """
    quantile = float(scipy.stats.t.ppf(0.5 + 0.5 * confidence, n_units - 1))
    reach = quantile * standard_error * math.sqrt(n_units / (n_units - 1))
    return Interval(
        interval.mean,
        min(interval.low, interval.mean - reach),
        max(interval.high, interval.mean + reach),
    )


def unit_of(recordings: Sequence[str]) -> str:
    """Names what a report compares by: "recording", or "clip" where recordings are few.

    Args:
        recordings: Recording of each of its clips, whether or not it has a score.
    """
    is_few = len(set(recordings)) < MIN_UNITS <= len(recordings)
    return "clip" if is_few else "recording"


def pair_units(
    differences: np.ndarray, recordings: Sequence[str], *, unit: str
) -> np.ndarray:
    """Averages clips of a recording; leaves clips alone where they are the units.

    Args:
        differences: One difference a clip, all finite. Shape [n_clips].
        recordings: Recording of each clip.
        unit: See `unit_of`.

    Returns:
        One difference a unit.
    """
    if unit == "clip":
        return differences
    owner = np.asarray(recordings)
    names = sorted(set(recordings))
    return np.array([float(np.mean(differences[owner == name])) for name in names])


def compare(
    baseline: np.ndarray,
    candidate: np.ndarray,
    *,
    recordings: Sequence[str],
    n_tests: int,
) -> Comparison:
    """Compares two systems in one metric.

    Args:
        baseline: Badness by seed and clip, NaN where missing. Shape
            [n_seeds, n_clips].
        candidate: The same for the candidate; the number of seeds may differ.
        recordings: Recording of each clip. Length n_clips.
        n_tests: How many metrics are judged together; the deciding interval has the
            level 1 - 0.05 / n_tests.

    Returns:
        The comparison.

    Raises:
        ValueError: If the numbers of clips differ.
    """
    n_clips = len(recordings)
    if baseline.shape[1:] != (n_clips,) or candidate.shape[1:] != (n_clips,):
        raise ValueError(
            f"baseline {baseline.shape}, candidate {candidate.shape} and "
            f"{n_clips} recordings must agree in the number of clips"
        )
    # Clips that both have scores of, in every training.
    used = np.all(np.isfinite(baseline), axis=0) & np.all(
        np.isfinite(candidate), axis=0
    )
    owners = [name for name, keep in zip(recordings, used, strict=True) if keep]
    baseline, candidate = baseline[:, used], candidate[:, used]
    differences = candidate.mean(axis=0) - baseline.mean(axis=0)
    unit = unit_of(recordings)
    units = pair_units(differences, owners, unit=unit)
    means = [
        float(np.mean(pair_units(system.mean(axis=0), owners, unit=unit)))
        if units.size
        else math.nan
        for system in (baseline, candidate)
    ]
    # Each pair of seeds is averaged as all are, or one pair might differ from itself.
    pairs = [
        pair_units(est - ref, owners, unit=unit)
        for est in candidate
        for ref in baseline
    ]
    by_seed = np.array([pair.mean() for pair in pairs if pair.size])
    return dataclasses.replace(
        compare_units(units, by_seed=by_seed, unit=unit, n_tests=n_tests),
        share_better=float(np.mean(differences < 0)) if differences.size else math.nan,
        n_clips=int(np.count_nonzero(used)),
        n_skipped=int(np.count_nonzero(~used)),
        baseline_mean=means[0],
        candidate_mean=means[1],
    )


def compare_units(
    units: np.ndarray, *, by_seed: np.ndarray, unit: str, n_tests: int
) -> Comparison:
    """Compares by one difference a unit, each of which counts as a clip.

    Args:
        units: Candidate minus baseline, below 0 is better, all finite. Shape [n_units].
        by_seed: The mean difference for every pair of seeds.
        unit: What a unit is.
        n_tests: How many metrics are judged together.
    """
    # Resample units; the wide interval holds for all metrics at once.
    resampled = resample_mean(units)
    simultaneous = resampled.interval(confidence=1 - (1 - CONFIDENCE) / n_tests)
    outcome, reason = decide(simultaneous, by_seed, unit=unit, n_units=units.size)
    return Comparison(
        difference=resampled.interval(),
        simultaneous=simultaneous,
        effect_size=_effect_size(units),
        share_better=float(np.mean(units < 0)) if units.size else math.nan,
        unit=unit,
        n_units=units.size,
        n_clips=units.size,
        n_skipped=0,
        outcome=outcome,
        reason=reason,
    )


def decide(
    interval: Interval, by_seed: np.ndarray, *, unit: str, n_units: int
) -> tuple[str, str]:
    """Says whether an interval decides a comparison.

    Args:
        interval: Of the difference; below 0 is better.
        by_seed: The difference for every pair of seeds.
        unit: What a unit is.
        n_units: How many there are.

    Returns:
        `BETTER`, `WORSE` or `UNDECIDED`, and for the last the reason.
    """
    if math.isnan(interval.mean):
        return UNDECIDED, "no clip has a value for both systems"
    if math.isnan(interval.low):
        plural = "" if n_units == 1 else "s"
        return UNDECIDED, f"only {n_units} {unit}{plural}; {MIN_UNITS} needed"
    if interval.low <= 0 <= interval.high:
        return UNDECIDED, "the interval includes zero"
    if np.any(np.sign(by_seed) != np.sign(interval.mean)):
        return UNDECIDED, "the seeds disagree"
    return (BETTER if interval.mean < 0 else WORSE), ""


def _effect_size(units: np.ndarray) -> float:
    """Mean over standard deviation; NaN where there is no spread."""
    # Equal values may deviate by rounding, so the spread is not asked.
    if units.size < 2 or np.ptp(units) == 0:
        return math.nan
    return float(np.mean(units) / np.std(units, ddof=1))
