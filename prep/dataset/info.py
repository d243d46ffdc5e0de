"""dataset_info.json: what a prepared dataset says about itself, written and read here.

It is the only source of rates, lengths and splits: the reader of records takes its
shapes from it and training its gin macros. A `COMPLETED` file beside it says that the
dataset is whole.
"""

import dataclasses
import json
import pathlib

from prep import checked_json

INFO_NAME = "dataset_info.json"
COMPLETED_NAME = "COMPLETED"
SCHEMA_VERSION = 1  # of dataset_info.json; rises when a reader must know of a change
PREPARE_HINT = "prepare one with `ddsp_prep --input=<recordings> --output={data_dir}`"


@dataclasses.dataclass(frozen=True)
class RecordingInfo:
    """A recording of a split.

    Attributes:
        recording_id: Hash of its content.
        name: For people.
        seconds: Its length.
    """

    recording_id: str
    name: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class PackInfo:
    """Short recordings that stand one behind another.

    Attributes:
        recording_id: What the records cut from the pack call it.
        name: For people.
        recordings: Ids of the recordings in it, in order.
    """

    recording_id: str
    name: str
    recordings: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class SplitInfo:
    """One split.

    Attributes:
        file_pattern: Of its record files, within the dataset.
        n_shards: Number of those files.
        n_examples: Number of records.
        seconds: Of audio, overlaps counted once.
        recordings: Whose audio it holds.
        packs: Of those recordings that are shorter than an example.
    """

    file_pattern: str
    n_shards: int
    n_examples: int
    seconds: float
    recordings: tuple[RecordingInfo, ...] = ()
    packs: tuple[PackInfo, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """The facts of a prepared dataset; all but the first are in dataset_info.json.

    Attributes:
        data_dir: The directory that holds it.
        sample_rate: Samples a second of `audio`.
        frame_rate: Control frames a second.
        n_samples: Samples of `audio` in an example.
        n_frames: Values of each control in an example.
        splits: By name, "train" and "eval".
        plan_hash: Identifies the content; empty if the dataset does not say.
        tracker: Names the pitch tracker.
        crepe_capacity: Size of its network.
        crepe_precision: Of its products.
        f0_decoder: How it decides.
        segment_secs: In which features were computed, s.
        loudness_n_fft: Window of the loudness, samples.
        loudness_sample_rate: At which it was measured, samples/s.
        versions: Of the packages that the records depend on.

        The others are those of `prep.settings.Settings`.
    """

    data_dir: pathlib.Path = pathlib.Path()
    schema_version: int = SCHEMA_VERSION
    sample_rate: int
    frame_rate: int
    n_samples: int
    n_frames: int
    splits: dict[str, SplitInfo]
    plan_hash: str = ""
    hop_secs: float = 1.0
    framing: str = "aligned"
    tracker: str = ""
    crepe_capacity: str = "full"
    crepe_precision: str = "float32"
    f0_decoder: str = "viterbi"
    segment_secs: float = 0.0
    loudness_n_fft: int = 0
    loudness_sample_rate: int = 0
    voiced_confidence: float = 0.0
    voiced_loudness_db: float = 0.0
    min_loudness_db: float = 0.0
    short: str = "reject"
    trim_silence: bool = False
    normalize: str = "none"
    transpose_cents: tuple[float, ...] = (0.0,)
    eval_split_fraction: float = 0.0
    versions: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Verifies the arithmetic between rates and lengths.

        Raises:
            ValueError: If they contradict each other.
        """
        if self.schema_version > SCHEMA_VERSION:
            raise ValueError(
                f"schema_version {self.schema_version} is a later version's; this one "
                f"reads {SCHEMA_VERSION}"
            )
        if min(self.sample_rate, self.frame_rate, self.n_samples, self.n_frames) < 1:
            raise ValueError("a rate or length below 1")
        # --framing=ddsp_center has a frame more than the example is long.
        n_frames = self.n_frames - (self.framing == "ddsp_center")
        if self.n_samples * self.frame_rate != n_frames * self.sample_rate:
            raise ValueError(
                f"contradicts itself: {self.n_samples} samples at {self.sample_rate}/s "
                f"are not {n_frames} frames at {self.frame_rate}/s"
            )

    @property
    def example_secs(self) -> float:
        """Length of an example in seconds."""
        return self.n_samples / self.sample_rate

    @property
    def hop_size(self) -> int:
        """Samples between two control frames."""
        return self.sample_rate // self.frame_rate

    def at_frame_rate(self, frame_rate: int) -> "DatasetInfo":
        """Returns the facts of the same dataset read with fewer frames a second.

        Frames are centred, so every n-th of them is what a preparation at the lower
        rate measures.

        Raises:
            ValueError: If the rate is no whole part of the dataset's, or an example
                would not be whole frames.
        """
        factor, rest = divmod(self.frame_rate, frame_rate)
        if rest or self.n_frames % factor:
            raise ValueError(
                f"the dataset at {self.data_dir} has {self.frame_rate} frames/s in "
                f"examples of {self.n_frames} frames, of which {frame_rate} frames/s "
                f"cannot be picked; prepare one with --frame_rate={frame_rate}, or a "
                "multiple of it."
            )
        n_frames = self.n_frames // factor
        return dataclasses.replace(self, frame_rate=frame_rate, n_frames=n_frames)

    def n_examples(self, split: str) -> int:
        """Returns how many examples a split holds, 0 for one that is not there."""
        return self.splits[split].n_examples if split in self.splits else 0

    def recording_names(self) -> dict[str, str]:
        """Returns the name of each recording and each pack by its id."""
        names: dict[str, str] = {}
        for split in self.splits.values():
            names.update({one.recording_id: one.name for one in split.recordings})
            names.update({one.recording_id: one.name for one in split.packs})
        return names

    def record_pattern(self, split: str) -> pathlib.Path:
        """Returns the pattern of a split's record files.

        A dataset may have been moved since it was written: only the name counts.

        Raises:
            ValueError: If the dataset has no such split.
        """
        if split not in self.splits:
            known = sorted(self.splits)
            raise ValueError(
                f"split {split!r} is not in {self.data_dir}; it has {known}."
            )
        return self.data_dir / pathlib.PurePath(self.splits[split].file_pattern).name

    def record_paths(self, split: str) -> list[pathlib.Path]:
        """Returns the record files of a split, sorted.

        Raises:
            ValueError: If the dataset has no such split.
            FileNotFoundError: If the split's files are missing.
        """
        pattern = self.record_pattern(split)
        paths = sorted(self.data_dir.glob(pattern.name))
        if not paths and self.n_examples(split):
            raise FileNotFoundError(
                f"no file matches {pattern}, which {INFO_NAME} names for its {split!r} "
                "split: the dataset is not whole. Run the same ddsp_prep command "
                "again; it writes what is missing."
            )
        return paths

    def macros(self) -> dict[str, str | float]:
        """Returns the gin macros that training takes from a dataset."""
        secs = self.example_secs  # ddsp's provider takes whole numbers only as int
        return {
            "DATA_DIR": str(self.data_dir),
            "SAMPLE_RATE": self.sample_rate,
            "FRAME_RATE": self.frame_rate,
            "N_SAMPLES": self.n_samples,
            "TIME_STEPS": self.n_frames,
            "EXAMPLE_SECS": int(secs) if secs.is_integer() else secs,
            "HOP_SIZE": self.hop_size,
        }

    def to_json(self) -> str:
        """Returns the content of dataset_info.json, which holds no absolute path."""
        values = dataclasses.asdict(self)
        del values["data_dir"]
        for split in values["splits"].values():
            if not split["packs"]:
                del split["packs"]
        # For people and for other programs; here they follow from the rest.
        values["hop_size"] = self.hop_size
        values["example_secs"] = self.example_secs
        values["n_samples_16k"] = round(self.example_secs * self.loudness_sample_rate)
        values["centered"] = self.framing == "ddsp_center"
        return json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_dataset_info(
    data_dir: str | pathlib.Path, *, require_completed: bool = True
) -> DatasetInfo:
    """Reads and checks dataset_info.json.

    Args:
        data_dir: Directory of a prepared dataset.
        require_completed: Refuse a dataset whose preparation did not finish.

    Returns:
        Its facts.

    Raises:
        FileNotFoundError: If there is no dataset, or it was not completed.
        ValueError: If dataset_info.json is damaged or its lengths contradict its rates.
    """
    directory = pathlib.Path(data_dir).expanduser()
    hint = PREPARE_HINT.format(data_dir=directory)
    path = directory / INFO_NAME
    if not path.is_file():
        what = "has no " + INFO_NAME if directory.is_dir() else "does not exist"
        raise FileNotFoundError(
            f"no dataset at {directory} (it {what}); {hint}, or say --data_dir."
        )
    if require_completed and not (directory / COMPLETED_NAME).exists():
        raise FileNotFoundError(
            f"the dataset at {directory} is not finished: it has no {COMPLETED_NAME} "
            "file. Run the same ddsp_prep command again; it goes on where it stopped."
        )
    try:
        values = checked_json.load(path.read_bytes(), str(path))
        if isinstance(values, dict):
            values.pop("data_dir", None)  # where it lies is not the file's to say
        info = checked_json.build(DatasetInfo, values, str(path))
    except checked_json.DamagedError as error:
        raise ValueError(
            f"{error}; prepare the dataset again with --overwrite."
        ) from error
    if info.framing == "ddsp_center":
        raise ValueError(
            f"the dataset at {directory} has --framing=ddsp_center, a frame more "
            "than an example is long: it is for ddsp's own programs. Prepare with "
            "--framing=aligned."
        )
    return dataclasses.replace(info, data_dir=directory)
