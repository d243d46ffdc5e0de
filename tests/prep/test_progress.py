"""Progress on a terminal and in a log."""

import fcntl
import io
import os
import pty
import select
import struct
import termios
import time

import pytest

from prep import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """The time that lines in a log are spaced by; `clock[0]` may be set."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_log_gets_a_line_now_and_then_and_one_at_the_end(clock):
    log = io.StringIO()
    with progress.bar(600, unit="files", label="probing", file=log) as bar:
        for _ in range(590):  # ten a second, almost a minute
            clock[0] += 0.1
            bar.update()
    lines = log.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0] == "probing:  50%, 300/600 files [00:30, 00:30 left]"
    assert "590/600" in lines[1]
    assert "\r" not in log.getvalue()


def test_log_shows_that_time_goes_on_while_nothing_is_finished(clock):
    log = io.StringIO()
    bar = progress.bar(60, unit="s", label="computing", file=log, initial=20)
    for _ in range(130):
        clock[0] += 0.5
        bar.tick()
    assert log.getvalue().count("20/60 s [") == 2


@pytest.mark.long
def test_watching_in_a_log_is_one_line_for_a_short_job(tmp_path):
    log, weights = io.StringIO(), {tmp_path / "a": 3.0, tmp_path / "b": 4.0}
    (tmp_path / "a").touch()
    with progress.watching(weights, unit="s", label="computing", quiet=False, file=log):
        (tmp_path / "b").touch()
        time.sleep(3 * progress.POLL_SECS)
    assert [line[:21] for line in log.getvalue().splitlines()] == [
        "computing: 100%, 7/7 "
    ]


def test_looking_takes_a_small_share_of_the_time_however_many_the_files(monkeypatch):
    clock, pauses = [0.0], []
    watch = progress._Watch({}, progress.bar(1, unit="s", label="", quiet=True))

    def look():
        clock[0] += 3.0  # s, for a hundred thousand files

    class Stop:
        def wait(self, secs):
            pauses.append(secs)
            return len(pauses) == 3

    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    watch.look, watch._stop_now = look, Stop()
    watch.run()
    assert pauses == [progress.POLL_SECS, *[3.0 / progress.LOOK_SHARE] * 2]


def test_terminal_gets_a_bar_that_is_drawn_over(tmp_path):
    screen = Terminal()
    with progress.bar(2, unit="files", label="probing", file=screen) as bar:
        bar.tick()
        bar.update(2)
    drawn = screen.getvalue()
    assert drawn.count("\n") == 1
    assert "100%|##" in drawn or "100%|██" in drawn


@pytest.mark.parametrize("size", [(0, 0), (40, 110)])
def test_a_bar_is_drawn_where_a_terminal_says_its_size_and_where_not(size):
    """As `docker run -t` and CI make them: 0 columns, 0 rows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    with open(theirs, "w") as screen:
        bar = progress.bar(2, unit="files", label="probing", file=screen)
        bar.set_description("reading")
        bar.update(2)
        bar.close()
        drawn = b""
        while select.select([ours], [], [], 0.2)[0]:
            drawn += os.read(ours, 10000)
    os.close(ours)
    assert b"reading: 100%" in drawn


def test_quiet_shows_nothing():
    for stream in (io.StringIO(), Terminal()):
        with progress.bar(
            2, unit="files", label="probing", quiet=True, file=stream
        ) as bar:
            bar.set_description("still")
            bar.update(2)
            bar.tick()
        assert stream.getvalue() == ""
