import math

import numpy as np
import pytest
import scipy.stats

from evaluation.collapse_index import index as collapse_index
from evaluation.collapse_index import sums as index_sums
from evaluation.scoring import rows as rows_lib
from evaluation.summary import gates
from evaluation.summary import index_intervals
from evaluation.summary import paired
from evaluation.summary import score_table


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
    assert few.outcome == paired.UNDECIDED and "only 3" in few.reason
    assert math.isnan(few.difference.low) and few.difference.mean == -2.0


def test_missing_scores_are_skipped_in_pairs():
    base = np.array([1.0, np.nan, 1, 1, 1, 1, 1])
    candidate = np.array([0.5, 0.1, np.nan, 0.5, 0.5, 0.5, 0.5])
    found = run(base, candidate)
    assert (found.n_clips, found.n_skipped) == (5, 2)
    assert found.difference.mean == -0.5
    nothing = run(np.full(6, np.nan), candidate[:6])
    assert nothing.outcome == paired.UNDECIDED and "no clip" in nothing.reason


def test_equal_systems_are_not_decided():
    found = run(np.ones(9), np.ones(9))
    assert found.outcome == paired.UNDECIDED and found.difference.mean == 0.0
    assert math.isnan(found.effect_size)


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


def test_bootstrap_covers_the_truth(rng):
    hits = 0
    for _ in range(60):
        values = rng.normal(1.0, 1.0, 20)
        interval = paired.bootstrap_mean(values)
        hits += interval.low <= 1.0 <= interval.high
    assert hits >= 50  # 95 % nominal; percentile intervals of 20 reach about 92 %


# Of 600 samples without any difference, those that may be called decided: the level's
# share, and three standard deviations of that count.
@pytest.mark.parametrize("n_units", [5, 6, 8, 12])
@pytest.mark.parametrize(("confidence", "most"), [(0.95, 46), (0.995, 9)])
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


@pytest.mark.parametrize("n_recordings", [5, 9])
def test_the_index_of_resamples_is_that_of_a_loop_over_them(n_recordings, rng):
    """Every resample added up and judged by itself gives the same index."""
    systems = {"stage1": (5.0, 0.5), "stage1-seed1": (5.0, 0.9)}
    table = make_table(systems, rng, n_recordings=n_recordings, spread=0.4)
    runs = index_intervals._RunSums(table, "stage1")
    counts = paired.draw_counts(n_recordings)[:50].astype(float)
    found = runs.indices(counts)
    for row, value in zip(counts, found, strict=True):
        drawn = np.repeat(np.arange(n_recordings), row.astype(int))
        by_run = []
        for run in table.systems["stage1"]:
            clips = [
                index_sums.Sums(**table.rows[i]["runs"][run]["sums"]) for i in drawn
            ]
            by_run.append(collapse_index.judge(index_sums.add_sums(clips)).index)
        assert value == pytest.approx(np.mean(by_run), rel=ROUNDING)
    assert np.ptp(found) > 0.05


def test_results_do_not_depend_on_the_hour(rng):
    base = rng.normal(5, 1, 12)
    assert run(base, base - 1) == run(base, base - 1)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="number of clips"):
        run(np.zeros(3), np.zeros(4))


# --- gates ---

PRESENT = dict.fromkeys(
    ("n_pitched", "n_audible", "ref_movement", "ref_spread", "ref_power"), 100.0
)


def sums(severity, rng, wobble=0.0):
    """Sums of a clip whose distribution has lost `severity` of its movement."""
    kept = 100.0 * (1 - severity) * (1 + wobble + 0.02 * rng.standard_normal())
    return PRESENT | {
        "est_movement": kept,
        "est_spread": 100.0,
        "ref_noise": 1.0,
        "est_power": 100.0,
        "est_noise": 1.0,
        "presence": 100.0,
        "x": -2000.0,
        "y": -2000.0,
        "xx": 44000.0,
        "xy": 44000.0,
    }


def make_table(systems, rng, n_recordings=10, spread=0.0):
    """A table from `{name: (spectral loss, lost movement)}`; clips differ a lot.

    What is kept of the movement is larger by `spread` in one recording and smaller in
    the next.
    """
    difficulty = rng.normal(0, 1.0, n_recordings)
    rows = []
    for place in range(n_recordings):
        runs = {}
        for name, (loss, lost) in systems.items():
            value = loss + difficulty[place] + 0.03 * rng.standard_normal()
            runs[name] = {
                "values": {"spectral_loss": value, "collapse_index": lost},
                "reasons": {},
                "sums": sums(lost, rng, spread * (-1) ** place),
            }
        rows.append(
            {"recording_id": f"r{place}", "recording": {"values": {}}, "runs": runs}
        )
    return score_table.ScoreTable(rows)


def answers(systems, rng, **kwargs):
    return decide(make_table(systems, rng, **kwargs))


def decide(table):
    found = gates.decide_all(table, index_intervals.every_index(table))
    return {gate.key: gate for gate in found}


def test_gates_name_the_lowest_rung_that_is_as_good(rng):
    found = answers(
        {
            "stage5": (5.0, 0.1),
            "stage2": (5.02, 0.1),
            "stage1": (6.5, 0.2),
            "stage0": (9.0, 0.9),
        },
        rng,
    )
    assert found["lowest_rung"].answer == "stage2"
    assert found["stage1_resolves"].answer == gates.YES
    assert any("stage 0" in line for line in found["stage1_resolves"].evidence)
    assert found["transformer_benefit"].answer == gates.ABSENT


def test_a_collapsed_rung_is_never_as_good(rng):
    found = answers({"stage5": (5.0, 0.1), "stage1": (5.0, 0.9)}, rng)
    assert found["lowest_rung"].answer == "stage5"
    assert found["stage1_resolves"].answer == gates.NO


@pytest.mark.parametrize(
    ("transformer", "answer"),
    [((4.0, 0.1), gates.YES), ((5.0, 0.2), gates.NO), ((6.5, 0.2), gates.NO)],
)
def test_transformer_gate(transformer, answer, rng):
    found = answers({"stage1": (5.0, 0.2), "transformer": transformer}, rng)
    assert found["transformer_benefit"].answer == answer


def test_the_matched_pair_is_compared_where_it_was_run(rng):
    found = answers({"b_mlp": (5.0, 0.2), "c_transformer": (4.0, 0.1)}, rng)
    gate = found["transformer_benefit"]
    assert gate.answer == gates.YES
    assert "c_transformer minus b_mlp" in gate.evidence[0]


def test_gates_are_open_when_there_are_few_recordings(rng):
    found = answers({"stage5": (5.0, 0.1), "stage1": (5.0, 0.2)}, rng, n_recordings=3)
    assert found["lowest_rung"].answer == gates.OPEN
    assert found["stage1_resolves"].answer == gates.OPEN
    assert found["stage2_resolves"].answer == gates.ABSENT


def test_few_recordings_make_no_collapsed_rung_the_best(rng):
    """Its loss is lowest and it comes first; three recordings still decide nothing."""
    found = answers({"stage0": (4.9, 1.0), "stage1": (5.0, 0.1)}, rng, n_recordings=3)
    assert found["lowest_rung"].answer == gates.OPEN


def test_a_rung_that_has_probably_collapsed_is_neither_best_nor_as_good(rng):
    systems = {"stage1": (4.9, 0.6), "stage5": (5.0, 0.6)}
    found = answers(systems, rng, spread=0.4)["lowest_rung"]
    assert found.answer == gates.OPEN and "probably" in found.evidence[0]
    systems["stage5"] = (5.0, 0.1)
    found = answers(systems, rng, spread=0.4)["lowest_rung"]
    assert "Best: the paper's GRU" in found.evidence[0]
    assert "probably collapsed" in found.evidence[1]
    assert found.answer != "stage1"


def test_a_collapse_in_one_of_several_trainings_decides_nothing(rng):
    systems = {"stage1": (5.0, 0.1), "stage1-seed1": (5.0, 0.7), "stage5": (5.0, 0.1)}
    assert answers(systems, rng)["stage1_resolves"].answer == gates.OPEN
    systems["stage1-seed1"] = (5.0, 0.1)
    assert answers(systems, rng)["stage1_resolves"].answer == gates.YES


def test_a_training_that_may_have_collapsed_leaves_the_question_open(rng):
    """Its own interval holds the threshold; that of the mean does not."""
    systems = {"stage1": (5.0, 0.0), "stage1-seed1": (5.0, 0.45), "stage5": (5.0, 0.1)}
    table = make_table(systems, rng, spread=0.3)
    index = index_intervals.system_index(table, "stage1")
    assert index.interval.high < collapse_index.THRESHOLD
    assert max(index.by_run.values()) < collapse_index.THRESHOLD
    assert index.state == index_intervals.OPEN
    gate = decide(table)["stage1_resolves"]
    assert gate.answer == gates.OPEN
    assert "mean of stage1 0." in gate.evidence[0]
    assert ", stage1-seed1 0.4" in gate.evidence[0]


def test_rungs_are_found_by_name():
    names = ["stage1", "stage1-wide", "transformer_nosmooth", "mystage2", "stage55"]
    assert gates.find_rungs(names) == {
        "stage1": "stage1",
        "transformer": "transformer_nosmooth",
    }


# --- table ---


def test_runs_that_differ_in_the_seed_are_one_system(rng):
    table = make_table(
        {"stage2-seed0": (5.0, 0.1), "stage2-seed1": (5.1, 0.1), "gru": (6.0, 0.2)}, rng
    )
    assert table.systems == {"stage2": ["stage2-seed0", "stage2-seed1"], "gru": ["gru"]}
    assert table.badness("stage2", "spectral_loss").shape == (2, 10)
    assert rows_lib.system_name("seed7") == "seed7"


def test_rows_of_different_evaluations_are_refused(rng):
    table = make_table({"a": (1, 0), "b": (1, 0)}, rng)
    rows = table.rows
    del rows[3]["runs"]["b"]
    with pytest.raises(ValueError, match="different evaluations"):
        score_table.ScoreTable(rows)
    with pytest.raises(ValueError, match="no clip"):
        score_table.ScoreTable([])
