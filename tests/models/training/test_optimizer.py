"""Schedules and clipping against formulas worked out by hand and against ddsp's."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models.training import optimizer


def _rate(step, **kwargs):
    settings = optimizer.OptimSettings(**{"learning_rate": 1.0, **kwargs})
    return float(optimizer.Schedule(settings)(tf.constant(step, tf.int64)))


@pytest.mark.parametrize("step", [0, 1, 999, 10000, 123456])
def test_default_is_ddsps_exponential_decay(step):
    stock = tf.keras.optimizers.schedules.ExponentialDecay(3e-4, 10000, 0.98)
    ours = _rate(step, learning_rate=3e-4)
    assert ours == pytest.approx(float(stock(step)), rel=1e-6)  # float32


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.5), (1, 0.75), (2, 1.0), (3, 0.75), (4, 0.625), (10000, 0.5)],
)
def test_half_life_above_a_minimum_after_warmup(step, expected):
    """Above the minimum of 0.5 the warm-up rises in thirds, then halves each step."""
    rate = _rate(step, minimum=0.5, warmup_steps=2, decay_steps=1, decay_rate=0.5)
    risen = {0: 0.5 + 0.5 / 3, 1: 0.5 + 1.0 / 3}.get(step, expected)
    assert rate == pytest.approx(risen, abs=1e-6)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 1.0), (50, 0.55), (100, 0.1), (200, 0.1)]
)
def test_cosine_falls_to_its_minimum(step, expected):
    rate = _rate(step, schedule="cosine", minimum=0.1, total_steps=100)
    assert rate == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("step", "expected"), [(10, 1.0), (60, 0.5), (110, 0.0)])
def test_cosine_falls_from_the_end_of_the_warmup_to_that_of_the_training(
    step, expected
):
    rate = _rate(step, schedule="cosine", total_steps=110, warmup_steps=10)
    assert rate == pytest.approx(expected, abs=1e-6)


def test_what_is_not_said_is_as_documented():
    assert dataclasses.asdict(optimizer.OptimSettings()) == {
        **dict(learning_rate=1e-3, schedule="exponential", minimum=0.0, warmup_steps=0),
        **dict(decay_steps=10000, decay_rate=0.98, total_steps=None),
        **dict(clip_norm=3.0, clip_mode="global"),
    }


def test_constant_stays():
    assert _rate(10**6, schedule="constant") == 1.0


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"schedule": "linear"}, "one of"),
        ({"clip_mode": "all"}, "one of"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"minimum": 2.0, "learning_rate": 1.0}, "between 0 and the rate"),
        ({"decay_steps": 0}, "above 0"),
        ({"clip_norm": 0.0}, "clip_mode='none'"),
        ({"schedule": "cosine"}, "total_steps"),
    ],
)
def test_bad_settings_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        optimizer.OptimSettings(**kwargs)


def _clip(mode, norm=1.0):
    gradients = [tf.constant([3.0, 0.5]), tf.constant([[4.0]])]
    settings = optimizer.OptimSettings(clip_mode=mode, clip_norm=norm)
    clipped, before = optimizer.clip_gradients(gradients, settings=settings)
    return np.concatenate([item.numpy().ravel() for item in clipped]), float(before)


def test_global_clipping_keeps_the_direction():
    clipped, before = _clip("global")
    assert before == pytest.approx(np.sqrt(9 + 0.25 + 16))
    np.testing.assert_allclose(clipped, np.array([3.0, 0.5, 4.0]) / before, rtol=1e-6)


def test_element_clipping_bounds_each():
    np.testing.assert_allclose(_clip("element")[0], [1.0, 0.5, 1.0])


def test_no_clipping_changes_nothing():
    np.testing.assert_allclose(_clip("none")[0], [3.0, 0.5, 4.0])
