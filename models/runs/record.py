"""run.json: what a run was, enough to run it again and to judge it.

Each start of a run adds to `starts`; `outcome` (`layout.Outcome`) is 'running' until
the run ends by itself, so a run that was killed says 'running' with the process that is
no more.
"""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import re
import subprocess
import sys
import types
from typing import Any

import tensorflow as tf

from models.runs import layout
from prep import checked_json
from prep import files
from prep.dataset import info as dataset_info

SCHEMA_VERSION = 1
_IMPORT = re.compile(r"(import|from)\s")
_NUMBER = int | float
_FIELD_TYPES: dict[str, type | types.UnionType] = {
    "outcome": str,
    "starts": list,
    "config": str,
    "config_hash": str,
    "gin_digest": str,
    "plan_hash": str,
    "data_dir": str,
    "dataset": dict,
    "seed": int,
    "best_loss": _NUMBER,
    "best_measure": _NUMBER,
    "best_step": _NUMBER,
    "start": str,
}
_PACKAGES = (
    "ddsp",
    "ddsp-ladder",
    "gin-config",
    "numpy",
    "tensorflow",
    "tensorflow-probability",
    "tf-keras",
)


@dataclasses.dataclass(frozen=True)
class Start:
    """One start of a run.

    Attributes:
        command: The words of its command line, the program first.
        plan_hash: Of its dataset; empty where it is not known.
        gin_digest: Of the gin files that it named; empty where it is not known.
        fields: All that run.json says of it.
    """

    command: tuple[str, ...]
    plan_hash: str
    gin_digest: str
    fields: checked_json.Json


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What run.json says, checked; without a run.json nothing is known.

    Attributes:
        outcome: How the run stands; None where it is not known.
        starts: Its starts, the first one first.
        config: Its configuration in gin's words.
        fields: All that is there.
    """

    outcome: layout.Outcome | None = None
    starts: tuple[Start, ...] = ()
    config: str = ""
    fields: checked_json.Json = dataclasses.field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """True if it ended by a rule of its own."""
        return self.outcome is not None and self.outcome.is_done

    @property
    def plan_hashes(self) -> tuple[str, ...]:
        """The datasets that it has trained on, in order, each once."""
        return hashes_of(self.fields)

    @property
    def best_measure(self) -> float:
        """Measure of its best checkpoint; infinity before there is one."""
        loss: float = self.fields.get("best_loss", math.inf)
        return float(self.fields.get("best_measure", loss))


def hashes_of(fields: checked_json.Json) -> tuple[str, ...]:
    """The datasets that a checked run.json names, in order, each once."""
    of_starts = [start.get("plan_hash") for start in fields.get("starts") or ()]
    known = [*of_starts, fields.get("plan_hash")]
    return tuple(dict.fromkeys(item for item in known if item))


def read_record(run_dir: str | pathlib.Path) -> RunRecord:
    """Reads run.json.

    Raises:
        layout.RunError: If it is damaged, or written by a later version.
    """
    path = pathlib.Path(run_dir) / layout.RUN_NAME
    try:
        text = files.read_text(path)
        return RunRecord() if text is None else _checked(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        raise layout.RunError(f"{path} cannot be read ({why}).") from error


def _checked(fields: Any) -> RunRecord:
    """Makes a record of what was read; raises TypeError or ValueError for damage."""
    _check_type("its content", fields, dict)
    version = fields.get("schema_version", SCHEMA_VERSION)
    _check_type("schema_version", version, int)
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"schema_version {version} is newer than {SCHEMA_VERSION}, which this "
            "version of the project writes: update it"
        )
    # A field may be missing or null, as older runs lack some; another type is damage.
    for name, kind in _FIELD_TYPES.items():
        if fields.get(name) is not None:
            _check_type(name, fields[name], kind)
    for name, value in (fields.get("dataset") or {}).items():
        _check_type(f"dataset.{name}", value, str if name == "plan_hash" else _NUMBER)
    word = fields.get("outcome")
    return RunRecord(
        outcome=None if word is None else layout.Outcome(word),
        starts=tuple(_start(item) for item in fields.get("starts") or ()),
        config=fields.get("config") or "",
        fields=fields,
    )


def _start(fields: Any) -> Start:
    _check_type("starts", fields, dict)
    command = fields.get("command") or []
    _check_type("starts.command", command, list)
    for word in command:
        _check_type("starts.command", word, str)
    plan_hash = fields.get("plan_hash") or ""
    gin_digest = fields.get("gin_digest") or ""
    _check_type("starts.plan_hash", plan_hash, str)
    _check_type("starts.gin_digest", gin_digest, str)
    return Start(tuple(command), plan_hash, gin_digest, fields)


def _check_type(name: str, value: Any, kind: type | types.UnionType) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r:.40}")


def read_run(run_dir: str | pathlib.Path) -> checked_json.Json:
    """The content of run.json, {} where there is none; see `read_record`."""
    return read_record(run_dir).fields


def write_run(run_dir: str | pathlib.Path, record: checked_json.Json) -> None:
    """Replaces run.json in one step."""
    path = pathlib.Path(run_dir) / layout.RUN_NAME
    files.write_text(path, json.dumps(record, indent=2, default=str) + "\n")


def started(
    run_dir: str | pathlib.Path,
    *,
    info: dataset_info.DatasetInfo | None,
    config_text: str,
    settings: checked_json.Json,
) -> checked_json.Json:
    """Notes the start of a run, or of its continuation, and writes run.json.

    Args:
        run_dir: The run's directory.
        info: Its dataset, if it is one of ours.
        config_text: The configuration in force.
        settings: More to say: seed, gin files, first step and so on.

    Returns:
        The record.
    """
    # Earlier starts of the same run stay listed, each with its dataset.
    before = read_run(run_dir)
    start = {"time": _now(), "command": sys.argv, "pid": os.getpid()}
    start["first_step"] = settings.get("first_step", 0)
    for name in ("plan_hash", "gin_digest"):
        start[name] = settings.get(name, "")
    # What is true of the run now, whatever earlier starts said.
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
        "outcome": layout.Outcome.RUNNING,
    }
    write_run(run_dir, record)
    return record


def ended(
    run_dir: str | pathlib.Path, *, outcome: layout.Outcome, facts: checked_json.Json
) -> None:
    """Notes how a run ended."""
    record = read_run(run_dir)
    record.update(facts, end=_now(), outcome=outcome)
    write_run(run_dir, record)


def config_hash(config_text: str) -> str:
    """Returns a short hash of a configuration, whatever files it imports."""
    lines = (line for line in config_text.splitlines() if not _IMPORT.match(line))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _dataset_facts(info: dataset_info.DatasetInfo) -> checked_json.Json:
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


def machine() -> checked_json.Json:
    """Describes the machine that a run ran on."""
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
