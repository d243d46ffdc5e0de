import ddsp_compat  # noqa: F401  isort: skip

import numpy as np
import pytest
import tensorflow as tf

from models import schedules
from models.losses import teacher
from tests.helpers import ladder_helpers

GRADIENT_TOLERANCE = 1e-6  # float64, away from the kinks of the absolute value
N_HARMONICS, N_BANDS, SHAPE = 6, 5, (2, 4)


def controls_and_targets(rng, *, off_db=3.0, dtype=tf.float32):
    """Controls, and measured ones that lie `off_db` above them."""
    shares = rng.uniform(0.5, 1.0, [*SHAPE, N_HARMONICS])
    shares /= shares.sum(-1, keepdims=True)
    arrays = {
        "amps": rng.uniform(0.1, 0.5, [*SHAPE, 1]),
        "harmonic_distribution": shares,
        "noise_magnitudes": rng.uniform(0.01, 0.1, [*SHAPE, N_BANDS]),
        "f0_hz": np.full([*SHAPE, 1], 440.0),
    }
    controls = {key: tf.constant(value, dtype) for key, value in arrays.items()}
    amplitudes = arrays["amps"] * shares
    measured = {
        teacher.HARMONICS_KEY: 20 * np.log10(amplitudes + teacher.FLOOR) + off_db,
        teacher.NOISE_KEY: 20 * np.log10(arrays["noise_magnitudes"] + teacher.FLOOR)
        - 2 * off_db,
        teacher.WEIGHTS_KEY: np.ones([*SHAPE, 2]),
    }
    return controls, {key: tf.constant(value, dtype) for key, value in measured.items()}


def distances(controls, measured):
    found = teacher.control_distances(controls, measured, sample_rate=16000)
    return [float(value) for value in found]


def test_distances_are_in_db(rng):
    controls, measured = controls_and_targets(rng, off_db=3.0)
    np.testing.assert_allclose(distances(controls, measured), [3.0, 6.0], rtol=1e-4)


def test_frames_count_by_their_weights(rng):
    controls, measured = controls_and_targets(rng)
    wrong = np.array(measured[teacher.HARMONICS_KEY])
    wrong[0, 0] += 30.0
    measured[teacher.HARMONICS_KEY] = tf.constant(wrong)
    weights = np.ones([*SHAPE, 2], np.float32)
    weights[0, 0, 0] = 0.0
    measured[teacher.WEIGHTS_KEY] = tf.constant(weights)
    np.testing.assert_allclose(distances(controls, measured), [3.0, 6.0], rtol=1e-4)


def test_noise_has_weights_of_its_own(rng):
    controls, measured = controls_and_targets(rng)
    wrong = np.array(measured[teacher.NOISE_KEY])
    wrong[1, 2] += 32.0  # from 6 dB below to 26 above
    measured[teacher.NOISE_KEY] = tf.constant(wrong)
    weights = np.ones([*SHAPE, 2], np.float32)
    weights[1, 2, 1] = 0.5
    measured[teacher.WEIGHTS_KEY] = tf.constant(weights)
    expected = (7 * 6.0 + 0.5 * 26.0) / 7.5
    np.testing.assert_allclose(distances(controls, measured), [3.0, expected], 1e-4)


def test_amplitudes_end_at_the_floor_and_frames_without_harmonics_are_right(rng):
    np.testing.assert_allclose(teacher.to_db(tf.constant(0.0)), -100.0, rtol=1e-6)
    np.testing.assert_allclose(teacher.to_db(tf.constant(0.1)), -19.99913, rtol=1e-6)
    controls, measured = controls_and_targets(rng)
    f0_hz = np.full([*SHAPE, 1], 440.0, np.float32)
    f0_hz[0] = 9000.0  # nothing sounds in half of the frames
    controls["f0_hz"] = tf.constant(f0_hz)
    np.testing.assert_allclose(distances(controls, measured), [1.5, 6.0], rtol=1e-4)


def test_rate_and_share_are_handed_on(rng):
    controls, measured = controls_and_targets(rng)
    controls["f0_hz"] = tf.fill([*SHAPE, 1], 2500.0)
    wrong = np.array(measured[teacher.HARMONICS_KEY])
    wrong[..., 3:] += 6.0  # above 8 kHz, half of six harmonics
    measured[teacher.HARMONICS_KEY] = tf.constant(wrong)
    outputs = {"controls": controls, **measured}
    for options, harmonics, noise in (
        ({}, 3.0, 3.0),  # half of 6 dB, as a rule
        ({"sample_rate": 48000, "noise_share": 0.25}, 6.0, 1.5),
    ):
        found = teacher.TaughtControls(1.0, **options).terms(outputs)
        np.testing.assert_allclose(found["taught_harmonics"], harmonics, rtol=1e-4)
        np.testing.assert_allclose(found["taught_noise"], noise, rtol=1e-4)
    assert teacher.TaughtControls(1.0, noise_share=0.0).noise_share == 0.0


def test_nothing_is_taught_where_no_frame_counts(rng):
    controls, measured = controls_and_targets(rng)
    measured[teacher.WEIGHTS_KEY] = tf.zeros([*SHAPE, 2])
    assert distances(controls, measured) == [0.0, 0.0]


def test_harmonics_above_nyquist_do_not_count(rng):
    controls, measured = controls_and_targets(rng)
    controls["f0_hz"] = tf.fill([*SHAPE, 1], 2500.0)  # three lie below 8 kHz
    wrong = np.array(measured[teacher.HARMONICS_KEY])
    wrong[..., 3:] += 50.0
    measured[teacher.HARMONICS_KEY] = tf.constant(wrong)
    np.testing.assert_allclose(distances(controls, measured)[0], 3.0, rtol=1e-4)


@pytest.mark.parametrize("key", ["amps", "harmonic_distribution", "noise_magnitudes"])
def test_gradients_are_right(key, rng):
    controls, measured = controls_and_targets(rng, dtype=tf.float64)

    def both(values):
        changed = {**controls, key: values}
        return tf.stack(teacher.control_distances(changed, measured, sample_rate=16000))

    error = ladder_helpers.gradient_error(both, controls[key].numpy())
    assert error < GRADIENT_TOLERANCE * 1e3  # dB an amplitude of 0.01: thousands


@pytest.mark.parametrize("amplitude", [0.0, 1e-12, 1e-5])
def test_gradients_stay_finite_at_silence(amplitude, rng):
    _, measured = controls_and_targets(rng)
    amps = tf.fill([*SHAPE, 1], tf.constant(amplitude))
    with tf.GradientTape() as tape:
        tape.watch(amps)
        found = teacher.control_distances(
            {
                "amps": amps,
                "harmonic_distribution": tf.fill(
                    [*SHAPE, N_HARMONICS], 1 / N_HARMONICS
                ),
                "noise_magnitudes": tf.zeros([*SHAPE, N_BANDS]),
                "f0_hz": tf.fill([*SHAPE, 1], 440.0),
            },
            measured,
            sample_rate=16000,
        )
    gradient = tape.gradient(found, amps)
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient.numpy() != 0.0)


def test_the_anchor_follows_its_schedule_and_ends_at_nothing(rng):
    controls, measured = controls_and_targets(rng)
    loss = teacher.TaughtControls(
        schedules.Ramp(start=0.1, end=0.0, ramp_steps=10), noise_share=0.5
    )
    outputs = {"controls": controls, **measured}
    at = lambda step: loss.get_losses_dict(outputs, tf.constant(step))
    np.testing.assert_allclose(at(0)["taught_harmonics"], 0.3, rtol=1e-4)
    np.testing.assert_allclose(at(0)["taught_noise"], 0.3, rtol=1e-4)
    np.testing.assert_allclose(at(5)["taught_harmonics"], 0.15, rtol=1e-4)
    assert float(at(10)["taught_harmonics"]) == 0.0


def test_batches_without_measured_controls_have_no_such_term(rng):
    controls, measured = controls_and_targets(rng)
    assert teacher.TaughtControls(0.1).terms({"controls": controls}) == {}
    assert teacher.TaughtControls(0.0).terms({"controls": controls, **measured}) == {}


def test_a_negative_share_is_refused():
    with pytest.raises(ValueError, match="noise_share"):
        teacher.TaughtControls(0.1, noise_share=-1.0)
