"""Seconds and memory of the phases of a process; Linux alone."""

import functools
import json
import pathlib
import sys
import time
import types
from collections.abc import Callable
from typing import Any

from prep import processes

Measured = dict[str, Any]
_STATUS = pathlib.Path("/proc/self/status")
_CLEAR = pathlib.Path("/proc/self/clear_refs")


def print_row(measure: Callable[[int, pathlib.Path], Measured]) -> None:
    """Measures at the size and in the folder of the command line; prints JSON."""
    n_items, folder = sys.argv[1:]
    print(json.dumps(measure(int(n_items), pathlib.Path(folder))))


def memory_mb(key: str) -> float:
    """Memory by its name in Linux's process status: VmRSS or RssAnon."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * processes.KIBIBYTE / processes.MEGABYTE
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
                peak = max(self.peak_mb.get(phase, 0.0), processes.peak_mb())
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
