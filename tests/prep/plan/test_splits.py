"""Who evaluates: choices worked by hand, ties and borders among them."""

import pytest

from prep import settings as settings_lib
from prep.plan import splits

HZ = (50, 90, 99, 200, 201, None)  # what has no pitch stands behind the highest


@pytest.mark.parametrize(
    ("secs", "fraction", "wanted"),
    [
        # 3 of 10 s are wanted. a brings 2; b more than half; c the third; d too much.
        ({"d": 2, "c": 1, "b": 5, "a": 2}, 0.3, {"a", "c"}),
        # a is 1 s below; b would be 2 s above, c comes there.
        ({"a": 2, "b": 3, "c": 1, "d": 4}, 0.3, {"a", "c"}),
        # A tie, 2 or 4 of 3 s: the fewer.
        ({"a": 2, "b": 2, "c": 6}, 0.3, {"a"}),
        # Half of the seconds may evaluate, not more.
        ({"a": 5, "b": 5}, 0.5, {"a"}),
        ({"a": 5.25, "b": 4.75}, 0.5, {"b"}),
        # One always does, however long.
        ({"a": 3600, "b": 300}, 0.1, {"b"}),
        ({f"{i:02x}": 10 for i in range(40)}, 0.1, {"00", "01", "02", "03"}),
    ],
)
def test_recordings_are_taken_while_that_brings_the_share_nearer(
    secs, fraction, wanted
):
    assert splits.choose_eval(secs, fraction) == wanted


@pytest.mark.parametrize(
    ("by_pitch", "fraction", "wanted"),
    [
        # One group, 1.02 of 3 s: the first by id, not by pitch.
        ([("c", 1), ("b", 1), ("a", 1)], 0.34, {"a"}),
        # 3.24 of 12 s in recordings of 2 s, rounded to two groups: one of each, the
        # first by id.
        ([(one, 2) for one in "dabfce"], 0.27, {"a", "c"}),
        # Recordings of 2 s in the middle, 5.5 of 11 s: three groups, into which the
        # recordings' middles fall: e | c b | a d. e (3 of 1.5 s wanted) is a tie and
        # stays; b and c fill the 3 s of two groups; a, 6 of 5.5 s, comes nearest.
        ([("e", 3), ("c", 2), ("b", 1), ("a", 3), ("d", 2)], 0.5, {"a", "b", "c"}),
        # Nothing comes near 0.3 of 11 s: the shortest, then the first by id.
        ([("a", 9), ("c", 1), ("b", 1)], 0.03, {"b"}),
    ],
)
def test_groups_of_the_compass_give_in_turn(by_pitch, fraction, wanted):
    hz = dict(zip((one for one, _ in by_pitch), HZ, strict=False))
    secs = dict(reversed(by_pitch))
    assert splits.choose_eval_by_pitch(secs, hz, fraction) == wanted


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("rough_hz", [None, 200.0])
def test_two_recordings_give_one_to_each_split(fraction, rough_hz):
    secs = {"a": 1.0, "b": 1.0}
    rough = dict.fromkeys(secs, rough_hz)
    assert len(splits.choose_eval_by_pitch(secs, rough, fraction)) == 1


@pytest.mark.parametrize(
    ("begin", "end", "fraction", "train", "held"),
    [
        (0, 30000, 0.1, (0, 26000), (27000, 30000)),
        (500, 30500, 0.1, (500, 26500), (27500, 30500)),
        (0, 3000, 0.1, (0, 1000), (2000, 3000)),  # one example each, and the gap
        (0, 3100, 0.5, (0, 1000), (2000, 3100)),  # training keeps one
        (0, 15007, 0.1, (0, 12506), (13506, 15007)),  # 1500.7 frames are rounded
    ],
)
def test_only_recording_is_split_in_time_with_a_gap(begin, end, fraction, train, held):
    found = splits.split_in_time(begin, end, example_frames=1000, fraction=fraction)
    assert found == (train, held)


def test_too_short_to_be_split_says_what_helps():
    with pytest.raises(settings_lib.PrepError, match=r"2\.90 example.*--eval_input"):
        splits.split_in_time(100, 3000, example_frames=1000, fraction=0.1)
    with pytest.raises(settings_lib.PrepError, match=r"1\.00 example"):
        splits.split_in_time(0, 1000, example_frames=1000, fraction=0.1)
