"""What a prepared dataset says about itself: rates, lengths and splits.

`dataset_info.json`, written by `ddsp_prep` beside the records, is the only source of
these numbers: the reader takes its shapes from it and training its gin macros. A
`COMPLETED` file says that the dataset is whole.
"""

import dataclasses
import json
import pathlib
from typing import Any

INFO_NAME = "dataset_info.json"
COMPLETED_NAME = "COMPLETED"
PREPARE_HINT = "prepare one with `ddsp_prep --input=<recordings> --output={data_dir}`"
_REQUIRED = ("sample_rate", "frame_rate", "n_samples", "n_frames", "splits")


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """The facts of a prepared dataset.

    Attributes:
        data_dir: The directory that holds it.
        sample_rate: Samples a second of `audio`.
        frame_rate: Control frames a second.
        n_samples: Samples of `audio` in an example.
        n_frames: Control frames in an example.
        fields: All of dataset_info.json, as read.
    """

    data_dir: pathlib.Path
    sample_rate: int
    frame_rate: int
    n_samples: int
    n_frames: int
    fields: dict[str, Any]

    @property
    def example_secs(self) -> float:
        """Length of an example in seconds."""
        return self.n_samples / self.sample_rate

    @property
    def hop_size(self) -> int:
        """Samples between two control frames."""
        return self.sample_rate // self.frame_rate

    @property
    def plan_hash(self) -> str:
        """Identifies the content of the dataset; empty if it does not say."""
        return str(self.fields.get("plan_hash", ""))

    def n_examples(self, split: str) -> int:
        """How many examples a split holds, 0 for a split that is not there."""
        return int(self.fields["splits"].get(split, {}).get("n_examples", 0))

    def record_paths(self, split: str) -> list[pathlib.Path]:
        """The record files of a split, sorted.

        Raises:
            KeyError: If the dataset has no such split.
            FileNotFoundError: If the split's files are missing.
        """
        splits = self.fields["splits"]
        if split not in splits:
            raise KeyError(
                f"split {split!r} is not in {self.data_dir}; it has {sorted(splits)}."
            )
        # A dataset may have been moved since it was written: only the name counts.
        pattern = pathlib.PurePath(splits[split]["file_pattern"]).name
        paths = sorted(self.data_dir.glob(pattern))
        if not paths and self.n_examples(split):
            raise FileNotFoundError(
                f"no file matches {self.data_dir / pattern}, which {INFO_NAME} names "
                f"for its {split!r} split; the dataset is not whole: "
                + PREPARE_HINT.format(data_dir=self.data_dir)
                + "."
            )
        return paths

    def macros(self) -> dict[str, Any]:
        """The gin macros that training takes from a dataset."""
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
        fields = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); {hint}.") from error
    return _checked(directory, fields)


def _checked(directory: pathlib.Path, fields: dict[str, Any]) -> DatasetInfo:
    """Builds the facts, with the arithmetic between them verified."""
    missing = [key for key in _REQUIRED if key not in fields]
    if missing:
        raise ValueError(
            f"{directory / INFO_NAME} lacks {missing}; another version wrote it: "
            + PREPARE_HINT.format(data_dir=directory)
            + "."
        )
    info = DatasetInfo(
        data_dir=directory,
        sample_rate=int(fields["sample_rate"]),
        frame_rate=int(fields["frame_rate"]),
        n_samples=int(fields["n_samples"]),
        n_frames=int(fields["n_frames"]),
        fields=fields,
    )
    if info.n_samples * info.frame_rate != info.n_frames * info.sample_rate:
        raise ValueError(
            f"{directory / INFO_NAME} contradicts itself: {info.n_samples} samples at "
            f"{info.sample_rate}/s are not {info.n_frames} frames at "
            f"{info.frame_rate}/s."
        )
    return info
