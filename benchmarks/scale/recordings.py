"""Preparation of many short recordings with a stub for the pitch tracker.

python -m benchmarks.scale.recordings 1000 /tmp/folder
"""

import pathlib
import types

import numpy as np
import soundfile

from benchmarks.scale import stopwatch
from prep import preparation
from prep.beam import pipeline
from prep.beam import steps
from prep.plan import make
from prep.recordings import probe
from prep.report import page
from prep.report import statistics
from tests.helpers import prep_helpers

FILE_SECS = 0.3
FILE_RATE = 16000  # Hz
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


def measure_recordings(n_items: int, folder: pathlib.Path) -> stopwatch.Measured:
    """Prepares short recordings with a stub for the pitch tracker."""
    write_recordings(folder / "in", n_items)
    watch = stopwatch.Stopwatch()
    for phase in _PHASES:
        watch.attach(*phase)
    for phase_name, name in _STEPS:
        watch.attach(phase_name, steps, name)
    request = prep_helpers.make_request(
        folder / "in", folder / "out", example_secs=4.0, hop_secs=4.0
    )
    before = stopwatch.memory_mb("VmRSS")
    watch.run("all", lambda: preparation.prepare(request, lambda line: None))
    # The peak of all is the highest of its phases: each of them began it anew.
    watch.peak_mb["all"] = max(watch.peak_mb.values())
    named = ("plan.json", "statistics.json", "dataset.html", "dataset_info.json")
    sizes = {name: (folder / "out" / name).stat().st_size for name in named}
    return watch.row(n_items, before_mb=round(before, 1), bytes=sizes)


if __name__ == "__main__":
    stopwatch.print_row(measure_recordings)
