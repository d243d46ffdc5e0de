"""Puts a finished report where the last one was; a kill at any moment loses neither.

The new report is written into a hidden folder beside the old one. When it is whole, the
old one is renamed aside, the new one into its place, and only then the old one deleted.
What a kill left half-way is finished by the next report of that folder.

Only a report is replaced: files of these names that no report wrote stay.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

from prep import errors
from prep import processes

# A report's own files; `--overwrite` replaces nothing else.
SUMMARY_NAME, MEDIA_NAME = "summary.json", "media"
FILES = ("scores.jsonl", SUMMARY_NAME, "report.html", "report.md", MEDIA_NAME)
UNFINISHED = ".ddsp_report-new"  # folder of the new report until it is in its place
REPLACED = ".ddsp_report-replaced"  # folder into which the old report is being moved
OBSOLETE = ".ddsp_report-old"  # the same folder when all of the old report is in it
_CLIP_FOLDER = re.compile(r"clip-\d{3,}")
_CLIP_FILE = re.compile(r"curves\.json|\d+-.*\.(flac|png)")


@contextlib.contextmanager
def claim(output: pathlib.Path, *, overwrite: bool) -> Iterator[pathlib.Path]:
    """Claims the folder of a report, and gives one for the unfinished report.

    Args:
        output: Folder of the report; made if needed.
        overwrite: Whether a report in it is replaced.

    Yields:
        An empty folder inside, on the same disk; it is deleted in the end.

    Raises:
        InputError: If a report is there and may not be replaced, something there is no
            report, another program writes one, or no folder can be made there.
    """
    is_new = not output.exists()
    _check_writable(output)
    try:
        with processes.holding(output) as is_ours:
            if not is_ours:
                raise errors.InputError(
                    f"another ddsp_report is writing to {output}; wait for it, or say "
                    "another --output."
                )
            recover(output)
            check_replaceable(output, overwrite=overwrite)
            unfinished = output / UNFINISHED
            unfinished.mkdir()
            try:
                yield unfinished
            finally:  # also of an interrupt while the report is replaced
                recover(output)
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it holds a report
                output.rmdir()


def _check_writable(output: pathlib.Path) -> None:
    """Makes the folder and tries whether it can be written to."""
    if output.is_file():
        raise errors.InputError(f"--output={output} is a file; name a folder.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise errors.InputError(
            f"--output={output} cannot be written: {error.strerror}."
        ) from error


def check_replaceable(output: pathlib.Path, *, overwrite: bool) -> None:
    """Refuses to replace a report without leave, and anything else at all.

    Raises:
        InputError: With the first thing that is in the way.
    """
    there = [name for name in FILES if os.path.lexists(output / name)]
    for name in there:
        if not _is_of_a_report(output, name):
            raise errors.InputError(
                f"{output / name} was not written by ddsp_report, which would replace "
                "it; move it away, or say another --output."
            )
    if there and not overwrite:
        raise errors.InputError(
            f"{output} already holds a report ({there[0]}); pass --overwrite to "
            "replace it or --output for another folder."
        )


def _is_of_a_report(output: pathlib.Path, name: str) -> bool:
    """Tells a report's own file from a stranger's of the same name."""
    path = output / name
    if path.is_symlink() or path.is_dir() != (name == MEDIA_NAME):
        return False
    if name == MEDIA_NAME:
        # Nothing but clips, and in them nothing but what a report shows of a clip.
        return all(
            _CLIP_FOLDER.fullmatch(clip.name)
            and clip.is_dir()
            and not clip.is_symlink()
            and all(_CLIP_FILE.fullmatch(file.name) for file in clip.iterdir())
            for clip in path.iterdir()
        )
    # The four files are written together: the summary speaks for all of them.
    try:
        document = json.loads((output / SUMMARY_NAME).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"schema_version", "verdict"} <= set(document)


def replace(unfinished: pathlib.Path, output: pathlib.Path) -> None:
    """Puts a finished report in its place; what else is in the folder stays.

    Args:
        unfinished: The folder that `claim` gave, with the new report's files.
        output: Folder of the report.
    """
    for path in unfinished.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    (output / REPLACED).mkdir()  # from here on recovery ends with the new report
    recover(output)


def recover(output: pathlib.Path) -> None:
    """Finishes a replacement from wherever it stands, and clears what is left over."""
    replaced, obsolete = output / REPLACED, output / OBSOLETE
    # 1. All that is in the place is old: it goes aside.
    if replaced.is_dir():
        _move_files(output, replaced)
        replaced.rename(obsolete)
    # 2. All that is in the place is new: the rest of it comes.
    if obsolete.is_dir():
        _move_files(output / UNFINISHED, output)
        shutil.rmtree(obsolete)
    # 3. Without an old report aside, an unfinished one is what a killed program left.
    shutil.rmtree(output / UNFINISHED, ignore_errors=True)


def _move_files(source: pathlib.Path, target: pathlib.Path) -> None:
    """Renames a report's files from one folder into another."""
    for name in FILES:
        if os.path.lexists(source / name):
            (source / name).rename(target / name)
