"""The allocator's settings, in processes of their own, and what the processor lacks."""

import pytest
from absl import flags

from prep import command_line
from prep import preparation
from prep import run_beam
from prep import tensorflow_setup
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


@pytest.mark.parametrize(
    ("facts", "lacks"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 fma\n\nflags : fpu avx2\n", True),
        ("flags\t\t: fpu avx512f avx512_bf16\n", False),
        ("flags\t\t: avx512_bf16x amx_bf16\n", False),
        ("flags\t\t: fpu avx512_bf16x xbf16\n", True),
        ("Features\t: fp asimd bf16\n", False),
        ("Features\t: fp asimd\n", True),
        ("cpu\t\t: POWER9\n", False),
    ],
    ids=["avx2", "avx512_bf16", "amx", "parts of words", "arm", "older arm", "unsaid"],
)
def test_flags_of_the_first_core_decide(tmp_path, facts, lacks):
    (tmp_path / "cpuinfo").write_text(facts)
    assert tensorflow_setup.lacks_bfloat16(tmp_path / "cpuinfo") is lacks


def test_kernels_are_compiled_unless_the_environment_says_no(monkeypatch):
    monkeypatch.delenv("DDSP_LADDER_XLA", raising=False)
    assert tensorflow_setup.compiles_kernels()
    monkeypatch.setenv("DDSP_LADDER_XLA", "0")
    assert not tensorflow_setup.compiles_kernels()


def test_a_system_without_a_description_is_given_the_benefit(tmp_path):
    assert not tensorflow_setup.lacks_bfloat16(tmp_path / "absent")


@pytest.mark.parametrize("lacks", [True, False])
def test_preparation_says_what_bfloat16_costs_and_sets_it(lacks, monkeypatch, capsys):
    requests = []
    monkeypatch.setattr(
        preparation, "prepare", lambda asked, say: requests.append(asked)
    )
    monkeypatch.setattr(tensorflow_setup, "lacks_bfloat16", lambda: lacks)
    values = flags.FlagValues()
    run_beam.define_flags(command_line.FlagGroups(values))
    values(["ddsp_prep", "--input=in", "--crepe_precision=bfloat16"])
    assert run_beam.main(values, []) == 0
    (request,) = requests
    assert request.settings.crepe_precision == "bfloat16"
    assert request.tracker_id == "crepe-full-viterbi-bfloat16"
    assert request.make_tracker().precision == "bfloat16"
    said = capsys.readouterr().err.splitlines()
    why = tensorflow_setup.BFLOAT16_IS_SLOWER
    assert said == [f"ddsp_prep: --crepe_precision=bfloat16: {why}"] * lacks
