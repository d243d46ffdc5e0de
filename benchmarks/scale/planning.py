"""The plan of many recordings: made, written, read, described; nothing is decoded.

python -m benchmarks.scale.planning 100000 /tmp/folder
"""

import gc
import pathlib

import numpy as np

from benchmarks.scale import stopwatch
from prep import settings as settings_lib
from prep.dataset import description
from prep.plan import make
from prep.plan import plan as plan_lib
from prep.plan import text
from prep.recordings import recording as recordings_lib

RATE = 44100  # Hz
SECS = 8.0  # of a recording
ENVELOPE_RATE = 50  # values/s
SHORT_SHARE = 0.2  # of the recordings, which are single notes
SHORT_SECS = 0.7


def make_probe(index: int) -> recordings_lib.Probe:
    """What probing would have found of a recording."""
    secs = SHORT_SECS if index % round(1 / SHORT_SHARE) == 0 else SECS
    secs += index % 7 / 10.0
    recording = recordings_lib.Recording(
        name=f"folder-{index // 1000:03d}/recording-{index:06d}.wav",
        path=f"/recordings/folder-{index // 1000:03d}/recording-{index:06d}.wav",
        recording_id=f"{index * 2654435761 % 2**64:016x}",  # scattered, as hashes are
        n_bytes=2 * round(secs * RATE),
        in_rate=RATE,
        n_in=round(secs * RATE),
        channels=1,
        codec="WAV PCM_16",
        peak=0.5 + 1e-6 * index,
        offset=1e-6 * index,
        clipped_share=0.0,
        silent_share=0.0,
        max_loudness_db=-10.0 - 1e-5 * index,
        floor_loudness_db=-30.0,
        notes=(),
    )
    envelope = np.full(round(secs * ENVELOPE_RATE), -12.0, np.float32)
    pitch_hz = np.full(round(2 * secs), 220.0 + index % 500, np.float32)
    return recordings_lib.Probe(recording, envelope, pitch_hz, f"{index}")


def measure_planning(n_items: int, folder: pathlib.Path) -> stopwatch.Measured:
    """Plans, writes and reads."""
    watch = stopwatch.Stopwatch()
    path = folder / "plan.json"
    n_bytes = _plan_and_write(n_items, path, watch)
    gc.collect()
    # As every worker does.
    before = stopwatch.memory_mb("VmRSS")
    plan = watch.run("read", lambda: plan_lib.Plan.from_json(path.read_text()))
    gc.collect()
    return watch.row(
        n_items,
        secs_of_audio=round(sum(one.secs for one in plan.recordings)),
        n_examples=sum(plan.n_examples(split) for split in plan.split_names()),
        held_mb=round(stopwatch.memory_mb("VmRSS") - before, 1),
        bytes={"plan.json": path.stat().st_size, "dataset_info.json": n_bytes},
    )


def _plan_and_write(
    n_items: int, path: pathlib.Path, watch: stopwatch.Stopwatch
) -> int:
    """As the program does; returns the size of dataset_info.json."""
    settings = settings_lib.Settings()
    probes = [make_probe(index) for index in range(n_items)]
    plan = watch.run(
        "plan", lambda: make.make_plan(probes, settings, tracker_id="none")
    )
    watch.run("write", lambda: path.write_text(plan.to_json()))
    watch.run("describe", lambda: text.describe(plan))
    facts = watch.run("dataset_info", lambda: description.dataset_info(plan).to_json())
    return len(facts)


if __name__ == "__main__":
    stopwatch.print_row(measure_planning)
