"""This process and others: locks, memory, children that end with their parent.

A lock belongs to an open file: it is gone when the processes that have it open are,
however they ended. A child that inherits the file holds the lock too.
"""

import contextlib
import ctypes
import fcntl
import math
import os
import pathlib
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator

_POLL_SECS = 0.2
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
_STATUS = pathlib.Path("/proc/self/status")
KIBIBYTE = 1024  # bytes; the unit of VmHWM, and of ru_maxrss but for macOS
MEGABYTE = 1e6  # bytes


def lock(descriptor: int, *, wait_secs: float = 0.0) -> bool:
    """Locks an open file or folder against others.

    Args:
        descriptor: Of the file.
        wait_secs: How long to wait for the one that holds it; infinite waits for ever.

    Returns:
        False if another has it still. A file system without locks holds nobody back.
    """
    if math.isinf(wait_secs):
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    end = time.monotonic() + wait_secs
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        except OSError:  # no locks here
            return True
        time.sleep(_POLL_SECS)


@contextlib.contextmanager
def holding(folder: pathlib.Path, *, wait_secs: float = 0.0) -> Iterator[bool]:
    """Holds a folder, which stays as it is, against others.

    Args:
        folder: It exists.
        wait_secs: As for `lock`.

    Yields:
        False if another has it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield lock(descriptor, wait_secs=wait_secs)
    finally:
        os.close(descriptor)


def end_with_parent() -> Callable[[], None] | None:
    """Makes the function by which a child asks for SIGTERM when its parent ends.

    Returns:
        For `preexec_fn`; None where the system has no such signal (other than Linux).
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # found before the fork
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # gone already
            os._exit(1)

    return ask


def peak_mb() -> float:
    """The largest resident size of this process so far, in MB (10^6 bytes).

    Linux's VmHWM. `ru_maxrss`, read where there is no /proc, would include what the
    process that started this one had taken.
    """
    if _STATUS.is_file():
        found = re.search(r"^VmHWM:\s*(\d+) kB", _STATUS.read_text("ascii"), re.M)
        if found:
            return int(found.group(1)) * KIBIBYTE / MEGABYTE
    return usage_mb(resource.getrusage(resource.RUSAGE_SELF))


def usage_mb(usage: resource.struct_rusage) -> float:
    """The largest resident size that the system counted, in MB (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else KIBIBYTE
    return usage.ru_maxrss * unit / MEGABYTE


def give_back_freed() -> None:
    """Calls glibc's malloc_trim, which returns freed memory to the system.

    It passes over the whole heap, so it is for after something large, not for loops.
    Does nothing with another C library.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
