"""run.json: what a run was, enough to run it again and to judge it.

Each start of a run adds to `starts`; `outcome` is 'running' until the run ends by
itself, so a run that was killed says 'running' with the process that is no more.
"""

import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
from typing import Any

import tensorflow as tf

from models.runs import layout
from prep import files
from prep.dataset import info as dataset_info

SCHEMA_VERSION = 1
_IMPORT = re.compile(r"(import|from)\s")
_PACKAGES = (
    "ddsp",
    "ddsp-ladder",
    "gin-config",
    "numpy",
    "tensorflow",
    "tensorflow-probability",
    "tf-keras",
)


def read_run(run_dir: str | pathlib.Path) -> dict[str, Any]:
    """The content of run.json, {} where there is none."""
    text = files.read_text(pathlib.Path(run_dir) / layout.RUN_NAME)
    return {} if text is None else json.loads(text)


def write_run(run_dir: str | pathlib.Path, record: dict[str, Any]) -> None:
    """Replaces run.json in one step."""
    path = pathlib.Path(run_dir) / layout.RUN_NAME
    files.write_text(path, json.dumps(record, indent=2, default=str) + "\n")


def started(
    run_dir: str | pathlib.Path,
    *,
    info: dataset_info.DatasetInfo | None,
    config_text: str,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Notes the start of a run, or of its continuation, and writes run.json.

    Args:
        run_dir: The run's directory.
        info: Its dataset, if it is one of ours.
        config_text: The configuration in force.
        settings: More to say: seed, gin files, first step and so on.

    Returns:
        The record.
    """
    before = read_run(run_dir)
    start = {"time": _now(), "command": sys.argv, "pid": os.getpid()}
    start["first_step"] = settings.get("first_step", 0)
    record = {
        "schema_version": SCHEMA_VERSION,
        **settings,
        "data_dir": str(info.data_dir.resolve()) if info else None,
        "dataset": _dataset_facts(info) if info else None,
        "config": config_text,
        "versions": versions(),
        "commit": commit(),
        "machine": machine(),
        "start": before.get("start", start["time"]),
        "starts": [*before.get("starts", []), start],
        "end": None,
        "outcome": "running",
    }
    write_run(run_dir, record)
    return record


def ended(run_dir: str | pathlib.Path, *, outcome: str, facts: dict[str, Any]) -> None:
    """Notes how a run ended."""
    record = read_run(run_dir)
    record.update(facts, end=_now(), outcome=outcome)
    write_run(run_dir, record)


def config_hash(config_text: str) -> str:
    """Returns a short hash of a configuration, whatever files it imports."""
    lines = (line for line in config_text.splitlines() if not _IMPORT.match(line))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _dataset_facts(info: dataset_info.DatasetInfo) -> dict[str, Any]:
    return {
        "plan_hash": info.plan_hash,
        "sample_rate": info.sample_rate,
        "frame_rate": info.frame_rate,
        "n_samples": info.n_samples,
        "n_frames": info.n_frames,
        "n_train": info.n_examples("train"),
        "n_eval": info.n_examples("eval"),
    }


def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide results."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str:
    """The commit of the code that runs, '+changes' if files differ; '' outside git."""
    folder = pathlib.Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        head = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except OSError:  # no git on this machine
        return ""
    return head + "+changes" if head and changed else head


def machine() -> dict[str, Any]:
    """What the run ran on."""
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
