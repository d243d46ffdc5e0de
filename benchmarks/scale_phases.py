"""One measurement of `bench_scale` in a process of its own; prints a line of JSON.

python -m benchmarks.scale_phases recordings 1000 /tmp/folder
"""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import functools
import json
import pathlib
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile

from benchmarks import timing
from models.data import provider as provider_lib
from prep import preparation
from prep.beam import pipeline
from prep.beam import steps
from prep.plan import make
from prep.recordings import probe
from prep.report import page
from prep.report import statistics
from tests.helpers import prep_helpers
from tests.helpers import training_helpers

FILE_SECS = 0.3
FILE_RATE = 16000  # Hz
BATCH_SIZE = 16
N_FILES = 16  # of the large dataset
EXAMPLE_SECS = 0.02  # the shortest that is a whole number of frames and samples
_STATUS = pathlib.Path("/proc/self/status")
_CLEAR = pathlib.Path("/proc/self/clear_refs")
_PHASES: tuple[tuple[str, types.ModuleType, str], ...] = (
    ("probing", probe, "probe_recordings"),
    ("planning", make, "make_plan"),
    ("computing", pipeline, "run"),
    ("statistics", statistics, "measure"),
    ("page", page, "render"),
)
# Within computing: what the steps themselves take; the rest is the engine's.
_STEPS = (
    ("computing: spool", "spool_recording"),
    ("computing: features", "analyse_segment"),
    ("computing: shards", "write_shard"),
)


def memory_mb(key: str) -> float:
    """Resident memory by its name in Linux's process status: VmRSS, or VmHWM."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * timing.KIBIBYTE / 1e6
    raise KeyError(key)


class Stopwatch:
    """Seconds and peak memory of functions that are called by their module's name."""

    def __init__(self) -> None:
        self.secs: dict[str, float] = {}
        self.cpu_secs: dict[str, float] = {}
        self.peak_mb: dict[str, float] = {}

    def attach(self, phase: str, module: types.ModuleType, name: str) -> None:
        """Replaces a function of a module by one that is measured."""
        inner = getattr(module, name)

        @functools.wraps(inner)
        def measured(*arguments: Any, **more: Any) -> Any:
            return self.run(phase, lambda: inner(*arguments, **more))

        setattr(module, name, measured)

    def run(self, phase: str, work: Callable[[], Any]) -> Any:
        """Does some work and adds what it takes to a phase."""
        is_step = ":" in phase
        if not is_step:
            _CLEAR.write_text("5")  # Linux: the peak begins anew
        begin, cpu_begin = time.perf_counter(), time.process_time()
        try:
            return work()
        finally:
            took = time.perf_counter() - begin
            self.secs[phase] = self.secs.get(phase, 0.0) + took
            took = time.process_time() - cpu_begin
            self.cpu_secs[phase] = self.cpu_secs.get(phase, 0.0) + took
            if not is_step:
                peak = max(self.peak_mb.get(phase, 0.0), memory_mb("VmHWM"))
                self.peak_mb[phase] = peak

    def row(self, n_items: int, **more: Any) -> dict[str, Any]:
        """What was measured, for JSON."""
        return {
            "n_items": n_items,
            "secs": {key: round(value, 3) for key, value in self.secs.items()},
            "cpu_secs": {key: round(value, 3) for key, value in self.cpu_secs.items()},
            "peak_mb": {key: round(value, 1) for key, value in self.peak_mb.items()},
            **more,
        }


def write_recordings(folder: pathlib.Path, n_files: int) -> None:
    """Writes short recordings, each of another pitch, a thousand a folder."""
    time_secs = np.arange(round(FILE_SECS * FILE_RATE)) / FILE_RATE
    for index in range(n_files):
        inner = folder / f"{index // 1000:03d}"
        if index % 1000 == 0:
            inner.mkdir(parents=True)
        f0_hz = 150.0 + 500.0 * index / n_files
        audio = 0.3 * np.sin(2 * np.pi * f0_hz * time_secs)
        soundfile.write(inner / f"{index:06d}.wav", audio, FILE_RATE)


def measure_recordings(n_items: int, folder: pathlib.Path) -> dict[str, Any]:
    """Prepares short recordings with a stub for the pitch tracker."""
    write_recordings(folder / "in", n_items)
    watch = Stopwatch()
    for phase in _PHASES:
        watch.attach(*phase)
    for phase_name, name in _STEPS:
        watch.attach(phase_name, steps, name)
    request = prep_helpers.make_request(
        folder / "in", folder / "out", example_secs=4.0, hop_secs=4.0
    )
    before = memory_mb("VmRSS")
    watch.run("all", lambda: preparation.prepare(request, lambda line: None))
    # The peak of all is the highest of its phases: each of them began it anew.
    watch.peak_mb["all"] = max(watch.peak_mb.values())
    named = ("plan.json", "statistics.json", "dataset.html", "dataset_info.json")
    sizes = {name: (folder / "out" / name).stat().st_size for name in named}
    return watch.row(n_items, before_mb=round(before, 1), bytes=sizes)


def measure_examples(n_items: int, folder: pathlib.Path) -> dict[str, Any]:
    """Opens a dataset for training and takes batches."""
    n_items = _write_large_dataset(folder, n_items)
    # Imports and TensorFlow's own start do not count.
    training_helpers.write_dataset(folder / "small", example_secs=EXAMPLE_SECS)
    _first_batch(provider_lib.PreparedDataset(folder / "small"), start=0)
    watch = Stopwatch()
    before = memory_mb("VmRSS")
    provider = watch.run("open", lambda: provider_lib.PreparedDataset(folder / "data"))
    held = memory_mb("VmRSS") - before
    watch.run("first batch", lambda: _first_batch(provider, start=0))
    middle = n_items // BATCH_SIZE // 2
    watch.run("batch amid an epoch", lambda: _first_batch(provider, start=middle))
    return watch.row(n_items, held_mb=round(held, 2))


def _first_batch(provider: provider_lib.PreparedDataset, *, start: int) -> None:
    next(iter(provider.batches(BATCH_SIZE, start_batch=start)))


def _write_large_dataset(folder: pathlib.Path, n_items: int) -> int:
    """Writes a dataset whose files repeat one example each; returns their number."""
    data = training_helpers.write_dataset(
        folder / "data", n_train=N_FILES, n_shards=N_FILES, example_secs=EXAMPLE_SECS
    )
    for path in data.glob("train.tfrecord-*"):
        path.write_bytes(path.read_bytes() * (n_items // N_FILES))
    n_items = n_items // N_FILES * N_FILES
    facts = json.loads((data / "dataset_info.json").read_text())
    facts["splits"]["train"]["n_examples"] = n_items
    (data / "dataset_info.json").write_text(json.dumps(facts))
    return n_items


PARTS: dict[str, Callable[[int, pathlib.Path], dict[str, Any]]] = {
    "recordings": measure_recordings,
    "examples": measure_examples,
}


def main() -> None:
    """Measures one part at one size."""
    part, n_items, folder = sys.argv[1:]
    print(json.dumps(PARTS[part](int(n_items), pathlib.Path(folder))))


if __name__ == "__main__":
    main()
