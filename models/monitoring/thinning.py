"""Folders of a run's dumps, thinned so that a long run does not fill the disk."""

import pathlib
import shutil


def thin(folder: pathlib.Path, *, keep: int) -> None:
    """Deletes dumps beyond a number, each time the one whose neighbours are nearest.

    The first and the newest stay, and those between cover the whole run evenly.

    Args:
        folder: Holds `step-<number>` folders, a dump each.
        keep: How many may be there, at least 2.
    """
    step_of = {path: int(path.name[5:]) for path in folder.glob("step-*")}
    dumps = sorted(step_of, key=lambda path: step_of[path])
    while len(dumps) > max(keep, 2):
        gaps = [
            step_of[after] - step_of[before]
            for before, after in zip(dumps[:-2], dumps[2:], strict=True)
        ]
        place = gaps.index(min(gaps)) + 1
        shutil.rmtree(dumps.pop(place), ignore_errors=True)
