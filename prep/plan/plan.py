"""The plan: every example of the dataset and the shard it goes to, before any compute.

A plan is a function of the recordings' content and the settings. It is written to
`plan.json`; workers read it there, and a later run goes on where this one stopped if
its own plan has the same hash.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
from typing import Any

from prep import features
from prep import settings as settings_lib
from prep.recordings import recording as recordings_lib

SCHEMA_VERSION = 1  # of plan.json and dataset_info.json; rises when records change
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


@dataclasses.dataclass(frozen=True)
class Source:
    """A recording, or a transposed copy of one, as the pipeline reads it.

    Attributes:
        recording: Index into the plan's recordings.
        cents: Transposition.
        n_samples: At the dataset's sample rate.
        n_samples_16k: At 16 kHz.
        n_frames: Of the whole, as `features.count_frames`.
        segments: Numbers of the segments that examples touch.
    """

    recording: int
    cents: float
    n_samples: int
    n_samples_16k: int
    n_frames: int
    segments: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of records.

    Attributes:
        split: "train" or "eval".
        file_name: Within the dataset.
        examples: (index of the source, first frame), in the order of the records.
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
        cents = self.sources[source].cents
        return f"{recording.recording_id}{cents:+g}{settings.normalize[:1]}"

    def features_id(self, source: int) -> str:
        """Names a source's features in the cache: a hash of all they depend on."""
        shift = self.settings.framing == "ddsp_same"
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
                self.versions,
            ]
        )

    def segments_of(self, shard: Shard) -> set[tuple[int, int]]:
        """(source, segment) pairs whose features a shard needs."""
        return {
            (source, segment)
            for source, start in shard.examples
            for segment in segments_at(start, self.settings)
        }

    @property
    def segment_secs(self) -> float:
        """Audio whose pitch is to be tracked, s."""
        rate = self.settings.frame_rate
        per_segment = features.SEGMENT_SECS * rate
        return sum(
            min(per_segment, source.n_frames - segment * per_segment) / rate
            for source in self.sources
            for segment in source.segments
        )

    @property
    def n_bytes(self) -> int:
        """Disk space that the job needs at its peak, about."""
        settings = self.settings
        examples = sum(len(shard.examples) for shard in self.shards)
        spools = settings.sample_rate + settings_lib.CREPE_RATE * (
            settings.sample_rate != settings_lib.CREPE_RATE
        )
        secs = sum(source.n_frames for source in self.sources) / settings.frame_rate
        per_frame = 4 * 3 * sum(source.n_frames for source in self.sources)
        records = examples * example_bytes(settings)
        return int(records + secs * 4 * spools + per_frame + DESCRIPTION_BYTES)

    @property
    def hash(self) -> str:
        """Hash of all that decides the records; where files lie does not."""
        identity = self.to_dict()
        for recording in identity["recordings"]:
            del recording["path"]
        for rejection in identity["rejections"]:
            del rejection["path"]
        return _hash(identity)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "settings": self.settings.to_dict(),
            "tracker_id": self.tracker_id,
            "recordings": [dataclasses.asdict(r) for r in self.recordings],
            "sources": [dataclasses.asdict(s) for s in self.sources],
            "shards": [dataclasses.asdict(s) for s in self.shards],
            "rejections": [dataclasses.asdict(r) for r in self.rejections],
            "n_found": self.n_found,
            "seconds": self.seconds,
            "versions": self.versions,
        }

    def to_json(self) -> str:
        """`plan.json`, one line a list element where that helps reading."""
        values = {"hash": self.hash, **self.to_dict()}
        lines = []
        for key, value in values.items():
            if isinstance(value, list):
                items = ",\n  ".join(json.dumps(v, sort_keys=True) for v in value)
                lines.append(f' "{key}": [\n  {items}\n ]')
            else:
                lines.append(f' "{key}": {json.dumps(value, sort_keys=True)}')
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The inverse of `to_json`.

        Raises:
            settings_lib.PrepError: If the text is no plan of this version.
        """
        try:
            values = json.loads(text)
            if values["schema_version"] != SCHEMA_VERSION:
                raise KeyError(values["schema_version"])
            return cls(
                settings=settings_lib.Settings.from_dict(values["settings"]),
                tracker_id=values["tracker_id"],
                recordings=tuple(
                    recordings_lib.Recording(**{**r, "notes": tuple(r["notes"])})
                    for r in values["recordings"]
                ),
                sources=tuple(
                    Source(**{**s, "segments": tuple(s["segments"])})
                    for s in values["sources"]
                ),
                shards=tuple(
                    Shard(**{**s, "examples": tuple(map(tuple, s["examples"]))})
                    for s in values["shards"]
                ),
                rejections=tuple(
                    recordings_lib.Rejection(**r) for r in values["rejections"]
                ),
                n_found=values["n_found"],
                seconds=values["seconds"],
                versions=values["versions"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise settings_lib.PrepError(
                f"plan.json is not a plan of this version ({error}); start anew with "
                "--overwrite or choose another --output."
            ) from error


def _hash(values: Any) -> str:
    text = json.dumps(values, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def frequency_ratio(cents: float) -> float:
    """Ratio of frequencies that a transposition stands for."""
    return 2.0 ** (cents / 1200.0)


def example_bytes(settings: settings_lib.Settings) -> int:
    """Size of a record, about."""
    values = settings.n_samples + settings.n_samples_16k + 3 * settings.feature_frames
    return 4 * values + 200


def segments_at(start: int, settings: settings_lib.Settings) -> range:
    """Segments that the features of an example lie in."""
    per_segment = features.SEGMENT_SECS * settings.frame_rate
    last = start + settings.feature_frames - 1
    return range(start // per_segment, last // per_segment + 1)


def package_versions() -> dict[str, str]:
    """Releases of the packages that records depend on."""
    found = {}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe_difference(old: Plan, new: Plan) -> list[str]:
    """What differs between two plans, in words; empty if nothing does."""
    lines = []
    before, after = old.settings.to_dict(), new.settings.to_dict()
    for key in sorted(set(before) | set(after)):
        if before.get(key) != after.get(key):
            lines.append(f"--{key} was {before.get(key)}, is {after.get(key)}")
    for key in sorted(set(old.versions) | set(new.versions)):
        if old.versions.get(key) != new.versions.get(key):
            lines.append(
                f"{key} was {old.versions.get(key)}, is {new.versions.get(key)}"
            )
    if old.tracker_id != new.tracker_id:
        lines.append(f"the pitch tracker was {old.tracker_id}, is {new.tracker_id}")
    for word, here, there in (("gone", old, new), ("new", new, old)):
        others = {(r.name, r.recording_id) for r in there.recordings}
        names = [
            r.name for r in here.recordings if (r.name, r.recording_id) not in others
        ]
        if names:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            lines.append(f"{len(names)} recordings are {word} or changed: {shown}")
    if not lines and old.hash != new.hash:
        lines.append("which inputs are rejected, or which recordings evaluate")
    return lines
