"""What was run in a folder of the matrix, and whether it is what is wanted now.

The matrix leaves a note beside each run: the words of its command, a digest of its gin
files and its dataset. run.json, which the run writes itself, has the words of
every start and the dataset's hash too, and where the two differ it is believed. A
command that is to replace an earlier run is noted before it starts, together with the
earlier note: as long as run.json is still the earlier run's, so is the note.
"""

import dataclasses
import enum
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from models.runs import record as run_record
from prep import files

NOTE_NAME = "matrix_command.json"
# Say where things are and where the run begins, not what comes out; which dataset it is
# is said by the dataset.
_PLACES = ("--save_dir=", "--resume=", "--data_dir=")
# Notes that call it "contents" counted import lines too, so that cannot be compared.
_DIGEST = "gin_digest"
Json = dict[str, Any]


class Standing(enum.Enum):
    """How what was run in a folder compares with what is wanted."""

    NOTHING = "nothing"
    SAME = "the same command, gin files and dataset"
    SAME_WORDS = "the same command; its gin files or dataset are not noted"
    OTHER_WORDS = "another command"
    OTHER_CONTENTS = "gin files that have been edited since"
    OTHER_DATASET = "another dataset"

    @property
    def is_other(self) -> bool:
        """Whether it must start anew."""
        return self.name.startswith("OTHER")


@dataclasses.dataclass(frozen=True)
class Basis:
    """What the result of a run follows from.

    Attributes:
        words: Flags of its command.
        contents: Digest of its gin files; empty if not known.
        dataset: Its hash, or its place if it has none; empty if not known.
    """

    words: tuple[str, ...]
    contents: str = ""
    dataset: str = ""


@dataclasses.dataclass(frozen=True)
class Note:
    """What the matrix ran in a folder.

    Attributes:
        basis: Of the run; None if the matrix ran nothing.
        secs: What it took so far.
        replaces: The first start, in run.json, of the run that it takes the place of.
        earlier: The note of that run.
    """

    basis: Basis | None = None
    secs: float = 0.0
    replaces: Json | None = None
    earlier: "Note | None" = None


def words_of(flags: Sequence[str]) -> tuple[str, ...]:
    """The flags of a command without those that do not change the result."""
    return tuple(word for word in flags if not word.startswith(_PLACES))


def read(run_dir: pathlib.Path) -> Note:
    """The note of the run whose files are in a folder."""
    note = _read_file(run_dir)
    return note if _has_begun(note, run_dir) else note.earlier or Note()


def has_begun(run_dir: pathlib.Path) -> bool:
    """Whether the files in a folder are those of the run that was noted last."""
    return _has_begun(_read_file(run_dir), run_dir)


def _has_begun(note: Note, run_dir: pathlib.Path) -> bool:
    first = first_start(run_record.read_run(run_dir))
    return note.replaces is None or note.replaces != first


def _read_file(run_dir: pathlib.Path) -> Note:
    text = files.read_text(run_dir / NOTE_NAME)
    return Note() if text is None else _from_json(json.loads(text))


def _from_json(fields: Json) -> Note:
    """A note; the first ones had a command and seconds only."""
    words, earlier = fields.get("command"), fields.get("earlier")
    basis = Basis(
        words=words_of(words or ()),
        contents=fields.get(_DIGEST) or "",
        dataset=fields.get("dataset") or "",
    )
    return Note(
        basis=basis if words else None,
        secs=fields.get("secs") or 0.0,
        replaces=fields.get("replaces"),
        earlier=_from_json(earlier) if earlier else None,
    )


def _to_json(note: Note) -> Json:
    basis = note.basis or Basis(words=())
    return {
        "command": list(basis.words),
        _DIGEST: basis.contents,
        "dataset": basis.dataset,
        "secs": note.secs,
        "replaces": note.replaces,
        "earlier": _to_json(note.earlier) if note.earlier else None,
    }


def write(run_dir: pathlib.Path, note: Note) -> None:
    """Replaces a folder's note in one step."""
    run_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_to_json(note)) + "\n"
    files.write_text(run_dir / NOTE_NAME, text)


def begin(run_dir: pathlib.Path, wanted: Basis) -> Note:
    """Notes what is about to be run in a folder.

    Args:
        run_dir: The folder.
        wanted: What is run.

    Returns:
        The note as written: of a run that goes on with the seconds that it took so
        far, of one that replaces another with that one's note.
    """
    before, found = read(run_dir), standing(wanted, run_dir)
    if found.is_other:
        note = Note(
            basis=wanted,
            replaces=first_start(run_record.read_run(run_dir)),
            earlier=dataclasses.replace(before, replaces=None, earlier=None),
        )
    else:
        if found is Standing.SAME_WORDS and not (
            before.basis and before.basis.contents
        ):
            # What its first steps were made with stays unknown.
            wanted = dataclasses.replace(wanted, contents="")
        note = Note(basis=wanted, secs=before.secs)
    write(run_dir, note)
    return note


def standing(wanted: Basis, run_dir: pathlib.Path) -> Standing:
    """Compares what was run in a folder with what is wanted.

    What is not known on one side is not compared.

    Args:
        wanted: What is wanted.
        run_dir: The folder.
    """
    record, noted = run_record.read_run(run_dir), read(run_dir).basis
    run_words = [words_of(start["command"][1:]) for start in record.get("starts", [])]
    if not run_words and noted:
        run_words = [noted.words]
    if not run_words:  # a run that nobody can tell the command of is moved aside
        return Standing.OTHER_WORDS if record else Standing.NOTHING
    if any(words != wanted.words for words in run_words):
        return Standing.OTHER_WORDS
    # A note of other words is not about this run.
    noted = noted if noted and noted.words == wanted.words else None
    dataset = record.get("plan_hash") or (noted.dataset if noted else "")
    contents = noted.contents if noted else ""
    if dataset and wanted.dataset and dataset != wanted.dataset:
        return Standing.OTHER_DATASET
    if contents and wanted.contents and contents != wanted.contents:
        return Standing.OTHER_CONTENTS
    known = all((dataset, wanted.dataset, contents, wanted.contents))
    return Standing.SAME if known else Standing.SAME_WORDS


def first_start(record: Json) -> Json | None:
    """What tells a run from the one that was in its folder before; None if unknown."""
    starts = record.get("starts")
    return dict(starts[0]) if starts else None
