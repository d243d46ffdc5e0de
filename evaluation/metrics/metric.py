"""A metric's description, and a score: a number, or NaN with the reason for none.

Silence has no pitch error and a single frame has no movement; 0 there would call them
perfect. Such scores are missing, and every aggregate counts them as skipped.
"""

import collections
import dataclasses
import math
from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

LOWER = "lower"
HIGHER = "higher"
RECORDING = "recording"


@dataclasses.dataclass(frozen=True)
class Metric:
    """How one metric is named, read and judged.

    Attributes:
        key: Name in JSON.
        title: Name in tables.
        unit: Unit, empty for a pure number.
        better: `LOWER`, `HIGHER` or `RECORDING`.
        low: Smallest possible value.
        high: Largest possible value.
        healthy: Value of the healthy case of the tests, as docs/metrics.md shows it.
        collapsed: Value of the collapsed case and what it is, "0: flat".
        plain: What it says, in a sentence for a musician.
    """

    key: str
    title: str
    unit: str
    better: str
    low: float
    high: float
    healthy: str
    collapsed: str
    plain: str

    def badness(self, value: float, recording: float) -> float:
        """The value turned so that lower is better; NaN where it cannot be.

        Args:
            value: The system's.
            recording: The recording's own; ignored unless closeness to it counts.
        """
        if self.better == RECORDING:
            return abs(value - recording)
        return value if self.better == LOWER else -value


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
    """Counts each reason, the most frequent first, equally frequent ones by name."""
    counts = collections.Counter(reasons)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
