"""The plan's experiment matrix: which runs there are, and running them.

A run is trained by `ddsp_run` in a process of its own, so one that fails or dies takes
nobody with it and is shown as failed. What was run is written beside each run; a
finished run of the same command is never repeated, an unfinished one goes on where it
stopped, and one of another command is started anew.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from absl import logging

from evaluation import tracking
from models import metrics_log
from models import run_record

COMMAND_NAME = "matrix_command.json"
RUNGS = ("stage0", "stage1", "stage2", "stage3", "stage4", "transformer", "stage5")
TRANSFORMER_RUNS = ("a_mlp_fir", "b_mlp", "c_transformer", "d_transformer_onepole")
FINISHED = "finished"
# Runs that are compared make equally many steps; shorter ones than gin/base.gin's
# patience allows cannot stop early anyhow.
EARLIEST_STOP = 2000  # steps
NO_EARLY_STOP = ("--gin_param=models.loop.LoopOptions.patience=0",)
FAILED = "failed"
LOG_LINES = 8  # of a failed run's output that are shown
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One kind of training, done with several rungs and seeds.

    Attributes:
        name: Folder below runs/.
        title: In words.
        rungs: Gin files without folder and ending, by the name of the run.
        n_steps: Updates.
        overlays: Gin files put on top of each rung's.
        rung_overlays: Gin files put on top of these, by the name of the rung.
        flags: More flags of `ddsp_run`.
        n_seeds: Trainings of each.
        judged: Whether a scorecard over the eval split is written.
    """

    name: str
    title: str
    rungs: dict[str, str]
    n_steps: int
    overlays: tuple[str, ...] = ()
    rung_overlays: Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict
    )
    flags: tuple[str, ...] = ()
    n_seeds: int = 1
    judged: bool = False


def stage_files(rungs: Sequence[str]) -> dict[str, str]:
    """Gin file of each rung.

    Raises:
        ValueError: If there is no such rung.
    """
    unknown = [rung for rung in rungs if rung not in RUNGS]
    if unknown:
        raise ValueError(f"rungs {unknown} are unknown; there are {', '.join(RUNGS)}.")
    return {rung: f"gin/{rung}.gin" for rung in rungs}


def plan(
    preset: str,
    *,
    rungs: Sequence[str],
    scale: float,
    n_seeds: int | None = None,
    overlays: Sequence[str] = (),
    rung_overlays: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Experiment]:
    """The experiments of a preset.

    Args:
        preset: "smoke", "minimum" or "full".
        rungs: Which rungs take part.
        scale: Multiplies the numbers of steps.
        n_seeds: Seeds of the judged experiments; the preset's own by default.
        overlays: Gin files put on top of every run's.
        rung_overlays: Gin files put on top of those for single rungs, by name.

    Raises:
        ValueError: If the preset or a rung is unknown or the scale not positive.
    """
    if preset not in ("smoke", "minimum", "full"):
        raise ValueError(f"preset={preset!r}; there are smoke, minimum and full.")
    if scale <= 0:
        raise ValueError(f"scale={scale} must be above 0.")
    files = stage_files(rungs)
    own = dict(rung_overlays or {})
    unknown = sorted(set(own) - {*RUNGS, *TRANSFORMER_RUNS})
    if unknown:
        names = ", ".join((*RUNGS, *TRANSFORMER_RUNS))
        raise ValueError(f"rung_overlays for {unknown}: there are {names}.")
    smoke = preset == "smoke"
    seeds = n_seeds or {"smoke": 1, "minimum": 1, "full": 3}[preset]
    on_top = (("gin/overlays/tiny.gin",) if smoke else ()) + tuple(overlays)
    lengths = {"smoke": (20, 10, 20, 10), "minimum": (300, 100, 1000, 600)}
    lengths["full"] = (500, 200, 10000, 4000)
    overfit, fixed, shuffled, matrix = (
        max(2, round(steps * scale)) for steps in lengths[preset]
    )
    every = max(1, min(20, overfit // 5))
    batch = 2 if smoke else 16
    return [
        Experiment(
            name="overfit",
            title="One clip, fixed: can it fit at all?",
            rungs=files,
            n_steps=overfit,
            overlays=(*on_top, "gin/overlays/overfit.gin"),
            rung_overlays=own,
            flags=(
                "--gin_param=models.data.PreparedDataset.max_examples=1",
                f"--dump_controls_every={every}",
            ),
        ),
        Experiment(
            name="fixed",
            title=f"A fixed batch of {batch} clips, timed",
            rungs=files,
            n_steps=fixed,
            overlays=on_top,
            rung_overlays=own,
            flags=(
                f"--gin_param=models.data.PreparedDataset.max_examples={batch}",
                f"--gin_param=batch_size={batch}",
                "--gin_param=models.trainer.LadderTrainer.accumulate_steps=1",
            ),
        ),
        Experiment(
            name="shuffled",
            title="All clips, shuffled, with renderings",
            rungs=files,
            n_steps=shuffled,
            overlays=on_top,
            rung_overlays=own,
            flags=(f"--render_every={max(1, shuffled // 4)}",),
            n_seeds=seeds,
            judged=True,
        ),
        Experiment(
            name="transformer",
            title="Runs A to D: does the transformer take the GRU's place?",
            rungs={
                name: f"gin/experiments/{name}.gin"
                for name in (TRANSFORMER_RUNS[:2] if smoke else TRANSFORMER_RUNS)
            },
            n_steps=matrix,
            overlays=on_top,
            rung_overlays=own,
            n_seeds=seeds,
            judged=True,
        ),
    ]


def command(
    experiment: Experiment,
    rung: str,
    *,
    seed: int,
    run_dir: pathlib.Path,
    data_dir: str,
) -> list[str]:
    """The command that trains one run.

    Args:
        experiment: The experiment.
        rung: One of its rungs.
        seed: The run's seed.
        run_dir: Where it goes.
        data_dir: The dataset.
    """
    files = (
        experiment.rungs[rung],
        *experiment.overlays,
        *experiment.rung_overlays.get(rung, ()),
    )
    return [
        sys.executable,
        "-m",
        "models.ddsp_run",
        *(f"--gin_file={name}" for name in files),
        f"--data_dir={data_dir}",
        f"--save_dir={run_dir}",
        f"--seed={seed}",
        f"--steps={experiment.n_steps}",
        "--quiet",
        *(NO_EARLY_STOP if experiment.n_steps > EARLIEST_STOP else ()),
        *experiment.flags,
    ]


def run_names(experiment: Experiment) -> list[tuple[str, int, str]]:
    """Rung, seed and directory name of each run; a single seed is not named."""
    return [
        (rung, seed, rung if experiment.n_seeds == 1 else f"{rung}-seed{seed}")
        for rung in experiment.rungs
        for seed in range(experiment.n_seeds)
    ]


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
    experiment: Experiment, *, folder: pathlib.Path, data_dir: str
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
    for rung, seed, name in run_names(experiment):
        run_dir = folder / name
        words = command(experiment, rung, seed=seed, run_dir=run_dir, data_dir=data_dir)
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
