"""Giving memory back that the C library's allocator keeps."""

import contextlib
import ctypes


def give_back_freed() -> None:
    """Returns freed memory to the system, as glibc on its own hardly does.

    A call passes over all of it, so it is for after something large, not for loops.
    Another C library than glibc is left to itself.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
