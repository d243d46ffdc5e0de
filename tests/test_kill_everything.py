"""A few of the kills of benchmarks.faults.kill_everything.

A report and a matrix take minutes each, so their kills are the script's alone.
"""

import pathlib

import pytest

from benchmarks.faults import killed_programs
from tests.helpers import programs

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("names", ["prep,render", "train"])
def test_programs_that_are_killed_or_started_twice_lose_nothing(names):
    done = programs.run(
        *(programs.PYTHON, "-m", "benchmarks.faults.kill_everything"),
        *("--kills=1", "--sigterms=1", "--pairs=1", f"--programs={names}"),
    )
    n_programs = len(names.split(","))
    assert done.stdout.count("3 of 3 lost nothing") == n_programs


def test_all_programs_are_among_them():
    assert set(killed_programs.PROGRAMS) == {
        *("prep", "train", "report", "matrix", "render")
    }
