"""Files that are written whole or not at all."""

import os
import pathlib


def read_text(path: pathlib.Path) -> str | None:
    """A file's text; None where there is none, also if it was moved just now.

    Args:
        path: The file, in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_text(path: pathlib.Path, text: str) -> None:
    """Replaces a file's text in one step: a reader finds the old one or the new one.

    Args:
        path: The file; its folder exists.
        text: What it shall say, written as UTF-8.
    """
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
