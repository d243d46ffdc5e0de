"""Which measurement is the best, by hand."""

import math

import numpy as np
import pytest

from models.training import selection


def note(progress, loss, *, step=1, min_delta=0.0, collapsed=False, penalty=0.0):
    return selection.note_measurement(
        progress,
        loss=loss,
        step=step,
        min_delta=min_delta,
        collapsed=collapsed,
        collapse_penalty=penalty,
    )


def remembered(progress):
    return (
        float(progress.best_loss.numpy()),
        int(progress.best_step.numpy()),
        bool(progress.best_collapsed.numpy()),
        int(progress.stale.numpy()),
    )


def test_the_first_is_the_best_however_large():
    progress = selection.Progress()
    assert remembered(progress) == (math.inf, -1, False, 0)
    counts = (progress.attempts, progress.skipped, progress.seed)
    assert [int(count.numpy()) for count in counts] == [0, 0, 0]
    # Without a word of a collapse there is none, and no penalty.
    selection.note_measurement(progress, loss=100.0, step=50, min_delta=0.5)
    assert remembered(progress) == (100.0, 50, False, 0)
    assert selection.best_measure(progress, collapse_penalty=0.5) == 100.0


@pytest.mark.parametrize(
    ("loss", "min_delta", "is_best"),
    [
        (3.999, 0.0, True),
        (4.0, 0.0, False),  # as good is not better
        (3.5, 0.5, False),  # by the least that counts, not by more
        (3.499, 0.5, True),
        (math.nan, 0.0, False),
        (-math.inf, 0.0, False),
    ],
)
def test_a_measurement_is_better_by_more_than_the_least(loss, min_delta, is_best):
    progress = selection.Progress()
    note(progress, 4.0, step=10)
    assert note(progress, loss, step=20, min_delta=min_delta) == is_best
    kept = (np.float32(loss), 20, False, 0) if is_best else (4.0, 10, False, 1)
    assert remembered(progress) == kept


def test_stale_measurements_are_counted_until_a_better_one():
    progress = selection.Progress()
    for loss in (4.0, 5.0, math.nan, 4.0):
        note(progress, loss)
    assert remembered(progress)[-1] == 3
    note(progress, 3.0)
    assert remembered(progress)[-1] == 0


@pytest.mark.parametrize(
    ("first", "second", "is_best"),
    [
        # Collapsed, 4 counts as 5: a healthy 4.9 is better, 5.0 is not.
        ((4.0, True), (4.9, False), True),
        ((4.0, True), (5.0, False), False),
        # Healthy, 4 stays 4: a collapsed 3.3 counts as more, 3.1 as less.
        ((4.0, False), (3.3, True), False),
        ((4.0, False), (3.1, True), True),
        # Both collapsed: as if neither had.
        ((4.0, True), (3.9, True), True),
        ((4.0, True), (4.1, True), False),
    ],
)
def test_a_collapse_counts_for_a_quarter_more(first, second, is_best):
    progress = selection.Progress()
    for step, (loss, collapsed) in enumerate((first, second)):
        last = note(progress, loss, step=step, collapsed=collapsed, penalty=0.25)
    assert last == is_best
    loss, collapsed = second if is_best else first
    # What is kept is the loss itself; the penalty is added when it is asked for.
    assert remembered(progress)[:3] == (np.float32(loss), int(is_best), collapsed)
    asked = selection.best_measure(progress, collapse_penalty=0.25)
    assert asked == pytest.approx(loss * (1.25 if collapsed else 1.0))
