"""The allocator's settings, in processes of their own."""

from tests.helpers import programs

PAGE_BYTES = 4096
ARRAY_BYTES = 24 << 20  # below MAPPED_BYTES, so on the heap
# Four arrays taken, written and freed at once, six times; the faults of the last five.
ROUNDS = f"""
import ctypes, resource
{{imported}}
library = ctypes.CDLL("libc.so.6")
library.malloc.restype = ctypes.c_void_p
library.malloc.argtypes = [ctypes.c_size_t]
library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
for round_ in range(6):
    arrays = [library.malloc({ARRAY_BYTES}) for _ in range(4)]
    for array in arrays:
        library.memset(array, 1, {ARRAY_BYTES})
    for array in arrays:
        library.free(array)
    if round_ == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(imported, **variables):
    """Pages that the system had to provide anew."""
    code = ROUNDS.format(imported=imported)
    done = programs.run(programs.PYTHON, "-c", code, environment=variables)
    return int(done.stdout)


def test_freed_memory_stays_for_the_next_step():
    all_pages = 5 * 4 * ARRAY_BYTES // PAGE_BYTES
    assert page_faults("") > 0.5 * all_pages  # what glibc does by itself
    assert page_faults("from prep import tensorflow_setup") < 0.01 * all_pages


def test_the_environment_decides():
    faults = page_faults(
        "from prep import tensorflow_setup", MALLOC_TRIM_THRESHOLD_="1000000"
    )
    assert faults > 0.5 * 5 * 4 * ARRAY_BYTES // PAGE_BYTES
