"""Figures of a training run from logs of a few rows, on paper."""

import math

import numpy as np
import pytest

from evaluation.scoring import training_log
from prep import errors

HELD_OUT, TOTAL = training_log.LOSS_KEYS


def rows(key, values, **others):
    """Rows of steps 10, 20, ... with one key, and what others hold in the last."""
    found = [{"step": 10 * (n + 1), key: value} for n, value in enumerate(values)]
    found[-1] |= others
    return found


# --- the loss ---


def test_the_best_is_of_the_held_out_batch_and_else_of_training():
    tracked = training_log.track(rows(TOTAL, [5.0, 3.0, None, 4.0]))
    assert (tracked.best_loss, tracked.best_step, tracked.last_step) == (3.0, 20, 40)
    tracked = training_log.track(
        [*rows(TOTAL, [5.0, 3.0, 4.0]), {"step": 40, HELD_OUT: 7.0}]
    )
    assert (tracked.best_loss, tracked.best_step) == (7.0, 40)


@pytest.mark.parametrize(
    ("kept", "step"),
    [({}, 20), ({"held_out/best_step": 10}, 10), ({"held_out/best_step": 99}, 20)],
)
def test_the_checkpoint_that_was_kept_is_the_best(kept, step):
    tracked = training_log.track(rows(HELD_OUT, [5.0, 3.0, 4.0], **kept))
    assert tracked.best_step == step
    assert tracked.best_loss == {10: 5.0, 20: 3.0}[step]


@pytest.mark.filterwarnings("error")
def test_a_run_without_a_row_has_no_figures():
    tracked = training_log.track([])
    assert (tracked.last_step, tracked.best_step, tracked.alarms) == (0, 0, ())
    figures = (tracked.best_loss, tracked.slope, tracked.entropy_first)
    figures += (tracked.entropy_last, tracked.entropy_trend, tracked.movement)
    figures += (tracked.clip_diversity, tracked.step_ms, tracked.memory_mb)
    assert all(map(math.isnan, figures))


def test_the_slope_begins_where_four_fifths_of_the_fall_are_made():
    """100 down to 1: after 20.8 the loss falls by a fifth in every 1000 steps."""
    late = 20.0 * 0.8 ** np.arange(5)
    losses = np.array([108.0, 60.0, *late])  # the whole fall is 108 - 8.192
    steps = 1000.0 * np.arange(7)
    assert losses[0] - 0.8 * (losses[0] - losses[-1]) > late[0]
    assert training_log.late_slope(steps, losses) == pytest.approx(-20.0)


def test_just_four_fifths_are_early():
    """The loss of the border belongs to what is late: four points, and else three."""
    steps, losses = 1000.0 * np.arange(5), np.array([11.0, 3.0, 1.0, 2.0, 1.0])
    expected = np.polyfit(np.arange(4), np.log(losses[1:]), 1)[0]
    found = training_log.late_slope(steps, losses)
    assert found == pytest.approx(100 * math.expm1(expected))


@pytest.mark.parametrize(
    "losses",
    [[4.0, 3.0, 2.0], [9.0, 8.9, 8.8, 8.7, 0.1], [4.0, 0.5, 0.5, 0.5, 0.0]],
    ids=["short", "still falling", "zero"],
)
def test_a_loss_that_shows_no_slope_has_none(losses):
    with np.errstate(all="raise"):  # of a logarithm of zero
        found = training_log.late_slope(np.arange(len(losses)), np.array(losses))
    assert math.isnan(found)


def test_four_points_show_a_slope():
    losses = 0.5 ** np.arange(4)
    steps = np.array([0.0, 1000.0, 2000.0, 3000.0])
    assert math.isnan(training_log.late_slope(steps, losses))  # one late point
    rising = 2.0 ** np.arange(4)  # no fall at all: all of them are late
    assert training_log.late_slope(steps, rising) == pytest.approx(100.0)


# --- timbre, time, memory, alarms ---


def test_entropy_is_told_first_last_and_a_thousand_steps():
    tracked = training_log.track(rows("controls/normalized_entropy", [0.5, 0.4, 0.3]))
    assert (tracked.entropy_first, tracked.entropy_last) == (0.5, 0.3)
    assert tracked.entropy_trend == pytest.approx(-10.0)
    one = training_log.track(rows("controls/normalized_entropy", [0.5]))
    assert one.entropy_first == one.entropy_last == 0.5
    assert math.isnan(one.entropy_trend)


def test_a_slope_needs_two_positions():
    slope = lambda *xs: training_log._slope(np.array(xs), np.arange(len(xs)) * 3.0)
    assert slope(1.0, 2.0) == pytest.approx(3.0)
    assert math.isnan(slope(1.0)) and math.isnan(slope(1.0, 1.0))


@pytest.mark.parametrize(
    ("field", "key", "value"),
    [
        ("movement", "controls/distribution_spread", 9.0),  # the last
        ("clip_diversity", "controls/clip_diversity", 9.0),
        ("step_ms", "time/step_ms", 7.0),  # the median
        ("backward_ms", "time/forward_backward_ms", 7.0),
        ("memory_mb", "memory/peak_mb", 20.0),  # the largest
    ],
)
def test_figures_of_one_key(field, key, value):
    tracked = training_log.track(rows(key, [5.0, None, 20.0, 7.0, 1.0, 9.0]))
    assert getattr(tracked, field) == value


def test_alarms_are_those_of_the_last_row_that_lists_any():
    log = [
        {"step": 1, "alarms": ["frozen"]},
        {"step": 2, "alarms": ["flat", "noisy"]},
        {"step": 3},
    ]
    assert training_log.track(log).alarms == ("flat", "noisy")
    log.append({"step": 4, "alarms": []})
    assert training_log.track(log).alarms == ()


@pytest.mark.parametrize("value", ["fast", [1.0]])
def test_a_text_where_a_number_belongs_is_refused_by_step(value, tmp_path, monkeypatch):
    log = [{"step": 7, "losses/total_loss": 1.0, "alarms": []}]
    monkeypatch.setattr(training_log.metrics_log, "read_metrics", lambda run: log)
    assert training_log.read_rows(tmp_path) == log
    log[0]["time/step_ms"] = None
    assert training_log.read_rows(tmp_path) == log
    log[0]["time/step_ms"] = value
    with pytest.raises(errors.InputError, match="time/step_ms of step 7"):
        training_log.read_rows(tmp_path)


def test_a_log_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / training_log.layout.METRICS_NAME).mkdir()
    with pytest.raises(errors.InputError, match="its log cannot be read"):
        training_log.read_rows(tmp_path)


def test_figures_are_floats_for_json():
    log = rows(
        HELD_OUT, [5.0, 3.0, 4.0, 2.0], **{"time/step_ms": 3, "memory/peak_mb": 1}
    )
    log += rows("controls/normalized_entropy", [0.5, 0.4])
    log += rows("controls/distribution_spread", [1])
    figures = {k: v for k, v in vars(training_log.track(log)).items() if k != "alarms"}
    assert {type(value) for value in figures.values()} == {int, float}
