import dataclasses
import math

import numpy as np
import pytest
import scipy.stats

from evaluation.summary import paired


def run(baseline, candidate, recordings=None, n_tests=1):
    baseline, candidate = np.atleast_2d(baseline), np.atleast_2d(candidate)
    names = recordings or [f"r{i}" for i in range(baseline.shape[1])]
    return paired.compare(baseline, candidate, recordings=names, n_tests=n_tests)


def test_a_clear_difference_is_decided(rng):
    base = rng.normal(5, 1, 12)
    found = run(base, base - 0.5 + 0.05 * rng.standard_normal(12))
    assert found.outcome == paired.BETTER
    assert found.difference.low < found.difference.mean < found.difference.high < 0
    assert found.share_better == 1.0 and found.effect_size < -3
    swapped = run(base - 0.5, base)
    assert swapped.outcome == paired.WORSE


def test_noise_is_not_decided(rng):
    base = rng.normal(5, 1, 12)
    found = run(base, base + 0.5 * rng.standard_normal(12))
    assert found.outcome == paired.UNDECIDED
    assert "includes zero" in found.reason


def test_correction_for_many_tests_widens_the_deciding_interval(rng):
    base = rng.normal(5, 1, 8)
    candidate = base - 0.12 + 0.2 * rng.standard_normal(8)
    one, many = run(base, candidate), run(base, candidate, n_tests=9)
    assert many.difference == one.difference
    assert many.simultaneous.low < one.simultaneous.low
    assert many.simultaneous.high > one.simultaneous.high


def test_pairing_finds_what_means_would_miss(rng):
    base = rng.normal(0, 10, 20)  # clips differ far more than systems
    found = run(base, base - 0.2 + 0.05 * rng.standard_normal(20))
    assert found.outcome == paired.BETTER
    assert scipy.stats.ttest_ind(base, base - 0.2).pvalue > 0.5


def test_clips_of_a_recording_count_once():
    recordings = [f"r{i}" for i in range(6) for _ in range(10)]
    differences = np.repeat([1.0, -1.0, 1.0, -1.0, 1.0, -1.0], 10)
    found = run(np.zeros(60), differences, recordings)
    assert (found.unit, found.n_units, found.n_clips) == ("recording", 6, 60)
    as_if_independent = paired.bootstrap_mean(differences)
    width = found.difference.high - found.difference.low
    assert width > 2 * (as_if_independent.high - as_if_independent.low)


def test_few_recordings_fall_back_to_clips_and_few_clips_decide_nothing():
    found = run(np.zeros(8), -np.arange(1, 9), ["a", "b"] * 4)
    assert found.unit == "clip" and found.outcome == paired.BETTER
    few = run(np.zeros(3), [-1.0, -2.0, -3.0])
    assert few.outcome == paired.UNDECIDED
    assert few.reason == "only 3 recordings; 5 needed"
    assert run(np.zeros(1), [-1.0]).reason == "only 1 recording; 5 needed"
    assert math.isnan(few.difference.low) and few.difference.mean == -2.0


def test_missing_scores_are_skipped_in_pairs():
    base = np.array([1.0, np.nan, 1, 1, 1, 1, 1])
    candidate = np.array([0.5, 0.1, np.nan, 0.5, 0.5, 0.5, 0.5])
    found = run(base, candidate)
    assert (found.n_clips, found.n_skipped) == (5, 2)
    assert found.difference.mean == -0.5
    nothing = run(np.full(6, np.nan), candidate[:6])
    assert nothing.outcome == paired.UNDECIDED and "no clip" in nothing.reason
    assert math.isnan(nothing.share_better)
    # A clip counts when every training of both has a value.
    two = np.stack([candidate, base])
    for found in (run(two, np.zeros(7)), run(np.zeros(7), two)):
        assert (found.n_clips, found.n_skipped) == (5, 2)
        assert abs(found.difference.mean) == 0.75


def test_equal_systems_are_not_decided():
    found = run(np.ones(9), np.ones(9))
    assert found.outcome == paired.UNDECIDED and found.difference.mean == 0.0
    assert math.isnan(found.effect_size)
    # Six times 0.1 deviate by rounding from their mean.
    found = run(np.zeros(6), np.full(6, 0.1))
    assert math.isnan(found.effect_size) and found.outcome == paired.WORSE
    assert found.difference.high == pytest.approx(0.1)


def test_seeds_must_agree(rng):
    base = rng.normal(5, 1, (1, 10))
    same = np.stack([base[0], base[0]])
    agreeing = np.stack([base[0] - 1.0, base[0] - 1.2])
    assert run(same, agreeing).outcome == paired.BETTER
    split = np.stack([base[0] - 2.0, base[0] + 0.1])
    found = run(same, split)
    assert found.difference.high < 0  # on average it is better ...
    assert found.outcome == paired.UNDECIDED  # ... but one seed is worse
    assert found.reason == "the seeds disagree"


def test_one_seed_does_not_disagree_with_itself():
    """Better in five of six recordings; worse in most clips, which are the sixth's."""
    owners = ["a"] * 20 + list("bcdef")
    found = run(np.zeros(25), np.array([0.5] * 20 + [-1.0] * 5), owners)
    assert found.difference.mean == pytest.approx((0.5 - 5.0) / 6)
    assert found.outcome == paired.BETTER


# Of 600 samples without any difference, those that may be called decided: the level's
# share, and three standard deviations of that count.
# Without the widening, 15 % of five units' would be.
@pytest.mark.parametrize(
    ("n_units", "confidence", "most"), [(5, 0.95, 46), (5, 0.995, 9), (12, 0.95, 46)]
)
@pytest.mark.long
def test_chance_is_decided_as_rarely_as_the_level_says(n_units, confidence, most, rng):
    decided = 0
    for _ in range(600):
        interval = paired.bootstrap_mean(
            rng.standard_normal(n_units), confidence=confidence
        )
        decided += not interval.low <= 0 <= interval.high
    assert decided <= most


def test_the_interval_of_a_statistic_stays_within_its_bounds(rng):
    values = np.array([0.9, 0.95, 1.0, 1.0, 1.0])
    resampled = paired.resample_mean(values)
    free = resampled.interval(confidence=0.995)
    bound = resampled.interval(confidence=0.995, bounds=(0.0, 1.0))
    assert free.high > 1.0 and bound.high == 1.0
    assert bound.low == free.low < bound.mean


def test_five_clips_of_few_recordings_are_enough_for_an_interval():
    found = run(np.zeros(5), -np.arange(10, 15), ["a", "b", "a", "b", "a"])
    assert (found.unit, found.n_units) == ("clip", 5)
    assert found.difference.high < 0


ROUNDING = 1e-9  # relative; a product of matrices adds in another order than a loop


def test_intervals_of_means_are_scipys(rng):
    """Up to the widening of few units, which twelve normal values do not need much."""
    values = rng.normal(0, 1, 12)
    theirs = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=paired.N_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(paired.SEED),
    )
    ours = paired.resample_mean(values)
    tails = [0.025, 0.975]
    ends = theirs.confidence_interval
    assert np.quantile(ours.values, tails) == pytest.approx(list(ends), rel=ROUNDING)
    assert np.std(ours.values, ddof=1) == pytest.approx(
        theirs.standard_error, rel=ROUNDING
    )


def test_counts_are_the_draws_of_units():
    counts = paired.draw_counts(7)
    assert counts.shape == (paired.N_RESAMPLES, 7)
    assert set(counts.sum(axis=1)) == {7}
    draws = np.random.default_rng(paired.SEED).integers(7, size=(3, 7))
    expected = [np.bincount(draw, minlength=7) for draw in draws]
    assert np.array_equal(counts[:3], expected)
    assert not counts.flags.writeable  # every metric of a report shares them


def test_results_do_not_depend_on_the_hour(rng):
    base = rng.normal(5, 1, 12)
    assert run(base, base - 1) == run(base, base - 1)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="number of clips"):
        run(np.zeros(3), np.zeros(4))


# --- exactly at the limits ---


@pytest.mark.parametrize(
    ("low", "mean", "high", "outcome"),
    [
        (-2.0, -1.0, -0.5, "better"),
        (-2.0, -1.0, 0.0, "not decided"),  # zero is in it
        (0.0, 1.0, 2.0, "not decided"),
        (0.5, 1.0, 2.0, "worse"),
        (-1.0, 0.5, 2.0, "not decided"),
    ],
)
def test_an_interval_decides_when_zero_is_not_in_it(low, mean, high, outcome):
    interval = paired.Interval(mean, low, high)
    found, reason = paired.decide(
        interval, np.array([[mean]]), unit="recording", n_units=9
    )
    assert found == outcome
    assert (reason == "the interval includes zero") == (outcome == paired.UNDECIDED)


@pytest.mark.parametrize("by_seed", [[-1.0, 0.0], [-3.0, 1.0], [-1.0, -1.0, 0.5]])
def test_every_pair_of_seeds_must_have_the_sign(by_seed):
    interval = paired.Interval(-1.0, -2.0, -0.5)
    assert paired.decide(interval, np.array(by_seed), unit="recording", n_units=9) == (
        paired.UNDECIDED,
        "the seeds disagree",
    )


def test_every_seed_is_compared_with_every_other():
    """Two trainings of each: 1 and 4 against 2 and 9; the pair 4 and 2 has no sign."""
    baseline = np.repeat([[2.0], [9.0]], 6, axis=1)
    candidate = np.repeat([[1.0], [4.0]], 6, axis=1)
    found = run(baseline, candidate)
    assert found.difference == paired.Interval(-3.0, -3.0, -3.0)
    assert found.reason == "the seeds disagree"
    candidate[1] = 1.5
    assert run(baseline, candidate).outcome == paired.BETTER


def test_an_interval_is_as_wide_as_student_s_t_by_hand():
    """Five units, a bootstrap's error of 2: 2.776 * 2 * sqrt(5 / 4) = 6.208."""
    narrow = paired.Interval(1.0, 0.5, 1.5)
    wide = paired._widen(narrow, standard_error=2.0, n_units=5, confidence=0.95)
    assert (wide.low, wide.high) == pytest.approx((1.0 - 6.208, 1.0 + 6.208), abs=1e-3)
    # 4.604 at 99 % and four degrees of freedom.
    wide = paired._widen(narrow, standard_error=2.0, n_units=5, confidence=0.99)
    assert wide.high == pytest.approx(1.0 + 4.604 * 2.0 * math.sqrt(1.25), abs=1e-2)
    # What resampling says is never made narrower.
    far = paired.Interval(1.0, -9.0, 9.0)
    assert paired._widen(far, standard_error=2.0, n_units=5, confidence=0.95) == far


@pytest.mark.parametrize(
    ("confidence", "low", "high"), [(0.95, 25.0, 975.0), (0.9, 50.0, 950.0)]
)
def test_an_interval_ends_at_percentiles_where_they_lie_beyond_student_s_t(
    confidence, low, high
):
    """Of 0 to 1000, whose deviation of 289 reaches 567 at most from 0 or from 1000."""
    values = np.arange(1001.0)
    for whole, end in ((0.0, high), (1000.0, low)):
        resampled = paired.Resampled(whole, values, n_units=10**6)
        found = resampled.interval(confidence=confidence)
        assert (found.high if whole == 0.0 else found.low) == pytest.approx(end)


def test_an_interval_of_two_resamples_by_hand():
    """-1 and 1 deviate by sqrt(2) (n - 1); t of 5 units 2.776, and sqrt(5 / 4)."""
    resampled = paired.Resampled(0.0, np.array([-1.0, math.nan, 1.0]), n_units=5)
    reach = 2.7764 * math.sqrt(2.0) * math.sqrt(1.25)
    found = dataclasses.astuple(resampled.interval())
    assert found == pytest.approx((0.0, -reach, reach), abs=1e-3)


def test_what_nothing_determines_has_no_interval():
    unknown = paired.resample(5, lambda counts: np.full(len(counts), math.nan))
    for resampled in (unknown, paired.resample_mean(np.zeros(0))):
        assert np.isnan(dataclasses.astuple(resampled.interval())).all()


def test_the_deciding_interval_has_the_level_of_bonferroni(rng):
    values = rng.normal(size=8)
    found = run(np.zeros(8), values, n_tests=10)
    resampled = paired.resample_mean(values)
    for interval, level in ((found.difference, 0.95), (found.simultaneous, 0.995)):
        expected = dataclasses.astuple(resampled.interval(confidence=level))
        assert dataclasses.astuple(interval) == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize(
    ("owners", "unit", "units"),
    [
        ("abcd", "recording", [0.0, 1.0, 2.0, 3.0]),  # four clips are too few as well
        ("aabcd", "clip", [0.0, 1.0, 2.0, 3.0, 4.0]),
        ("aabcde", "recording", [0.5, 2.0, 3.0, 4.0, 5.0]),
    ],
)
def test_five_recordings_are_units_and_fewer_are_not(owners, unit, units):
    assert paired.unit_of(list(owners)) == unit
    values = np.arange(len(owners), dtype=float)
    assert paired.pair_units(values, list(owners), unit=unit).tolist() == units


def test_the_unit_is_the_report_s_where_a_metric_is_missing():
    """Four of six recordings are left, of ten clips each: too few, and no 40 clips."""
    owners = [f"r{i}" for i in range(6) for _ in range(10)]
    base = np.where(np.arange(60) < 20, math.nan, 5.0)
    found = run(base, np.full(60, 4.0), owners)
    assert (found.unit, found.n_units, found.n_clips) == ("recording", 4, 40)
    assert found.reason == "only 4 recordings; 5 needed"
    assert math.isnan(found.difference.low) and found.difference.mean == -1.0


def test_shares_are_of_clips_and_effects_of_recordings():
    """Units -1, -2, -3, -4, -5: mean -3, deviation sqrt(2.5) (n - 1)."""
    owners = list("aaabcde")
    differences = np.array([0.0, 0.0, -3.0, -2.0, -3.0, -4.0, -5.0])
    found = run(np.zeros(7), differences, owners)
    assert found.share_better == 5 / 7  # equal is not better
    assert found.effect_size == pytest.approx(-3.0 / math.sqrt(2.5))
    assert run(np.zeros(2), [1.0, 3.0]).effect_size == pytest.approx(math.sqrt(2.0))
    alone = run(np.zeros(1), [-1.0])
    assert math.isnan(alone.effect_size) and alone.share_better == 1.0


def test_four_units_have_no_interval_and_five_have():
    for n_units, has_interval in ((4, False), (5, True)):
        found = run(np.zeros(n_units), -np.ones(n_units))
        assert math.isfinite(found.difference.low) == has_interval
        outcome = paired.BETTER if has_interval else paired.UNDECIDED
        assert found.outcome == outcome
