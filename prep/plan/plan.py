"""The plan: every example of the dataset and the shard it goes to, before any compute.

A plan is a function of the recordings' content and the settings. It is written to
`plan.json`; workers read it there, and a later run goes on where this one stopped if
its own plan has the same hash.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from prep import checked_json
from prep import features
from prep import settings as settings_lib
from prep.recordings import recording as recordings_lib

SCHEMA_VERSION = 1  # of plan.json and of cached features; rises when records change
DESCRIPTION_BYTES = 2e6  # about, of dataset.html and the JSON files
# Packages whose release can change a record's last bits.
_VERSIONED = (
    "crepe",
    "numpy",
    "scipy",
    "soundfile",
    "soxr",
    "tensorflow",
    "torchcrepe",
)
_FFMPEG_PACKAGE = "av"


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A recording, or a transposed copy of one, as the pipeline reads it.

    Attributes:
        recording: Index into the plan's recordings.
        cents: Transposition.
        n_samples: At the dataset's sample rate.
        n_samples_16k: At 16 kHz.
        n_frames: Of the whole, as `features.count_frames`.
        segments: Numbers of the segments that examples touch.
        excerpt: Frames [begin, end) of the recording, taken out and faded at both ends,
            for a short recording that stands among others; None for the recording as
            it is.
        octaves: By which the pitch tracker hears it higher, -1, 0 or 1
            (`prep.pitch.octaves`).
    """

    recording: int
    cents: float
    n_samples: int
    n_samples_16k: int
    n_frames: int
    segments: tuple[int, ...]
    excerpt: tuple[int, int] | None = None
    octaves: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Pack:
    """Short recordings of one split, one behind another, from which examples are cut.

    Attributes:
        pieces: (index of the source, frame of the pack where it begins), in order.
        n_frames: Of the whole, a rest at its end included.
    """

    pieces: tuple[tuple[int, int], ...]
    n_frames: int


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """Frames of a source and where they stand in an example.

    Attributes:
        source: Index of the source.
        first: First frame of the source.
        n_frames: Number of frames.
        at: Frame of the example where they begin.
    """

    source: int
    first: int
    n_frames: int
    at: int


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """What stands in one example.

    Attributes:
        recording_id: Of the recording or of the pack that it is cut from.
        start_secs: Where it begins in there, s.
        cents: Transposition.
        spans: Of the sources, in order; a rest between them is silence.
    """

    recording_id: str
    start_secs: float
    cents: float
    spans: tuple[Span, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Shard:
    """One file of records.

    Attributes:
        split: "train" or "eval".
        file_name: Within the dataset.
        examples: (track, first frame), in the order of the records. A track is the
            index of a source, or the number of sources plus the index of a pack.
    """

    split: str
    file_name: str
    examples: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Plan:
    """See the module.

    Attributes:
        settings: Of the dataset.
        tracker_id: Names the pitch tracker.
        recordings: Those that are used.
        sources: The recordings and their transposed copies.
        shards: All files of records.
        rejections: What is not used, whole or in part.
        n_found: Recordings that were looked at.
        seconds: Of audio in each split, overlaps counted once.
        versions: Of the packages that the records depend on.
        packs: Of short recordings.
    """

    settings: settings_lib.Settings
    tracker_id: str
    recordings: tuple[recordings_lib.Recording, ...]
    sources: tuple[Source, ...]
    shards: tuple[Shard, ...]
    rejections: tuple[recordings_lib.Rejection, ...]
    n_found: int
    seconds: dict[str, float]
    versions: dict[str, str]
    packs: tuple[Pack, ...] = ()

    def n_examples(self, split: str) -> int:
        """Number of examples in a split."""
        return sum(len(s.examples) for s in self.shards if s.split == split)

    def split_names(self) -> tuple[str, ...]:
        """Splits that have shards."""
        return tuple(dict.fromkeys(shard.split for shard in self.shards))

    def recording_of(self, source: int) -> recordings_lib.Recording:
        """The recording of a source."""
        return self.recordings[self.sources[source].recording]

    def source_id(self, source: int) -> str:
        """Names a source's audio: the same name, the same samples."""
        settings = self.settings
        recording = self.recording_of(source)
        cents, excerpt = self.sources[source].cents, self.sources[source].excerpt
        part = f"x{excerpt[0]}-{excerpt[1]}" if excerpt else ""
        used = "".join(f"c{place}" for place in recording.used_channels)
        name = f"{recording.recording_id}{cents:+g}{settings.normalize[:1]}"
        return f"{name}{part}{used}"

    def pack_of(self, track: int) -> Pack | None:
        """The pack that a track is; None for a source."""
        index = track - len(self.sources)
        return self.packs[index] if index >= 0 else None

    def recordings_in(self, track: int) -> list[recordings_lib.Recording]:
        """The recordings of a track, in order."""
        pack = self.pack_of(track)
        if pack is None:
            return [self.recording_of(track)]
        return [self.recording_of(source) for source, _ in pack.pieces]

    def track_id(self, track: int) -> str:
        """Names what a record says it is cut from.

        The id of the recording if it is one alone. For a pack a hash of those of its
        recordings: a recording is in no pack but its own, so what stands under two ids
        shares no recording, and statistics by id are statistics by recording.
        """
        ids = [recording.recording_id for recording in self.recordings_in(track)]
        return ids[0] if len(ids) == 1 else f"pack-{_hash(ids)[:16]}"

    def example(self, track: int, start: int) -> Example:
        """Describes the example of a track that begins at frame `start`."""
        length, pack = self.settings.feature_frames, self.pack_of(track)
        if pack is None:
            spans = [Span(track, start, length, 0)]
            cents = self.sources[track].cents
        else:
            spans = spans_of(pack, self.sources, start=start, n_frames=length)
            cents = self.sources[pack.pieces[0][0]].cents
        return Example(
            recording_id=self.track_id(track),
            start_secs=start / self.settings.frame_rate,
            cents=cents,
            spans=tuple(spans),
        )

    def examples_of(self, shard: Shard) -> Iterator[Example]:
        """Describes the examples of a shard, in order."""
        return (self.example(track, start) for track, start in shard.examples)

    def recordings_of(self, split: str) -> list[recordings_lib.Recording]:
        """The recordings of a split, by name."""
        used = {
            self.sources[span.source].recording
            for shard in self.shards
            if shard.split == split
            for example in self.examples_of(shard)
            for span in example.spans
        }
        return [self.recordings[index] for index in sorted(used)]

    def features_id(self, source: int) -> str:
        """Names a source's features in the cache: a hash of all they depend on."""
        shift = self.settings.framing == "ddsp_same"
        octaves = self.sources[source].octaves
        # What decoded another recording is nothing to this one.
        versions = dict(self.versions)
        if not _is_by_ffmpeg(self.recording_of(source)):
            versions.pop(_FFMPEG_PACKAGE, None)
        return _hash(
            [
                SCHEMA_VERSION,
                self.source_id(source),
                self.settings.frame_rate,
                "begin" if shift else "centre",
                self.sources[source].n_frames,
                features.SEGMENT_SECS,
                features.MARGIN_SECS,
                self.tracker_id,
                versions,
                # Of a recording as it is, the name that it always had.
                *([f"octaves{octaves:+d}"] if octaves else []),
            ]
        )

    @functools.cached_property
    def shards_by_segment(self) -> dict[tuple[int, int], list[int]]:
        """Shards, each under the first segment that it needs.

        A runner may give a step's elements to thousands of copies of the step.
        """
        listed: dict[tuple[int, int], list[int]] = {}
        for index, shard in enumerate(self.shards):
            listed.setdefault(min(self.segments_of(shard)), []).append(index)
        return listed

    def segments_of(self, shard: Shard) -> set[tuple[int, int]]:
        """(source, segment) pairs whose features a shard needs."""
        return {
            (span.source, segment)
            for example in self.examples_of(shard)
            for span in example.spans
            for segment in segments_at(span.first, span.n_frames, self.settings)
        }

    def source_secs(self, source: int) -> list[float]:
        """Audio of each of a source's segments whose pitch is needed, s."""
        rate = self.settings.frame_rate
        per_segment = features.SEGMENT_SECS * rate
        n_frames, segments = (
            self.sources[source].n_frames,
            self.sources[source].segments,
        )
        return [min(per_segment, n_frames - s * per_segment) / rate for s in segments]

    @property
    def segment_secs(self) -> float:
        """Audio whose pitch is to be tracked, s."""
        return sum(sum(self.source_secs(index)) for index in range(len(self.sources)))

    @property
    def cache_bytes(self) -> int:
        """Disk space of all features, about."""
        return 4 * 3 * sum(source.n_frames for source in self.sources)

    @property
    def n_bytes(self) -> int:
        """Disk space that the job needs at its peak, about."""
        settings = self.settings
        examples = sum(len(shard.examples) for shard in self.shards)
        spools = settings.sample_rate + settings_lib.CREPE_RATE * (
            settings.sample_rate != settings_lib.CREPE_RATE
        )
        secs = sum(source.n_frames for source in self.sources) / settings.frame_rate
        records = examples * example_bytes(settings)
        return int(records + secs * 4 * spools + self.cache_bytes + DESCRIPTION_BYTES)

    @functools.cached_property
    def hash(self) -> str:
        """Hash of all that decides the records.

        Where files lie does not, nor does the wording of notes and reasons. What a plan
        lacks without short recordings, or without any that is tracked an octave lower
        or higher, is left out, so that it has the hash that it had before there were.
        """
        digest = hashlib.blake2b(digest_size=16)
        # As JSON of the whole, but an element at a time: the whole would be far larger
        # than the plan.
        before = "{"
        for key, value in sorted(self._fields()):
            digest.update(f"{before}{json.dumps(key)}: ".encode())
            if isinstance(value, tuple):
                digest.update(b"[")
                for index, one in enumerate(value):
                    text = _dump(_identity(one), allow_nan=False)
                    digest.update(f"{', ' if index else ''}{text}".encode())
                digest.update(b"]")
            else:
                digest.update(_dump(_identity(value), allow_nan=False).encode())
            before = ", "
        digest.update(b"}")
        return digest.hexdigest()

    def _fields(self) -> Iterator[tuple[str, Any]]:
        """The keys of plan.json and what stands there, dataclasses as they are."""
        yield "schema_version", SCHEMA_VERSION
        for field in dataclasses.fields(self):
            if field.name != "packs" or self.packs:
                yield field.name, getattr(self, field.name)

    def to_json(self) -> str:
        """`plan.json`, one line a list element where that helps reading."""
        lines = [f' "hash": "{self.hash}"']
        for key, value in self._fields():
            if isinstance(value, tuple):
                items = ",\n  ".join(_dump(_plain(one)) for one in value)
                lines.append(f' "{key}": [\n  {items}\n ]')
            else:
                lines.append(f' "{key}": {_dump(_plain(value))}')
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Plan":
        """The inverse of `to_json`.

        Raises:
            settings_lib.PrepError: If the text is no plan of this version.
        """
        where = "plan.json"
        try:
            values = checked_json.load(text, where)
            if not isinstance(values, dict) or (
                values.get("schema_version") != SCHEMA_VERSION
            ):
                raise checked_json.DamagedError(f"{where} is of another version")
            if isinstance(values.get("settings"), dict):
                # Plans from before there was --short refused short recordings, and
                # those from before --pitch_range tracked all as they were.
                before = {"short": "reject", "pitch_range": "crepe"}
                values["settings"] = {**before, **values["settings"]}
            return checked_json.build(cls, values, where)
        except checked_json.DamagedError as error:
            raise settings_lib.PrepError(
                f"the plan of the dataset there cannot be read ({error})"
            ) from error


def spans_of(
    pack: Pack, sources: Sequence[Source], *, start: int, n_frames: int
) -> list[Span]:
    """Finds what stands in frames [start, start + n_frames) of a pack."""
    spans = []
    for source, begin in pack.pieces:
        first = max(0, start - begin)
        stop = min(sources[source].n_frames, start + n_frames - begin)
        if stop > first:
            spans.append(Span(source, first, stop - first, begin + first - start))
    return spans


def _plain(value: Any) -> Any:
    """A value of a plan for JSON; what there is none of is left out."""
    if not dataclasses.is_dataclass(value):
        return value
    values = {
        field.name: getattr(value, field.name) for field in dataclasses.fields(value)
    }
    if isinstance(value, Source):
        for name in ("excerpt", "octaves"):
            if not values[name]:
                del values[name]
    return values


def _identity(value: Any) -> Any:
    """The same without what does not decide the records."""
    values = _plain(value)
    if isinstance(value, settings_lib.Settings):
        # The packs and the sources say what came of these.
        del values["short"], values["pitch_range"]
        if value.crepe_precision == settings_lib.PRECISIONS[0]:
            del values["crepe_precision"]  # plans from before there was a choice
    elif isinstance(value, recordings_lib.Recording):
        del values["path"]
        values["notes"] = []
    elif isinstance(value, recordings_lib.Rejection):
        del values["path"], values["reason"], values["numbers"]
    return values


def _dump(value: Any, *, allow_nan: bool = True) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=allow_nan)


def _hash(values: Any) -> str:
    text = _dump(values, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def frequency_ratio(cents: float) -> float:
    """Ratio of frequencies that a transposition stands for."""
    return 2.0 ** (cents / 1200.0)


def example_bytes(settings: settings_lib.Settings) -> int:
    """Size of a record, about."""
    values = settings.n_samples + settings.n_samples_16k + 3 * settings.feature_frames
    return 4 * values + 200


def segments_at(start: int, n_frames: int, settings: settings_lib.Settings) -> range:
    """Segments that frames [start, start + n_frames) of a source lie in."""
    per_segment = features.SEGMENT_SECS * settings.frame_rate
    return range(start // per_segment, (start + n_frames - 1) // per_segment + 1)


def _is_by_ffmpeg(recording: recordings_lib.Recording) -> bool:
    """Tells by the codec whether PyAV decodes a recording."""
    return "FFmpeg" in recording.codec


def package_versions(
    recordings: Iterable[recordings_lib.Recording],
) -> dict[str, str]:
    """Releases of the packages that records of these recordings depend on."""
    by_ffmpeg = any(map(_is_by_ffmpeg, recordings))
    found = {}
    for name in (*_VERSIONED, _FFMPEG_PACKAGE) if by_ffmpeg else _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
