"""Tests of locks against other processes, and of the memory that one has taken."""

import errno
import fcntl
import math
import resource
import threading
import types

import pytest

from prep import processes
from tests.helpers import programs

MARGIN = 5.0  # MB; what the interpreter itself takes between two readings


def test_a_held_folder_is_not_given_twice(tmp_path):
    with processes.holding(tmp_path) as first, processes.holding(tmp_path) as second:
        assert first
        assert not second
    with processes.holding(tmp_path) as again:
        assert again


def test_one_who_waits_has_it_when_the_other_ends(tmp_path):
    entered = threading.Event()
    order = []

    def hold():
        with processes.holding(tmp_path):
            entered.set()
            order.append("first")
            threading.Event().wait(0.3)
            order.append("ends")

    other = threading.Thread(target=hold)
    other.start()
    entered.wait()
    with processes.holding(tmp_path, wait_secs=30) as ours:
        order.append("second")
    other.join()
    assert ours
    assert order == ["first", "ends", "second"]


def test_a_file_system_without_locks_holds_nobody_back(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for wait_secs in (0, 1, math.inf):
        with processes.holding(tmp_path, wait_secs=wait_secs) as ours:
            assert ours


def run(code):
    """Numbers that a process of its own prints."""
    code = f"from prep import processes\n{code}"
    said = programs.run(programs.PYTHON, "-c", code).stdout
    return [float(word) for word in said.split()]


def test_the_peak_stays_when_memory_is_given_back():
    before, during, after = run(
        "print(processes.peak_mb())\n"
        "taken = bytes(100_000_000) + b'.'\n"
        "print(processes.peak_mb())\n"
        "del taken\n"
        "print(processes.peak_mb())"
    )
    assert during > before + 90.0
    assert after == pytest.approx(during, abs=MARGIN)


def test_a_started_process_has_a_peak_of_its_own():
    """ru_maxrss would begin with this process's."""
    assert len(b"." * 100_000_000) == 1e8  # which this one takes
    (peak,) = run("print(processes.peak_mb())")
    assert 5.0 < peak < 100.0 < processes.peak_mb()


def test_without_proc_the_c_library_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "_STATUS", tmp_path / "missing")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert processes.peak_mb() == pytest.approx(
        most * processes.KIBIBYTE / processes.MEGABYTE, abs=MARGIN
    )


@pytest.mark.parametrize(("system", "n_mb"), [("linux", 2.048), ("darwin", 0.002)])
def test_a_mac_counts_bytes(monkeypatch, system, n_mb):
    monkeypatch.setattr(processes.sys, "platform", system)
    usage = types.SimpleNamespace(ru_maxrss=2000)
    assert processes.usage_mb(usage) == pytest.approx(n_mb)


def test_peaks_are_asked_for_in_one_place():
    asking = [
        path.name
        for package in ("prep", "models", "evaluation", "benchmarks")
        for path in sorted((programs.REPOSITORY / package).rglob("*.py"))
        if "ru_maxrss" in path.read_text("utf-8")
    ]
    assert asking == ["processes.py"]
