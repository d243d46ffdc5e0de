import numpy as np
import pytest
import tensorflow as tf

from models.controls import filters
from models.layers import recurrences
from tests.helpers import ladder_helpers

STEP_TOLERANCE = 1e-5  # float32 over 1000 frames
GRADIENT_TOLERANCE = 1e-4
N_FRAMES = pytest.mark.parametrize("n_frames", [1, 7, 33, 100])


def scan_by_steps(gates, inputs, state):
    outputs = []
    for gate, value in zip(
        tf.unstack(gates, axis=1), tf.unstack(inputs, axis=1), strict=True
    ):
        state = gate * state + value
        outputs.append(state)
    return tf.stack(outputs, axis=1)


def filter_by_steps(system, frames, state):
    outputs = []
    for frame in tf.unstack(frames, axis=1):
        output, state = recurrences.filter_step(system, frame, state)
        outputs.append(output)
    return tf.stack(outputs, axis=1)


@N_FRAMES
def test_linear_scan_equals_the_steps(rng, n_frames):
    gates = tf.constant(rng.uniform(0.0, 1.0, size=(3, n_frames, 4)), tf.float32)
    inputs = tf.constant(rng.normal(size=(3, n_frames, 4)), tf.float32)
    state = tf.constant(rng.normal(size=(3, 4)), tf.float32)
    scanned = recurrences.linear_scan(gates, inputs, initial_state=state)
    np.testing.assert_allclose(
        scanned, scan_by_steps(gates, inputs, state), atol=STEP_TOLERANCE
    )


@pytest.mark.slow
def test_a_thousand_frames_equal_the_steps(rng):
    gates = tf.constant(rng.uniform(0.0, 1.0, size=(1, 1000, 2)), tf.float32)
    frames = tf.constant(rng.normal(size=(1, 1000, 2)), tf.float32)
    state = tf.zeros([1, 2])
    np.testing.assert_allclose(
        recurrences.linear_scan(gates, frames),
        scan_by_steps(gates, frames, state),
        atol=STEP_TOLERANCE,
    )
    for make in SYSTEMS.values():
        system = make(tf.float32)
        settled = recurrences.steady_state(system, frames[:, 0])
        np.testing.assert_allclose(
            recurrences.filter_frames(system, frames, initial_state=settled),
            filter_by_steps(system, frames, settled),
            atol=STEP_TOLERANCE,
        )


def test_linear_scan_by_hand():
    gates = tf.constant([[[0.5], [0.5], [2.0]]])
    inputs = tf.constant([[[1.0], [1.0], [1.0]]])
    np.testing.assert_allclose(
        recurrences.linear_scan(gates, inputs)[0, :, 0], [1.0, 1.5, 4.0]
    )


def test_linear_scan_gradients_equal_those_of_the_steps(rng):
    gates = tf.constant(rng.uniform(0.0, 1.0, size=(2, 100, 3)), tf.float32)
    inputs = tf.constant(rng.normal(size=(2, 100, 3)), tf.float32)
    state = tf.constant(rng.normal(size=(2, 3)), tf.float32)
    weights = tf.constant(rng.normal(size=(2, 100, 3)), tf.float32)
    gradients = []
    for function in (
        lambda g, x, s: recurrences.linear_scan(g, x, initial_state=s),
        scan_by_steps,
    ):
        with tf.GradientTape() as tape:
            tape.watch([gates, inputs, state])
            total = tf.reduce_sum(weights * function(gates, inputs, state))
        gradients.append(tape.gradient(total, [gates, inputs, state]))
    for fast, slow in zip(*gradients, strict=True):
        np.testing.assert_allclose(fast, slow, atol=GRADIENT_TOLERANCE)


def test_linear_scan_gradient_is_numerically_right(rng):
    error = ladder_helpers.gradient_error(
        recurrences.linear_scan,
        rng.uniform(0.1, 0.9, size=(1, 6, 2)),
        rng.normal(size=(1, 6, 2)),
    )
    assert error < 1e-7


def test_an_unknown_number_of_frames_is_refused():
    frames = tf.keras.Input([None, 2])
    with pytest.raises(ValueError, match="unknown number of frames"):
        recurrences.linear_scan(frames, frames)


SYSTEMS = {
    "one_pole": lambda dtype: filters.one_pole(tf.constant(0.97, dtype)),
    "integrator": lambda dtype: filters.leaky_integrator(tf.constant(0.9, dtype)),
    "biquad": lambda dtype: filters.biquad_lowpass(
        tf.constant(7.0, dtype), tf.constant(3.0, dtype), frame_rate=250.0
    ),
}


@N_FRAMES
@pytest.mark.parametrize("name", SYSTEMS)
def test_filter_frames_equals_the_steps(rng, name, n_frames):
    system = SYSTEMS[name](tf.float32)
    frames = tf.constant(rng.normal(size=(2, n_frames, 3)), tf.float32)
    n_states = system.input_gain.shape[0]
    state = tf.constant(rng.normal(size=(2, n_states, 3)), tf.float32)
    parallel = recurrences.filter_frames(system, frames, initial_state=state)
    expected = filter_by_steps(system, frames, state)
    np.testing.assert_allclose(parallel, expected, atol=STEP_TOLERANCE)


@pytest.mark.parametrize(
    "function, coefficients",
    [
        (lambda a: filters.one_pole(a), [0.9]),
        (lambda a: filters.leaky_integrator(a), [0.8]),
        (lambda c, q: filters.biquad_lowpass(c, q, frame_rate=250.0), [9.0, 1.2]),
    ],
    ids=["one_pole", "integrator", "biquad"],
)
def test_filter_gradients_are_numerically_right(rng, function, coefficients):
    def run(frames, *values):
        system = function(*values)
        state = recurrences.steady_state(system, frames[:, 0])
        return recurrences.filter_frames(system, frames, initial_state=state)

    arguments = [np.array(value) for value in coefficients]
    frames = rng.normal(size=(1, 34, 1))  # more than one block
    assert ladder_helpers.gradient_error(run, frames, *arguments) < 1e-6


@pytest.mark.parametrize(
    "make, coefficients",
    [
        (lambda c: filters.one_pole(c[0]), [0.97]),
        (lambda c: filters.leaky_integrator(c[0]), [0.9]),
        (lambda c: filters.biquad_lowpass(c[0], c[1], frame_rate=250.0), [9.0, 0.9]),
    ],
    ids=["one_pole", "integrator", "biquad"],
)
@pytest.mark.long
def test_filter_gradients_equal_those_of_the_steps(rng, make, coefficients):
    frames = tf.constant(rng.normal(size=(2, 100, 3)), tf.float32)
    coefficients = tf.constant(coefficients)
    gradients = []
    for run in (
        lambda s, x, i: recurrences.filter_frames(s, x, initial_state=i),
        filter_by_steps,
    ):
        with tf.GradientTape() as tape:
            tape.watch([frames, coefficients])
            system = make(coefficients)
            state = recurrences.steady_state(system, frames[:, 0])
            total = tf.reduce_sum(tf.sin(run(system, frames, state)))
        gradients.append(tape.gradient(total, [frames, coefficients]))
    for fast, slow in zip(*gradients, strict=True):
        scale = max(1.0, np.abs(slow).max())
        np.testing.assert_allclose(fast, slow, atol=GRADIENT_TOLERANCE * scale)


def test_blocks_are_no_more_than_hold_the_frames():
    frames = tf.reshape(tf.range(1.0, 8.0), [1, 7, 1])
    blocks = recurrences._into_blocks(frames, 3)[0, :, :, 0]
    np.testing.assert_array_equal(blocks, [[1, 2, 3], [4, 5, 6], [7, 0, 0]])
