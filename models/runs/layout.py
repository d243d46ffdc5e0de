"""The run directory: its names and lock, how its training stands, what can be wrong.

`ddsp_render --instrument` writes the page that plays a run wherever a person wants it
and leaves a note here, so that reports link the page; one that lies in the run's folder
under the usual name needs none.
"""

import contextlib
import enum
import os
import pathlib
import urllib.parse
from collections.abc import Iterator

from prep import errors
from prep import files
from prep import processes

RUN_NAME = "run.json"
METRICS_NAME = "metrics.jsonl"
BEST_DIR = "best"  # the best checkpoint by the held-out batch
LOCK_NAME = ".lock"
PAGE_NAME = "instrument.html"
PAGE_NOTE_NAME = "instrument.txt"  # where else the page lies, seen from the run
WAIT_SECS = 10.0  # a training that is ending, e.g. with its parent, saves meanwhile


class RunError(errors.InputError, ValueError):
    """A run, or a file of it, that cannot be used."""


class NoRunError(errors.InputError, FileNotFoundError):
    """A run or a checkpoint that is not there."""


class Outcome(enum.StrEnum):
    """How a training stands, in the words of run.json."""

    RUNNING = "running"
    FINISHED = "finished"
    EARLY_STOP = "early stop"
    LOSS_REACHED = "loss reached"
    TIME_LIMIT = "time limit"
    INTERRUPTED = "interrupted"
    NOT_FINITE = "not finite"
    FAILED = "failed"

    @property
    def is_done(self) -> bool:
        """True if the run ended by a rule of its own: nothing is left to do."""
        return self in (Outcome.FINISHED, Outcome.EARLY_STOP, Outcome.LOSS_REACHED)


@contextlib.contextmanager
def only_one(run_dir: pathlib.Path, *, wait_secs: float = WAIT_SECS) -> Iterator[None]:
    """Holds a run directory's lock; the system frees it when the process ends.

    Args:
        run_dir: The directory; it exists.
        wait_secs: How long to wait for another to end.

    Raises:
        RunError: If another process trains there.
    """
    path = run_dir / LOCK_NAME
    with open(path, "a+", encoding="utf-8") as file:
        if not processes.lock(file.fileno(), wait_secs=wait_secs):
            holder = path.read_text("utf-8", errors="replace").strip() or "unknown"
            raise RunError(
                f"another training (process {holder}) writes into {run_dir}; wait for "
                "its end, or say another --save_dir."
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def remember_page(run_dir: pathlib.Path, page: pathlib.Path) -> None:
    """Notes where a run's page lies; a folder that takes no note stays as it is."""
    place = os.path.relpath(page.resolve(), run_dir.resolve())
    with contextlib.suppress(OSError):
        files.write_text(run_dir / PAGE_NOTE_NAME, f"{place}\n")


def find_page(run_dir: pathlib.Path) -> pathlib.Path | None:
    """Finds the page of a run: the one noted last, or the one in its folder.

    Args:
        run_dir: The run.

    Returns:
        The page's whole path; None where there is none, or none any more.
    """
    places = [PAGE_NAME]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        places.insert(0, (run_dir / PAGE_NOTE_NAME).read_text("utf-8").strip())
    for place in places:
        page = run_dir / place
        if page.is_file():
            return page.resolve()
    return None


def page_link(page: pathlib.Path | None, folder: pathlib.Path) -> str | None:
    """Returns the address of a page for a file in a folder: both may move together."""
    if page is None:
        return None
    return urllib.parse.quote(os.path.relpath(page, folder.resolve()))
