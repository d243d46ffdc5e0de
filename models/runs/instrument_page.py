"""The web page that plays a run, remembered in its folder so that reports link it.

`ddsp_render --instrument` writes the page wherever a person wants it and leaves a note;
a page that lies in the run's folder under the usual name needs none.
"""

import contextlib
import os
import pathlib
import urllib.parse

from prep import files

PAGE_NAME = "instrument.html"
NOTE_NAME = "instrument.txt"  # where else the page lies, seen from the run


def remember(run_dir: pathlib.Path, page: pathlib.Path) -> None:
    """Notes where a run's page lies; a folder that takes no note stays as it is."""
    place = os.path.relpath(page.resolve(), run_dir.resolve())
    with contextlib.suppress(OSError):
        files.write_text(run_dir / NOTE_NAME, f"{place}\n")


def find(run_dir: pathlib.Path) -> pathlib.Path | None:
    """Finds the page of a run: the one noted last, or the one in its folder.

    Args:
        run_dir: The run.

    Returns:
        The page's whole path; None where there is none, or none any more.
    """
    places = [PAGE_NAME]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        places.insert(0, (run_dir / NOTE_NAME).read_text("utf-8").strip())
    for place in places:
        page = run_dir / place
        if page.is_file():
            return page.resolve()
    return None


def link(page: pathlib.Path | None, folder: pathlib.Path) -> str | None:
    """Returns the address of a page for a file in a folder: both may move together."""
    if page is None:
        return None
    return urllib.parse.quote(os.path.relpath(page, folder.resolve()))
