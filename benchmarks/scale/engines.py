"""How preparation gains from workers: whole programs on as many cores as workers.

The programs, Dask's servers too, are bound to cores and end with the measurement; the
servers listen on loopback.
"""

import contextlib
import dataclasses
import os
import pathlib
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil  # comes with distributed

from benchmarks import bench_prep

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORDING_SECS = 8.0
SHORT_SHARE = 0.25  # of the audio, of the run that the slope begins at
START_SECS = 60.0  # until a server must listen
_SERVER_END_SECS = 10.0


@dataclasses.dataclass(frozen=True)
class Engine:
    """A way to run preparation.

    Attributes:
        kind: "processes" or "dask".
        n_workers: Processes that compute, a core each.
    """

    kind: str
    n_workers: int

    @property
    def name(self) -> str:
        """For results."""
        return f"{self.kind}-{self.n_workers}"


ENGINES = tuple(Engine(k, n) for k in ("processes", "dask") for n in (1, 2))


@dataclasses.dataclass(frozen=True)
class CostPerSecond:
    """What a second of audio takes: seconds by the clock, and of all processors."""

    secs: float
    cpu_secs: float


def cost_of_a_second(
    engine: Engine, folder: pathlib.Path, *, audio_secs: float, capacity: str
) -> CostPerSecond:
    """Measures what a second of audio takes more.

    Args:
        engine: What prepares.
        folder: For recordings and datasets.
        audio_secs: Of the long run; the short one has a quarter.
        capacity: Of CREPE.

    Returns:
        The slope between both runs.
    """
    taken, cpu, lengths = [], [], []
    with _bound(engine.n_workers), _flags(engine, folder) as flags:
        for name, share in (("short", SHORT_SHARE), ("long", 1.0)):
            n_files = max(engine.n_workers, round(share * audio_secs / RECORDING_SECS))
            source = folder / name / "in"
            source.mkdir(parents=True)
            for index in range(n_files):
                bench_prep.write_recording(
                    source / f"{index}.wav", RECORDING_SECS, seed=index
                )
            begin, cpu_begin = time.monotonic(), _cpu_secs()
            _prepare(source, folder / name / "out", capacity, flags)
            taken.append(time.monotonic() - begin)
            cpu.append(_cpu_secs() - cpu_begin)
            lengths.append(n_files * RECORDING_SECS)
    more = lengths[1] - lengths[0]
    return CostPerSecond((taken[1] - taken[0]) / more, (cpu[1] - cpu[0]) / more)


def _cpu_secs() -> float:
    """Processor time of all that this process has started, ended or not."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:2])
    return total


@contextlib.contextmanager
def _bound(n_cores: int) -> Iterator[None]:
    """Binds this process, and what it starts, to some cores.

    Raises:
        RuntimeError: If there are fewer.
    """
    cores = os.sched_getaffinity(0)
    if len(cores) < n_cores:
        raise RuntimeError(f"{n_cores} cores are needed, and there are {len(cores)}")
    os.sched_setaffinity(0, sorted(cores)[:n_cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _prepare(
    source: pathlib.Path, output: pathlib.Path, capacity: str, flags: list[str]
) -> None:
    """Runs the program."""
    words = [
        *(sys.executable, "-m", "prep.run_beam", "--quiet"),
        *(f"--input={source}", f"--output={output}", "--hop_secs=4"),
        "--eval_split_fraction=0",
        f"--crepe_capacity={capacity}",
    ]
    subprocess.run([*words, *flags], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def _flags(engine: Engine, folder: pathlib.Path) -> Iterator[list[str]]:
    """Starts what an engine needs; gives the flags that choose it."""
    if engine.kind == "processes":
        yield [f"--workers={engine.n_workers}"] if engine.n_workers > 1 else []
        return
    with contextlib.ExitStack() as stack:
        port = _free_port()
        nowhere = ("--dashboard-address", "127.0.0.1:0")
        host = ("--host", "127.0.0.1")
        log = stack.enter_context(open(folder / "dask.log", "wb"))
        start = lambda *words: stack.enter_context(_server(words, log))
        start("scheduler", *host, "--port", str(port), *nowhere)
        _wait_for(port)
        for index in range(engine.n_workers):
            start(
                *("worker", f"tcp://127.0.0.1:{port}", *host, *nowhere),
                *("--nworkers", "1", "--nthreads", "1", "--name", f"w{index}"),
                *("--local-directory", str(folder / f"dask{index}")),
            )
        yield [f"--dask=tcp://127.0.0.1:{port}"]


@contextlib.contextmanager
def _server(words: tuple[str, ...], log) -> Iterator[None]:
    """A program of Dask's, ended with the block."""
    command = [str(pathlib.Path(sys.executable).parent / "dask"), *words]
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_SERVER_END_SECS)
        except subprocess.TimeoutExpired:
            process.kill()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_for(port: int) -> None:
    """Waits until something listens.

    Raises:
        TimeoutError: If nothing does.
    """
    deadline = time.monotonic() + START_SECS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")
