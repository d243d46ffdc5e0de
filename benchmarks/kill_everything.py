"""Kills every program at random moments and looks at what is left: nothing is lost.

    python -m benchmarks.kill_everything --kills=20 --sigterms=5
    python -m benchmarks.kill_everything --programs=train,render --kills=3 --seed=1

Each program works on seconds of made-up audio with tiny models. It is killed (SIGKILL)
or asked to end (SIGTERM) at a random moment of its work. What is in its place then is
read as its readers do: the old result, the new one, or none. Then the same command runs
to its end, and what it leaves is compared with what a run that nobody killed left, file
by file. Prints a line a kill; ends with 1 if anything differs or is left behind.

The pitch tracker counts zero crossings: what CREPE computes is not what is tested here.
"""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import collections
import dataclasses
import functools
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import types

from absl import app
from absl import flags

from benchmarks import forked
from benchmarks import killed_programs
from evaluation import evaluate
from evaluation.matrix import invocation
from evaluation.matrix import runner
from evaluation.render import job
from prep import files
from prep.beam import steps
from tests.helpers import prep_helpers

_KILLS = flags.DEFINE_integer("kills", 20, "SIGKILLs, at random moments of the work.")
_SIGTERMS = flags.DEFINE_integer("sigterms", 5, "SIGTERMs, likewise.")
_SEED = flags.DEFINE_integer("seed", 0, "Decides the moments.")
_PROGRAMS = flags.DEFINE_list(
    "programs", list(killed_programs.PROGRAMS), "Which programs."
)
ORPHAN_SECS = 60.0  # in which a training whose matrix was killed saves and ends


class StubTracker(prep_helpers.StubTracker):
    """Counts zero crossings, whatever size or decoder is asked for."""

    def __init__(self, *unused: object, **unused_options: object):
        """Needs no network."""


def stub_everything() -> None:
    """Replaces CREPE, and the processes that the matrix starts by forked ones."""
    starting = types.SimpleNamespace(
        Popen=forked.Forked, run=forked.run, STDOUT=subprocess.STDOUT
    )
    for owner, name, stub in (
        (steps, "load_crepe", lambda capacity, decoder: StubTracker()),
        (evaluate.pitch_tracker, "CrepeTracker", StubTracker),
        (job.tracker, "CrepeTracker", StubTracker),
        (runner, "subprocess", starting),
        (invocation, "subprocess", starting),
    ):
        setattr(owner, name, stub)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a kill.

    Attributes:
        has_hit: Whether the program was at work when the signal came.
        secs: After which it came.
        problems: What was wrong afterwards; empty when nothing was.
    """

    has_hit: bool
    secs: float
    problems: list[str]


def run_once(
    program: killed_programs.Program,
    folder: pathlib.Path,
    *,
    kill_after: float | None = None,
    number: int = signal.SIGKILL,
) -> int:
    """Runs a program in a folder, to its end or until it is killed.

    Args:
        program: Which.
        folder: Holds its inputs, and takes what it writes.
        kill_after: Seconds until the signal comes; None sends none.
        number: Of the signal.

    Returns:
        The exit code; below 0 where a signal ended it.
    """
    # Temporary files lie in the folder, so that they are seen when they are left.
    (folder / "tmp").mkdir(exist_ok=True)
    os.environ["TMPDIR"], tempfile.tempdir = str(folder / "tmp"), None
    with open(folder.with_suffix(".log"), "a", encoding="utf-8") as log:
        process = forked.Forked(program.words(folder), stdout=log)
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(number)
        return process.wait()


def try_once(
    program: killed_programs.Program,
    place: pathlib.Path,
    *,
    name: str,
    number: int,
    secs: float,
) -> Outcome:
    """Kills a program once, looks, runs it again, and compares."""
    folder = program.set_up(place / name)
    code = run_once(program, folder, kill_after=secs, number=number)
    has_hit = code != 0
    whole = place / "whole"
    found = [f"half: {what}" for what in forked.call(program.halves, folder, whole)]
    # What a person would do at once, while a child may still be ending.
    again = run_once(program, folder)
    if again:
        last = folder.with_suffix(".log").read_text("utf-8", "replace")[-300:]
        found.append(f"again: exit code {again}: {last}")
    else:
        found += forked.call(program.differences, folder, whole)
    n_left = forked.wait_for_orphans(ORPHAN_SECS)
    if n_left:
        found.append(f"{n_left} processes are left")
    return Outcome(has_hit, secs, found)


def kill(program: killed_programs.Program, place: pathlib.Path) -> list[Outcome]:
    """Kills a program as often as the flags say; prints a line each."""
    draw = random.Random(f"{_SEED.value} {program.name}")
    place.mkdir()
    # The first run fills caches of the system; the second is measured and compared.
    for name in ("first", "whole"):
        whole = program.set_up(place / name)
        begin = time.monotonic()
        if code := run_once(program, whole):
            said = whole.with_suffix(".log").read_text("utf-8", "replace")
            raise RuntimeError(f"{program.name} ends with {code}: {said[-2000:]}")
        secs = time.monotonic() - begin
    outcomes = []
    kinds = ["SIGKILL"] * _KILLS.value + ["SIGTERM"] * _SIGTERMS.value
    for count, kind in enumerate(kinds):
        outcome = try_once(
            program,
            place,
            name=f"{kind}-{count}",
            number=getattr(signal, kind),
            secs=draw.uniform(0.0, 1.0) * secs,
        )
        outcomes.append(outcome)
        when = f"{kind} after {outcome.secs:.2f} of {secs:.2f} s"
        what = "; ".join(outcome.problems) or "nothing lost"
        missed = "" if outcome.has_hit else " (it had ended)"
        print(f"{program.name}: {when}{missed}: {what}", flush=True)
    return outcomes


def main(argv: list[str]) -> int:
    """Kills, goes on, compares; returns an exit code."""
    del argv
    os.chdir(pathlib.Path(__file__).resolve().parents[1])
    stub_everything()
    forked.adopt_orphans()
    outcomes: dict[str, list[Outcome]] = collections.defaultdict(list)
    with files.scratch_folder("kill_everything") as place:
        # Models are trained in children, so that this process computes nothing.
        start = functools.partial(run_once, folder=place / "material")
        killed_programs.make_material(place / "material", start)
        for name in _PROGRAMS.value:
            program = killed_programs.PROGRAMS[name](place / "material")
            outcomes[name] = kill(program, place / name)
    n_bad = 0
    for name, found in outcomes.items():
        n_hit = sum(one.has_hit for one in found)
        n_sound = sum(not one.problems for one in found)
        n_bad += len(found) - n_sound
        print(
            f"{name}: {n_sound} of {len(found)} lost nothing and left nothing behind "
            f"({n_hit} hit it at work)."
        )
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(app.run(main))
