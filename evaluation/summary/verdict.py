"""The verdict in words, for somebody who plays the instrument and reads no tables."""

import math

from evaluation.collapse_index import index as collapse_index
from evaluation.metrics import catalogue
from evaluation.summary import configurations
from evaluation.summary import index_intervals
from evaluation.summary import paired
from evaluation.summary import verdict_pairs
from prep import checked_json

KINDS = {
    "frozen": "its timbre hardly moves",
    "narrow": "it plays hardly more than one harmonic",
    "flat": "its level hardly follows the playing",
    "noisy": "noise has taken over from the tone",
    "silent": "it plays far too softly or not at all",
}
LACKS = {
    "frozen": "movement of its timbre",
    "narrow": "harmonics",
    "flat": "dynamics",
    "noisy": "tone, against its noise",
    "silent": "level",
}
# A run is young while doubling its steps still lowers its loss by so much: the best
# held-out loss of the second half of training against that of the first. A rate that
# falls to zero flattens the end of every curve, so the last steps alone say nothing.
LATE_SHARE = 0.5
STILL_LEARNING = 0.02
SINGLE_TRAINING = (
    "Each system was trained once: nothing here says how much another training of it "
    "would differ."
)
N_NAMED_BINDINGS = 2  # bindings that a note names; more are counted
COVERED = 0.1  # of the index below the threshold: so much less is lost to the ear


def write(summary: checked_json.Json) -> checked_json.Json:
    """Puts a summary into sentences.

    Args:
        summary: The document so far: systems, comparisons, gates.

    Returns:
        `headline`, one sentence; `compared`, another where there is one candidate;
        `collapsed`, systems of which a training has collapsed; `collapsed_runs` and
        `unjudged_runs`, trainings that have collapsed or have no index;
        `systems`, a state, a sentence and notes for each;
        `comparisons`, sentences for each candidate; `caution`, what limits all of it;
        `single_training`, what one training of each system leaves open.
    """
    # Each system by itself, then beside the baseline.
    told = {
        system["name"]: {
            **describe_system(system, summary["runs"]),
            "notes": [
                *describe_doubts(system, summary["runs"]),
                *(note for run in system["runs"] for note in _run_notes(summary, run)),
            ],
        }
        for system in summary["systems"]
    }
    pairs = {
        pair["candidate"]: verdict_pairs.describe_pair(pair)
        for pair in summary["comparisons"]
    }
    # The headline is about the candidates, or the baseline where it is alone.
    candidates = [s for s in summary["systems"] if not s["is_baseline"]]
    subjects = candidates or summary["systems"]
    return {
        "headline": _headline(subjects, summary["runs"]),
        "compared": verdict_pairs.compare_plainly(summary["comparisons"]),
        "collapsed": [s["name"] for s in summary["systems"] if has_collapsed(s)],
        "collapsed_runs": [r for s in summary["systems"] for r in collapsed_runs(s)],
        "unjudged_runs": [r for s in summary["systems"] for r in unjudged_runs(s)],
        "systems": told,
        "comparisons": pairs,
        "caution": _caution(summary),
        "single_training": ""
        if is_of_audio(summary)
        or any(len(system["runs"]) > 1 for system in summary["systems"])
        else SINGLE_TRAINING,
    }


def is_of_audio(summary: checked_json.Json) -> bool:
    """Returns whether systems are judged by their audio, without controls."""
    return summary.get("index_key") == catalogue.HEARD_INDEX.key


def has_collapsed(system: checked_json.Json) -> bool:
    """Returns whether a system has collapsed: on average, or in one of its trainings.

    A mean over trainings would hide one that collapsed behind one that did not.
    """
    on_average = system["index"]["point_state"] == index_intervals.COLLAPSED
    return on_average or bool(collapsed_runs(system))


def collapsed_runs(system: checked_json.Json) -> list[str]:
    """The trainings of a system whose own index says collapsed."""
    by_run = system["index"]["by_run"].items()
    return [
        name
        for name, value in by_run
        if _is_number(value) and value >= collapse_index.THRESHOLD
    ]


def unjudged_runs(system: checked_json.Json) -> list[str]:
    """The trainings of a system that have no index."""
    by_run = system["index"]["by_run"].items()
    return [name for name, value in by_run if not _is_number(value)]


def _run_notes(summary: checked_json.Json, run: str) -> list[str]:
    """Returns what is known of a run's files: delay, level, missing ends."""
    return list(summary["runs"][run].get("notes", []))


def _headline(subjects: list[checked_json.Json], runs: checked_json.Json) -> str:
    """One sentence over all candidates."""
    if len(subjects) == 1:
        return describe_system(subjects[0], runs)["sentence"]
    states = {s["name"]: describe_system(s, runs)["state"] for s in subjects}
    collapsed = [
        name if state == "collapsed" else f"{name} ({_qualifiers(state)})"
        for name, state in states.items()
        if "collapsed" in state
    ]
    unjudged = [name for name, state in states.items() if state == "unknown"]
    if len(unjudged) == len(subjects):
        return f"None of {len(subjects)} candidates could be judged."
    rest = f"; {', '.join(unjudged)} could not be judged." if unjudged else "."
    if not collapsed:
        return f"None of {len(subjects)} candidates has collapsed{rest}"
    names = ", ".join(collapsed)
    verb = "has" if len(collapsed) == 1 else "have"
    count = f"{len(collapsed)} of {len(subjects)} candidates"
    return f"{count} {verb} collapsed: {names}{rest}"


def _qualifiers(state: str) -> str:
    """Returns what a state says beside "collapsed": "probably", "so far" or both."""
    return " ".join(state.replace("collapsed", "").split())


def describe_system(
    system: checked_json.Json, runs: checked_json.Json
) -> dict[str, str]:
    """A system's state and a sentence; what is still learning has collapsed so far.

    Where the mean is healthy and one of several trainings is not, it has partly
    collapsed.
    """
    index = system["index"]
    value = index["interval"]["mean"]
    name = system["name"]
    # Healthy on average, collapsed in some trainings.
    lost = collapsed_runs(system)
    if lost and index["point_state"] != index_intervals.COLLAPSED:
        share = f"{len(lost)} of {len(system['runs'])} trainings"
        sentence = f"{name} has collapsed in {share}: {', '.join(lost)}."
        return {"state": "partly collapsed", "sentence": sentence}
    if value is None or math.isnan(value):
        return {"state": "unknown", "sentence": f"{name} could not be judged."}
    # Certain when the interval lies on the side of the mean.
    certain = index["state"] == index["point_state"]
    doubt = "" if certain else "probably "
    if index["point_state"] != index_intervals.COLLAPSED:
        sentence = f"{name} has {doubt}not collapsed."
        return {"state": f"{doubt}healthy", "sentence": sentence}
    what = _listed([KINDS[kind] for kind in _lost_kinds(index)])
    if _fall_of(system, runs) < STILL_LEARNING:
        sentence = f"{name} has {doubt}collapsed: {what}."
        return {"state": f"{doubt}collapsed", "sentence": sentence}
    sentence = f"{name} has {doubt}collapsed so far, but was still learning: {what}."
    return {"state": f"{doubt}collapsed so far", "sentence": sentence}


def _listed(words: list[str]) -> str:
    """Words as a sentence lists them: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _lost_kinds(index: checked_json.Json) -> list[str]:
    """The kinds of collapse beyond the threshold, the worst first; at least one."""
    severities = {
        kind: value for kind, value in index["severities"].items() if _is_number(value)
    }
    order = sorted(severities, key=lambda kind: severities[kind], reverse=True)
    lost = [k for k in order if severities[k] >= collapse_index.THRESHOLD]
    return lost or [index["kind"]]


def describe_doubts(system: checked_json.Json, runs: checked_json.Json) -> list[str]:
    """Lists what weakens a system's verdict."""
    notes = describe_trainings(system, runs)
    heard = system["metrics"]["heard_collapse_index"]["mean"]
    collapsed = system["index"]["point_state"] == index_intervals.COLLAPSED
    covered = _is_number(heard) and heard < collapse_index.THRESHOLD - COVERED
    if collapsed and covered:
        notes.append(
            f"As heard the index is only {heard:.2f}: a reverb or the noise makes up "
            "for what the controls have lost."
        )
    fall = _fall_of(system, runs)
    if fall >= STILL_LEARNING:
        notes.append(
            f"Still learning: the second half of its training lowered its loss by "
            f"{fall:.0%}, so training longer may change this."
        )
    if collapsed:
        notes += _describe_early_choices(system, runs)
    return notes


def describe_trainings(system: checked_json.Json, runs: checked_json.Json) -> list[str]:
    """Describes a system that was trained several times."""
    names = system["runs"]
    if len(names) == 1:
        return []
    each = [
        f"{name} {value:.2f}" if _is_number(value) else name
        for name, value in system["index"]["by_run"].items()
    ]
    notes = [f"Mean of {len(names)} trainings: {', '.join(each)}."]
    # What the mean hides: collapsed and unjudged trainings.
    lost, unjudged = collapsed_runs(system), unjudged_runs(system)
    if lost and system["index"]["point_state"] == index_intervals.COLLAPSED:
        notes.append(
            f"{len(lost)} of {len(names)} trainings collapsed: {', '.join(lost)}."
        )
    if unjudged:
        notes.append(
            f"{len(unjudged)} of {len(names)} trainings could not be judged: "
            f"{', '.join(unjudged)}."
        )
    # Trainings that differ in more than the seed are no repetitions.
    bindings = configurations.beyond_the_seed(runs, names)
    if bindings:
        few = len(bindings) <= N_NAMED_BINDINGS
        shown = ", ".join(bindings) if few else f"{len(bindings)} settings"
        notes.append(
            f"Its trainings differ in more than the seed ({shown}, see Runs): the mean "
            "mixes different configurations."
        )
    return notes


def _describe_early_choices(
    system: checked_json.Json, runs: checked_json.Json
) -> list[str]:
    """A note on runs whose judged checkpoint is of the first half of training."""
    curve = "held_out/spectral_distance"
    steps = [
        (runs[name]["step"], max(runs[name]["training"][curve]["steps"]))
        for name in system["runs"]
        if curve in runs[name]["training"]
    ]
    early = [f"step {at} of {last}" for at, last in steps if at <= LATE_SHARE * last]
    if not early:
        return []
    return [
        f"Judged is the checkpoint of {_listed(early)}. The loss that chooses one asks "
        "little of dynamics: --checkpoint=last judges the newest."
    ]


def _fall_of(system: checked_json.Json, runs: checked_json.Json) -> float:
    """The largest late fall of a system's runs; 0 where none is known."""
    falls = [late_fall(runs[name]["training"]) for name in system["runs"]]
    return max((fall for fall in falls if _is_number(fall)), default=0.0)


def late_fall(training: checked_json.Json) -> float:
    """Share by which the second half of training lowered the best held-out loss."""
    curve = training.get("held_out/spectral_distance")
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


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def strangers(summary: checked_json.Json) -> list[str]:
    """The runs that were not trained on the dataset that they are judged on."""
    if is_of_audio(summary):
        return []
    # A run names its dataset by the plan's hash, or by its folder where it has none.
    dataset = summary["dataset"]
    names = (dataset["plan_hash"], dataset["data_dir"])
    runs = summary["runs"].items()
    return [name for name, run in runs if run["plan_hash"] not in names]


def _caution(summary: checked_json.Json) -> str:
    """Lists what limits the conclusions."""
    found = [_describe_few(summary)]
    others = strangers(summary)
    if others:
        were, they = ("was", "it") if len(others) == 1 else ("were", "they")
        found.append(
            f"{', '.join(others)} {were} not trained on this dataset: whether {they} "
            "heard these recordings in training is not known."
        )
    return " ".join(filter(None, found))


def _describe_few(summary: checked_json.Json) -> str:
    """Says that there is little to judge by; empty where there is enough."""
    n_recordings = summary["n_recordings"]
    if summary["unit"] == "clip":
        return (
            f"Only {n_recordings} recording{'s' if n_recordings > 1 else ''} to judge "
            "by: intervals are over clips and speak about these recordings only."
        )
    n_clips = summary["n_clips"]
    if summary["n_units"] < paired.MIN_UNITS:
        return (
            f"Only {n_clips} clip{'s' if n_clips > 1 else ''} of {n_recordings} "
            f"recording{'s' if n_recordings > 1 else ''} to judge by: too few for any "
            "interval, so nothing is decided."
        )
    n_units = min(system["index"]["n_units"] for system in summary["systems"])
    if n_units < paired.MIN_UNITS:
        return (
            f"Only {n_units} of {n_recordings} recordings sound long enough to judge "
            "collapse by: too few for an interval of the index."
        )
    return ""
