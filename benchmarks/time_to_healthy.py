"""Minutes of training until the scorecard calls a model healthy, on the demo's flute.

A recipe trains once, as a person would, and keeps a checkpoint every so many steps.
Each becomes a run of its own, and one report judges them all: healthy is a collapse
index whose whole interval lies below the threshold. The clock is that of the training
process, start-up included; a machine that does other work makes it longer.
"""

import json
import math
import pathlib
import shutil
import subprocess
import sys
import time

from models.runs import checkpoints

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
RECIPES = {  # name in the JSON: gin files
    "recommended": ("recommended",),
    "gru": ("stage5", "overlays/demo", "overlays/demo_gru"),
}
SAVE_EVERY = 100  # steps
LIMIT_MINUTES = 30.0
HEALTHY = 0.5  # of the collapse index, docs/metrics.md


def measure(folder: pathlib.Path, recipes: list[str]) -> dict[str, float]:
    """Trains and judges.

    Args:
        folder: For recordings, dataset, runs and reports; what is there is kept.
        recipes: Names of `RECIPES`.

    Returns:
        `minutes_to_healthy_<recipe>`, infinite where no checkpoint was healthy.
    """
    recordings, data = folder / "recordings", folder / "data"
    if not any(recordings.glob("*.wav")):
        _run("prep.demo", f"--output={recordings}")
    _run(
        "prep.run_beam",
        f"--input={recordings}",
        f"--output={data}",
        "--eval_split_fraction=0.3",
    )
    candidates = folder / "checkpoints"
    shutil.rmtree(candidates, ignore_errors=True)
    minutes: dict[str, float] = {}
    for name in recipes:
        minutes |= _train(
            name, folder / name, data=data, gin_files=RECIPES[name], into=candidates
        )
    healthy = _healthy_runs(folder / "report", sorted(candidates.iterdir()))
    return {
        f"minutes_to_healthy_{name}": min(
            (minutes[run] for run in healthy if run.startswith(f"{name}-")),
            default=math.inf,
        )
        for name in recipes
    }


def _run(module: str, *flags: str) -> None:
    """Runs one of the project's programs; raises if it fails."""
    subprocess.run([sys.executable, "-m", module, *flags], check=True)


def _train(
    name: str,
    run_dir: pathlib.Path,
    *,
    data: pathlib.Path,
    gin_files: tuple[str, ...],
    into: pathlib.Path,
) -> dict[str, float]:
    """Trains one recipe; makes a run of each checkpoint.

    Returns:
        Minutes of training behind each of these runs, by its name.
    """
    begin = time.time()
    _run(
        "models.ddsp_run",
        *(f"--gin_file={REPOSITORY / 'gin' / name}.gin" for name in gin_files),
        f"--data_dir={data}",
        f"--save_dir={run_dir}",
        f"--gin_param=train.steps_per_save={SAVE_EVERY}",
        "--gin_param=models.trainer.LadderTrainer.checkpoints_to_keep=1000",
        f"--max_minutes={LIMIT_MINUTES}",
        "--resume=never",
        "--quiet",
    )
    minutes = {}
    for found in checkpoints.found_in(run_dir):
        part = into / f"{name}-{found.step:05d}"
        part.mkdir(parents=True)
        prefix = pathlib.Path(found.path).name
        for pattern in ("run.json", "operative_config-*.gin", f"{prefix}.*"):
            for path in run_dir.glob(pattern):
                (part / path.name).symlink_to(path.resolve())
        saved = (run_dir / f"{prefix}.index").stat().st_mtime
        minutes[part.name] = (saved - begin) / 60.0
    return minutes


def _healthy_runs(output: pathlib.Path, runs: list[pathlib.Path]) -> list[str]:
    """Names of the runs whose whole interval of the index is below the threshold."""
    flags = [f"--candidate={run}" for run in runs[1:]]
    _run(
        "evaluation.run_report",
        f"--baseline={runs[0]}",
        *flags,
        "--checkpoint=last",
        "--max_embedded_clips=0",
        f"--output={output}",
        "--overwrite",
    )
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    return [
        system["name"]
        for system in summary["systems"]
        if (high := system["metrics"]["collapse_index"]["high"]) is not None
        and high < HEALTHY
    ]
