"""Limits of time, by a clock that the test turns."""

import signal

import pytest

from models.training import progress_line
from models.training import stopping


@pytest.fixture(autouse=True)
def foreground():
    """Ctrl-C interrupts, also where the tests themselves run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Clock:
    """Says what it was told."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_time_counts_from_the_start_of_training():
    clock = Clock()
    budget = stopping.TimeBudget(60.0, clock=clock)
    clock.now += 500.0  # spent on preparation
    budget.start()
    assert budget.left_secs == pytest.approx(60.0)
    clock.now += 60.0
    assert not budget.is_over
    clock.now += 0.5
    assert budget.is_over
    assert budget.left_secs == pytest.approx(-0.5)


def test_zero_is_no_limit():
    clock = Clock()
    budget = stopping.TimeBudget(0.0, clock=clock)
    budget.start()
    clock.now += 1e9
    assert budget.left_secs is None
    assert not budget.is_over


def test_time_left_is_never_more_than_the_limit(monkeypatch, capsys):
    clock = Clock()
    monkeypatch.setattr(progress_line.time, "monotonic", clock)
    line = progress_line.ProgressLine(n_steps=1000)
    for step in (10, 20):
        clock.now += 100.0
        line.update({"step": step}, left_at_most=30.0)
    assert "30 s left" in capsys.readouterr().err


def test_a_signal_that_was_ignored_stays_ignored():
    """A shell starts jobs in the background so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stopping.StopOnSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert not signals.asked


def test_a_second_signal_waits_for_a_save_and_a_third_ends_nothing_halfway():
    saved = []
    with stopping.StopOnSignals() as signals:
        signal.raise_signal(signal.SIGTERM)
        assert signals.asked
        with pytest.raises(KeyboardInterrupt):
            with signals.held():
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)
                saved.append("whole")
        assert saved == ["whole"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_first_signal_during_a_save_only_asks():
    with stopping.StopOnSignals() as signals, signals.held():
        signal.raise_signal(signal.SIGINT)
    assert signals.asked


def test_time_spent_before_the_start_counts():
    now = [0.0]
    budget = stopping.TimeBudget(60.0, clock=lambda: now[0])
    budget.start(spent_secs=50.0)
    assert budget.left_secs == 10.0
    now[0] = 11.0
    assert budget.is_over
