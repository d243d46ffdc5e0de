"""Locks on files and folders against other processes.

A lock belongs to an open file: it is gone when the processes that have it open are,
however they ended. A child that inherits the file holds the lock too.
"""

import contextlib
import fcntl
import math
import os
import pathlib
import time
from collections.abc import Iterator

_POLL_SECS = 0.2


def take(descriptor: int, *, wait_secs: float = 0.0) -> bool:
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
        wait_secs: As for `take`.

    Yields:
        False if another has it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield take(descriptor, wait_secs=wait_secs)
    finally:
        os.close(descriptor)
