import numpy as np
import pytest
import tensorflow as tf

from models import schedules
from models.config import gin_dataset


@pytest.mark.parametrize(
    "step, expected",
    [(0, 0.03), (10, 0.03), (35, 0.015), (60, 0.0), (100000, 0.0)],
)
def test_ramp_by_hand(step, expected):
    ramp = schedules.Ramp(start=0.03, end=0.0, warmup_steps=10, ramp_steps=50)
    np.testing.assert_allclose(ramp(tf.constant(step, tf.int64)), expected, atol=1e-8)


def test_ramp_of_no_length_jumps_when_the_warmup_is_over():
    ramp = schedules.Ramp(start=1.0, end=2.0, warmup_steps=3)
    values = [float(ramp(tf.constant(step))) for step in (0, 2, 3, 4)]
    assert values == [1.0, 1.0, 2.0, 2.0]


def test_without_an_end_the_value_is_constant():
    assert float(schedules.Ramp(start=0.5)(tf.constant(7))) == 0.5


def test_outside_training_the_end_holds():
    ramp = schedules.Ramp(start=0.0, end=2.0, ramp_steps=10)
    assert float(ramp.at(None)) == 2.0
    assert ramp.largest == 2.0


def test_numbers_are_constants_and_others_are_refused():
    assert schedules.as_ramp(3) == schedules.Ramp(start=3.0)
    with pytest.raises(TypeError, match="give a number"):
        schedules.as_ramp("0.5")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"start": float("nan")}, "finite"),
        ({"start": 1.0, "end": float("inf")}, "finite"),
        ({"start": 1.0, "warmup_steps": -1}, "0 or more"),
        ({"start": 1.0, "ramp_steps": -1}, "0 or more"),
    ],
)
def test_bad_arguments_are_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        schedules.Ramp(**arguments)


def test_seconds_become_samples():
    assert gin_dataset.n_samples_of(3.0, 16000) == 48000
    with pytest.raises(ValueError, match="below one"):
        gin_dataset.n_samples_of(1e-6, 16000)
