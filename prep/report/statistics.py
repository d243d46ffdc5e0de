"""What a dataset holds: pitch, loudness, confidence, voicing, for statistics.json.

Every frame that stands in an example counts once, transposed copies not at all. Pitch
is in MIDI note numbers (69 = 440 Hz, 1 = a semitone) and counts voiced frames only.
Sums and fine histograms are kept, not frames: memory is flat in the dataset's size, and
a quantile is exact to half a bin (`prep.report.distribution`).
"""

import collections
import itertools
from collections.abc import Iterator

import numpy as np

from prep import checked_json
from prep import errors
from prep.beam import steps
from prep.pitch import tracker
from prep.plan import plan as plan_lib
from prep.plan import splits
from prep.plan import text
from prep.report import distribution

A4_HZ = 440.0
A4_MIDI = 69
LOW_VOICED_SHARE = 0.5  # of a recording's loud frames; below, it is called doubtful
NOISY_SHARE = 0.05  # of a recording's frames without pitch, from which they are judged
NOISY_DB = 20.0  # dB under the pitched ones; frames without pitch should be fainter
_DIGITS = distribution.DIGITS


class _Distributions:
    """The distributions of one recording, or of all."""

    def __init__(self) -> None:
        self.pitch_midi = distribution.Distribution(distribution.PITCH)
        self.loudness_db = distribution.Distribution(distribution.LOUDNESS)
        self.loudness_db_voiced = distribution.Distribution(distribution.LOUDNESS)
        self.loudness_db_unvoiced = distribution.Distribution(distribution.LOUDNESS)
        self.f0_confidence = distribution.Distribution(distribution.CONFIDENCE)
        self.confidence_loud = distribution.Distribution(distribution.CONFIDENCE)

    def add(self, features: np.ndarray, plan: plan_lib.Plan) -> None:
        f0_hz, f0_confidence, loudness_db = features
        settings = plan.settings
        voiced = tracker.voiced(
            f0_confidence,
            loudness_db,
            min_confidence=settings.voiced_confidence,
            min_loudness_db=settings.voiced_loudness_db,
        )
        self.pitch_midi.add(hz_to_midi(f0_hz[voiced]))
        self.loudness_db.add(loudness_db)
        self.loudness_db_voiced.add(loudness_db[voiced])
        self.loudness_db_unvoiced.add(loudness_db[~voiced])
        self.f0_confidence.add(f0_confidence)
        self.confidence_loud.add(
            f0_confidence[loudness_db >= settings.voiced_loudness_db]
        )

    @property
    def voiced_share(self) -> float:
        return self.pitch_midi.n / max(self.loudness_db.n, 1)


def hz_to_midi(f0_hz: np.ndarray) -> np.ndarray:
    """Hz, above 0, to MIDI note numbers."""
    return A4_MIDI + 12.0 * np.log2(np.maximum(f0_hz, 1e-3) / A4_HZ)


def _used_frames(
    plan: plan_lib.Plan,
) -> Iterator[tuple[int, str, list[tuple[int, int]]]]:
    """(source, split, frames as [begin, end)) that examples hold, copies left out."""
    used: dict[tuple[int, str], list[tuple[int, int]]] = collections.defaultdict(list)
    for shard in plan.shards:
        for example in plan.examples_of(shard):
            for span in example.spans if example.cents == 0 else ():
                # The frame that --framing=ddsp_center has more does not count.
                n_frames = min(span.n_frames, plan.settings.example_frames - span.at)
                used[span.source, shard.split].append(
                    (span.first, span.first + n_frames)
                )
    for (source, split), found in sorted(used.items()):
        joined: list[tuple[int, int]] = []
        for begin, end in sorted(found):
            if joined and begin <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((begin, end))
        yield source, split, joined


def measure(job: steps.Job) -> checked_json.Json:
    """Measures a dataset whose features are all computed.

    Args:
        job: Of the dataset.

    Returns:
        For statistics.json; the same dataset gives the same values.
    """
    plan = job.plan
    whole = _Distributions()
    by_split = {split: _Distributions() for split in plan.split_names()}
    rows: list[checked_json.Json] = []
    # One recording after another: its tally is 0.13 MB and is not kept.
    by_recording = itertools.groupby(
        _used_frames(plan), key=lambda used: plan.sources[used[0]].recording
    )
    for _, used in by_recording:
        own, found_in = _Distributions(), []
        for source, split, spans in used:
            found_in.append(split)
            for begin, end in spans:
                for features in _pieces(job, source, begin=begin, end=end):
                    for tally in (whole, by_split[split], own):
                        tally.add(features, plan)
        rows.append(_describe_recording(plan, source, own, found_in))
    return {
        "schema_version": plan_lib.SCHEMA_VERSION,
        "plan_hash": plan.hash,
        "voiced_confidence": plan.settings.voiced_confidence,
        "voiced_loudness_db": plan.settings.voiced_loudness_db,
        **_describe(whole, plan),
        "splits": {split: _describe(t, plan) for split, t in by_split.items()},
        "histograms": {
            "pitch_midi": whole.pitch_midi.histogram(),
            "loudness_db": whole.loudness_db.histogram(),
            "f0_confidence": whole.f0_confidence.histogram(),
        },
        "recordings": rows,
        "inputs": {
            "found": plan.n_found,
            "used": len(plan.recordings),
            "seconds_left_out": round(
                sum(r.numbers["seconds"] for r in plan.rejections if r.part != "all"), 3
            ),
        },
    }


def _pieces(
    job: steps.Job, source: int, *, begin: int, end: int
) -> Iterator[np.ndarray]:
    """Features of frames [begin, end) in pieces of a minute, shape [3, n]."""
    step = 60 * job.plan.settings.frame_rate
    for start in range(begin, end, step):
        yield steps.read_features(
            job, source, start=start, n_frames=min(step, end - start)
        )


def _describe(tally: _Distributions, plan: plan_lib.Plan) -> checked_json.Json:
    return {
        "seconds": round(tally.loudness_db.n / plan.settings.frame_rate, 3),
        "voiced_share": round(tally.voiced_share, _DIGITS),
        "pitch_midi": tally.pitch_midi.summary(),
        "loudness_db": tally.loudness_db.summary(),
        "loudness_db_voiced": tally.loudness_db_voiced.summary(),
        "f0_confidence": tally.f0_confidence.summary(),
    }


def _describe_recording(
    plan: plan_lib.Plan, source: int, tally: _Distributions, found_in: list[str]
) -> checked_json.Json:
    recording, octaves = plan.recording_of(source), plan.sources[source].octaves
    return {
        "recording_id": recording.recording_id,
        "name": errors.printable(recording.name),
        "splits": sorted(set(found_in), key=[splits.TRAIN, splits.EVAL].index),
        "seconds": round(recording.secs, 3),
        "seconds_used": round(tally.loudness_db.n / plan.settings.frame_rate, 3),
        "sample_rate": recording.in_rate,
        "channels": recording.channels,
        "codec": recording.codec,
        "voiced_share": round(tally.voiced_share, _DIGITS),
        "median_pitch_midi": _median(tally.pitch_midi),
        "median_confidence": _median(tally.confidence_loud),
        "median_loudness_db": _median(tally.loudness_db),
        "median_loudness_db_unvoiced": _median(tally.loudness_db_unvoiced),
        "max_loudness_db": round(recording.max_loudness_db, 2),
        "floor_loudness_db": round(recording.floor_loudness_db, 2),
        "peak": round(recording.peak, _DIGITS),
        "offset": round(recording.offset, 6),
        "clipped_share": round(recording.clipped_share, 6),
        "silent_share": round(recording.silent_share, _DIGITS),
        "below_range_share": round(recording.below_range_share, _DIGITS),
        "above_range_share": round(recording.above_range_share, _DIGITS),
        "tracked_octaves": octaves,
        "notes": [*recording.notes, *_doubts(tally, octaves)],
    }


def _median(values: distribution.Distribution) -> float | None:
    if not values.n:
        return None
    return round(float(values.quantile(0.5)), _DIGITS)


def _doubts(tally: _Distributions, octaves: int) -> Iterator[str]:
    """Names what speaks against training on a recording, heard `octaves` higher."""
    if tally.pitch_midi.n < LOW_VOICED_SHARE * tally.confidence_loud.n:
        low, high = (
            tracker.cents_to_hz(
                tracker.FIRST_BIN_CENTS
                + tracker.CENTS_PER_BIN * np.array([0, tracker.N_BINS - 1])
            )
            / 2.0**octaves
        )
        yield (
            "little of it has a clear pitch: noise, several notes at once, or outside "
            f"the tracker's {low:.0f} to {high:.0f} Hz?"
        )
    elif tally.pitch_midi.n and (
        tally.loudness_db_unvoiced.n > NOISY_SHARE * tally.loudness_db.n
    ):
        pitched = float(tally.loudness_db_voiced.quantile(0.5))
        below = pitched - float(tally.loudness_db_unvoiced.quantile(0.5))
        if below < NOISY_DB:
            yield f"noisy: only {below:.0f} dB fainter where it has no pitch"


def note_name(midi: float) -> str:
    """The nearest note, such as A4 for 69."""
    names = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    nearest = round(midi)
    return f"{names[nearest % 12]}{nearest // 12 - 1}"


def summarize(statistics: checked_json.Json) -> list[str]:
    """Lines for a terminal."""
    loudness = statistics["loudness_db"]["quantiles"]
    line = f"voiced {statistics['voiced_share']:.0%}"
    if statistics["pitch_midi"]:
        pitches = statistics["pitch_midi"]["quantiles"]
        line += f", pitch {note_name(pitches[1])} to {note_name(pitches[99])}"
    line += f", loudness {loudness[5]:.0f} to {loudness[95]:.0f} dB"
    doubtful = [r for r in statistics["recordings"] if r["notes"]]
    lines = [line]
    if doubtful:
        found = text.show_count(len(doubtful), "recording")
        verb = "carries" if len(doubtful) == 1 else "carry"
        lines.append(f"{found} {verb} a note, see dataset.html")
    return lines
