"""Files that are written whole or not at all.

A file is written aside, flushed to the disk and renamed over the old one: a reader, and
a machine that loses its power, finds the old content or the new one. The name aside
holds the host, the process and the thread, so two writers never share it; what a
killed process leaves is known by it, and the next program that writes there removes it.
Scratch folders are named alike.
"""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import socket
import tempfile
import threading
import tokenize
from collections.abc import Iterator

# What NumPy raises for damaged .npy files, whose headers it parses as Python.
ARRAY_ERRORS = (
    *(OSError, ValueError, EOFError, SyntaxError, MemoryError, OverflowError),
    tokenize.TokenError,
)
_ASIDE = re.compile(
    rf"\.(?P<name>.+)\.{re.escape(socket.gethostname())}"
    r"-(?P<process>\d+)-\d+\.tmp",
    re.DOTALL,
)


@contextlib.contextmanager
def replacing(
    path: pathlib.Path,
    temporary: pathlib.Path | None = None,
    *,
    flush: bool = True,
) -> Iterator[pathlib.Path]:
    """Gives a path to write to, which becomes `path` when all went well.

    Args:
        path: Where the file shall appear; its folder exists.
        temporary: Folder to write in; that of `path` if None, or if it is on another
            file system, because renaming does not cross them.
        flush: Whether the content must reach the disk before the name does; a file
            that carries a checksum may do without, where there are thousands.
    """
    folder = path.parent
    if temporary is not None and os.stat(temporary).st_dev == os.stat(folder).st_dev:
        folder = temporary
    _clear_once(folder)
    aside = folder / _aside_name(path.name)
    try:
        yield aside
        if flush:
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


@contextlib.contextmanager
def scratch_folder(
    name: str, parent: pathlib.Path | None = None
) -> Iterator[pathlib.Path]:
    """Gives a folder for what is needed meanwhile; it is removed in the end.

    Args:
        name: Begins the folder's name; what killed processes left of it goes first.
        parent: Where it is made; the system's folder for temporary files if None.
    """
    parent = parent or pathlib.Path(tempfile.gettempdir())
    remove_abandoned(parent, name)
    folder = parent / _aside_name(name)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _aside_name(name: str) -> str:
    owner = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    return f".{name}.{owner}.tmp"


@functools.cache
def _clear_once(folder: pathlib.Path) -> None:
    """Removes what is abandoned in a folder, once a process: it reads the folder."""
    remove_abandoned(folder)


def remove_abandoned(folder: pathlib.Path, name: str | None = None) -> None:
    """Removes what writers of this machine that are gone left half-written.

    Args:
        folder: Where it lies.
        name: Of the file that they were writing; None for any.
    """
    entries = []
    with contextlib.suppress(OSError):  # no folder, or one that may not be read
        entries = list(os.scandir(folder))
    for entry in entries:
        match = _ASIDE.fullmatch(entry.name)
        if not match or name not in (None, match["name"]):
            continue
        try:
            os.kill(int(match["process"]), 0)
        except ProcessLookupError:
            _remove(pathlib.Path(entry.path))
        except PermissionError:  # alive, and another person's
            continue


def _remove(path: pathlib.Path) -> None:
    """Removes a file, a link or a folder, as far as that is permitted."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
