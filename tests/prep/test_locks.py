"""Tests of locks against other processes."""

import errno
import fcntl
import math
import threading

from prep import locks


def test_a_held_folder_is_not_given_twice(tmp_path):
    with locks.holding(tmp_path) as first, locks.holding(tmp_path) as second:
        assert first
        assert not second
    with locks.holding(tmp_path) as again:
        assert again


def test_one_who_waits_has_it_when_the_other_ends(tmp_path):
    entered = threading.Event()
    order = []

    def hold():
        with locks.holding(tmp_path):
            entered.set()
            order.append("first")
            threading.Event().wait(0.3)
            order.append("ends")

    other = threading.Thread(target=hold)
    other.start()
    entered.wait()
    with locks.holding(tmp_path, wait_secs=30) as ours:
        order.append("second")
    other.join()
    assert ours
    assert order == ["first", "ends", "second"]


def test_a_file_system_without_locks_holds_nobody_back(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for wait_secs in (0, 1, math.inf):
        with locks.holding(tmp_path, wait_secs=wait_secs) as ours:
            assert ours
