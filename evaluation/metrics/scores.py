"""A score is a number, or NaN with the reason why there is none.

Silence has no pitch error and a single frame has no movement; writing 0 there would
call them perfect. Such scores are counted as skipped in every aggregate.
"""

import collections
import math
from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple


class Score(NamedTuple):
    """One measured number.

    Attributes:
        value: The number; NaN where it cannot be measured.
        reason: Why it cannot be measured; empty for a number.
    """

    value: float
    reason: str = ""


def missing(reason: str) -> Score:
    """A score that cannot be measured, and why."""
    return Score(math.nan, reason)


def guarded(value: float, *, reason: str = "the result is not finite") -> Score:
    """A score of `value`, or a missing one when it is not finite."""
    return Score(float(value)) if math.isfinite(value) else missing(reason)


def to_json(scores: Mapping[str, Score]) -> dict[str, dict]:
    """Splits scores into `values` (null where missing) and `reasons`."""
    return {
        "values": {
            key: float(score.value) if math.isfinite(score.value) else None
            for key, score in scores.items()
        },
        "reasons": {key: score.reason for key, score in scores.items() if score.reason},
    }


def count_reasons(reasons: Iterable[str]) -> dict[str, int]:
    """How often each reason occurs, the most frequent first."""
    counts = collections.Counter(reasons)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
