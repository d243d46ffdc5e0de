"""Checkpoints that survive being killed: written aside, verified, found again.

Layout as ddsp's: `ckpt-<step>.index`, `ckpt-<step>.data-…` and a `checkpoint` file
that names the newest. A checkpoint is written into a folder of its own, `.writing-…`,
and its files are renamed into place, the index last: a checkpoint whose index is there
is whole, unless the disk lied; so each is verified (every tensor's checksum) before it
is used.
"""

import collections
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
from typing import Any

import tensorflow as tf
from absl import logging

from models.runs import layout
from prep import files

PREFIX = "ckpt-"
Trackables = dict[str, Any]  # models, optimizers and `tf.Module`s by name in the file
_WRITING = ".writing-"
_CLOCK = "model/step/"  # the schedules' clock, which the trainer sets
_INDEX = re.compile(r"^ckpt-(\d+)\.index$")


@dataclasses.dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint on disk: its path without suffix, for TensorFlow, and its step."""

    path: str
    step: int

    @property
    def digest(self) -> str:
        """Short hash of the index, which holds a checksum of every tensor."""
        content = pathlib.Path(self.path + ".index").read_bytes()
        return hashlib.sha256(content).hexdigest()[:12]


def found_in(directory: str | pathlib.Path) -> list[FoundCheckpoint]:
    """All checkpoints of a directory by their index files, newest first; unverified."""
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        return []
    steps = [
        int(match.group(1))
        for match in map(_INDEX.match, os.listdir(directory))
        if match
    ]
    return [
        FoundCheckpoint(str(directory / f"{PREFIX}{step}"), step)
        for step in sorted(steps, reverse=True)
    ]


def verify(path: str) -> str:
    """Reads every tensor of a checkpoint, which verifies its checksum.

    Returns:
        What is wrong, or '' for a sound checkpoint.
    """
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, IndexError, UnicodeDecodeError) as error:
        return " ".join(str(error).split())[:200]
    return ""


def newest_sound(directory: str | pathlib.Path) -> FoundCheckpoint | None:
    """The newest checkpoint that is whole; warns of broken ones that it skips."""
    for found in found_in(directory):
        problem = verify(found.path)
        if not problem:
            return found
        logging.warning(
            "Skipping checkpoint %s, which is damaged or half-written (%s).",
            found.path,
            problem,
        )
    return None


class CheckpointStore:
    """Writes the checkpoints of one directory and keeps the newest few."""

    def __init__(
        self,
        directory: str | pathlib.Path,
        *,
        keep: int,
        trackables: Trackables,
    ):
        """Prepares to write; nothing is created yet.

        Args:
            directory: Where the checkpoints lie.
            keep: How many of the newest are kept, at least 1.
            trackables: What is saved, e.g. model and optimizer.

        Raises:
            ValueError: If `keep` is below 1.
        """
        if keep < 1:
            raise ValueError(f"checkpoints_to_keep={keep}; at least 1, the last.")
        self.directory = pathlib.Path(directory)
        self.keep = keep
        self._checkpoint = tf.train.Checkpoint(**trackables)

    def save(self, step: int, *, keep_all: bool = False) -> FoundCheckpoint:
        """Writes `ckpt-<step>`, then removes what is too old."""
        self.directory.mkdir(parents=True, exist_ok=True)
        aside = self.directory / f"{_WRITING}{os.getpid()}-{step}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        name = f"{PREFIX}{step}"
        # What a full disk cut short would only fill it further.
        try:
            self._checkpoint.write(str(aside / name))
            written = sorted(aside.iterdir(), key=lambda path: path.suffix == ".index")
            for path in written:
                _sync(path)
                os.replace(path, self.directory / path.name)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        if not keep_all:
            self._remove_old(step)
        self._write_state()
        return FoundCheckpoint(str(self.directory / name), step)

    def save_only(self, step: int) -> FoundCheckpoint:
        """Writes `ckpt-<step>`, then removes every other, newer ones too."""
        written = self.save(step, keep_all=True)
        for found in found_in(self.directory):
            if found.step != step:
                remove(found)
        self._write_state()
        return written

    def _remove_old(self, newest: int) -> None:
        """Removes all but the last few up to a step, and those beyond it.

        Those are damaged, or of a run that went on from an earlier step.
        """
        all_found = found_in(self.directory)
        kept = [found for found in all_found if found.step <= newest][: self.keep]
        for found in all_found:
            if found not in kept:
                remove(found)

    def _write_state(self) -> None:
        """The `checkpoint` file by which TensorFlow and ddsp find the newest."""
        names = [pathlib.Path(found.path).name for found in found_in(self.directory)]
        if not names:
            return
        lines = [f'model_checkpoint_path: "{names[0]}"']
        lines += [f'all_model_checkpoint_paths: "{name}"' for name in names[::-1]]
        files.write_text(self.directory / "checkpoint", "\n".join(lines) + "\n")

    def clean(self) -> None:
        """Removes what killed saves left behind, and names the newest checkpoint."""
        files.remove_abandoned(self.directory)
        for path in self.directory.glob(f"{_WRITING}*"):
            if path.is_dir():
                logging.warning("Removing a half-written checkpoint, %s.", path)
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for data in self.directory.glob(f"{PREFIX}*.data-*"):
            if not data.with_suffix(".index").exists():
                data.unlink(missing_ok=True)
        self._write_state()


def remove(found: FoundCheckpoint) -> None:
    """Deletes a checkpoint, its index first, so that no reader finds half of it."""
    path = pathlib.Path(found.path)
    pathlib.Path(found.path + ".index").unlink(missing_ok=True)
    for data in path.parent.glob(f"{path.name}.data-*"):
        data.unlink(missing_ok=True)


def _sync(path: pathlib.Path) -> None:
    """Waits until a file is on disk, so that a rename cannot overtake its content."""
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def check_architecture(path: str, model: tf.keras.Model) -> None:
    """Checks that a checkpoint holds a model of these shapes, no less and no more.

    Variables that are not trained, e.g. a step count, may be absent or surplus.

    Raises:
        layout.RunError: If its model has other shapes.
    """
    shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    stored = collections.Counter(
        tuple(shape)
        for name, shape in shapes.items()
        if name.startswith("model/") and not name.startswith(_CLOCK)
    )
    trained = collections.Counter(
        tuple(item.shape) for item in model.trainable_variables
    )
    every = collections.Counter(tuple(item.shape) for item in model.variables)
    lacking = sorted(map(list, trained - stored))
    surplus = sorted(list(shape) for shape in stored - every if len(shape))
    if lacking or surplus:
        raise layout.RunError(
            f"checkpoint {path} was written by another architecture: it lacks weights "
            f"of shapes {lacking[:3]} and has others of shapes {surplus[:3]}; use the "
            "gin file it was trained with, another --save_dir, or --resume=never."
        )


def restore(path: str, *, trackables: Trackables) -> None:
    """Loads a checkpoint into built objects; what it lacks keeps its value.

    Args:
        path: A verified checkpoint.
        trackables: What to load, by the names they were saved under.

    Raises:
        layout.RunError: If a shape does not fit.
    """
    try:
        tf.train.Checkpoint(**trackables).restore(path).expect_partial()
    except ValueError as error:
        raise layout.RunError(
            f"checkpoint {path} was written by another architecture "
            f"({' '.join(str(error).split())[:160]})."
        ) from error


def sub_model(parts: Trackables) -> tf.train.Checkpoint:
    """Stands in for a model of which only some parts are loaded."""
    return tf.train.Checkpoint(**parts)
