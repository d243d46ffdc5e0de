"""How the benchmarks measure: alternating medians, a machine's own rate, peak memory.

Machines are shared and warm up, so no time stands alone: what is compared runs in turn,
round after round in one process, and ratios of medians are quoted. CPU seconds, of all
threads, are taken beside the clock: they hardly move when neighbours are busy.
"""

import collections.abc
import dataclasses
import json
import subprocess
import sys
import time

import numpy as np

MATMUL_SIZE = 2048  # rows and columns; large enough to be bound by arithmetic


@dataclasses.dataclass(frozen=True)
class Timing:
    """Medians over rounds.

    Attributes:
        wall_secs: By the clock.
        cpu_secs: User and system time of all threads.
    """

    wall_secs: float
    cpu_secs: float

    def ratio_to(self, other: "Timing") -> float:
        """How many times faster this is than another, by the clock."""
        return other.wall_secs / self.wall_secs


def alternate(
    functions: dict[str, collections.abc.Callable[[], object]], *, n_rounds: int
) -> dict[str, Timing]:
    """Runs functions in turn and takes each one's median.

    Args:
        functions: By name; each blocks until its result is there. They should have run
            before, so that nothing is traced or compiled in here.
        n_rounds: How often each runs.

    Returns:
        Median times by name.
    """
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for _ in range(n_rounds):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            elapsed = time.perf_counter() - wall, time.process_time() - cpu
            seen[name].append(elapsed)
    return {
        name: Timing(*(float(v) for v in np.median(times, axis=0)))
        for name, times in seen.items()
    }


def matmul_rate(n_rounds: int = 20) -> float:
    """Best rate of a large float32 product in TensorFlow, operations a second."""
    import tensorflow as tf  # after the caller has set the number of threads

    size = MATMUL_SIZE
    factor = tf.random.stateless_normal([size, size], seed=[0, 0])
    product = tf.function(lambda: tf.matmul(factor, factor))
    product()
    best = float("inf")
    for _ in range(n_rounds):
        start = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best


def peak_of(arguments: collections.abc.Sequence[str]) -> float:
    """Runs a program that prints its own peak as its last line of JSON.

    Args:
        arguments: Given to this Python; the program prints {"peak_mb": ...}.

    Returns:
        Peak resident size in MB (10^6 bytes).

    Raises:
        subprocess.CalledProcessError: If the program fails; its errors are shown.
    """
    done = subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.PIPE, check=True, text=True
    )
    return float(json.loads(done.stdout.strip().splitlines()[-1])["peak_mb"])
