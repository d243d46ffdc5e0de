"""When the loop acts and why it stops, one rule at a time, without a training."""

import types

import pytest

from models.runs import layout
from models.training import loop
from models.training import options as training_options


def reason(*, measured=True, stale=0, loss=9.0, asked=False, **flags):
    """Why a loop with given options would stop."""
    known = {key: flags.pop(key, False) for key in ("time_is_up", "is_last")}
    state = types.SimpleNamespace(
        options=training_options.LoopOptions(**flags),
        progress=types.SimpleNamespace(stale=stale),
        _stepper=types.SimpleNamespace(
            means=types.SimpleNamespace(last=lambda key: loss)
        ),
        _stopping=types.SimpleNamespace(asked=asked),
    )
    return loop.Loop._reason_to_stop(state, measured=measured, **known)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, None),
        # Patience: as many stale measurements, judged when one is made; 0 is never.
        ({"patience": 3, "stale": 2}, None),
        ({"patience": 3, "stale": 3}, layout.Outcome.EARLY_STOP),
        ({"patience": 3, "stale": 3, "measured": False}, None),
        ({"patience": 0, "stale": 99}, None),
        # The training loss, as low as asked.
        ({"early_stop_loss_value": 5.0, "loss": 5.1}, None),
        ({"early_stop_loss_value": 5.0, "loss": 5.0}, layout.Outcome.LOSS_REACHED),
        ({"early_stop_loss_value": 0.0, "loss": 0.0}, layout.Outcome.LOSS_REACHED),
        (
            {"patience": 1, "stale": 1, "early_stop_loss_value": 9.0},
            (layout.Outcome.LOSS_REACHED),
        ),
        # Time: only where nothing else ends the run.
        ({"time_is_up": True}, layout.Outcome.TIME_LIMIT),
        ({"time_is_up": True, "is_last": True}, None),
        ({"time_is_up": True, "patience": 1, "stale": 1}, layout.Outcome.EARLY_STOP),
        # A signal: unless the run is over anyway.
        ({"asked": True}, layout.Outcome.INTERRUPTED),
        ({"asked": True, "time_is_up": True}, layout.Outcome.INTERRUPTED),
        ({"asked": True, "is_last": True}, None),
    ],
    ids=str,
)
def test_a_run_stops_for_the_last_reason_that_holds(flags, expected):
    assert reason(**flags) == expected


@pytest.mark.parametrize(
    ("step", "every", "is_due"),
    [(10, 5, True), (9, 5, False), (0, 5, True), (10, 0, False), (7, 1, True)],
)
def test_something_is_due_at_every_so_many_steps(step, every, is_due):
    assert loop._due(step, every) == is_due


@pytest.mark.parametrize(
    ("name", "least"),
    [
        *((name, 1) for name in ("log_every", "held_out_every", "held_out_examples")),
        *((name, 0) for name in ("patience", "min_delta", "collapse_penalty")),
        *((n, 0) for n in ("dump_controls_every", "render_every", "max_minutes")),
    ],
)
def test_options_have_a_least_value(name, least):
    assert getattr(training_options.LoopOptions(**{name: least}), name) == least
    with pytest.raises(ValueError, match=f"{name}={least - 1}; at least {least}"):
        training_options.LoopOptions(**{name: least - 1})
