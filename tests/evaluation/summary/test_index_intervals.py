"""The index of systems: which units, which runs, which scale, which side."""

import dataclasses
import math

import numpy as np
import pytest

from evaluation.collapse_index import index as collapse_index
from evaluation.collapse_index import sums as index_sums
from evaluation.summary import index_intervals
from evaluation.summary import paired
from tests.helpers import score_tables

ROUNDING = 1e-9  # relative; a product of matrices adds in another order than a loop
FIVE = [(f"r{i}", {"a": 1.0, "b": 1.0}) for i in range(5)]
HEARD = "heard_collapse_index"


@pytest.mark.parametrize("n_recordings", [5, 9])
def test_the_index_of_resamples_is_that_of_a_loop_over_them(n_recordings, rng):
    """Every resample added up and judged by itself gives the same index."""
    systems = {"stage1": (5.0, 0.5), "stage1-seed1": (5.0, 0.9)}
    table = score_tables.make_table(systems, rng, n_recordings=n_recordings, spread=0.4)
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


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (0.5, 0.6, index_intervals.COLLAPSED),  # from 0.5 on
        (0.4999, 0.6, index_intervals.OPEN),
        (0.4, 0.5, index_intervals.OPEN),
        (0.4, 0.4999, index_intervals.HEALTHY),
        (math.nan, math.nan, index_intervals.OPEN),
    ],
)
def test_a_state_is_the_side_of_the_threshold(low, high, state):
    assert index_intervals.state_of(low, high) == state


def test_a_state_needs_every_interval_on_its_side():
    low, high = paired.Interval(0.2, 0.1, 0.3), paired.Interval(0.8, 0.7, 0.9)
    agreed = index_intervals.agreed
    assert agreed([low, low]) == index_intervals.HEALTHY
    assert agreed([high, high]) == index_intervals.COLLAPSED
    assert agreed([low, high]) == index_intervals.OPEN


def two_trainings(lost_a, lost_b):
    return score_tables.exact_table(
        [(f"r{i}", {"x-seed0": 1.0, "x-seed1": 1.0}) for i in range(5)],
        lost={"x-seed0": [lost_a] * 5, "x-seed1": [lost_b] * 5},
    )


def test_the_index_of_several_trainings_is_the_mean_of_theirs():
    """Movement lost by 0.55, the midpoint, reads 0.5, and by 0 reads 0: mean 0.25.

    Of both trainings' clips together 0.275 would be lost, which reads 0.25 too; of 1
    and 0 half is lost, which reads 0.4545, and the mean is 0.5.
    """
    index = index_intervals.system_index(two_trainings(0.55, 0.0), "x")
    assert index.interval.mean == pytest.approx(0.25)
    index = index_intervals.system_index(two_trainings(1.0, 0.0), "x")
    assert index.interval.mean == pytest.approx(0.5)
    assert index.by_run == pytest.approx({"x-seed0": 1.0, "x-seed1": 0.0})
    assert index.severities["frozen"] == pytest.approx(0.5)
    assert index.components["frozen"] == pytest.approx(0.5)
    assert index.kind == "frozen"
    assert index.state == index_intervals.OPEN  # one of them is healthy
    assert (index.unit, index.n_units) == ("recording", 5)


def test_the_heard_index_has_sums_and_a_scale_of_its_own():
    """0.54 of the tone lost is its midpoint of "noisy"; the controls' is at 0.5."""
    table = score_tables.exact_table(
        FIVE,
        lost={"a": [0.0] * 5, "b": [0.0] * 5},
        heard={"a": [0.54] * 5, "b": [0.0] * 5},
    )
    heard = index_intervals.system_index(table, "a", HEARD)
    assert heard.interval.mean == pytest.approx(0.5) and heard.kind == "noisy"
    assert index_intervals.system_index(table, "a").interval.mean == 0.0
    compared = index_intervals.compare_index(table, "a", "b", n_tests=1, key=HEARD)
    assert compared.difference.mean == pytest.approx(-0.5)  # candidate minus baseline
    assert (compared.outcome, compared.reason) == (paired.BETTER, "")
    means = (compared.baseline_mean, compared.candidate_mean)
    assert means == pytest.approx((0.5, 0.0))
    # Clips have no value of their own here, but sums, which count.
    assert (compared.unit, compared.n_units) == ("recording", 5)
    assert (compared.n_clips, compared.n_skipped) == (5, 0)


def test_an_interval_of_the_index_stays_between_0_and_1():
    table = score_tables.exact_table(
        FIVE, lost={"a": [0.9, 1.0, 1.0, 1.0, 1.0], "b": [0.1, 0.0, 0.0, 0.0, 0.0]}
    )
    high, low = (index_intervals.system_index(table, name).interval for name in "ab")
    assert high.high == 1.0 and high.low < high.mean
    assert low.low == 0.0 and low.high > low.mean


def test_recordings_are_resampled_with_all_their_clips():
    """One recording of six, with 10 of the 15 clips, has lost all its movement."""
    clips = [("a", {"x": 1.0})] * 10 + [(name, {"x": 1.0}) for name in "bcdef"]
    lost = {"x": [1.0] * 10 + [0.0] * 5}
    index = index_intervals.system_index(
        score_tables.exact_table(clips, lost=lost), "x"
    )
    assert index.components["frozen"] == pytest.approx(2 / 3)
    # Left out of a resample in a third of the cases, it takes the whole index along.
    assert (index.interval.low, index.interval.high) == (0.0, 1.0)
    assert index.n_units == 6


@pytest.mark.parametrize(
    ("n_saying", "end"), [(0, math.nan), (1, math.nan), (4, math.nan), (5, 0.9)]
)
def test_recordings_that_say_nothing_make_no_interval(n_saying, end):
    """Of six: the rest have no frame that sounds, and nothing to lose."""
    table = score_tables.exact_table(
        [(f"r{i}", {"a": 1.0, "b": 1.0}) for i in range(6)],
        lost={"a": [0.91] * 6, "b": [0.0] * 6},
    )
    for row in table.rows[n_saying:]:
        for run in ("a", "b"):
            row["runs"][run]["sums"] = dict.fromkeys(row["runs"][run]["sums"], 0.0)
    found = index_intervals.system_index(table, "a")
    assert found.interval.low == pytest.approx(end, nan_ok=True)
    assert (found.n_units, found.unit) == (n_saying, "recording")
    compared = index_intervals.compare_index(table, "a", "b", n_tests=1)
    assert compared.difference.high == pytest.approx(-end, nan_ok=True)
    assert (compared.n_units, compared.outcome == paired.BETTER) == (
        n_saying,
        n_saying == 5,
    )


def test_short_recordings_count_in_the_index_and_in_no_interval():
    """Six of 5 frames: 30 determine an index, no recording does by itself."""
    table = score_tables.exact_table(
        [(f"r{i}", {"a": 1.0}) for i in range(6)], lost={"a": [0.55] * 6}
    )
    for row in table.rows:
        sums = row["runs"]["a"]["sums"]
        row["runs"]["a"]["sums"] = {key: value / 20 for key, value in sums.items()}
    found = index_intervals.system_index(table, "a")
    assert found.interval.mean == pytest.approx(0.5) and found.n_units == 0
    assert math.isnan(found.interval.low) and found.state == index_intervals.OPEN


def test_the_level_of_several_tests_is_bonferroni_s(rng):
    table = score_tables.make_table({"a": (5.0, 0.4), "b": (5.0, 0.3)}, rng, spread=0.2)
    one, ten = (
        index_intervals.compare_index(table, "a", "b", n_tests=n) for n in (1, 10)
    )
    assert one.simultaneous == one.difference == ten.difference
    first, second = (index_intervals._RunSums(table, name) for name in "ab")
    resampled = paired.resample(10, lambda c: second.indices(c) - first.indices(c))
    expected = dataclasses.astuple(resampled.interval(confidence=0.995))
    assert dataclasses.astuple(ten.simultaneous) == pytest.approx(
        expected, rel=ROUNDING
    )


def test_an_index_that_changes_sign_between_seeds_is_not_decided():
    """0.25 against 0 and 0.4, whose mean of 0.2 is surely less."""
    table = score_tables.exact_table(
        [(f"r{i}", {"a": 1.0, "x-seed0": 1.0, "x-seed1": 1.0}) for i in range(5)],
        lost={"a": [0.275] * 5, "x-seed0": [0.0] * 5, "x-seed1": [0.44] * 5},
    )
    compared = index_intervals.compare_index(table, "a", "x", n_tests=1)
    assert compared.difference.high == pytest.approx(-0.05)
    assert (compared.outcome, compared.reason) == ("not decided", "the seeds disagree")
