"""Files that are written whole or not at all.

A file is written aside, flushed to the disk and renamed over the old one: a reader, and
a machine that loses its power, finds the old content or the new one. The name aside
holds the host, the process and the thread, so two writers never share it; what a
killed process leaves is known by it (`remove_abandoned`).
"""

import contextlib
import os
import pathlib
import re
import socket
import threading
from collections.abc import Iterator

_ASIDE = re.compile(r"\..+\.(?P<host>[^/]+)-(?P<process>\d+)-\d+\.tmp")


@contextlib.contextmanager
def replacing(
    path: pathlib.Path, temporary: pathlib.Path | None = None
) -> Iterator[pathlib.Path]:
    """Gives a path to write to, which becomes `path` when all went well.

    Args:
        path: Where the file shall appear; its folder exists.
        temporary: Folder to write in; that of `path` if None, or if it is on another
            file system, because renaming does not cross them.
    """
    folder = path.parent
    if temporary is not None and os.stat(temporary).st_dev == os.stat(folder).st_dev:
        folder = temporary
    owner = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    aside = folder / f".{path.name}.{owner}.tmp"
    try:
        yield aside
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def read_text(path: pathlib.Path) -> str | None:
    """Returns a file's text; None where there is none, also if it was moved just now.

    Args:
        path: The file, in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_text(path: pathlib.Path, text: str, *, errors: str = "strict") -> None:
    """Replaces a file's text in one step.

    Args:
        path: The file; its folder exists.
        text: What it shall say, written as UTF-8.
        errors: What becomes of what UTF-8 cannot say, as for `str.encode`.
    """
    content = text.encode("utf-8", errors)
    with replacing(path) as aside:
        aside.write_bytes(content)


def remove_abandoned(folder: pathlib.Path) -> None:
    """Removes what writers of this machine that are gone left half-written."""
    for path in folder.glob(".*.tmp"):
        match = _ASIDE.fullmatch(path.name)
        if not match or match["host"] != socket.gethostname():
            continue
        try:
            os.kill(int(match["process"]), 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
        except PermissionError:  # alive, and another person's
            continue
