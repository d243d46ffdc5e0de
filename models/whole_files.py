"""Files that are written whole or not at all."""

import os
import pathlib


def write_text(path: pathlib.Path, text: str) -> None:
    """Replaces a file's text in one step: a reader finds the old one or the new one.

    Args:
        path: The file; its folder exists.
        text: What it shall say, written as UTF-8.
    """
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
