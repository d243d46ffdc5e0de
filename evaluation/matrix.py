"""Running the experiment matrix of `evaluation.matrix_plan`.

A run is trained by `ddsp_run` in a process of its own, so one that fails or dies takes
nobody with it and is shown as failed. What was run is written beside each run; a
finished run of the same command is never repeated, an unfinished one goes on where it
stopped, and one of another command is started anew.
"""

import dataclasses
import json
import pathlib
import subprocess
import time
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
Json = dict[str, Any]


def train(words: list[str], run_dir: pathlib.Path) -> Json:
    """Trains a run unless it is finished; never raises for a run that fails.

    Args:
        words: From `command`.
        run_dir: Where it goes.

    Returns:
        `state` ("finished" or "failed"), `repeated`, `secs` and, for a failed run,
        the last lines it said.
    """
    record = run_dir / COMMAND_NAME
    # Neither the interpreter nor where the run lies changes what it computes.
    wanted = [word for word in words[3:] if not word.startswith("--save_dir=")]
    before = json.loads(record.read_text("utf-8")) if record.exists() else {}
    same = before.get("command") == wanted
    if same and run_record.read_run(run_dir).get("outcome") == FINISHED:
        return {"state": FINISHED, "repeated": False, "secs": before.get("secs")}
    run_dir.mkdir(parents=True, exist_ok=True)
    resume = [] if same or not before else ["--resume=never"]
    log_path = run_dir.with_name(run_dir.name + ".log")
    begin = time.monotonic()
    # Noted before the start, so that a run that was killed goes on and not anew.
    earlier = (before.get("secs") or 0.0) if same else 0.0
    note = {"command": wanted, "secs": earlier}
    record.write_text(json.dumps(note) + "\n", encoding="utf-8")
    with log_path.open("w", encoding="utf-8") as log:
        code = subprocess.run(
            [*words, *resume], stdout=log, stderr=subprocess.STDOUT, check=False
        ).returncode
    note["secs"] = round(time.monotonic() - begin + earlier, 1)
    run_dir.mkdir(parents=True, exist_ok=True)  # --resume=never moves it aside
    record.write_text(json.dumps(note) + "\n", encoding="utf-8")
    outcome = run_record.read_run(run_dir).get("outcome", "no run.json")
    if code == 0 and outcome == FINISHED:
        return {"state": FINISHED, "repeated": True, "secs": note["secs"]}
    said = log_path.read_text("utf-8", errors="replace").strip().splitlines()
    return {
        "state": FAILED,
        "repeated": True,
        "secs": note["secs"],
        "exit_code": code,
        "outcome": outcome,
        "said": said[-LOG_LINES:],
    }


def run_experiment(
    experiment: matrix_plan.Experiment, *, folder: pathlib.Path, data_dir: str
) -> list[Json]:
    """Trains all runs of an experiment.

    Args:
        experiment: The experiment.
        folder: Of its runs.
        data_dir: The dataset.

    Returns:
        A row a run: name, state, and what the plan tracks.
    """
    rows = []
    for rung, seed, name in matrix_plan.run_names(experiment):
        run_dir = folder / name
        words = matrix_plan.command(
            experiment, rung, seed=seed, run_dir=run_dir, data_dir=data_dir
        )
        logging.info("%s/%s", experiment.name, name)
        result = train(words, run_dir)
        if result["state"] == FAILED:
            logging.warning(
                "%s/%s failed (%s); the others go on",
                experiment.name,
                name,
                result["outcome"],
            )
        tracked = tracking.track(metrics_log.read_metrics(run_dir))
        rows.append(
            {
                "experiment": experiment.name,
                "run": name,
                "rung": rung,
                "seed": seed,
                "path": str(run_dir),
                **result,
                "tracked": dataclasses.asdict(tracked),
            }
        )
    return rows
