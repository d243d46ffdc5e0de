"""Which runs a report judges: those that were named, and those that globs find.

A run that was named must be sound; one that only a glob found may be skipped, because
among many there is often one that has not started or has diverged.
"""

import dataclasses
import glob
import pathlib
from collections.abc import Sequence

from absl import logging

from evaluation.scoring import rows as rows_lib
from models.runs import layout
from prep import errors


@dataclasses.dataclass(frozen=True)
class Choice:
    """The runs of a report.

    Attributes:
        baseline: The run that the others are compared with.
        run_dirs: All of them, the baseline first, each once.
        optional: Those of `run_dirs` that only a glob found.
    """

    baseline: pathlib.Path
    run_dirs: tuple[pathlib.Path, ...]
    optional: frozenset[pathlib.Path] = frozenset()


def find_runs(
    *, baseline: str, candidates: Sequence[str], patterns: Sequence[str]
) -> Choice:
    """The runs to judge, the baseline first, each once.

    Args:
        baseline: Directory.
        candidates: Directories.
        patterns: Globs; what they match and is no run is left out, with a note.

    Raises:
        errors.InputError: If a glob matches no run, nothing but the baseline is
            left, or two runs have one name.
    """
    explicit = [pathlib.Path(baseline), *map(pathlib.Path, candidates)]
    matched = [path for pattern in patterns for path in match_runs(pattern)]
    named: dict[pathlib.Path, pathlib.Path] = {}
    for path in [*explicit, *matched]:
        named.setdefault(path.resolve(), path)
    if len(named) < 2:
        given = ", ".join([*candidates, *patterns]) or "nothing"
        raise errors.InputError(
            f"there is no run to compare with {baseline} ({given} was given); say "
            "--candidate runs/stage2 or --runs 'runs/*'."
        )
    _check_names(list(named.values()))
    asked_for = {path.resolve() for path in explicit}
    return Choice(
        baseline=explicit[0],
        run_dirs=tuple(named.values()),
        optional=frozenset(p for real, p in named.items() if real not in asked_for),
    )


def match_runs(pattern: str) -> list[pathlib.Path]:
    """The runs that a glob matches, also those that only started.

    Args:
        pattern: Glob; what it matches and is no run is left out, with a note.

    Raises:
        errors.InputError: If it matches none.
    """
    found = []
    for name in sorted(glob.glob(str(pathlib.Path(pattern).expanduser()))):
        path = pathlib.Path(name)
        started = (path / layout.RUN_NAME).is_file()
        if started or any(path.glob("operative_config-*.gin")):
            found.append(path)
        elif path.is_dir():
            logging.warning("%s is no run (no operative_config); left out", path)
    if not found:
        raise errors.InputError(
            f"--runs={pattern} matches no run, seen from {pathlib.Path.cwd()}; a run "
            "is a folder that ddsp_run wrote."
        )
    return found


def _check_names(run_dirs: Sequence[pathlib.Path]) -> None:
    """Refuses two runs of one name: tables and audio could not tell them apart."""
    taken: dict[str, pathlib.Path] = {}
    for path in run_dirs:
        if path.name in taken:
            raise errors.InputError(
                f"two runs are named {path.name!r} ({path} and {taken[path.name]}); "
                "rename one directory."
            )
        taken[path.name] = path


def describe_twins(choice: Choice) -> str:
    """What happens to further trainings of the baseline's system; empty without any.

    Args:
        choice: The runs of a report.
    """
    system = rows_lib.system_name(choice.baseline.name)
    twins = [
        path.name
        for path in choice.run_dirs[1:]
        if rows_lib.system_name(path.name) == system
    ]
    if not twins:
        return ""
    verb = "is another training" if len(twins) == 1 else "are other trainings"
    return (
        f"{', '.join(twins)} {verb} of the baseline's system {system}: averaged into "
        "it, not compared with it."
    )
