"""The verdict in words, for somebody who plays the instrument and reads no tables."""

import math
from typing import Any

from evaluation import collapse_index
from evaluation import compare
from evaluation import index_statistics
from evaluation import metrics

KINDS = {
    "frozen": "its timbre hardly moves",
    "narrow": "it plays hardly more than one harmonic",
    "flat": "its level hardly follows the playing",
    "noisy": "noise has taken over from the tone",
    "silent": "it falls silent where the instrument sounds",
}
LEANINGS = {
    "frozen": "timbre moves least of what it should",
    "narrow": "too few harmonics",
    "flat": "dynamics are flatter than the recording's",
    "noisy": "more noise than the recording",
    "silent": "quieter than the recording",
}
LATE_SHARE = 0.8  # of the steps; what follows is the last fifth
STILL_LEARNING = 0.03  # fall of the loss in the last fifth that is worth a warning
# What a listener would notice first, in this order.
TOLD = (
    (
        "spectral_loss",
        "closer to the recording: spectral loss",
        "further from the recording: spectral loss",
    ),
    (
        "loudness_distance",
        "loudness nearer the recording's: off by",
        "loudness further from the recording's: off by",
    ),
    ("pitch_error_cents", "better in tune: off by", "less in tune: off by"),
)


def write(summary: dict[str, Any]) -> dict[str, Any]:
    """Puts a summary into sentences.

    Args:
        summary: The document so far: systems, comparisons, gates.

    Returns:
        `headline`, one sentence; `systems`, a state, a sentence and notes for each;
        `comparisons`, sentences for each candidate; `caution`, what limits all of it.
    """
    told = {
        system["name"]: {
            **describe_system(system, summary["runs"]),
            "notes": describe_doubts(system, summary["runs"]),
        }
        for system in summary["systems"]
    }
    pairs = {
        pair["candidate"]: describe_pair(pair, summary["systems"])
        for pair in summary["comparisons"]
    }
    candidates = [s for s in summary["systems"] if not s["is_baseline"]]
    subjects = candidates or summary["systems"]
    return {
        "headline": _headline(subjects, summary["runs"]),
        "collapsed": [
            system["name"]
            for system in summary["systems"]
            if system["index"]["point_state"] == index_statistics.COLLAPSED
        ],
        "systems": told,
        "comparisons": pairs,
        "caution": _caution(summary),
    }


def _headline(subjects: list[dict[str, Any]], runs: dict[str, Any]) -> str:
    """One sentence over all candidates."""
    collapsed = [
        s["name"]
        for s in subjects
        if s["index"]["point_state"] == index_statistics.COLLAPSED
    ]
    if len(subjects) == 1:
        return describe_system(subjects[0], runs)["sentence"]
    if not collapsed:
        return f"None of {len(subjects)} candidates has collapsed."
    names = ", ".join(collapsed)
    verb = "has" if len(collapsed) == 1 else "have"
    return f"{len(collapsed)} of {len(subjects)} candidates {verb} collapsed: {names}."


def describe_system(system: dict[str, Any], runs: dict[str, Any]) -> dict[str, str]:
    """A system's state and a sentence about it.

    A run whose loss still falls may yet find what its controls lack: it is said to
    have collapsed so far.
    """
    index = system["index"]
    value = index["interval"]["mean"]
    name = system["name"]
    if value is None or math.isnan(value):
        return {"state": "unknown", "sentence": f"{name} could not be judged."}
    certain = index["state"] == index["point_state"]
    if index["point_state"] == index_statistics.COLLAPSED:
        doubt = "" if certain else "probably "
        hope = " so far" if _fall_of(system, runs) >= STILL_LEARNING else ""
        sentence = f"{name} has {doubt}collapsed{hope}: {KINDS[index['kind']]}."
        state = f"{doubt}collapsed{hope}"
    else:
        sentence = f"{name} has {'not' if certain else 'probably not'} collapsed."
        state = "healthy" if certain else "probably healthy"
    return {"state": state, "sentence": sentence}


def describe_doubts(system: dict[str, Any], runs: dict[str, Any]) -> list[str]:
    """What a reader should know before believing a system's verdict."""
    notes = []
    heard = system["metrics"]["heard_collapse_index"]["mean"]
    collapsed = system["index"]["point_state"] == index_statistics.COLLAPSED
    if collapsed and _is_number(heard) and heard < collapse_index.THRESHOLD:
        notes.append(
            f"As heard the index is only {heard:.2f}: the trained reverb makes up for "
            "what the controls have lost."
        )
    fall = _fall_of(system, runs)
    if fall >= STILL_LEARNING:
        notes.append(
            f"Still learning: its loss fell by {fall:.0%} in the last fifth of "
            "training, so more steps may change this."
        )
    return notes


def _fall_of(system: dict[str, Any], runs: dict[str, Any]) -> float:
    """The largest late fall of a system's runs; 0 where none is known."""
    falls = [late_fall(runs[name]["training"]) for name in system["runs"]]
    return max((fall for fall in falls if _is_number(fall)), default=0.0)


def late_fall(training: dict[str, Any]) -> float:
    """Share by which the best held-out loss fell in the last fifth of training."""
    curve = training.get("held_out/spectral_loss")
    if not curve:
        return math.nan
    known = [
        (step, value)
        for step, value in zip(curve["steps"], curve["values"], strict=True)
        if value is not None
    ]
    border = LATE_SHARE * max((step for step, _ in known), default=0)
    early = [value for step, value in known if step <= border]
    if not early or len(early) == len(known):
        return math.nan
    return 1.0 - min(value for _, value in known) / min(early)


def describe_pair(pair: dict[str, Any], systems: list[dict[str, Any]]) -> list[str]:
    """What a listener would notice between a candidate and the baseline."""
    by_name = {system["name"]: system for system in systems}
    sentences = []
    for key, better, worse in TOLD:
        comparison = pair["metrics"][key]
        base = by_name[pair["baseline"]]["metrics"][key]["mean"]
        own = by_name[pair["candidate"]]["metrics"][key]["mean"]
        if not all(map(_is_number, (base, own, comparison["difference"]["mean"]))):
            continue
        if comparison["difference"]["mean"] == 0:
            continue
        unit = metrics.BY_KEY[key].unit
        numbers = f"{own:.3g} against {base:.3g} {unit}".rstrip()
        what = better if comparison["difference"]["mean"] < 0 else worse
        doubt = ""
        if comparison["outcome"] == compare.UNDECIDED:
            doubt = f"; not decided, {comparison['reason']}"
        sentences.append(f"{what[0].upper()}{what[1:]} {numbers}{doubt}.")
    return sentences


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _caution(summary: dict[str, Any]) -> str:
    """What limits the conclusions."""
    n_recordings = summary["n_recordings"]
    if summary["unit"] == "clip":
        return (
            f"Only {n_recordings} recording{'s' if n_recordings > 1 else ''} to judge "
            "by: intervals are over clips and speak about these recordings only."
        )
    if summary["n_units"] < compare.MIN_UNITS:
        return (
            f"Only {summary['n_clips']} clips of {n_recordings} "
            f"recording{'s' if n_recordings > 1 else ''} to judge by: too few for any "
            "interval, so nothing is decided."
        )
    return ""
