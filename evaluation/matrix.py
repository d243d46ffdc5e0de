"""Running the experiment matrix of `evaluation.matrix_plan`.

A run is trained by `ddsp_run` in a process of its own, so one that fails or dies takes
nobody with it and is shown as failed. What was run is written beside each run; a
finished run of the same command is never repeated, an unfinished one goes on where it
stopped, and one of another command is started anew. When this process is asked to end,
so is the training that it waits for, which saves before it does.
"""

import dataclasses
import json
import pathlib
import subprocess
import time
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from absl import logging

from evaluation import matrix_plan
from evaluation import tracking
from models import metrics_log
from models import run_record

COMMAND_NAME = "matrix_command.json"
FINISHED = "finished"
FAILED = "failed"
LOG_LINES = 8  # of a failed run's output that are shown
POLL_SECS = 1.0  # between two looks at how far a run is
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Run:
    """One training of the matrix.

    Attributes:
        experiment: Of which it is part.
        rung: Which of its rungs.
        seed: Of the training.
        name: Of its folder.
        run_dir: Where it goes.
        command: That trains it.
    """

    experiment: matrix_plan.Experiment
    rung: str
    seed: int
    name: str
    run_dir: pathlib.Path
    command: list[str]

    @property
    def title(self) -> str:
        """Experiment and name."""
        return f"{self.experiment.name}/{self.name}"

    @property
    def log_path(self) -> pathlib.Path:
        """What its training said."""
        return self.run_dir.with_name(self.run_dir.name + ".log")

    @property
    def cost(self) -> float:
        """Of the whole run, in steps of a small MLP."""
        return self.experiment.n_steps * self.experiment.cost(self.rung)

    @property
    def _wanted(self) -> list[str]:
        """The command without what does not change the result: interpreter, place."""
        return [w for w in self.command[3:] if not w.startswith("--save_dir=")]

    def read_note(self) -> Json:
        """What was run here before, `command`, and for how long, `secs`."""
        path = self.run_dir / COMMAND_NAME
        note = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return {"command": note.get("command"), "secs": note.get("secs") or 0.0}

    def write_note(self, secs: float) -> None:
        """Says what is run here."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        note = json.dumps({"command": self._wanted, "secs": secs})
        (self.run_dir / COMMAND_NAME).write_text(note + "\n", encoding="utf-8")

    def is_noted(self) -> bool:
        """Whether this command was run here before."""
        return bool(self.read_note()["command"] == self._wanted)

    def finished(self) -> Json | None:
        """The row of a run that this command finished before; None otherwise."""
        done = run_record.read_run(self.run_dir).get("outcome") == FINISHED
        if not (done and self.is_noted()):
            return None
        return {
            "state": FINISHED,
            "repeated": False,
            "secs": self.read_note()["secs"],
        }


def list_runs(
    experiments: Sequence[matrix_plan.Experiment],
    *,
    folder: pathlib.Path,
    data_dir: str,
) -> list[Run]:
    """Every run of some experiments, in order.

    Args:
        experiments: Them.
        folder: Of all runs.
        data_dir: The dataset.
    """
    return [
        Run(
            experiment=experiment,
            rung=rung,
            seed=seed,
            name=name,
            run_dir=(run_dir := folder / experiment.name / name),
            command=matrix_plan.command(
                experiment, rung, seed=seed, run_dir=run_dir, data_dir=data_dir
            ),
        )
        for experiment in experiments
        for rung, seed, name in matrix_plan.run_names(experiment)
    ]


def run_all(runs: Sequence[Run], *, tick: Callable[[Run, float], object]) -> list[Json]:
    """Trains the runs that are not finished; one that fails stops no other.

    Args:
        runs: In order.
        tick: Told which run trains and how many steps it has made since the last time.

    Returns:
        A row a run: name, state, and what the plan tracks.
    """
    return [_run(run, tick=tick) for run in runs]


def _run(run: Run, *, tick: Callable[[Run, float], object]) -> Json:
    """Trains a run and tracks it."""
    result = run.finished() or train(run, tick=tick)
    if result["state"] == FAILED:
        logging.warning(
            "%s failed (%s); the others go on", run.title, result["outcome"]
        )
    tracked = tracking.track(metrics_log.read_metrics(run.run_dir))
    return {
        "experiment": run.experiment.name,
        "run": run.name,
        "rung": run.rung,
        "seed": run.seed,
        "path": str(run.run_dir),
        **result,
        "tracked": dataclasses.asdict(tracked),
    }


def train(run: Run, *, tick: Callable[[Run, float], object]) -> Json:
    """Trains a run; never raises for one that fails.

    Args:
        run: What to train.
        tick: As for `run_all`.

    Returns:
        `state` ("finished" or "failed"), `repeated`, `secs` and, for a failed run,
        the last lines it said.
    """
    note = run.read_note()
    earlier = note["secs"] if run.is_noted() else 0.0
    resume = ["--resume=never"] if note["command"] and not run.is_noted() else []
    begin = time.monotonic()
    # Noted before the start, so that a run that was killed goes on and not anew.
    run.write_note(earlier)
    code = _wait_for([*run.command, *resume], run, tick=tick)
    secs = round(time.monotonic() - begin + earlier, 1)
    run.write_note(secs)  # again: --resume=never moved the folder's files aside
    outcome = run_record.read_run(run.run_dir).get("outcome", "no run.json")
    if code == 0 and outcome == FINISHED:
        return {"state": FINISHED, "repeated": True, "secs": secs}
    said = run.log_path.read_text("utf-8", errors="replace").strip().splitlines()
    return {
        "state": FAILED,
        "repeated": True,
        "secs": secs,
        "exit_code": code,
        "outcome": outcome,
        "said": said[-LOG_LINES:],
    }


def _wait_for(
    words: list[str], run: Run, *, tick: Callable[[Run, float], object]
) -> int:
    """Runs a command to its end and tells how far it is; returns its exit code.

    The child has a session of its own: what is typed at the terminal reaches this
    process alone, which asks the child to save and end.
    """
    told = 0
    with run.log_path.open("w", encoding="utf-8") as log:
        child = subprocess.Popen(
            words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while child.poll() is None:
                made = last_step(run.run_dir)
                tick(run, max(0, made - told))
                told = max(told, made)
                time.sleep(POLL_SECS)
        except BaseException:
            _end(child)
            raise
    tick(run, max(0, run.experiment.n_steps - told))
    return child.returncode


def _end(child: subprocess.Popen) -> None:
    """Asks a process to save and end, and kills it when asked a second time."""
    child.terminate()
    try:
        child.wait()
    except BaseException:
        child.kill()
        child.wait()
        raise


def last_step(run_dir: pathlib.Path) -> int:
    """The step of the last row that a run has logged; 0 before there is one."""
    rows = metrics_log.read_metrics(run_dir)
    return int(rows[-1]["step"]) if rows else 0
