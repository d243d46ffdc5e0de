"""Lock of a run directory, and children that end with their parent."""

import contextlib
import ctypes
import os
import pathlib
import signal
import sys
from collections.abc import Callable
from collections.abc import Iterator

from models.runs import layout
from prep import locks

LOCK_NAME = ".lock"
WAIT_SECS = 10.0  # a training that is ending, e.g. with its parent, saves meanwhile
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


@contextlib.contextmanager
def only_one(run_dir: pathlib.Path, *, wait_secs: float = WAIT_SECS) -> Iterator[None]:
    """Holds a run directory's lock; the system frees it when the process ends.

    Args:
        run_dir: The directory; it exists.
        wait_secs: How long to wait for another to end.

    Raises:
        layout.RunError: If another process trains there.
    """
    path = run_dir / LOCK_NAME
    with open(path, "a+", encoding="utf-8") as file:
        if not locks.take(file.fileno(), wait_secs=wait_secs):
            holder = path.read_text("utf-8", errors="replace").strip() or "unknown"
            raise layout.RunError(
                f"another training (process {holder}) writes into {run_dir}; wait for "
                "its end, or say another --save_dir."
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


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
