"""Running the experiment matrix of `evaluation.matrix.experiments`.

A run is trained by `ddsp_run` in a process of its own, so one that fails or dies takes
nobody with it and is shown as failed. A run that is done is never repeated as long as
its command, the content of its gin files and its dataset stay the same; an unfinished
one goes on where it stopped, and what was made with others is started anew (see
`evaluation.matrix.note`). When this process is asked to end, so is the training that it
waits for, which saves before it does.
"""

import contextlib
import dataclasses
import math
import pathlib
import subprocess
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TextIO

from absl import logging

from evaluation.matrix import experiments as matrix_experiments
from evaluation.matrix import note as matrix_note
from evaluation.scoring import training_log
from models.config import gin_contents
from models.runs import layout
from models.runs import metrics_log
from models.runs import record
from prep import checked_json
from prep import processes

DONE = tuple(item for item in layout.Outcome if item.is_done)
FAILED = "failed"
LOG_LINES = 8  # of a failed run's output that are shown
POLL_SECS = 1.0  # between two looks at how far a run is


@dataclasses.dataclass(frozen=True)
class MatrixTraining:
    """One training of the matrix.

    Attributes:
        experiment: Of which it is part.
        rung: Which of its rungs.
        seed: Of the training.
        name: Of its folder.
        run_dir: Where it goes.
        command: That trains it.
        dataset: Its hash, or its place if it has none.
    """

    experiment: matrix_experiments.Experiment
    rung: str
    seed: int
    name: str
    run_dir: pathlib.Path
    command: list[str]
    dataset: str = ""

    @property
    def title(self) -> str:
        """Experiment and name."""
        return f"{self.experiment.name}/{self.name}"

    @property
    def log_path(self) -> pathlib.Path:
        """File of what its training printed."""
        return self.run_dir.with_name(self.run_dir.name + ".log")

    @property
    def cost(self) -> float:
        """Of the whole run, in steps of a small MLP."""
        return self.n_steps * self.experiment.cost(self.rung)

    @property
    def n_steps(self) -> int:
        """Updates that it makes."""
        return self.experiment.steps_of(self.rung)

    @property
    def basis(self) -> matrix_note.Basis:
        """Words, gin files and dataset of today that its result follows from."""
        words = matrix_note.words_of(self.command[3:])
        names = [w.partition("=")[2] for w in words if w.startswith("--gin_file=")]
        return matrix_note.Basis(
            words=words,
            contents=gin_contents.digest(names),
            dataset=self.dataset,
        )

    def finished(self) -> checked_json.Json | None:
        """The row of a run that is done; None for one that is to be trained.

        It is done if it ended by a rule of its own and was made by this command, with
        gin files of this content and this dataset. `compared` is false where the last
        two are not known.
        """
        standing = matrix_note.standing(self.basis, self.run_dir)
        if standing.is_other:
            return None
        found = record.read_record(self.run_dir)
        if not found.is_done:
            return None
        return {
            "state": found.outcome,
            "repeated": False,
            "compared": standing is matrix_note.Standing.SAME,
            "secs": matrix_note.read_secs(self.run_dir),
        }

    @property
    def has_begun(self) -> bool:
        """True if the files in its folder are its own, and no earlier run's."""
        return not matrix_note.standing(self.basis, self.run_dir).is_other


def list_runs(
    experiments: Sequence[matrix_experiments.Experiment],
    *,
    folder: pathlib.Path,
    data_dir: str,
    plan_hash: str = "",
) -> list[MatrixTraining]:
    """Every run of some experiments, in order.

    Args:
        experiments: Them.
        folder: Of all runs.
        data_dir: The dataset.
        plan_hash: Of its content; empty if it does not say.
    """
    return [
        MatrixTraining(
            experiment=experiment,
            rung=rung,
            seed=seed,
            name=name,
            run_dir=(run_dir := folder / experiment.name / name),
            command=matrix_experiments.command(
                experiment, rung, seed=seed, run_dir=run_dir, data_dir=data_dir
            ),
            dataset=plan_hash or data_dir,
        )
        for experiment in experiments
        for rung, seed, name in matrix_experiments.run_names(experiment)
    ]


def run_one(
    run: MatrixTraining, *, tick: Callable[[MatrixTraining, float], object]
) -> checked_json.Json:
    """Trains a run if it is not done, and tracks it.

    Args:
        run: What to train.
        tick: Told which run trains and how many steps it has made since the last time.

    Returns:
        Its row: name, state, command, and what the plan tracks.
    """
    result = run.finished()
    if result is None:
        # Of two matrices in one folder, one trains the run and the other waits for it.
        with own_log(run.log_path) as log:
            result = run.finished() or train(run, log=log, tick=tick)
    if result["state"] == FAILED:
        logging.warning(
            "%s failed (%s); the others go on", run.title, result["outcome"]
        )
    rows = metrics_log.read_metrics(run.run_dir) if run.has_begun else []
    tracked = training_log.track(rows)
    return {
        "experiment": run.experiment.name,
        "run": run.name,
        "rung": run.rung,
        "seed": run.seed,
        "path": str(run.run_dir),
        "command": run.command[3:],
        **result,
        "tracked": dataclasses.asdict(tracked),
    }


@contextlib.contextmanager
def own_log(path: pathlib.Path) -> Iterator[TextIO]:
    """Waits until no other process writes a log, and keeps others from it.

    Args:
        path: Of the log; its folder is made if needed.

    Yields:
        The log, open at its end. A child that writes to it holds the lock too, until
        it ends: also when this process is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        processes.lock(log.fileno(), wait_secs=math.inf)
        yield log


def train(
    run: MatrixTraining,
    *,
    log: TextIO,
    tick: Callable[[MatrixTraining, float], object],
) -> checked_json.Json:
    """Trains a run; never raises for one that fails.

    Args:
        run: What to train.
        log: Takes what its training prints; what is in it is replaced.
        tick: As for `run_one`.

    Returns:
        `state` (one of `DONE` or "failed"), `repeated`, `compared`, `secs` and, for a
        failed run, how it ended and the last lines it said.
    """
    standing = matrix_note.standing(run.basis, run.run_dir)
    if standing.is_other:
        logging.warning(
            "%s was made with %s; it starts anew, and the earlier files move aside.",
            run.title,
            standing.value,
        )
    before = 0.0 if standing.is_other else matrix_note.read_secs(run.run_dir)
    run.run_dir.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    anew = ["--resume=never"] if standing.is_other else []
    log.truncate(0)
    code = _wait_for([*run.command, *anew], run, log=log, tick=tick)
    secs = round(time.monotonic() - begin + before, 1)
    outcome = "not begun"  # run.json may still be that of the run to be replaced
    if run.has_begun:
        matrix_note.write_secs(run.run_dir, secs)
        outcome = record.read_record(run.run_dir).outcome or "no run.json"
    compared = standing is not matrix_note.Standing.SAME_WORDS
    result = {"repeated": True, "compared": compared, "secs": secs}
    if code == 0 and outcome in DONE:
        return {"state": outcome, **result}
    said = run.log_path.read_text("utf-8", errors="replace").strip().splitlines()
    return {
        "state": FAILED,
        **result,
        "exit_code": code,
        "outcome": outcome,
        "said": said[-LOG_LINES:],
    }


def _wait_for(
    words: list[str],
    run: MatrixTraining,
    *,
    log: TextIO,
    tick: Callable[[MatrixTraining, float], object],
) -> int:
    """Runs a command to its end and tells how far it is; returns its exit code.

    The child has a session of its own: what is typed at the terminal reaches this
    process alone, which asks the child to save and end.
    """
    told = 0
    child = subprocess.Popen(
        words,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=processes.end_with_parent(),
    )
    # Steps are told as they are logged; none twice after an interruption.
    try:
        while child.poll() is None:
            made = last_step(run)
            tick(run, max(0, made - told))
            told = max(told, made)
            time.sleep(POLL_SECS)
    except BaseException:
        _end(child)
        raise
    tick(run, max(0, run.n_steps - told))
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


def last_step(run: MatrixTraining) -> int:
    """The step of the last row that a run has logged; 0 before it has begun."""
    return metrics_log.last_step(run.run_dir) if run.has_begun else 0
