"""What a dataset holds: pitch, loudness, confidence, voicing, for statistics.json.

Every frame that stands in an example counts once, transposed copies not at all. Pitch
is in MIDI note numbers (69 = 440 Hz, 1 = a semitone) and counts voiced frames only.
Sums and fine histograms are kept, not frames: memory is flat in the dataset's size, and
a quantile is exact to half a bin (`_PITCH`, `_LOUDNESS`, `_CONFIDENCE`).
"""

import collections
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from prep import pitch
from prep import plan as plan_lib
from prep import plan_text
from prep import splits
from prep import stages

A4_HZ = 440.0
A4_MIDI = 69
N_QUANTILES = 101  # 0 %, 1 %, ..., 100 %
LOW_VOICED_SHARE = 0.5  # of a recording's loud frames; below, it is called doubtful
NOISY_FLOOR_DB = -20.0  # dB under the loudest moment; a higher floor ...
NOISY_CONFIDENCE = 0.7  # ... and a lower median confidence call a recording noisy
_DIGITS = 4  # after the point, in the file


@dataclasses.dataclass(frozen=True)
class _Grid:
    """Bins of a histogram: fine for quantiles, every `coarse`-th border for a plot."""

    low: float
    high: float
    n_bins: int
    coarse: int

    @property
    def step(self) -> float:
        return (self.high - self.low) / self.n_bins


# 2 cents; semitones with the note in the middle
_PITCH = _Grid(low=-0.5, high=131.5, n_bins=132 * 50, coarse=50)
_LOUDNESS = _Grid(low=-80.0, high=40.0, n_bins=2400, coarse=40)  # 0.05 dB; 2 dB
_CONFIDENCE = _Grid(low=0.0, high=1.0, n_bins=1000, coarse=50)  # 0.001; 0.05


class Distribution:
    """Sums, extremes and a fine histogram of values that come in pieces."""

    def __init__(self, grid: _Grid):
        """Starts empty.

        Args:
            grid: Bins; values outside count into the outermost.
        """
        self._grid = grid
        self._counts = np.zeros(grid.n_bins, np.int64)
        self._sum = self._sum_squares = 0.0
        self._min, self._max = np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        """Counts finite values, shape [n]."""
        if not len(values):
            return
        values = values.astype(np.float64)
        bins = ((values - self._grid.low) / self._grid.step).astype(np.int64)
        bins = np.clip(bins, 0, self._grid.n_bins - 1)
        self._counts += np.bincount(bins, minlength=self._grid.n_bins)
        self._sum += float(values.sum())
        self._sum_squares += float(np.square(values).sum())
        self._min = min(self._min, float(values.min()))
        self._max = max(self._max, float(values.max()))

    @property
    def n(self) -> int:
        """How many values were counted."""
        return int(self._counts.sum())

    def quantile(self, share: np.ndarray | float) -> np.ndarray:
        """Values below which `share` of all lie; within half a bin."""
        grid = self._grid
        filled = np.flatnonzero(self._counts)
        after = np.cumsum(self._counts[filled]) / max(self.n, 1)
        before = np.concatenate([[0.0], after[:-1]])
        # Values lie evenly within a bin; between two bins the quantile jumps.
        reached = np.stack([before, after], axis=1).ravel()
        left = grid.low + grid.step * filled
        borders = np.stack([left, left + grid.step], axis=1).ravel()
        values = np.interp(share, reached, borders)
        return np.clip(values, self._min, self._max)

    def summary(self) -> dict[str, Any] | None:
        """For JSON; None if there were no values."""
        if not self.n:
            return None
        mean = self._sum / self.n
        variance = max(0.0, self._sum_squares / self.n - mean**2)
        quantiles = self.quantile(np.linspace(0, 1, N_QUANTILES))
        return {
            "n": self.n,
            "mean": round(mean, _DIGITS),
            "std": round(variance**0.5, _DIGITS),
            "min": round(self._min, _DIGITS),
            "max": round(self._max, _DIGITS),
            "quantiles": np.round(quantiles, _DIGITS).tolist(),
        }

    def histogram(self) -> dict[str, Any]:
        """Counts in coarse bins: `low`, `step`, `counts`."""
        grid = self._grid
        counts = self._counts.reshape(-1, grid.coarse).sum(axis=1)
        return {
            "low": grid.low,
            "step": round(grid.step * grid.coarse, _DIGITS),
            "counts": counts.tolist(),
        }


class _Tally:
    """The distributions of one recording, or of all."""

    def __init__(self) -> None:
        self.pitch_midi = Distribution(_PITCH)
        self.loudness_db = Distribution(_LOUDNESS)
        self.loudness_db_voiced = Distribution(_LOUDNESS)
        self.f0_confidence = Distribution(_CONFIDENCE)
        self.confidence_loud = Distribution(_CONFIDENCE)

    def add(self, features: np.ndarray, plan: plan_lib.Plan) -> None:
        f0_hz, f0_confidence, loudness_db = features
        settings = plan.settings
        voiced = pitch.voiced(
            f0_confidence,
            loudness_db,
            min_confidence=settings.voiced_confidence,
            min_loudness_db=settings.voiced_loudness_db,
        )
        self.pitch_midi.add(hz_to_midi(f0_hz[voiced]))
        self.loudness_db.add(loudness_db)
        self.loudness_db_voiced.add(loudness_db[voiced])
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
    starts: dict[tuple[int, str], list[int]] = collections.defaultdict(list)
    for shard in plan.shards:
        for source, start in shard.examples:
            if plan.sources[source].cents == 0:
                starts[source, shard.split].append(start)
    length = plan.settings.example_frames
    for (source, split), found in sorted(starts.items()):
        spans: list[tuple[int, int]] = []
        for start in sorted(found):
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], start + length)
            else:
                spans.append((start, start + length))
        yield source, split, spans


def measure(job: stages.Job) -> dict[str, Any]:
    """Measures a dataset whose features are all computed.

    Args:
        job: Of the dataset.

    Returns:
        For statistics.json; the same dataset gives the same values.
    """
    plan = job.plan
    whole = _Tally()
    by_split = {split: _Tally() for split in plan.split_names()}
    by_recording: dict[int, _Tally] = collections.defaultdict(_Tally)
    split_of: dict[int, list[str]] = collections.defaultdict(list)
    for source, split, spans in _used_frames(plan):
        recording = plan.sources[source].recording
        split_of[recording].append(split)
        for begin, end in spans:
            for features in _pieces(job, source, begin=begin, end=end):
                for tally in (whole, by_split[split], by_recording[recording]):
                    tally.add(features, plan)
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
        "recordings": [
            _describe_recording(plan, index, tally, split_of[index])
            for index, tally in sorted(by_recording.items())
        ],
        "inputs": {
            "found": plan.n_found,
            "used": len(plan.recordings),
            "seconds_left_out": round(
                sum(r.numbers["seconds"] for r in plan.rejections if r.part != "all"), 3
            ),
        },
    }


def _pieces(
    job: stages.Job, source: int, *, begin: int, end: int
) -> Iterator[np.ndarray]:
    """Features of frames [begin, end) in pieces of a minute, shape [3, n]."""
    step = 60 * job.plan.settings.frame_rate
    for start in range(begin, end, step):
        yield stages.read_features(
            job, source, start=start, n_frames=min(step, end - start)
        )


def _describe(tally: _Tally, plan: plan_lib.Plan) -> dict[str, Any]:
    return {
        "seconds": round(tally.loudness_db.n / plan.settings.frame_rate, 3),
        "voiced_share": round(tally.voiced_share, _DIGITS),
        "pitch_midi": tally.pitch_midi.summary(),
        "loudness_db": tally.loudness_db.summary(),
        "loudness_db_voiced": tally.loudness_db_voiced.summary(),
        "f0_confidence": tally.f0_confidence.summary(),
    }


def _describe_recording(
    plan: plan_lib.Plan, index: int, tally: _Tally, found_in: list[str]
) -> dict[str, Any]:
    recording = plan.recordings[index]

    def middle(distribution: Distribution) -> float | None:
        if not distribution.n:
            return None
        return round(float(distribution.quantile(0.5)), _DIGITS)

    confidence = middle(tally.confidence_loud)
    notes = list(recording.notes)
    if tally.pitch_midi.n < LOW_VOICED_SHARE * tally.confidence_loud.n:
        notes.append("little of it has a clear pitch: noisy, polyphonic or unpitched?")
    floor_db = recording.floor_loudness_db - recording.max_loudness_db
    if floor_db > NOISY_FLOOR_DB and (confidence or 0.0) < NOISY_CONFIDENCE:
        notes.append(f"noisy: its floor is {-floor_db:.0f} dB below its loudest moment")
    return {
        "recording_id": recording.recording_id,
        "name": plan_text.show_name(recording.name),
        "splits": sorted(set(found_in), key=[splits.TRAIN, splits.EVAL].index),
        "seconds": round(recording.secs, 3),
        "seconds_used": round(tally.loudness_db.n / plan.settings.frame_rate, 3),
        "sample_rate": recording.in_rate,
        "channels": recording.channels,
        "codec": recording.codec,
        "voiced_share": round(tally.voiced_share, _DIGITS),
        "median_pitch_midi": middle(tally.pitch_midi),
        "median_confidence": confidence,
        "median_loudness_db": middle(tally.loudness_db),
        "max_loudness_db": round(recording.max_loudness_db, 2),
        "floor_loudness_db": round(recording.floor_loudness_db, 2),
        "peak": round(recording.peak, _DIGITS),
        "offset": round(recording.offset, 6),
        "clipped_share": round(recording.clipped_share, 6),
        "silent_share": round(recording.silent_share, _DIGITS),
        "notes": notes,
    }


def note_name(midi: float) -> str:
    """The nearest note, such as A4 for 69."""
    names = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    nearest = round(midi)
    return f"{names[nearest % 12]}{nearest // 12 - 1}"


def summarize(statistics: dict[str, Any]) -> list[str]:
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
        lines.append(f"{len(doubtful)} recordings carry a note, see dataset.html")
    return lines
