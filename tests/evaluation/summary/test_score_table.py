"""Scores as a table: systems and their runs, missing values, means over recordings."""

import math

import numpy as np
import pytest

from evaluation.scoring import rows as rows_lib
from evaluation.summary import score_table
from tests.helpers import score_tables


def test_runs_that_differ_in_the_seed_are_one_system(rng):
    table = score_tables.make_table(
        {"stage2-seed0": (5.0, 0.1), "stage2-seed1": (5.1, 0.1), "gru": (6.0, 0.2)}, rng
    )
    assert table.systems == {"stage2": ["stage2-seed0", "stage2-seed1"], "gru": ["gru"]}
    assert table.badness("stage2", "spectral_loss").shape == (2, 10)


@pytest.mark.parametrize(
    ("run", "system"),
    [
        ("stage2-seed1", "stage2"),
        ("stage2_seed_12", "stage2"),
        ("stage2.seed3", "stage2"),
        ("stage2seed3", "stage2"),
        ("stage2-seed1-wide", "stage2-seed1-wide"),  # not at its end
        ("stage2-seed", "stage2-seed"),  # no number
        ("seed7", "seed7"),  # nothing is left
    ],
)
def test_a_system_is_its_run_without_the_seed(run, system):
    assert rows_lib.system_name(run) == system


def test_rows_of_different_evaluations_are_refused(rng):
    table = score_tables.make_table({"a": (1, 0), "b": (1, 0)}, rng)
    rows = table.rows
    del rows[3]["runs"]["b"]
    with pytest.raises(ValueError, match="different evaluations"):
        score_table.ScoreTable(rows)
    with pytest.raises(ValueError, match="no clip"):
        score_table.ScoreTable([])


def test_means_are_over_recordings_and_not_over_their_clips():
    """Five recordings, one with three clips: (4 + 1 + 1 + 1 + 1) / 5, not 16 / 7."""
    owners = ["a", "a", "a", "b", "c", "d", "e"]
    values = np.array([2.0, 4.0, 6.0, 1.0, 1.0, 1.0, 1.0])
    table = score_tables.exact_table([(name, {"run": 0.0}) for name in owners])
    assert table.mean(values) == pytest.approx(8 / 5)
    # A missing score leaves its clip out, and the recording's mean is of the others.
    values[0] = np.nan
    assert table.mean(values) == pytest.approx((5 + 1 + 1 + 1 + 1) / 5)
    assert math.isnan(table.mean(np.full(7, np.nan)))


def test_few_recordings_leave_their_clips_as_units():
    """Four recordings: five clips are five units, four clips four recordings."""
    five = score_tables.exact_table([(n, {"run": 0.0}) for n in "aabcd"])
    units, unit = five.units()
    assert unit == "clip" and [u.tolist() for u in units] == [[0], [1], [2], [3], [4]]
    four = score_tables.exact_table([(n, {"run": 0.0}) for n in "abcd"])
    assert four.units()[1] == "recording" and len(four.units()[0]) == 4
    many = score_tables.exact_table([(n, {"run": 0.0}) for n in "eabcda"])
    units, unit = many.units()
    assert unit == "recording"
    assert [u.tolist() for u in units] == [[1, 5], [2], [3], [4], [0]]


def test_sums_of_a_recording_are_those_of_its_clips():
    table = score_tables.exact_table(
        [(name, {"run": 0.0}) for name in "aabcde"],
        lost={"run": [0.25, 0.5, 0.0, 0.0, 0.0, 1.0]},
        heard={"run": [0.5, 0.0, 0.0, 0.0, 0.0, 0.0]},
    )
    sums = table.unit_sums("run")
    assert sums.est_movement.tolist() == [125.0, 100.0, 100.0, 100.0, 0.0]
    assert sums.n_pitched.tolist() == [200.0, 100.0, 100.0, 100.0, 100.0]
    heard = table.unit_sums("run", "heard_collapse_index")
    assert heard.est_noise.tolist() == [50.0, 0.0, 0.0, 0.0, 0.0]
    assert heard.est_movement.tolist() == [200.0, 100.0, 100.0, 100.0, 100.0]


def test_a_lone_clip_may_lack_scores_and_say_why():
    """One row: None is NaN, 0 is 0; a reason is empty where there is a score."""
    (row,) = score_tables.exact_table([("a", {"x": 0.0, "y": 1.0})]).rows
    row["runs"]["y"]["values"]["spectral_loss"] = None
    row["runs"]["y"]["reasons"]["spectral_loss"] = "too short"
    table = score_table.ScoreTable([row])
    assert table.values("x", "spectral_loss").tolist() == [0.0]
    assert np.isnan(table.values("y", "spectral_loss")).all()
    assert table.reason("x", "spectral_loss", 0) == ""
    assert table.reason("y", "spectral_loss", 0) == "too short"


@pytest.mark.parametrize(("place", "run"), [(0, "x"), (1, "y")])
def test_an_index_needs_the_sums_of_every_clip_and_run(place, run):
    table = score_tables.exact_table([("a", {"x": 0.0, "y": 0.0})] * 2)
    assert table.has_sums("collapse_index")
    del table.rows[place]["runs"][run][rows_lib.SUMS["collapse_index"]]
    assert not table.has_sums("collapse_index")
    assert table.has_sums("heard_collapse_index")
