"""What gin files say, those that they include among them, and a digest of it.

A run whose files were edited is another run.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Sequence

from models.config import gin_config

MISSING = "missing"
_UNCOUNTED = re.compile(r"#|import\s|from\s.*\simport\s")
_INCLUDE = re.compile(r"""^\s*include\s+(['"])(.+?)\1""", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class GinFile:
    """A gin file as it is found.

    Attributes:
        path: Where it lies; None if it is not there.
        text: Its content; empty if it is not there.
    """

    path: pathlib.Path | None
    text: str


def texts(names: Sequence[str], folders: Sequence[str] = ()) -> dict[str, GinFile]:
    """Reads gin files and all that they include, each once.

    Args:
        names: As given to `ddsp_run`, in order.
        folders: Where to look beside the usual places, as `--gin_search_path` says.

    Returns:
        By name, a file before those that it includes.
    """
    found: dict[str, GinFile] = {}
    for name in names:
        _collect(name, folders, found)
    return found


def _collect(name: str, folders: Sequence[str], found: dict[str, GinFile]) -> None:
    """Adds a file and those that it includes."""
    if name in found:
        return
    path = _find(name, folders)
    text = path.read_text("utf-8", "replace") if path else ""
    found[name] = GinFile(path, text)
    for _, included in _INCLUDE.findall(text):
        _collect(included, folders, found)


def _find(name: str, folders: Sequence[str]) -> pathlib.Path | None:
    """The file that a run would read; None if there is none."""
    paths = (
        pathlib.Path(folder, name)
        for folder in ("", *gin_config.SEARCH_PATHS, *folders)
    )
    return next((path for path in paths if path.is_file()), None)


def digest(names: Sequence[str], folders: Sequence[str] = ()) -> str:
    """Digest of gin files and of all that they include.

    Empty lines, comments and imports do not count: where a module lies is no setting.
    A file that is not there counts as missing; refusing it is left to the run.

    Args:
        names: As given to `ddsp_run`, in order.
        folders: As `texts` takes them.

    Returns:
        Sixteen hexadecimal digits.
    """
    counted = {
        name: _counted(file.text) if file.path else MISSING
        for name, file in texts(names, folders).items()
    }
    said = json.dumps([list(names), counted])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _counted(text: str) -> str:
    """The lines of a text that are settings."""
    lines = map(str.strip, text.splitlines())
    return "\n".join(line for line in lines if line and not _UNCOUNTED.match(line))
