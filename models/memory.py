"""Memory of this process: the most that it has taken, and freed memory given back."""

import contextlib
import ctypes
import pathlib
import re
import resource

_STATUS = pathlib.Path("/proc/self/status")
KIBIBYTE = 1024  # bytes; the unit of VmHWM and ru_maxrss
MEGABYTE = 1e6  # bytes


def peak_mb() -> float:
    """The largest resident size of this process so far, in MB (10^6 bytes).

    Linux's VmHWM. `ru_maxrss`, read where there is no /proc, would include what the
    process that started this one had taken.
    """
    if _STATUS.is_file():
        found = re.search(r"^VmHWM:\s*(\d+) kB", _STATUS.read_text("ascii"), re.M)
        if found:
            return int(found.group(1)) * KIBIBYTE / MEGABYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE / MEGABYTE


def give_back_freed() -> None:
    """Calls glibc's malloc_trim, which returns freed memory to the system.

    It passes over the whole heap, so it is for after something large, not for loops.
    Does nothing with another C library.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
