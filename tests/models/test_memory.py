"""The memory that a process has taken."""

import resource
import subprocess
import sys

import pytest

from models import memory

MARGIN = 5.0  # MB; what the interpreter itself takes between two readings


def run(code):
    """Numbers that a process of its own prints."""
    words = [sys.executable, "-c", f"from models import memory\n{code}"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [float(word) for word in said.split()]


def test_the_peak_stays_when_memory_is_given_back():
    before, during, after = run(
        "print(memory.peak_mb())\n"
        "taken = bytes(100_000_000) + b'.'\n"
        "print(memory.peak_mb())\n"
        "del taken\n"
        "print(memory.peak_mb())"
    )
    assert during > before + 90.0
    assert after == pytest.approx(during, abs=MARGIN)


def test_a_started_process_has_a_peak_of_its_own():
    """ru_maxrss would begin with this process's."""
    (peak,) = run("print(memory.peak_mb())")
    assert 5.0 < peak < 100.0 < memory.peak_mb()


def test_without_proc_the_c_library_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "missing")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert memory.peak_mb() == pytest.approx(
        most * memory.KIBIBYTE / memory.MEGABYTE, abs=MARGIN
    )
