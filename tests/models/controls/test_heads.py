import itertools

import ddsp
import numpy as np
import pytest
import tensorflow as tf

from models import schedules
from models.controls import heads
from tests.helpers import ladder_helpers

HEADS = {
    "exp_sigmoid": heads.ExpSigmoidHead,
    "legacy": heads.LegacyHead,
    "normalized": heads.NormalizedHead,
    "softmax_db": heads.SoftmaxDbHead,
}
ALL = pytest.mark.parametrize("name", HEADS)
F0_ABOVE_NYQUIST = 9000.0  # Hz at 16 kHz: no harmonic fits


def make_raw(rng, *, batch_size=2, n_frames=7, n_harmonics=12, scale=1.0):
    sizes = {"amps": 1, "harmonic_distribution": n_harmonics, "noise_magnitudes": 5}
    return {
        key: tf.constant(
            scale * rng.normal(size=(batch_size, n_frames, size)), tf.float32
        )
        for key, size in sizes.items()
    }


def one_frame(amps, distribution, noise=(0.0,)):
    values = {
        "amps": [amps],
        "harmonic_distribution": distribution,
        "noise_magnitudes": noise,
    }
    return {key: tf.constant([[value]], tf.float32) for key, value in values.items()}


@ALL
@pytest.mark.parametrize(
    "batch_size, n_frames", itertools.product([1, 3], [1, 7, 1000])
)
def test_shape_contract(rng, name, batch_size, n_frames):
    raw = make_raw(rng, batch_size=batch_size, n_frames=n_frames)
    f0_hz = tf.fill([batch_size, n_frames, 1], 440.0)
    controls = HEADS[name]()(raw, f0_hz)
    assert {key: value.shape for key, value in controls.items()} == {
        key: value.shape for key, value in raw.items()
    }


@ALL
def test_amps_limits_are_where_the_scale_ends(name):
    head = HEADS[name]()
    raw = {
        "amps": tf.constant([[[-100.0], [100.0]]]),
        "harmonic_distribution": tf.zeros([1, 2, 4]),
        "noise_magnitudes": tf.zeros([1, 2, 3]),
    }
    ends = head(raw, tf.fill([1, 2, 1], 440.0))["amps"].numpy().ravel()
    if head.amps_limits is None:
        # Without fixed ends: softplus grows on, the legacy gain depends on the shares.
        raw["amps"] *= 2.0
        raw["harmonic_distribution"] += 1.0
        other = head(raw, tf.fill([1, 2, 1], 440.0))["amps"].numpy().ravel()
        assert other[1] > 1.1 * ends[1]
    else:
        np.testing.assert_allclose(head.amps_limits, ends, rtol=1e-4)


@ALL
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_distribution_sums_to_one_below_nyquist_and_is_zero_above(rng, name, scale):
    raw = make_raw(rng, scale=scale)
    f0_hz = tf.constant(rng.uniform(100.0, 3000.0, size=(2, 7, 1)), tf.float32)
    controls = HEADS[name]()(raw, f0_hz)
    distribution = controls["harmonic_distribution"].numpy()
    total = distribution.sum(axis=-1)
    # A legacy frame whose sigmoids all underflow has nothing to share.
    assert np.all((np.abs(total - 1.0) < 1e-5) | ((total == 0.0) & (name == "legacy")))
    number = np.arange(1, 13)
    assert np.all(distribution[f0_hz.numpy() * number >= 8000.0] == 0.0)
    assert np.all(controls["amps"] >= 0.0)
    assert np.all(controls["noise_magnitudes"] >= 0.0)


@ALL
@pytest.mark.parametrize("f0", [0.0, 440.0, F0_ABOVE_NYQUIST])
@pytest.mark.parametrize("level", [-1e4, -100.0, 0.0, 100.0])
def test_gradients_are_finite_at_the_edges(name, f0, level):
    raw = one_frame(level, [level] * 4, [level] * 3)
    head = HEADS[name]()
    with tf.GradientTape() as tape:
        tape.watch(raw)
        controls = head(raw, tf.fill([1, 1, 1], f0))
        total = tf.add_n([tf.reduce_sum(value) for value in controls.values()])
    gradients = tape.gradient(total, raw)
    assert all(np.all(np.isfinite(value)) for value in controls.values())
    assert all(np.all(np.isfinite(value)) for value in gradients.values())


@ALL
def test_every_raw_output_gets_a_gradient(rng, name):
    raw = make_raw(rng)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        controls = HEADS[name]()(raw, tf.fill([2, 7, 1], 200.0))
        total = tf.add_n([tf.reduce_sum(value**2) for value in controls.values()])
    for key, gradient in tape.gradient(total, raw).items():
        assert np.all(np.abs(gradient) > 0.0), key


@ALL
def test_gradients_are_numerically_right(rng, name):
    head = HEADS[name](dtype="float64")
    f0_hz = tf.constant([[[3000.0], [500.0]]], tf.float64)

    def run(amps, distribution, noise):
        raw = {
            "amps": amps,
            "harmonic_distribution": distribution,
            "noise_magnitudes": noise,
        }
        return tf.concat(list(head(raw, f0_hz).values()), axis=-1)

    arguments = (rng.normal(size=(1, 2, size)) for size in (1, 4, 3))
    assert ladder_helpers.gradient_error(run, *arguments) < 1e-6


def test_exp_sigmoid_head_equals_ddsp(rng):
    raw = make_raw(rng, scale=4.0)
    f0_hz = tf.constant(rng.uniform(100.0, 3000.0, size=(2, 7, 1)), tf.float32)
    controls = heads.ExpSigmoidHead()(raw, f0_hz)
    harmonic = ddsp.synths.Harmonic().get_controls(
        raw["amps"], raw["harmonic_distribution"], f0_hz
    )
    noise = ddsp.synths.FilteredNoise().get_controls(raw["noise_magnitudes"])
    for ours, theirs in (
        (controls["amps"], harmonic["amplitudes"]),
        (controls["harmonic_distribution"], harmonic["harmonic_distribution"]),
        (controls["noise_magnitudes"], noise["magnitudes"]),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_exp_sigmoid_by_hand():
    # sigmoid(0) = 1/2 and (1/2)^ln(10) = 10^ln(1/2) = 0.20270.
    np.testing.assert_allclose(
        heads.exp_sigmoid(tf.constant(0.0)), 0.4053992, rtol=1e-5
    )
    np.testing.assert_allclose(heads.exp_sigmoid(tf.constant(1e3)), 2.0000001)
    np.testing.assert_allclose(heads.exp_sigmoid(tf.constant(-1e3)), 1e-7)


def test_legacy_by_hand():
    # Two of four harmonics fit at 3 kHz; sigmoid(0) = 1/2, gain 1/2: each sounds with
    # 1/2 * 1/2 / 4 = 1/16, together 1/8.
    controls = heads.LegacyHead()(one_frame(0.0, [0.0] * 4), tf.fill([1, 1, 1], 3000.0))
    np.testing.assert_allclose(controls["amps"][0, 0], [0.125])
    np.testing.assert_allclose(
        controls["harmonic_distribution"][0, 0], [0.5, 0.5, 0.0, 0.0]
    )
    unmasked = heads.LegacyHead(mask_above_nyquist=False)(
        one_frame(0.0, [0.0] * 4), tf.fill([1, 1, 1], 3000.0)
    )
    np.testing.assert_allclose(unmasked["amps"][0, 0], [0.25])


def test_normalized_by_hand():
    # softplus(ln(e - 1)) = 1, softplus(ln(e^3 - 1)) = 3.
    raw = np.log(np.expm1([1.0, 3.0]))
    controls = heads.NormalizedHead()(
        one_frame(np.log(np.expm1(0.5)), raw), tf.fill([1, 1, 1], 100.0)
    )
    np.testing.assert_allclose(controls["amps"][0, 0], [0.5], rtol=1e-5)
    np.testing.assert_allclose(
        controls["harmonic_distribution"][0, 0], [0.25, 0.75], rtol=1e-5
    )


def test_softmax_db_by_hand():
    # Middle of -50..6 dB is -22 dB. softmax([ln 3, 0]) = [3/4, 1/4]; a floor of 0.2
    # makes [0.7, 0.3]; temperature 2 makes [sqrt 3, 1] / (sqrt 3 + 1).
    head = heads.SoftmaxDbHead(amp_floor=0.2)
    controls = head(one_frame(0.0, [np.log(3.0), 0.0]), tf.fill([1, 1, 1], 100.0))
    np.testing.assert_allclose(controls["amps"][0, 0], [10 ** (-22 / 20)], rtol=1e-5)
    np.testing.assert_allclose(
        controls["harmonic_distribution"][0, 0], [0.7, 0.3], rtol=1e-5
    )
    warm = heads.SoftmaxDbHead(temperature=2.0)
    share = warm(one_frame(0.0, [np.log(3.0), 0.0]), tf.fill([1, 1, 1], 100.0))
    np.testing.assert_allclose(
        share["harmonic_distribution"][0, 0, 0], 3**0.5 / (3**0.5 + 1), rtol=1e-5
    )


def test_softmax_is_over_what_sounds_and_never_colder_than_its_limit():
    # At 3 kHz two harmonics fit; a strong one above them takes nothing.
    frame = one_frame(0.0, [np.log(3.0), 0.0, 50.0, 50.0])
    shares = heads.SoftmaxDbHead()(frame, tf.fill([1, 1, 1], 3000.0))
    np.testing.assert_allclose(
        shares["harmonic_distribution"][0, 0], [0.75, 0.25, 0.0, 0.0], rtol=1e-5
    )
    # A temperature of 0 acts as 1e-4.
    cold = heads.SoftmaxDbHead(temperature=0.0)
    shares = cold(one_frame(0.0, [1e-4 * np.log(3.0), 0.0]), tf.fill([1, 1, 1], 100.0))
    np.testing.assert_allclose(
        shares["harmonic_distribution"][0, 0], [0.75, 0.25], rtol=1e-4
    )
    # A floor of 1 leaves nothing to choose, and one of all 4 harmonics is masked.
    flat = heads.SoftmaxDbHead(amp_floor=1.0)(frame, tf.fill([1, 1, 1], 2500.0))
    np.testing.assert_allclose(
        flat["harmonic_distribution"][0, 0], [1 / 3, 1 / 3, 1 / 3, 0.0], rtol=1e-5
    )


@ALL
def test_harmonic_at_the_nyquist_frequency_is_silent(name):
    """At 2 kHz and 16 kHz it is the fourth; just below, it sounds."""
    for f0, n_sounding in ((2000.0, 3), (1999.0, 4), (2001.0, 3)):
        controls = HEADS[name]()(one_frame(0.0, [0.0] * 5), tf.fill([1, 1, 1], f0))
        expected = np.where(np.arange(5) < n_sounding, 1 / n_sounding, 0.0)
        np.testing.assert_allclose(
            controls["harmonic_distribution"][0, 0], expected, rtol=1e-5
        )
    other = HEADS[name](sample_rate=20000)
    shares = other(one_frame(0.0, [0.0] * 5), tf.fill([1, 1, 1], 2000.0))
    assert np.count_nonzero(shares["harmonic_distribution"]) == 4


@pytest.mark.parametrize(
    "options, scaled",
    [
        # sigmoid(-5) = 0.0066929; to the power of ln 10 it is 9.8474e-6.
        ({}, 2 * 9.8474e-6 + 1e-7),
        ({"noise_activation": "sigmoid"}, 0.0066929),
        ({"noise_activation": "sigmoid", "noise_bias": 0.0}, 0.5),
        ({"noise_bias": 0.0}, 0.4053992),
    ],
)
def test_noise_by_hand(options, scaled):
    frame, f0_hz = one_frame(0.0, [0.0]), tf.fill([1, 1, 1], 100.0)
    found = heads.NormalizedHead(**options)(frame, f0_hz)["noise_magnitudes"]
    np.testing.assert_allclose(found[0, 0], [scaled], rtol=1e-4)
    # The earlier implementation's noise was a sigmoid.
    legacy = heads.LegacyHead()(frame, f0_hz)["noise_magnitudes"]
    np.testing.assert_allclose(legacy[0, 0], [0.0066929], rtol=1e-4)


def test_softmax_temperature_follows_its_schedule_without_retracing():
    head = heads.SoftmaxDbHead(
        temperature=schedules.Ramp(start=2.0, end=1.0, warmup_steps=0, ramp_steps=10)
    )
    raw, f0_hz = one_frame(0.0, [np.log(3.0), 0.0]), tf.fill([1, 1, 1], 100.0)
    n_traces = 0

    @tf.function(autograph=False)
    def share(step):
        nonlocal n_traces
        n_traces += 1
        return head(raw, f0_hz, step=step)["harmonic_distribution"][0, 0, 0]

    first, last = share(tf.constant(0)), share(tf.constant(10))
    np.testing.assert_allclose([first, last], [3**0.5 / (3**0.5 + 1), 0.75], rtol=1e-5)
    assert n_traces == 1
    np.testing.assert_allclose(
        head(raw, f0_hz)["harmonic_distribution"][0, 0, 0], 0.75, rtol=1e-5
    )


def test_mask_can_be_switched_off():
    raw, f0_hz = one_frame(0.0, [0.0] * 4), tf.fill([1, 1, 1], 3000.0)
    shares = lambda **kwargs: heads.ExpSigmoidHead(**kwargs)(raw, f0_hz)[
        "harmonic_distribution"
    ][0, 0]
    np.testing.assert_allclose(shares(), [0.5, 0.5, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(shares(mask_above_nyquist=False), [0.25] * 4, rtol=1e-6)


def test_a_frame_without_harmonics_is_silent_not_undefined():
    controls = heads.ExpSigmoidHead()(
        one_frame(0.0, [0.0] * 4), tf.fill([1, 1, 1], F0_ABOVE_NYQUIST)
    )
    assert np.all(controls["harmonic_distribution"] == 0.0)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: heads.ExpSigmoidHead(noise_activation="relu"), "exp_sigmoid"),
        (lambda: heads.SoftmaxDbHead(amp_floor=1.01), "0 to 1"),
        (lambda: heads.SoftmaxDbHead(amp_floor=-0.01), "0 to 1"),
        (lambda: heads.SoftmaxDbHead(gain_min_db=6.0), "must be below"),
        (lambda: heads.SoftmaxDbHead(gain_max_db=-50.0), "must be below"),
    ],
)
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
