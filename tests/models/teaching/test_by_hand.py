"""What is taught, with which weight, from which frames: small numbers on paper."""

import types

import numpy as np
import pytest
import tensorflow as tf

from models.losses import teacher
from models.measures import measured_controls
from models.teaching import material as material_lib
from models.teaching import targets
from models.teaching import warm_up as warm_up_lib

N_FRAMES = 4


def measured_as(f0_hz):
    return measured_controls.MeasuredControls(
        f0_hz=f0_hz,
        amplitudes=np.array([[1.0, 0.1]] * N_FRAMES),
        noise_magnitudes=np.zeros([N_FRAMES, 3]),
        power=np.ones(N_FRAMES),
        sample_rate=16000,
        frame_rate=250,
    )


@pytest.fixture
def asked(monkeypatch):
    """What is measured and weighed, without measuring; weights of 0, 0.05, 0.5, 1."""
    asked = types.SimpleNamespace()

    def measure(audio, f0_hz, **arguments):
        asked.f0_hz, asked.arguments = f0_hz, arguments
        return measured_as(f0_hz)

    def weigh(measured, confidence, *, loudest_power):
        asked.confidence, asked.loudest_power = confidence, loudest_power
        noise = np.array([0.0, 0.05, 0.5, 1.0])
        return measured_controls.TeachingWeights(harmonics=0.9 * noise, noise=noise)

    monkeypatch.setattr(targets.measured_controls, "measure", measure)
    monkeypatch.setattr(targets.measured_controls, "teaching_weights", weigh)
    return asked


def test_targets_are_db_with_weights_and_silence_is_asked_for_with_a_small_one(asked):
    confidence = np.array([[0.5], [0.499], [0.9], [0.0]])
    harmonics, noise, weights = targets._targets(
        np.zeros(256),
        np.full([N_FRAMES, 1], 440.0),
        confidence,
        rates=(16000, 250),
        sizes=(2, 3),
        loudest_power=7.0,
    )
    np.testing.assert_array_equal(asked.f0_hz, [440.0, np.nan, 440.0, np.nan])
    assert asked.arguments == {
        "sample_rate": 16000,
        "frame_rate": 250,
        "n_harmonics": 2,
        "n_noise_bands": 3,
    }
    assert asked.loudest_power == 7.0
    np.testing.assert_array_equal(asked.confidence, confidence[:, 0])
    np.testing.assert_allclose(harmonics, [[0.0, -20.0]] * N_FRAMES, atol=1e-3)
    np.testing.assert_allclose(noise, -100.0)
    # A frame that nobody hears: 0.1 of both. A soft one: the noise's at least 0.1.
    np.testing.assert_allclose(
        weights, [[0.1, 0.1], [0.045, 0.1], [0.45, 0.5], [0.9, 1.0]]
    )


def test_what_is_quiet_is_judged_by_the_loudest_frame_of_all_examples(
    monkeypatch, tmp_path
):
    loudest = []

    def of_example(*arguments, loudest_power, **sizes):
        loudest.append(loudest_power)
        return np.zeros([N_FRAMES, 2]), np.zeros([N_FRAMES, 3]), np.zeros([N_FRAMES, 2])

    powers = [np.array([0.1, 0.5]), np.array([3.0, 0.1]), np.array([0.2, 0.2])]
    monkeypatch.setattr(targets, "_powers", lambda provider: iter(powers))
    monkeypatch.setattr(targets, "_targets", of_example)
    info = types.SimpleNamespace(n_frames=N_FRAMES, sample_rate=16000, frame_rate=250)
    batch = {
        key: np.zeros([3, N_FRAMES, 1]) for key in ("audio", "f0_hz", "f0_confidence")
    }
    provider = types.SimpleNamespace(
        n_examples=3, info=info, examples=lambda indices: batch
    )
    targets._measure_aside(tmp_path, provider, n_harmonics=2, n_noise_bands=3)
    assert loudest == [3.0] * 3


@pytest.mark.parametrize(
    ("amplitude", "level_db"), [(1.0, 0.0), (0.1, -20.0), (1e-5, -93.979), (0.0, -100)]
)
def test_levels_have_a_floor_of_100_db(amplitude, level_db):
    assert targets.in_db(np.array([amplitude])) == pytest.approx([level_db], abs=1e-3)


def numbered(n_examples, n_frames):
    """Material whose every frame holds its own number."""
    number = np.arange(n_examples * n_frames, dtype=np.float32)
    number = number.reshape(n_examples, n_frames, 1)
    return material_lib.Material(
        inputs={"f0_hz": tf.constant(number), "ld_scaled": tf.constant(-number)},
        measured={key: tf.constant(number, tf.float16) for key in teacher.KEYS},
    )


def draw(material, seed, **sizes):
    inputs, measured = material.stretches(tf.constant([seed, 0]), **sizes)
    for key in teacher.KEYS:  # inputs and targets of one frame stay together
        np.testing.assert_array_equal(measured[key], inputs["f0_hz"])
    np.testing.assert_array_equal(inputs["ld_scaled"], -inputs["f0_hz"])
    return inputs["f0_hz"].numpy()


def test_stretches_are_neighbouring_frames_of_one_example():
    found = draw(numbered(3, 5), 0, n_stretches=200, n_frames=4)
    assert found.shape == (200, 4, 1)
    assert np.all(np.diff(found[..., 0], axis=1) == 1.0)
    # Every stretch that fits is drawn: from the first frame and from the second.
    assert set(found[:, 0, 0]) == {0.0, 1.0, 5.0, 6.0, 10.0, 11.0}


def test_single_frames_lie_side_by_side_as_one_clip():
    found = draw(numbered(2, 3), 0, n_stretches=100, n_frames=1)
    assert found.shape == (1, 100, 1)
    assert set(found.ravel()) == set(range(6))


def test_stretches_are_the_seed_s():
    sizes = {"n_stretches": 20, "n_frames": 2}
    material = numbered(5, 9)
    same = draw(material, 3, **sizes), draw(material, 3, **sizes)
    np.testing.assert_array_equal(*same)
    assert np.any(draw(material, 4, **sizes) != same[0])


def make_warm_up(distances, monkeypatch, *, n_steps=100, learning_rate=0.5):
    """A warm-up of a decoder of one number; distances are given."""
    monkeypatch.setattr(
        warm_up_lib.teacher, "control_distances", lambda *a, **k: distances
    )
    decoder = types.SimpleNamespace(
        has_memory=False,
        trainable_variables=[tf.Variable([1.0])],
        output_splits=(("amps", 1),),
    )
    model = types.SimpleNamespace(decoder=decoder, head=lambda raw, f0_hz: raw)
    return warm_up_lib.WarmUp(
        model,
        numbered(2, 3),
        n_steps=n_steps,
        learning_rate=learning_rate,
        sample_rate=16000,
        seed=0,
    )


def test_noise_bands_count_half_of_the_harmonics(monkeypatch):
    warm_up = make_warm_up((tf.constant(8.0), tf.constant(3.0)), monkeypatch)
    found = warm_up._loss(tf.zeros([1, 3, 1]), {"f0_hz": tf.zeros([1, 3, 1])}, {})
    assert [float(item) for item in found] == [9.5, 8.0, 3.0]


@pytest.mark.parametrize(("step", "rate"), [(0, 0.5), (50, 0.25), (100, 0.0)])
def test_the_warm_up_s_rate_falls_as_a_cosine(step, rate, monkeypatch):
    warm_up = make_warm_up((0.0, 0.0), monkeypatch)
    schedule = warm_up.optimizer._learning_rate
    assert float(schedule(step)) == pytest.approx(rate, abs=1e-6)


def test_the_warm_up_ends_at_its_last_step(monkeypatch):
    warm_up = make_warm_up((0.0, 0.0), monkeypatch)
    for step, is_done in ((99, False), (100, True)):
        warm_up.progress.step.assign(step)
        assert warm_up.is_done == is_done


class _OneLayer:
    """A decoder of one layer over two of its three inputs."""

    input_keys = ("a", "b", "still")

    def __init__(self, n_units):
        self.layer = tf.keras.layers.Dense(n_units)
        self.layer.build([None, 5])

    def first_layers(self):
        return [(self.layer, (0, 2))]


def test_first_weights_are_drawn_for_inputs_of_one_deviation(rng):
    """Uniform with a variance of 1 / 2 over the input's; 0.01 at the least."""
    decoder = _OneLayer(4000)
    before = decoder.layer.kernel.numpy().copy()
    inputs = {
        "a": tf.constant(rng.choice([2.0, 4.0], [10, 50, 1])),  # a deviation of 1
        "b": tf.constant(rng.normal(size=[10, 50, 1])),
        "still": tf.constant(np.full([10, 50, 1], 7.0)),
    }
    warm_up_lib.fit_first_layers(decoder, inputs, seed=0)
    kernel, bias = decoder.layer.kernel.numpy(), decoder.layer.bias.numpy()
    for row, deviation in ((0, 1.0), (1, warm_up_lib.MIN_DEVIATION)):
        bound = np.sqrt(3.0 / 2.0) / deviation
        assert 0.99 * bound < np.abs(kernel[row]).max() <= 1.01 * bound
        assert np.std(kernel[row]) == pytest.approx(np.sqrt(0.5) / deviation, rel=0.05)
    np.testing.assert_array_equal(kernel[2:], before[2:])  # what reads no input
    # Each unit bends at a frame that occurs: the first input is 2 or 4, the other 7.
    rest = bias + 7.0 * kernel[1]
    off = [np.abs(rest + value * kernel[0]) for value in (2.0, 4.0)]
    assert np.minimum(*off).max() < 1e-3
    again = _OneLayer(4000)
    warm_up_lib.fit_first_layers(again, inputs, seed=0)
    np.testing.assert_array_equal(again.layer.kernel.numpy()[:2], kernel[:2])
    warm_up_lib.fit_first_layers(again, inputs, seed=1)
    assert np.any(again.layer.kernel.numpy()[:2] != kernel[:2])
