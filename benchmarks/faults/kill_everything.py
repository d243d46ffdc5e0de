"""Kills every program at random moments and looks at what is left: nothing is lost.

    python -m benchmarks.faults.kill_everything --kills=20 --sigterms=5 --pairs=3
    python -m benchmarks.faults.kill_everything --programs=train,render --kills=3

Each program works on seconds of made-up audio with tiny models. It is killed (SIGKILL)
or asked to end (SIGTERM) at a random moment of its work. What is in its place then is
read as its readers do: the old result, the new one, or none. Then the same command runs
to its end, and what it leaves is compared with what a run that nobody killed left, file
by file. Then two of it are started at once on one output: one does the work, and the
other refuses in a sentence, or waits, or does the same. Prints a line a trial; ends
with 1 if anything differs or is left behind.

The pitch tracker counts zero crossings: what CREPE computes is not what is tested here.
"""

import collections
import dataclasses
import functools
import importlib
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time
import types

from absl import app
from absl import flags

from benchmarks.faults import killed_programs
from evaluation import evaluate
from evaluation.matrix import invocation
from evaluation.matrix import runner
from evaluation.render import job
from prep import files
from prep.beam import steps
from tests.helpers import forked
from tests.helpers import prep_helpers

_KILLS = flags.DEFINE_integer("kills", 20, "SIGKILLs, at random moments of the work.")
_SIGTERMS = flags.DEFINE_integer("sigterms", 5, "SIGTERMs, likewise.")
_PAIRS = flags.DEFINE_integer("pairs", 3, "Times that two are started at once.")
_SEED = flags.DEFINE_integer("seed", 0, "Decides the moments.")
_PROGRAMS = flags.DEFINE_list(
    "programs", list(killed_programs.PROGRAMS), "Which programs."
)
ORPHAN_SECS = 60.0  # in which a training whose matrix was killed saves and ends


class StubTracker(prep_helpers.StubTracker):
    """Counts zero crossings, whatever size or decoder is asked for."""

    def __init__(self, *unused: object, **unused_options: object):
        """Needs no network."""


def prepare_to_fork() -> None:
    """Imports what programs import, and replaces CREPE and the matrix's processes."""
    for program in killed_programs.PROGRAMS.values():
        for module in importlib.import_module(program.module).PROGRAM.loads:
            importlib.import_module(module)
    starting = types.SimpleNamespace(
        Popen=forked.Forked, run=forked.run, STDOUT=subprocess.STDOUT
    )
    for owner, name, stub in (
        (steps, "load_crepe", lambda *settings: StubTracker()),
        (evaluate.pitch_tracker, "CrepeTracker", StubTracker),
        (job.tracker, "CrepeTracker", StubTracker),
        (runner, "subprocess", starting),
        (invocation, "subprocess", starting),
    ):
        setattr(owner, name, stub)


@dataclasses.dataclass(frozen=True)
class Trial:
    """What came of a kill.

    Attributes:
        has_hit: Whether the program was at work when the signal came.
        secs: After which it came.
        problems: What was wrong afterwards; empty when nothing was.
    """

    has_hit: bool
    secs: float
    problems: list[str]

    @property
    def summary(self) -> str:
        """The problems in a line."""
        return "; ".join(self.problems) or "nothing lost"


def run_once(
    program: killed_programs.Subject,
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
    process = start(program, folder)
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(number)
    return process.wait()


def start(program: killed_programs.Subject, folder: pathlib.Path) -> forked.Forked:
    """Starts a program in a folder; what it prints is added to the folder's log."""
    # Temporary files lie in the folder, so that they are seen when they are left.
    (folder / "tmp").mkdir(exist_ok=True)
    os.environ["TMPDIR"], tempfile.tempdir = str(folder / "tmp"), None
    with open(folder.with_suffix(".log"), "a", encoding="utf-8") as log:
        return forked.Forked(program.words(folder), stdout=log)


def said_last(folder: pathlib.Path) -> str:
    """Returns the end of what programs in a folder printed."""
    return folder.with_suffix(".log").read_text("utf-8", "replace")[-2000:]


def run_whole(program: killed_programs.Subject, folder: pathlib.Path) -> float:
    """Runs a program to its end; returns the seconds that took.

    Raises:
        RuntimeError: If it fails.
    """
    begin = time.monotonic()
    if code := run_once(program, folder):
        raise RuntimeError(f"{program.name} ends with {code}: {said_last(folder)}")
    return time.monotonic() - begin


def try_once(
    program: killed_programs.Subject,
    place: pathlib.Path,
    *,
    name: str,
    number: int,
    secs: float,
) -> Trial:
    """Kills a program once, looks, runs it again, and compares."""
    folder = program.set_up(place / name)
    code = run_once(program, folder, kill_after=secs, number=number)
    has_hit = code != 0
    whole = place / "whole"
    found = [f"half: {what}" for what in forked.call(program.halves, folder, whole)]
    # What a person would do at once, while a child may still be ending.
    again = run_once(program, folder)
    if again:
        found.append(f"again: exit code {again}: {said_last(folder)}")
    else:
        found += forked.call(program.differences, folder, whole)
    n_left = forked.wait_for_orphans(ORPHAN_SECS)
    if n_left:
        found.append(f"{n_left} processes are left")
    return Trial(has_hit, secs, found)


def try_pair(
    program: killed_programs.Subject, place: pathlib.Path, *, name: str
) -> Trial:
    """Starts two of a program at once, and compares what they leave."""
    folder = program.set_up(place / name)
    pair = [start(program, folder) for _ in range(2)]
    codes = [process.wait() for process in pair]
    found = []
    # A refusal has a code of its own; 70 is a fault of ours, 1 and 2 have sentences.
    if 0 not in codes or not {*codes} <= {0, 1, 2}:
        found.append(f"exit codes {codes}: {said_last(folder)}")
    found += forked.call(program.differences, folder, place / "whole")
    return Trial(True, 0.0, found)


def try_all(program: killed_programs.Subject, place: pathlib.Path) -> list[Trial]:
    """Kills a program, and starts two, as often as the flags say; a line each."""
    draw = random.Random(f"{_SEED.value} {program.name}")
    place.mkdir()
    # The first run fills caches of the system; the second is measured and compared.
    for name in ("first", "whole"):
        secs = run_whole(program, program.set_up(place / name))
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
        missed = "" if outcome.has_hit else " (it had ended)"
        when = f"{kind} after {outcome.secs:.2f} of {secs:.2f} s{missed}"
        print(f"{program.name}: {when}: {outcome.summary}", flush=True)
    for count in range(_PAIRS.value):
        outcome = try_pair(program, place, name=f"pair-{count}")
        outcomes.append(outcome)
        print(f"{program.name}: two at once: {outcome.summary}", flush=True)
    return outcomes


def main(argv: list[str]) -> int:
    """Kills, goes on, compares; returns an exit code."""
    del argv
    os.chdir(pathlib.Path(__file__).resolve().parents[2])
    prepare_to_fork()
    forked.adopt_orphans()
    outcomes: dict[str, list[Trial]] = collections.defaultdict(list)
    with files.scratch_folder("kill_everything") as place:
        # Models are trained in children, so that this process computes nothing.
        material = place / "material"
        killed_programs.make_material(
            material, functools.partial(run_whole, folder=material)
        )
        for name in _PROGRAMS.value:
            program = killed_programs.PROGRAMS[name](material)
            outcomes[name] = try_all(program, place / name)
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
    app.run(main)
