"""Programs of the project in processes forked from one that has imported them.

A program takes seconds to import TensorFlow and Beam before it does anything. Forked
from a process that has done that, and that has computed nothing yet, it begins with its
own work: what a test of kills is about.
"""

import atexit
import ctypes
import importlib
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import TextIO
from typing import TypeVar

from prep import command_line

_PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h
_POLL_SECS = 0.02
T = TypeVar("T")


class Forked:
    """A program in a forked process, with what the matrix needs of a `Popen`."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        stdout: TextIO,
        stderr: int = subprocess.STDOUT,
        start_new_session: bool = True,
        preexec_fn: Callable[[], None] | None = None,
    ):
        """Starts the program.

        Args:
            words: Python, "-m", the module of a program, and its flags.
            stdout: Takes what it prints, on both its streams.
            stderr: As `subprocess.Popen` takes it; both streams go to `stdout`.
            start_new_session: Whether the terminal's signals pass it by.
            preexec_fn: Called in the child first.
        """
        del stderr
        self.returncode: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            _become(words, stdout, start_new_session, preexec_fn)

    def poll(self) -> int | None:
        """Returns the exit code, None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """Waits for its end; returns the exit code."""
        while self.poll() is None:
            time.sleep(_POLL_SECS)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


def run(words: Sequence[str], *, stdout: TextIO, **more: Any) -> Forked:
    """Runs a program to its end, as `subprocess.run` does."""
    more.pop("check", None)
    process = Forked(words, stdout=stdout, **more)
    process.wait()
    return process


def _become(
    words: Sequence[str],
    stdout: TextIO,
    start_new_session: bool,
    preexec_fn: Callable[[], None] | None,
) -> None:
    """Is the child: runs the program and ends the process."""
    code = command_line.EXIT_BUG
    try:
        if start_new_session:
            os.setsid()
        if preexec_fn:
            preexec_fn()
        for descriptor in (1, 2):
            os.dup2(stdout.fileno(), descriptor)
        program = importlib.import_module(words[2]).PROGRAM
        sys.argv = [program.name, *words[3:]]
        code = command_line.run_words(program, words[3:])
        atexit._run_exitfuncs()  # as an interpreter that ends by itself
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def call(function: Callable[..., T], *arguments: Any) -> T:
    """Calls a function in a forked process; returns what it returns.

    Raises:
        RuntimeError: If it raises anything; the traceback is on the standard error.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        code = command_line.EXIT_BUG
        try:
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(function(*arguments), pipe)
            code = 0
        except Exception:  # said here: the process ends
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        content = pipe.read()
    os.waitpid(pid, 0)
    if not content:
        raise RuntimeError(f"{function} failed in a process of its own")
    return pickle.loads(content)


def adopt_orphans() -> None:
    """Makes children of killed children this process's own, so that they are seen."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_for_orphans(secs: float) -> int:
    """Waits until no child is left; returns how many still are after some seconds."""
    end = time.monotonic() + secs
    while _reap() and time.monotonic() < end:
        time.sleep(_POLL_SECS)
    return len(_children())


def _reap() -> bool:
    """Takes leave of children that have ended; tells if others are left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _children() -> list[str]:
    path = pathlib.Path(f"/proc/self/task/{os.getpid()}/children")
    return path.read_text().split()
