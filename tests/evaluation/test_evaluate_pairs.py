"""What is said of files that lie or sound otherwise than their recordings."""

import math

import pytest

from evaluation import evaluate_pairs
from evaluation.pairs import alignment


def lying(*, delay=0.0, removed=False, gain=0.0, missing=0.0):
    return alignment.Alignment(
        delay_secs=delay,
        is_removed=removed,
        gain_db=gain,
        missing_secs=missing,
        extra_secs=0.0,
    )


def notes(*files, secs=100.0):
    named = {f"pair {number}": one for number, one in enumerate(files)}
    return evaluate_pairs.describe_alignment(named, secs=secs)


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ([0.99], ""),
        ([1.0], "1.0 dB louder"),
        ([-1.0], "1.0 dB softer"),
        ([0.0, 0.0, 9.0], ""),  # the median, not the mean
        ([math.nan, 2.0], "2.0 dB louder"),  # what is silent has no gain
        ([math.nan], ""),
    ],
)
def test_a_median_of_one_db_is_told(gains, said):
    found = notes(*(lying(gain=gain) for gain in gains))
    assert len(found) == bool(said)
    assert said in " ".join(found)


@pytest.mark.parametrize(
    ("delay", "removed", "said"),
    [
        (0.05, True, "not on time: 50 ms late"),
        (1 / 16000, True, "not on time: 0.06 ms late"),
        (0.1, False, ""),
        (0.101, False, "more than the 100 ms"),
        (-0.15, False, "more than the 100 ms"),
        (math.nan, False, ""),
    ],
)
def test_delays_are_told_removed_or_too_long(delay, removed, said):
    found = notes(lying(delay=delay, removed=removed))
    assert len(found) == bool(said)
    assert said in " ".join(found)


def test_missing_ends_are_told_where_they_are_more_than_a_share():
    share = evaluate_pairs.TOLD_MISSING
    ends = [lying(missing=50.0 * share), lying(missing=50.0 * share)]
    assert notes(*ends) == []
    (told,) = notes(*ends, lying(missing=0.1))
    assert f"{100 * share + 0.1:.1f} s of the recordings are missing" in told
