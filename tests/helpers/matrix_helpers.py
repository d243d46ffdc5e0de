"""A stand-in for `ddsp_run` in the tests of the matrix, and what goes with it."""

import pathlib
import sys

from evaluation.matrix import experiments
from evaluation.matrix import runner
from models.config import gin_contents

# Takes ddsp_run's flags, goes on or starts anew as it does, and writes its run.json.
# What else it does is said by the names or the contents of its gin files.
TRAINER = """
import json, os, pathlib, signal, sys, time
flags = sys.argv[2:]
args = dict(flag[2:].split("=", 1) for flag in flags if "=" in flag)
files = [flag.split("=", 1)[1] for flag in flags if flag.startswith("--gin_file=")]
said = " ".join(files + [
    pathlib.Path(name).read_text() for name in files if pathlib.Path(name).is_file()])
folder = pathlib.Path(args["save_dir"]); folder.mkdir(parents=True, exist_ok=True)
with open(folder / "starts.txt", "a") as f: f.write(" ".join(flags) + "\\n")
if "broken" in said:  # before the earlier files are moved aside, as a bad gin file is
    print("it broke"); sys.exit(3)
path = folder / "run.json"
def write(record):  # in one step, as ddsp_run does: the matrix reads it meanwhile
    aside = folder / "run.json.tmp"
    aside.write_text(json.dumps(record)); os.replace(aside, path)
if "--resume=never" in flags and path.exists():
    aside = folder / f"previous-{os.getpid()}"; aside.mkdir()
    for name in ("run.json", "metrics.jsonl"):
        if (folder / name).exists(): (folder / name).rename(aside / name)
starts = json.loads(path.read_text())["starts"] if path.exists() else []
info = pathlib.Path(args["data_dir"]) / "dataset_info.json"
plan_hash = json.loads(info.read_text())["plan_hash"] if info.exists() else ""
starts.append({"pid": os.getpid(), "command": [sys.argv[0], *flags],
               "gin_digest": sys.argv[1], "plan_hash": plan_hash})
record = {"starts": starts, "outcome": "running", "plan_hash": plan_hash}
write(record)
if "slow" in said:
    def end(*_):
        (folder / "saved").touch(); sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    (folder / "metrics.jsonl").write_text('{"step": 2}\\n')
    time.sleep(60)
outcomes = [o for o in ("early stop", "loss reached", "time limit") if o in said]
write({**record, "outcome": (outcomes or ["finished"])[0]})
(folder / "metrics.jsonl").write_text(
    json.dumps({"step": int(args["steps"]), "held_out/spectral_distance": 4.5}) + "\\n")
"""


def stand_in(tmp_path, monkeypatch):
    """Puts the stand-in in the place of `ddsp_run`."""
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    real = experiments.command

    def command(*args, **kwargs):
        words = real(*args, **kwargs)[3:]
        names = [w.partition("=")[2] for w in words if w.startswith("--gin_file=")]
        return [sys.executable, str(script), gin_contents.digest(names), *words]

    monkeypatch.setattr(experiments, "command", command)
    monkeypatch.setattr(runner, "POLL_SECS", 0.05)


def experiment(n_steps=5, **rungs):
    """One of name "e"."""
    rungs = {name: str(file) for name, file in rungs.items()}
    return experiments.Experiment(
        name="e", title="E", rungs=rungs or {"good": "gin/good.gin"}, n_steps=n_steps
    )


def run_all(planned, folder, tick=lambda run, n_steps: None, **dataset):
    """Runs an experiment as a command does; returns its rows."""
    return [runner.run_one(run, tick=tick) for run in runs(planned, folder, **dataset)]


def runs(planned, folder, **dataset):
    """Its runs; in data/ if no other place is said."""
    return runner.list_runs(
        [planned], folder=folder, **({"data_dir": "data"} | dataset)
    )


def starts(folder: pathlib.Path, name="good"):
    """The flags of each start of a run of experiment "e"."""
    return (folder / "e" / name / "starts.txt").read_text().splitlines()
