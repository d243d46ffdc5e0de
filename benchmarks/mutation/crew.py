"""Workers that run tests, each in a copy of the repository of its own."""

import compileall
import contextlib
import dataclasses
import json
import os
import pathlib
import py_compile
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from benchmarks.mutation import worker
from prep import files
from prep import tensorflow_setup

PACKAGES = ("prep", "models", "evaluation", "benchmarks")
BESIDE = "shared"  # a folder beside the repository, with recordings that tests read


@contextlib.contextmanager
def employed(repository: pathlib.Path, *, n_workers: int) -> Iterator["Crew"]:
    """Gives workers, each with a copy of a repository; both go in the end."""
    processes = []
    with files.scratch_folder("mutation") as place:
        try:
            for number in range(n_workers):
                copy = place / str(number) / repository.name
                copy_repository(repository, copy)
                processes.append(_start(copy))
            yield Crew(processes)
        finally:
            for process in processes:
                process.terminate()
                process.wait()


class Crew:
    """Processes that answer requests side by side.

    Args:
        processes: As `employed` starts them.
    """

    def __init__(self, processes: Sequence[subprocess.Popen[str]]):
        self._processes = processes

    def answer(
        self, requests: Mapping[str, worker.Request]
    ) -> Iterator[tuple[str, worker.Answer]]:
        """Gives requests to whichever worker is free.

        Args:
            requests: By a name.

        Yields:
            A request's name and its answer, as they come.

        Raises:
            RuntimeError: If a worker dies.
        """
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in requests:
            waiting.put(name)
        answers: queue.Queue[tuple[str, worker.Answer | None]] = queue.Queue()

        def serve(process: subprocess.Popen[str]) -> None:
            with contextlib.suppress(queue.Empty):
                while True:
                    name = waiting.get_nowait()
                    answers.put((name, _ask(process, requests[name])))

        for process in self._processes:
            threading.Thread(target=serve, args=(process,), daemon=True).start()
        for _ in range(len(requests)):
            name, answer = answers.get()
            if answer is None:
                raise RuntimeError(f"the worker that had {name} ended")
            yield name, answer


def _start(copy: pathlib.Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", worker.__name__],
        cwd=copy,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Importlib finds the copy's modules, and those of an installed project never.
        # Kernels are as `make check` has them.
        env={**os.environ, "PYTHONPATH": str(copy), tensorflow_setup.XLA: "0"},
    )


def _ask(
    process: subprocess.Popen[str], request: worker.Request
) -> worker.Answer | None:
    """Sends a request and waits for its answer; None if the worker is dead."""
    assert process.stdin and process.stdout
    try:
        print(json.dumps(dataclasses.asdict(request)), file=process.stdin, flush=True)
    except BrokenPipeError:
        return None
    line = process.stdout.readline()
    return worker.Answer(**json.loads(line)) if line else None


def copy_repository(repository: pathlib.Path, copy: pathlib.Path) -> None:
    """Copies what git knows and does not ignore, as it lies there.

    Python's own copies of the modules know by a hash what they were made of: by time
    and size, which is Python's way, a mutant would pass for the module.
    """
    for name in list_files(repository):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repository / name, copy / name)
    if (repository.parent / BESIDE).is_dir():
        (copy.parent / BESIDE).symlink_to(repository.parent / BESIDE)
    for package in PACKAGES:
        compileall.compile_dir(
            copy / package,
            quiet=1,
            invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH,
        )


def list_files(repository: pathlib.Path, *patterns: str) -> list[str]:
    """Names of the files that git knows and does not ignore, and that are there."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *patterns]
    done = subprocess.run(
        command, cwd=repository, capture_output=True, text=True, check=True
    )
    names = sorted(set(done.stdout.split("\0")) - {""})
    return [name for name in names if (repository / name).is_file()]
