"""A candidate against the baseline in words: what a listener would notice."""

import dataclasses
import math

from evaluation.metrics import catalogue
from evaluation.summary import paired
from prep import checked_json


@dataclasses.dataclass(frozen=True)
class Told:
    """A score that a listener would notice.

    Attributes:
        key: The metric's.
        better: Sentence when the candidate is better, up to the numbers.
        worse: The same when it is worse.
        equal: The same when nobody would hear the difference.
        audible: Difference from which it is heard.
        decimals: Of the numbers.
    """

    key: str
    better: str
    worse: str
    equal: str
    audible: float
    decimals: int


# In the order in which they are told; of each, lower is better. Sources of what is
# heard: 5 cents is about the just noticeable difference of a sustained tone's pitch,
# 1 dB that of its level (Zwicker and Fastl, "Psychoacoustics", chapters 7 and 8). Any
# difference of the spectral loss is told; the comparison says whether it is decided.
TOLD = (
    Told(
        "spectral_loss",
        "Closer to the recording than the baseline: spectral loss",
        "Further from the recording than the baseline: spectral loss",
        "",
        0.0,
        2,
    ),
    Told(
        "loudness_distance",
        "Loudness nearer the recording's: off by",
        "Loudness further from the recording's: off by",
        "Loudness as near the recording's: off by",
        1.0,
        1,
    ),
    Told(
        "pitch_error_cents",
        "Better in tune: off by",
        "Less in tune: off by",
        "As well in tune: off by",
        5.0,
        1,
    ),
)


def compare_plainly(comparisons: list[checked_json.Json]) -> str:
    """Returns which of two comes closer to the recording; empty for more than two."""
    if len(comparisons) != 1:
        return ""
    baseline = comparisons[0]["baseline"]
    outcome = comparisons[0]["metrics"]["spectral_loss"]["outcome"]
    if outcome == paired.BETTER:
        return f"It sounds closer to the recording than {baseline}."
    if outcome == paired.WORSE:
        return f"It sounds further from the recording than {baseline}."
    return f"Whether it sounds closer to the recording than {baseline} is not decided."


def describe_pair(pair: checked_json.Json) -> list[str]:
    """Returns what a listener would notice between a candidate and the baseline."""
    sentences = []
    for told in TOLD:
        comparison = pair["metrics"][told.key]
        # Over the clips of both: each system's own mean may be over other clips.
        base, own = comparison["baseline_mean"], comparison["candidate_mean"]
        difference = comparison["difference"]["mean"]
        if not all(map(_is_number, (base, own, difference))) or difference == 0:
            continue
        sentences.append(_tell(told, comparison, own=own, base=base))
    return sentences


def _tell(told: Told, comparison: checked_json.Json, *, own: float, base: float) -> str:
    """One score of a pair as a sentence."""
    unit = catalogue.BY_KEY[told.key].unit
    digits = told.decimals
    numbers = f"{own:.{digits}f} against {base:.{digits}f} {unit}".rstrip()
    if abs(own - base) < told.audible:
        return f"{told.equal} {numbers}."
    what = told.better if comparison["difference"]["mean"] < 0 else told.worse
    doubt = ""
    if comparison["outcome"] == paired.UNDECIDED:
        doubt = f"; not decided, {comparison['reason']}"
    return f"{what} {numbers}{doubt}."


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
