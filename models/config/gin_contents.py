"""What gin files say, as one digest: a run whose files were edited is another run."""

import hashlib
import json
import pathlib
import re
from collections.abc import Sequence

from models.config import gin_config

MISSING = "missing"
_UNCOUNTED = re.compile(r"#|import\s|from\s.*\simport\s")
_INCLUDE = re.compile(r"""^\s*include\s+(['"])(.+?)\1""", re.MULTILINE)


def digest(names: Sequence[str]) -> str:
    """Digest of gin files and of all that they include.

    Empty lines, comments and imports do not count: where a module lies is no setting.
    A file that is not there counts as missing; refusing it is left to the run.

    Args:
        names: As given to `ddsp_run`, in order.

    Returns:
        Sixteen hexadecimal digits.
    """
    texts: dict[str, str] = {}
    for name in names:
        _collect(name, texts)
    said = json.dumps([list(names), texts])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _collect(name: str, texts: dict[str, str]) -> None:
    """Adds the text of a file and of those that it includes, each once."""
    if name in texts:
        return
    path = find(name)
    lines = path.read_text("utf-8").splitlines() if path else []
    counted = [line.strip() for line in lines]
    text = "\n".join(line for line in counted if line and not _UNCOUNTED.match(line))
    texts[name] = text if path else MISSING
    for _, included in _INCLUDE.findall(text):
        _collect(included, texts)


def find(name: str) -> pathlib.Path | None:
    """The file that a run would read; None if there is none."""
    folders = ("", *gin_config.SEARCH_PATHS)
    paths = (pathlib.Path(folder, name) for folder in folders)
    return next((path for path in paths if path.is_file()), None)
