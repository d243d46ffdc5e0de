"""What is known of a recording when it has been looked at: usable, or why not."""

import dataclasses
from collections.abc import Sequence

import numpy as np

NORMALIZED_PEAK = 0.99  # of full scale, of recordings with --normalize=peak
QUIETEST_PEAK = 2.0 / 32768.0  # of full scale; up to it, 16 bits hold noise alone


def find_gain(peak: float, normalize: str) -> float:
    """Factor by which a recording is scaled; 1 for one that holds noise alone.

    Args:
        peak: Highest absolute value of its downmix.
        normalize: "peak" or "none".
    """
    if normalize != "peak" or peak <= QUIETEST_PEAK:
        return 1.0
    return NORMALIZED_PEAK / peak


@dataclasses.dataclass(frozen=True, slots=True)
class Rejection:
    """An input that is not used, whole or in part.

    Attributes:
        name: Of the recording.
        path: Where it is.
        part: "all", or which part, such as "0.00-1.25 s".
        reason: A sentence.
        numbers: What the reason is about, by name with unit.
        copy_of: Name of the recording that it is a copy of; "" for none. A copy is
            nothing to put right.
    """

    name: str
    path: str
    part: str
    reason: str
    numbers: dict[str, float]
    copy_of: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Recording:
    """A recording that can be used.

    Attributes:
        name: Unique, for people.
        path: Absolute.
        recording_id: Hash of the file's content, hexadecimal.
        n_bytes: Size of the file.
        in_rate: Samples/s in the file.
        n_in: Samples per channel that were decoded.
        channels: Number.
        codec: Container and coding, such as "WAV PCM_16" or "MOV AAC (FFmpeg)".
        peak: Highest absolute value of the downmix.
        offset: Mean of the downmix.
        clipped_share: Of all samples.
        silent_share: Of the length, below `min_loudness_db`.
        max_loudness_db: Of the loudest moment.
        floor_loudness_db: Loudness that is exceeded nine tenths of the time.
        notes: Things worth knowing; the recording is used all the same.
        used_channels: Places of the channels that are averaged; empty for all.
        below_range_share: Of the audible length, lower than the pitch tracker goes.
        above_range_share: Of the audible length, higher than the pitch tracker goes.
    """

    name: str
    path: str
    recording_id: str
    n_bytes: int
    in_rate: int
    n_in: int
    channels: int
    codec: str
    peak: float
    offset: float
    clipped_share: float
    silent_share: float
    max_loudness_db: float
    floor_loudness_db: float
    notes: tuple[str, ...]
    used_channels: tuple[int, ...] = ()
    below_range_share: float = 0.0
    above_range_share: float = 0.0

    @property
    def secs(self) -> float:
        """Length."""
        return self.n_in / self.in_rate


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """A recording that has been looked at.

    Attributes:
        recording: What is known of it.
        envelope: Loudness over time (`loudness.ENVELOPE_RATE`), dB, float32.
        pitch_hz: Of the audible windows, roughly, twice a second; Hz, 0 without a
            period (`prep.recordings.pitch_range`).
        audio_id: Hash of the decoded samples, hexadecimal; "" is like no other.
    """

    recording: Recording
    envelope: np.ndarray
    pitch_hz: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    audio_id: str = ""


def reject_duplicates(
    probes: Sequence[Probe | Rejection],
) -> tuple[list[Probe], list[Rejection]]:
    """Separates what can be used; the same content is used once.

    Two copies of a recording would count twice and could stand in both splits, also
    where they differ in format or tags but in no sample.
    """
    first: dict[str, str] = {}
    usable: list[Probe] = []
    rejections: list[Rejection] = []
    for probe in probes:
        if isinstance(probe, Rejection):
            rejections.append(probe)
            continue
        recording = probe.recording
        # The same samples at another rate are another recording.
        content = f"{probe.audio_id or recording.recording_id} {recording.in_rate}"
        original = first.get(content)
        if original is None:
            first[content] = recording.name
            usable.append(probe)
            continue
        rejections.append(
            Rejection(
                recording.name,
                recording.path,
                "all",
                f"the same content as {original}",
                {"seconds": round(recording.secs, 3)},
                copy_of=original,
            )
        )
    return usable, rejections
