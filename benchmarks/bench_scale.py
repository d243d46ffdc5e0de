"""What many recordings, many workers and many examples cost, each.

    python -m benchmarks.bench_scale                       # an hour of two idle cores
    python -m benchmarks.bench_scale --parts=recordings --sizes=1000,10000

Four parts; each run has a process of its own:

- `planning`: the plan of 1,000, 10,000 and 100,000 made-up recordings of 8 s and notes.
- `recordings`: preparation of 1,000 and 10,000 recordings of 0.3 s, with a stub for the
  pitch tracker, because what grows with their number is the bookkeeping.
  Seconds, processor seconds and the peak of resident memory of every phase. `growth`
  divides the processor time of a recording at the largest size by that at the smallest;
  `bytes_each` is what a recording adds to the peak.
- `workers`: the same recordings with CREPE, by one and two processes and by Dask with
  one and two workers, a core for each. Seconds a second of audio, by the clock and of
  all processors, are the slope between two lengths, so that starting does not count;
  `efficiency` is what two workers gain over one by the clock, by two.
- `examples`: opening a dataset of 1,000 and of 100,000 examples for training: seconds
  to the first batch, from the beginning and from the middle of an epoch, and the memory
  that an example takes.

The last line is JSON.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from benchmarks.scale import engines
from prep import files

ROOT = pathlib.Path(__file__).resolve().parents[1]
PLANNED = (1000, 10_000, 100_000)  # recordings
SIZES = (1000, 10_000)  # recordings
EXAMPLE_COUNTS = (1000, 100_000)
PARTS = ("planning", "recordings", "workers", "examples")


def in_process(part: str, *, n_items: int, folder: pathlib.Path) -> dict[str, Any]:
    """Runs one measurement of `benchmarks.scale` in a process of its own.

    Raises:
        RuntimeError: If it fails; with what it said.
    """
    command = [sys.executable, "-m", f"benchmarks.scale.{part}"]
    done = subprocess.run(
        [*command, str(n_items), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def sweep(part: str, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Measures a part at several sizes."""
    rows = []
    for n_items in sizes:
        with files.scratch_folder("bench-scale") as folder:
            rows.append(in_process(part, n_items=n_items, folder=folder))
        print(json.dumps(rows[-1]), flush=True)
    return rows


def growth(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Compares the largest size with the smallest, an item.

    Returns:
        `growth` of the cost of an item (1 is linear) and `bytes_each`, by phase.
    """
    small, large = rows[0], rows[-1]
    n_small, n_large = small["n_items"], large["n_items"]
    cost = lambda row, phase: row["cpu_secs"][phase] / row["n_items"]
    return {
        "growth": {
            phase: round(cost(large, phase) / max(cost(small, phase), 1e-9), 2)
            for phase in large["secs"]
        },
        "ms_each": {
            phase: round(1e3 * cost(large, phase), 3) for phase in large["secs"]
        },
        "bytes_each": {
            phase: round(1e6 * (peak - small["peak_mb"][phase]) / (n_large - n_small))
            for phase, peak in large["peak_mb"].items()
        },
    }


def measure_growth(part: str, sizes: Sequence[int]) -> dict[str, Any]:
    """A part at ever larger sizes."""
    rows = sweep(part, sizes)
    return {"sizes": rows, **(growth(rows) if len(rows) > 1 else {})}


def measure_workers(names: Sequence[str], secs: float, capacity: str) -> dict[str, Any]:
    """One and two workers of both engines."""
    costs: dict[str, engines.CostPerSecond] = {}
    for engine in engines.ENGINES:
        if engine.name not in names:
            continue
        with files.scratch_folder("bench-scale") as folder:
            costs[engine.name] = engines.cost_of_a_second(
                engine, folder, audio_secs=secs, capacity=capacity
            )
        print(engine.name, costs[engine.name], flush=True)
    found: dict[str, Any] = {k: dataclasses.asdict(v) for k, v in costs.items()}
    for kind in ("processes", "dask"):
        one, two = costs.get(f"{kind}-1"), costs.get(f"{kind}-2")
        if one and two:
            found[f"efficiency_{kind}"] = round(one.secs / (2 * two.secs), 2)
    return found


def whole_numbers(text: str) -> list[int]:
    """Reads 1000,10000."""
    return [int(word) for word in text.split(",")]


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="which")
    parser.add_argument("--planned", type=whole_numbers, default=list(PLANNED))
    parser.add_argument("--sizes", type=whole_numbers, default=list(SIZES))
    parser.add_argument("--examples", type=whole_numbers, default=list(EXAMPLE_COUNTS))
    parser.add_argument("--secs", type=float, default=96.0, help="of audio, workers")
    names = ",".join(engine.name for engine in engines.ENGINES)
    parser.add_argument("--engines", default=names, help="of the workers, which")
    parser.add_argument("--crepe_capacity", default="full", choices=["full", "tiny"])
    given = parser.parse_args()
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "planning": lambda: measure_growth("planning", given.planned),
        "recordings": lambda: measure_growth("recordings", given.sizes),
        "workers": lambda: measure_workers(
            given.engines.split(","), given.secs, given.crepe_capacity
        ),
        "examples": lambda: measure_growth("examples", given.examples),
    }
    begin = time.monotonic()
    found = {part: measures[part]() for part in given.parts.split(",")}
    took = round(time.monotonic() - begin, 1)
    cores = len(os.sched_getaffinity(0))
    print(json.dumps({"benchmark": "scale", "cores": cores, "secs": took, **found}))


if __name__ == "__main__":
    main()
