"""How much memory this process has taken."""

import pathlib
import re
import resource

_STATUS = pathlib.Path("/proc/self/status")
KIBIBYTE = 1024  # bytes; Linux counts in these
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
