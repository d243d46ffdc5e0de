"""Where things lie on disk, and how they get there whole.

A file appears under its name only when it is complete: it is written under `.prep/tmp`,
flushed to the disk and renamed. Nothing is written outside the output folder and the
cache folder.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np

from prep import files
from prep import processes
from prep import settings as settings_lib
from prep.dataset import info

COMPLETED = info.COMPLETED_NAME
INFO = info.INFO_NAME
PLAN = "plan.json"
REJECTED = "rejected.jsonl"
STATISTICS = "statistics.json"
PAGE = "dataset.html"
GIN = "dataset.gin"
# Everything that a dataset's folder may hold; `--overwrite` removes nothing else.
OWN_FILES = (COMPLETED, INFO, PLAN, REJECTED, STATISTICS, PAGE, GIN)
OWN_PATTERNS = ("train.tfrecord-*-of-*", "eval.tfrecord-*-of-*")
SAMPLE_BYTES = 4  # of a raw float32 file


class Layout:
    """The paths of a dataset under construction."""

    def __init__(self, output: str | os.PathLike[str], cache: str | None = None):
        """Names the paths; touches nothing.

        Args:
            output: The dataset's folder.
            cache: Folder of features, None for the one inside `output`.

        Raises:
            settings_lib.PrepError: If one of the two is an address.
        """
        self.output = _folder(output)
        self.work = self.output / ".prep"
        self.temporary = self.work / "tmp"
        self.audio = self.work / "audio"
        self.log = self.work / "log"
        self.failures = self.work / "failures"
        self.cache = _folder(cache) if cache else self.work / "cache"

    def file(self, name: str) -> pathlib.Path:
        """A file of the dataset."""
        return self.output / name

    def spool(self, source_id: str, rate: int) -> pathlib.Path:
        """A recording's samples at `rate`, raw float32."""
        return self.audio / f"{source_id}-{rate}.f32"

    def features(self, features_id: str, segment: int) -> pathlib.Path:
        """The features of one segment of a recording."""
        return self.cache / features_id[:2] / f"{features_id}-{segment:05d}.npy"

    def make_folders(self) -> None:
        """Creates the folders.

        Raises:
            settings_lib.PrepError: If they cannot be written to.
        """
        for folder in (self.temporary, self.audio, self.failures, self.cache):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                probe = folder / f".write-{os.getpid()}"
                probe.touch()
                probe.unlink()
            except OSError as error:
                raise settings_lib.PrepError(
                    f"cannot write to {folder}: {error.strerror}. Choose another "
                    "folder with --output or --cache_dir, or make this one writable."
                ) from error


def _folder(named: str | os.PathLike[str]) -> pathlib.Path:
    """The folder that a person names; a shell leaves the ~ of --output=~/x as it is."""
    if "://" in str(named):
        raise settings_lib.PrepError(
            f"{named} is an address, and a dataset is made by renaming files: name a "
            "folder of a file system that is mounted here with --output or --cache_dir."
        )
    return pathlib.Path(os.path.expanduser(named)).absolute()


@contextlib.contextmanager
def replacing(
    path: pathlib.Path, temporary: pathlib.Path, *, flush: bool = True
) -> Iterator[pathlib.Path]:
    """As `files.replacing`, in a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path, temporary, flush=flush) as unfinished:
        yield unfinished


def write_text(layout: Layout, name: str, text: str) -> None:
    """Writes a file of the dataset, whole or not at all."""
    # Names of files may hold bytes that are no UTF-8.
    files.write_text(layout.file(name), text, errors="backslashreplace")


def to_json(values: Any) -> str:
    """Returns readable JSON with sorted keys; ASCII, so any file name survives."""
    return json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n"


def holds_samples(path: pathlib.Path, n_samples: int) -> bool:
    """Tells whether a raw float32 file is there and as long as it shall be."""
    try:
        return path.stat().st_size == SAMPLE_BYTES * n_samples
    except FileNotFoundError:
        return False


def read_span(path: pathlib.Path, start: int, stop: int) -> np.ndarray:
    """Samples `start` to `stop` of a raw float32 file, zeros outside it."""
    span = np.zeros(stop - start, np.float32)
    offset = max(start, 0)
    if stop > offset:
        with open(path, "rb") as file:  # numpy's fromfile ends at a disk's error
            file.seek(SAMPLE_BYTES * offset)
            part = np.frombuffer(file.read(SAMPLE_BYTES * (stop - offset)), np.float32)
        span[offset - start : offset - start + len(part)] = part
    return span


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Keeps a second run out of the output folder.

    The lock belongs to the process: it is gone when the process is, however it ended.

    Raises:
        settings_lib.PrepError: If another run holds it.
    """
    with open(layout.work / "lock", "a+") as file:
        if not processes.lock(file.fileno()):
            file.seek(0)
            raise settings_lib.PrepError(
                f"another run ({file.read().strip() or 'unknown'}) is writing to "
                f"{layout.output}. Wait for it or choose another --output."
            )
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def clear_unfinished(layout: Layout) -> None:
    """Removes what a killed run left half-written; call under the lock."""
    shutil.rmtree(layout.temporary, ignore_errors=True)
    shutil.rmtree(layout.failures, ignore_errors=True)
    layout.make_folders()


def own_paths(layout: Layout) -> list[pathlib.Path]:
    """Files in the output folder with the names of a dataset's own, `PLAN` last."""
    names = [name for name in OWN_FILES if name != PLAN]
    named = [layout.file(name) for name in (*names, PLAN)]
    records = [p for pattern in OWN_PATTERNS for p in layout.output.glob(pattern)]
    return [path for path in (*records, *named) if os.path.lexists(path)]


def check_folder(layout: Layout, *, overwrite: bool) -> None:
    """Refuses a folder in which files of somebody else would be replaced.

    Ours is a folder with a `.prep`, or with a plan.json or dataset_info.json that says
    what only ours say. Call before anything is created.

    Args:
        layout: Of the output.
        overwrite: Whether records of another program may be replaced.

    Raises:
        settings_lib.PrepError: If something is in the way.
    """
    # Guard 1: folders in .prep are emptied, wherever it leads.
    if layout.work.is_symlink():
        raise settings_lib.PrepError(
            f"{layout.work} is a symbolic link, and what it points to would be "
            "emptied. Remove it; --cache_dir puts the features elsewhere."
        )
    if layout.work.is_dir() or _carries_mark(layout):
        return
    # Guard 2: nothing here says that the files with our names are ours.
    found = own_paths(layout)
    records = [path for path in found if ".tfrecord-" in path.name]
    named = [path.name for path in found if path not in records]
    if named:
        raise settings_lib.PrepError(
            f"{layout.output} holds {', '.join(named)}, which ddsp_prep did not write "
            "and would replace. Choose another --output, or move them away."
        )
    if records and not overwrite:
        raise settings_lib.PrepError(
            f"{layout.output} holds TFRecords without a plan.json: another program's, "
            "perhaps. Choose another --output, or replace them with --overwrite."
        )


def _carries_mark(layout: Layout) -> bool:
    """Tells whether plan.json or dataset_info.json is one of ours, damaged or not."""
    for name, mark in ((PLAN, b'"shards"'), (INFO, b'"plan_hash"')):
        try:
            content = layout.file(name).read_bytes()
        except OSError:
            continue
        if mark in content or (name == PLAN and content.startswith(b'{\n "hash": "')):
            return True
    return False


def remove_dataset(layout: Layout) -> None:
    """Removes a dataset's own files, `PLAN` last: it tells that the rest is ours."""
    layout.file(COMPLETED).unlink(missing_ok=True)
    for path in own_paths(layout):
        path.unlink(missing_ok=True)
    shutil.rmtree(layout.audio, ignore_errors=True)
    layout.audio.mkdir(exist_ok=True)


def tidy(layout: Layout) -> None:
    """Removes what a complete dataset no longer needs."""
    for folder in (layout.audio, layout.temporary, layout.failures):
        shutil.rmtree(folder, ignore_errors=True)
