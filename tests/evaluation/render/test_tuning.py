"""The tuning of a performance and the semitones of its notes, by hand."""

import numpy as np
import pytest

from evaluation.render import tuning


@pytest.mark.parametrize("offset", [-0.4, -0.1, 0.0, 0.25, 0.45])
def test_a_tuning_is_the_mean_on_the_circle_of_a_semitone(offset):
    """0.4 below and 0.6 above are the same; their plain mean is another."""
    notes = np.array([60.0, 62.0, 64.0]) + offset
    assert tuning.estimate_tuning(notes) == pytest.approx(offset)
    around = np.concatenate([notes - 0.2, notes + 0.2])
    assert tuning.estimate_tuning(around) == pytest.approx(offset)


@pytest.mark.parametrize(
    ("pitches", "counts", "expected"),
    [
        ([60.0], [0], 0.0),
        ([60.3], [3], 0.0),  # one note may be sharp or flat
        # So may one that sways, also from 60.3 to 60.6, on both sides of a half.
        ([60.3, 60.6], [10, 10], 0.0),
        ([60.15, 60.45], [10, 10], 0.0),
        # Two notes, a little less than a semitone apart.
        ([60.35, 61.15], [10, 10], 0.25),
        # A second note counts if more than a tenth is above it, or below.
        ([60.25, 62.25], [91, 9], 0.0),
        ([60.25, 62.25], [89, 11], 0.25),
        ([58.25, 60.25], [10, 90], 0.0),
        ([58.25, 60.25], [11, 89], 0.25),
        # Opposite sides of the circle: 10 of 96 agree, and 10 of 102.
        ([60.25, 62.25, 61.75], [26, 27, 43], 0.25),
        ([60.25, 62.25, 61.75], [28, 28, 46], 0.0),
        (np.arange(60.0, 64.0, 0.1), 1, 0.0),  # a glide agrees on none
    ],
    ids=str,
)
def test_one_note_and_pitches_that_disagree_tell_no_tuning(pitches, counts, expected):
    found = tuning.estimate_tuning(np.repeat(pitches, counts))
    assert found == pytest.approx(expected, abs=1e-9)


def hold(*pitches):
    return tuning.hold_semitones(np.array(pitches)).tolist()


@pytest.mark.parametrize("before", [[], [50.0] * 5], ids=["first", "second"])
def test_a_note_lasts_until_its_pitch_leaves_the_mean_by_a_third_of_a_semitone(before):
    """60.15 and 60.45 are 60.3, from which 60.64 lies 0.34: their median is 60."""
    assert hold(*before, 60.15, 60.45, 60.64) == [*before, 60.0, 60.0, 60.0]
    assert hold(*before, 60.15, 60.45, 60.66) == [*before, 60.0, 60.0, 61.0]
    assert hold(*before, 60.85, 60.55, 60.36) == [*before, 61.0, 61.0, 61.0]
    assert hold(*before, 60.85, 60.55, 60.34) == [*before, 61.0, 61.0, 60.0]
    assert hold(*before, 0.25, 0.60) == [*before, 0.0, 0.0]  # just 0.35


def test_a_note_s_semitone_is_that_of_its_median():
    """The mean of 60.4, three times, and twice 60.7 is 60.52."""
    low, high = [60.4, 60.4, 60.4, 60.7, 60.7], [63.6, 63.6, 63.6, 63.3, 63.3]
    assert hold(*low, *high, *low) == [60.0] * 5 + [64.0] * 5 + [60.0] * 5
    assert hold(60.6) == [61.0]
