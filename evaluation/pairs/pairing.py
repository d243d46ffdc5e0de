"""Which files belong together: a recording, and each system's rendering of it.

Files are given as a folder, a file, or a pattern with one `*`. In folders the names
without their endings are compared, in patterns what the `*` stands for, so that
`refs/` goes with `outs/*_gru.wav`. A table of pairs (csv) names every file itself.
"""

import csv
import dataclasses
import itertools
import os
import pathlib
import re
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence

from evaluation.scoring import rows as rows_lib
from prep import errors
from prep.recordings import find

REFERENCE_COLUMN = "reference"
UNIT_COLUMN = "recording"
N_SHOWN = 3  # names that a message lists


@dataclasses.dataclass(frozen=True)
class FilePair:
    """A recording and the renderings of it.

    Attributes:
        name: What its files have in common.
        recording_id: Pairs of one recording are one unit of every interval.
        reference: The recording.
        estimates: The rendering of each system.
    """

    name: str
    recording_id: str
    reference: pathlib.Path
    estimates: dict[str, pathlib.Path]


@dataclasses.dataclass(frozen=True)
class Pairing:
    """All pairs of a report.

    Attributes:
        pairs: In the order of their names; every one has every system.
        sources: Where each system's files were found, by system, in the order given.
        reference_source: Where the recordings were found.
        unpaired: Files that are not judged, and why.
    """

    pairs: list[FilePair]
    sources: dict[str, str]
    reference_source: str
    unpaired: dict[str, str]


def match(reference: str, estimates: Sequence[str]) -> Pairing:
    """Pairs files by their names.

    Args:
        reference: Folder, file or pattern of the recordings.
        estimates: The same of each system, `NAME=` before it where it shall have a
            name of its own.

    Returns:
        The pairs that every system has.

    Raises:
        InputError: If files are missing or ambiguous, or nothing fits together.
    """
    recordings = _list_files(reference, flag="--reference")
    sources = _name_systems(estimates)
    found = {
        name: _list_files(source, flag="--estimate") for name, source in sources.items()
    }
    # A file beside a file: their names do not matter.
    if all(_is_file(source) for source in (reference, *sources.values())):
        (key,) = recordings
        found = {name: {key: next(iter(one.values()))} for name, one in found.items()}
    common = [key for key in recordings if all(key in one for one in found.values())]
    if not common:
        raise errors.InputError(_nothing_fits(reference, recordings, sources, found))
    return Pairing(
        pairs=[
            FilePair(
                name=key,
                recording_id=key,
                reference=recordings[key],
                estimates={name: one[key] for name, one in found.items()},
            )
            for key in common
        ],
        sources=sources,
        reference_source=reference,
        unpaired=_list_unpaired(recordings, found),
    )


def _is_file(source: str) -> bool:
    return os.path.isfile(os.path.expanduser(source))


def _list_files(source: str, *, flag: str) -> dict[str, pathlib.Path]:
    """Files of a folder, file or pattern, by what pairs them, in order."""
    is_pattern = "*" in source and not os.path.lexists(os.path.expanduser(source))
    if is_pattern and (source.count("*") > 1 or "*" in os.path.dirname(source)):
        raise errors.InputError(
            f"{flag}={source!r} has a * in a folder's name or several: a pattern has "
            "one, in the name of the file, for what its recording is called."
        )
    try:
        found = find.find_recordings([source], flag=flag)
    except FileNotFoundError as error:
        raise errors.InputError(str(error)) from error
    files: dict[str, pathlib.Path] = {}
    for path, name in zip(found.paths, found.names, strict=True):
        key = _star(source, path) if is_pattern else os.path.splitext(name)[0]
        if key in files:
            raise errors.InputError(
                f"{flag}={source!r} holds both {files[key].name} and "
                f"{os.path.basename(path)}: which of them is {key!r}?"
            )
        files[key] = pathlib.Path(path)
    return files


def _star(pattern: str, path: str) -> str:
    """What the `*` of a pattern stands for in a path that it matches."""
    before, after = os.path.basename(pattern).split("*")
    name = os.path.basename(path)
    return name[len(before) : len(name) - len(after)].removesuffix(".")


def _name_systems(estimates: Sequence[str]) -> dict[str, str]:
    """Source of each system by its name.

    Raises:
        InputError: If two have the same name, or one has none that can be used.
    """
    sources: dict[str, str] = {}
    for given in estimates:
        name, equals, source = given.partition("=")
        if not equals or "/" in name or os.path.lexists(os.path.expanduser(given)):
            name, source = _system_name(given), given
        _check_name(
            name if source else "", taken=sources, given=f"--estimate={given!r}"
        )
        sources[name] = source
    return sources


def _check_name(name: str, *, taken: Collection[str], given: str) -> None:
    """Refuses a system's name that cannot be used.

    Args:
        name: Of the system.
        taken: Names of others.
        given: Where it stands, as the message says it.

    Raises:
        InputError: If there is none, or it is another system's or the recordings'.
    """
    if not name:
        raise errors.InputError(
            f"{given} names no system; write --estimate=NAME=FILES, or a name at the "
            "head of every column."
        )
    if name in taken or rows_lib.is_recording(name):
        whose = "taken" if name in taken else "the recordings'"
        raise errors.InputError(
            f"{given}: the name {name!r} is {whose}; give the system another "
            "(--estimate=NAME=FILES)."
        )


def _system_name(source: str) -> str:
    """A system's name: of its folder or file, or what its pattern says beside `*`."""
    path = pathlib.Path(os.path.abspath(os.path.expanduser(source)))
    if "*" not in path.name:
        return path.name if path.is_dir() else path.stem
    said = "".join(os.path.splitext(path.name)[0].split("*")).strip("_-. ")
    return said or path.parent.name


def _nothing_fits(
    reference: str,
    recordings: Mapping[str, pathlib.Path],
    sources: Mapping[str, str],
    found: Mapping[str, Mapping[str, pathlib.Path]],
) -> str:
    """Says that no recording has a rendering of every system."""
    alone = [name for name, files in found.items() if not set(files) & set(recordings)]
    name = alone[0] if alone else next(iter(found))
    if not alone:
        return (
            f"no recording of --reference={reference!r} is in every one of the "
            f"{len(found)} estimates."
        )
    return (
        f"no file of --estimate={sources[name]!r} ({_some(found[name])}) is named as "
        f"one of --reference={reference!r} ({_some(recordings)}); a * stands for what "
        "the names share, as in 'outs/*_gru.wav', or --pairs takes a table."
    )


def _some(files: Mapping[str, pathlib.Path]) -> str:
    names = list(files)
    return ", ".join(names[:N_SHOWN]) + (", ..." if len(names) > N_SHOWN else "")


def _list_unpaired(
    recordings: Mapping[str, pathlib.Path],
    found: Mapping[str, Mapping[str, pathlib.Path]],
) -> dict[str, str]:
    """Files that are not judged: recordings without a rendering, and the other way."""
    unpaired = {}
    for key, path in recordings.items():
        lacking = [name for name, files in found.items() if key not in files]
        if lacking:
            unpaired[str(path)] = f"no rendering of it by {', '.join(lacking)}"
    for files in found.values():
        for key, path in files.items():
            if key not in recordings:
                unpaired[str(path)] = "no recording of this name"
    return unpaired


def read_table(path: pathlib.Path) -> Pairing:
    """Reads pairs from a csv file.

    Args:
        path: With a column `reference`, a column for each system, and one named
            `recording` where several pairs are of one recording. Paths are relative to
            the table's folder.

    Raises:
        InputError: If it cannot be read, or lacks a column or a file.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.InputError(f"--pairs={path} cannot be read: {error}.") from error
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = max(",;\t", key=lines[0].count) if lines else ","
    rows = [
        [cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)
    ]
    head = rows[0] if rows else []
    systems = [name for name in head if name not in (REFERENCE_COLUMN, UNIT_COLUMN)]
    # A table needs its columns, each once, and a file in every cell.
    if REFERENCE_COLUMN not in head or not systems or len(set(head)) < len(head):
        raise errors.InputError(
            f"--pairs={path} begins with {', '.join(head) or 'nothing'}: its first "
            f"line must be {REFERENCE_COLUMN!r} and the name of each system, each once."
        )
    for name in systems:
        _check_name(name, taken=(), given=f"--pairs={path}")
    if len(rows) < 2:
        raise errors.InputError(f"--pairs={path} holds no pair below its first line.")
    pairs: list[FilePair] = []
    for line, row in enumerate(rows[1:], start=2):
        taken = {pair.name for pair in pairs}
        pairs.append(_table_row(row, head, path=path, line=line, taken=taken))
    return Pairing(
        pairs=pairs,
        sources=dict.fromkeys(systems, str(path)),
        reference_source=str(path),
        unpaired={},
    )


def _table_row(
    row: Sequence[str],
    head: Sequence[str],
    *,
    path: pathlib.Path,
    line: int,
    taken: Collection[str],
) -> FilePair:
    """A row of a table of pairs.

    Args:
        row: Its cells.
        head: The names of their columns.
        path: Of the table.
        line: Which row it is, from 1.
        taken: Names of the pairs above it.
    """
    if any(row[len(head) :]):
        raise errors.InputError(
            f"--pairs={path}, row {line}: {len(row)} cells for {len(head)} columns; "
            "put a name that holds the separator in quotes."
        )
    cells = dict(zip(head, row, strict=False))  # a short row lacks its last columns
    files = {}
    for column in head:
        value = cells.get(column, "")
        if not value:
            raise errors.InputError(f"--pairs={path}, row {line}: no {column!r}.")
        if column != UNIT_COLUMN:
            files[column] = path.parent / os.path.expanduser(value)
            if not files[column].is_file():
                raise errors.InputError(
                    f"--pairs={path}, row {line}: there is no file {files[column]}."
                )
    return FilePair(
        name=_unused(re.sub(r"\.\w+$", "", cells[REFERENCE_COLUMN]), taken),
        recording_id=cells.get(UNIT_COLUMN) or cells[REFERENCE_COLUMN],
        reference=files.pop(REFERENCE_COLUMN),
        estimates=files,
    )


def _unused(name: str, taken: Collection[str]) -> str:
    """A pair's name, with a number where another has it: a recording played twice."""
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(one for one in itertools.chain([name], numbered) if one not in taken)
