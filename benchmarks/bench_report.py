"""Times judging against the program as it was at a commit, in turn.

    python -m benchmarks.bench_report

makes a dataset of `--clips` clips of 4 s, trains two rungs for a step, and judges one
clip and all of them by `ddsp_report` of this tree and of `--before`'s. The difference
is the time of judging clips, without starting, restoring and tracing. Each number is
the median of the rounds, CPU time of all threads, which other work on the machine
hardly moves. The last line is JSON: `seconds_per_clip_and_system` and `ratio_to_before`
of a dataset's first report, the ratio when an earlier report has tracked the recordings
for other runs or has judged the same runs, and `largest_change` of each score that
moved, as a share of what it was.
"""

import json
import math
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from absl import app
from absl import flags

from evaluation.scoring import pitch_tracking
from evaluation.scoring import rows as rows_lib
from tests.helpers import training_helpers

ROOT = pathlib.Path(__file__).resolve().parents[1]
BEFORE = "3ccdce3"  # every frame of every rendering and recording was tracked
RUNGS = ("stage5", "stage2")
EXAMPLE_SECS = 4.0

_CLIPS = flags.DEFINE_integer("clips", 12, "Clips to judge; at least 2.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds of which medians are taken.")
_BEFORE = flags.DEFINE_string("before", BEFORE, "Commit to compare with.")
_CAPACITY = flags.DEFINE_enum("crepe_capacity", "full", ["tiny", "full"], "Of CREPE.")


def run(tree: pathlib.Path, module: str, *words: str) -> float:
    """CPU seconds of a program of a tree; fails with what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} in {tree} failed:\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def judge(tree: pathlib.Path, work: pathlib.Path, *, n_clips: int) -> float:
    """CPU seconds of a report over some clips; it replaces the last one."""
    shutil.rmtree(work / "report", ignore_errors=True)
    return run(
        tree,
        "evaluation.run_report",
        f"--baseline={work}/runs/{RUNGS[0]}",
        f"--candidate={work}/runs/{RUNGS[1]}",
        f"--output={work}/report",
        f"--max_clips={n_clips}",
        "--max_embedded_clips=1",
        f"--crepe_capacity={_CAPACITY.value}",
    )


def time_clips(tree: pathlib.Path, work: pathlib.Path, *, forget: str) -> float:
    """CPU seconds that a clip more costs each system.

    Args:
        tree: The program.
        work: With dataset and runs.
        forget: Folder of remembered pitch to delete before each report: "" for all,
            "renderings", or "nothing".
    """
    spent = []
    for n_clips in (1, _CLIPS.value):
        heard = work / "data" / pitch_tracking.FOLDER_NAME / forget
        shutil.rmtree(heard, ignore_errors=True)
        spent.append(judge(tree, work, n_clips=n_clips))
    return (spent[1] - spent[0]) / ((_CLIPS.value - 1) * len(RUNGS))


def read_scores(work: pathlib.Path) -> dict[tuple[int, str, str], float]:
    """Every score of the last report, by clip, run and metric."""
    rows = rows_lib.read_rows(work / "report" / rows_lib.SCORES_NAME)
    return {
        (place, name, key): value
        for place, row in enumerate(rows)
        for name, one in row["runs"].items()
        for key, value in one["values"].items()
        if value is not None
    }


def largest_change(
    old: dict[tuple[int, str, str], float], new: dict[tuple[int, str, str], float]
) -> dict[str, float]:
    """Largest change of each metric that moved, as a share of its value."""
    changes: dict[str, float] = {}
    for place, value in old.items():
        change = abs(new.get(place, math.inf) - value) / max(abs(value), 1e-9)
        if change > 1e-6:
            changes[place[2]] = max(change, changes.get(place[2], 0.0))
    return changes


def make_work(work: pathlib.Path) -> pathlib.Path:
    """Writes the dataset, the runs and the earlier tree; returns the last."""
    training_helpers.write_dataset(
        work / "data", n_train=4, n_eval=_CLIPS.value, example_secs=EXAMPLE_SECS
    )
    tree = work / "before"
    tree.mkdir()
    packed = subprocess.run(
        ["git", "archive", _BEFORE.value], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(tree)], input=packed.stdout, check=True)
    # By the earlier program: it cannot read what a later one writes.
    for rung in RUNGS:
        run(
            tree,
            "models.ddsp_run",
            f"--gin_file=gin/{rung}.gin",
            "--gin_file=gin/overlays/demo.gin",
            f"--data_dir={work}/data",
            f"--save_dir={work}/runs/{rung}",
            "--steps=1",
        )
    return tree


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    del argv
    with tempfile.TemporaryDirectory(prefix="bench_report_") as name:
        work = pathlib.Path(name)
        before = make_work(work)
        times: dict[str, list[float]] = {
            key: [] for key in ("before", "now", "other_runs", "same_runs")
        }
        for _ in range(_ROUNDS.value):
            times["before"].append(time_clips(before, work, forget=""))
            old = read_scores(work)
            times["now"].append(time_clips(ROOT, work, forget=""))
            times["other_runs"].append(time_clips(ROOT, work, forget="renderings"))
            times["same_runs"].append(time_clips(ROOT, work, forget="nothing"))
            changes = largest_change(old, read_scores(work))
        medians = {key: float(np.median(values)) for key, values in times.items()}
    for key, values in times.items():
        print(f"{key:<12}" + "".join(f"{value:8.2f}" for value in values), "s")
    line = {
        "seconds_per_clip_and_system": round(medians["now"], 3),
        "ratio_to_before": round(medians["before"] / medians["now"], 2),
        "ratio_of_other_runs": round(medians["before"] / medians["other_runs"], 2),
        "ratio_of_same_runs": round(medians["before"] / medians["same_runs"], 2),
        "crepe_capacity": _CAPACITY.value,
        "largest_change": {key: round(value, 5) for key, value in changes.items()},
    }
    print(json.dumps(line))


if __name__ == "__main__":
    app.run(main)
