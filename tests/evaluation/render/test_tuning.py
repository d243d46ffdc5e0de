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
    "pitches",
    [
        [],
        [60.3, 60.3, 60.3],  # one note may be sharp or flat
        np.arange(60.0, 64.0, 0.1),  # a glide agrees on none
    ],
    ids=["nothing", "one note", "glide"],
)
def test_what_tells_no_tuning_is_taken_for_concert_pitch(pitches):
    assert tuning.estimate_tuning(np.array(pitches)) == 0.0


def test_a_note_lasts_until_its_pitch_leaves_the_mean_by_a_third_of_a_semitone():
    """60.3 and then 60.6: 0.3 from the mean, the same note. 60.7 begins another."""
    hold = lambda *pitches: tuning.hold_semitones(np.array(pitches)).tolist()
    assert hold(60.3, 60.3, 60.6) == [60.0, 60.0, 60.0]
    assert hold(60.3, 60.3, 60.7) == [60.0, 60.0, 61.0]
    # The mean goes along: 60.0 and 60.3 are 60.15, from which 60.49 lies 0.34.
    assert hold(60.0, 60.3, 60.49) == [60.0, 60.0, 60.0]
    assert hold(60.0, 60.3, 60.51) == [60.0, 60.0, 61.0]


def test_a_note_s_semitone_is_that_of_its_median():
    assert tuning.hold_semitones(np.array([60.4, 60.4, 60.7, 60.7, 60.7])).tolist() == (
        [61.0] * 5
    )
    assert tuning.hold_semitones(np.zeros(0)).size == 0
