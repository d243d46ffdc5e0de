"""Kills trainings at random moments and looks at what is left: nothing is lost.

    python -m benchmarks.kill_training --kills=20 --sigterms=5

trains the tests' toy model in a folder of its own, kills it after random times, starts
it again until it ends, and compares the last checkpoint with that of a run that nobody
killed. Prints a line a kill; ends with 1 if a run differs or leaves something behind.
"""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

from models.runs import record
from tests.helpers import training_helpers
from tests.helpers import training_toy

_KILLS = flags.DEFINE_integer("kills", 20, "SIGKILLs, at random moments of a training.")
_SIGTERMS = flags.DEFINE_integer("sigterms", 5, "SIGTERMs, likewise.")
_SEED = flags.DEFINE_integer("seed", 0, "Decides the moments.")
ROOT = pathlib.Path(__file__).resolve().parents[1]


def start(folder: pathlib.Path, name: str) -> subprocess.Popen:
    """Starts the toy's training, or goes on with it."""
    words = [
        *(sys.executable, "-m", "models.ddsp_run", "--quiet"),
        f"--gin_file={folder / 'toy.gin'}",
        f"--data_dir={folder / 'data'}",
        f"--save_dir={folder / name}",
        "--gin_param=train.num_steps=60",
        "--gin_param=train.steps_per_save=5",
    ]
    return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE)


def finish(folder: pathlib.Path, name: str) -> float:
    """Trains to the end; returns the seconds that took."""
    begin = time.monotonic()
    process = start(folder, name)
    _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {said.decode()[-500:]}")
    return time.monotonic() - begin


def last_tensors(run_dir: pathlib.Path) -> dict[str, np.ndarray]:
    """Values of the last checkpoint by name."""
    reader = tf.train.load_checkpoint(str(run_dir / "ckpt-60"))
    names = reader.get_variable_to_shape_map()
    return {name: reader.get_tensor(name) for name in names if "CHECKPOINT" not in name}


def problems(run_dir: pathlib.Path, whole: pathlib.Path) -> list[str]:
    """What tells a run that was killed from one that was not."""
    found = [str(path) for path in run_dir.glob(".writing-*")]
    found += [str(path) for path in run_dir.glob("*.tmp")]
    if record.read_record(run_dir).outcome != "finished":
        found.append("run.json does not say finished")
    ours, theirs = last_tensors(run_dir), last_tensors(whole)
    found += [
        f"{name} differs"
        for name, value in theirs.items()
        if not np.array_equal(value, ours[name])
    ]
    return found


def main(argv: list[str]) -> int:
    """Kills, goes on, compares; returns an exit code."""
    del argv
    draw = random.Random(_SEED.value)
    n_bad = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        training_helpers.write_dataset(folder / "data", example_secs=0.2)
        training_toy.write_toy_gin(folder)
        secs = finish(folder, "whole")
        kinds = ["SIGKILL"] * _KILLS.value + ["SIGTERM"] * _SIGTERMS.value
        for number, kind in enumerate(kinds):
            run = f"{kind}-{number}"
            moment = draw.uniform(0.2, 1.0) * secs
            process = start(folder, run)
            time.sleep(moment)
            process.send_signal(getattr(signal, kind))
            process.communicate()
            finish(folder, run)
            found = problems(folder / run, folder / "whole")
            n_bad += bool(found)
            print(f"{kind} after {moment:.1f} s: {'; '.join(found) or 'nothing lost'}")
    print(f"{len(kinds) - n_bad} of {len(kinds)} trainings lost nothing.")
    return 1 if n_bad else 0


if __name__ == "__main__":
    app.run(main)
