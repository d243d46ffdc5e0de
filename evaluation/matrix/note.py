"""Whether what was run in a folder of the matrix is what is wanted now.

run.json is believed: `ddsp_run` writes the words of every start there, a digest of the
gin files it read, and the hash of the dataset. Runs of before the digest was written
are taken for what their words and dataset say. Beside each run the matrix itself notes
only how long it took.
"""

import dataclasses
import datetime
import enum
import json
import pathlib
from collections.abc import Sequence

from models.runs import layout
from models.runs import record as run_record
from prep import files

NOTE_NAME = "matrix_command.json"
# Say where things are and where the run begins, not what comes out; which dataset it is
# is said by the dataset.
_DATA_FLAG = "--data_dir="
_PLACES = ("--save_dir=", "--resume=", _DATA_FLAG)


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
        """True if it must start anew."""
        return self.name.startswith("OTHER")


@dataclasses.dataclass(frozen=True)
class Basis:
    """What the result of a run follows from.

    Attributes:
        words: Flags of its command.
        contents: Digest of its gin files.
        dataset: Its hash, or its place if it has none.
    """

    words: tuple[str, ...]
    contents: str = ""
    dataset: str = ""


def words_of(flags: Sequence[str]) -> tuple[str, ...]:
    """The flags of a command without those that do not change the result."""
    return tuple(word for word in flags if not word.startswith(_PLACES))


def standing(wanted: Basis, run_dir: pathlib.Path) -> Standing:
    """Compares what was run in a folder with what is wanted.

    What is not known on one side is not compared.

    Args:
        wanted: What is wanted.
        run_dir: The folder.
    """
    try:
        record = run_record.read_record(run_dir)
    except layout.RunError:  # nobody can tell what it was
        return Standing.OTHER_WORDS
    if not record.starts:  # a run that nobody can tell the command of is moved aside
        return Standing.OTHER_WORDS if record.fields else Standing.NOTHING
    if any(words_of(start.command[1:]) != wanted.words for start in record.starts):
        return Standing.OTHER_WORDS
    # A dataset without a hash is told by its place.
    words = [word for start in record.starts for word in start.command]
    places = [word.partition("=")[2] for word in words if word.startswith(_DATA_FLAG)]
    datasets = record.plan_hashes or tuple(places)
    if wanted.dataset and any(one != wanted.dataset for one in datasets):
        return Standing.OTHER_DATASET
    digests = [start.gin_digest for start in record.starts]
    if any(digest and digest != wanted.contents for digest in digests):
        return Standing.OTHER_CONTENTS
    known = all((*digests, datasets, wanted.dataset))
    return Standing.SAME if known else Standing.SAME_WORDS


def read_secs(run_dir: pathlib.Path) -> float:
    """Seconds that the run in a folder took so far; 0 where nobody knows.

    Where a kill came between the end of a run and its note, run.json tells when the
    run began and ended.
    """
    try:
        text = files.read_text(run_dir / NOTE_NAME)
        return float(json.loads(text or "{}")["secs"])
    except (KeyError, TypeError, ValueError, RecursionError):
        pass
    try:
        facts = run_record.read_record(run_dir).fields
        begin, end = (
            datetime.datetime.fromisoformat(facts[key]) for key in ("start", "end")
        )
        return (end - begin).total_seconds()
    except (layout.RunError, KeyError, TypeError, ValueError):
        return 0.0


def write_secs(run_dir: pathlib.Path, secs: float) -> None:
    """Notes how long a run took so far."""
    files.write_text(run_dir / NOTE_NAME, json.dumps({"secs": secs}) + "\n")
