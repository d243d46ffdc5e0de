import functools
import itertools

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from models.controls import control_smoothing
from models.controls import heads
from models.controls import smoothing
from models.synths import harmonic as harmonic_synth
from tests.helpers import ladder_helpers

BLOCK_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4
SMOOTHERS = {
    "onepole": functools.partial(smoothing.OnePole, alpha=0.8),
    "onepole_learned": functools.partial(smoothing.OnePole, alpha=0.8, learned=True),
    "biquad": functools.partial(smoothing.Biquad, cutoff_hz=15.0, q=0.9),
    "biquad_cascade": functools.partial(smoothing.Biquad, cutoff_hz=25.0, n_sections=3),
    "biquad_learned": functools.partial(smoothing.Biquad, n_sections=2, learned=True),
    "ar_residual": functools.partial(smoothing.ArResidual, leak=0.9),
    "ar_residual_learned": functools.partial(
        smoothing.ArResidual, leak=0.9, learned=True
    ),
    "fir": smoothing.Fir,
}
ALL = pytest.mark.parametrize("name", SMOOTHERS)
LEARNED = [name for name in SMOOTHERS if name.endswith("learned")]


def run_blocks(smoother, frames, *, block_frames=1):
    """The block form over a whole sequence, with what it lags behind made up for."""
    state = smoother.initial_state(frames[:, 0])
    late = smoother.latency_frames
    frames = tf.concat([frames, tf.repeat(frames[:, -1:], late, axis=1)], axis=1)
    outputs = []
    for start in range(0, frames.shape[1], block_frames):
        block = frames[:, start : start + block_frames]
        output, state = smoother.smooth_block(block, state=state)
        outputs.append(output)
    return tf.concat(outputs, axis=1)[:, late:]


@ALL
@pytest.mark.parametrize(
    "batch_size, n_frames",
    [
        (1, 1),
        (2, 35),
        *(pytest.param(*size, marks=pytest.mark.slow) for size in ((3, 7), (2, 34))),
    ],
)
@pytest.mark.parametrize("block_frames", [1, 5])
def test_block_form_equals_sequence_form(rng, name, block_frames, batch_size, n_frames):
    smoother = SMOOTHERS[name]()
    frames = tf.constant(rng.normal(size=(batch_size, n_frames, 5)), tf.float32)
    smoothed = smoother(frames)
    assert smoothed.shape == frames.shape
    np.testing.assert_allclose(
        smoothed,
        run_blocks(smoother, frames, block_frames=block_frames),
        atol=BLOCK_TOLERANCE,
    )


@pytest.mark.parametrize("name", [name for name in SMOOTHERS if "ar_" not in name])
def test_constant_stays_constant_from_the_first_frame(name):
    frames = tf.fill([2, 200, 3], 0.7)
    np.testing.assert_allclose(SMOOTHERS[name]()(frames), frames, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in SMOOTHERS if name != "fir"])
def test_recurrent_smoothers_are_causal(rng, name):
    smoother = SMOOTHERS[name]()
    frames = rng.normal(size=(1, 60, 2)).astype(np.float32)
    changed = frames.copy()
    changed[:, 40:] += 1.0
    first, second = smoother(tf.constant(frames)), smoother(tf.constant(changed))
    np.testing.assert_allclose(first[:, :40], second[:, :40], atol=1e-6)
    assert np.abs(first[:, 40:] - second[:, 40:]).max() > 1e-3


@ALL
def test_examples_of_a_batch_do_not_mix(rng, name):
    smoother = SMOOTHERS[name]()
    frames = tf.constant(rng.normal(size=(3, 40, 2)), tf.float32)
    together = smoother(frames)
    alone = smoother(frames[1:2])
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)


@pytest.mark.parametrize("name", LEARNED)
def test_every_coefficient_gets_a_gradient(rng, name):
    smoother = SMOOTHERS[name]()
    frames = tf.constant(rng.normal(size=(1, 30, 2)), tf.float32)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.square(smoother(frames)))
    gradients = tape.gradient(total, smoother.trainable_variables)
    assert gradients
    assert all(np.all(np.abs(gradient) > 0.0) for gradient in gradients)


def test_onepole_by_hand():
    frames = tf.constant([[[1.0], [0.0], [0.0], [2.0]]])
    np.testing.assert_allclose(
        smoothing.OnePole(alpha=0.5)(frames)[0, :, 0], [1.0, 0.5, 0.25, 1.125]
    )


def test_ar_residual_by_hand():
    frames = tf.constant([[[1.0], [1.0], [0.0], [-1.0]]])
    np.testing.assert_allclose(
        smoothing.ArResidual(leak=0.5)(frames)[0, :, 0], [1.0, 1.5, 0.75, -0.625]
    )
    np.testing.assert_allclose(
        smoothing.ArResidual(leak=1.0)(frames)[0, :, 0], [1.0, 2.0, 2.0, 1.0]
    )


def test_fir_by_hand():
    frames = tf.constant([[[0.0], [0.0], [1.0], [0.0], [0.0], [0.0]]])
    np.testing.assert_allclose(
        smoothing.Fir()(frames)[0, :, 0], [0.1, 0.2, 0.4, 0.2, 0.1, 0.0], atol=1e-7
    )
    edge = smoothing.Fir()(tf.constant([[[1.0], [0.0], [0.0]]]))
    np.testing.assert_allclose(edge[0, :, 0], [0.7, 0.3, 0.1], atol=1e-7)


@pytest.mark.parametrize("cutoff_hz, q", [(25.0, 0.5), (3.0, 4.0), (120.0, 0.7)])
def test_biquad_equals_the_cookbook(rng, cutoff_hz, q):
    w = 2 * np.pi * cutoff_hz / 250.0
    alpha = np.sin(w) / (2 * q)
    b = np.array([(1 - np.cos(w)) / 2, 1 - np.cos(w), (1 - np.cos(w)) / 2])
    a = np.array([1 + alpha, -2 * np.cos(w), 1 - alpha])
    frames = rng.normal(size=300)
    settled = scipy.signal.lfilter_zi(b, a) * frames[0]
    expected, _ = scipy.signal.lfilter(b, a, frames, zi=settled)
    smoother = smoothing.Biquad(cutoff_hz=cutoff_hz, q=q)
    actual = smoother(tf.constant(frames[np.newaxis, :, np.newaxis], tf.float32))
    np.testing.assert_allclose(actual[0, :, 0], expected, atol=1e-5)


def test_biquad_halves_the_power_at_its_cutoff():
    smoother = smoothing.Biquad(cutoff_hz=20.0, q=1 / np.sqrt(2))
    times = np.arange(2000) / 250.0
    wave = np.sin(2 * np.pi * 20.0 * times).astype(np.float32)
    smoothed = smoother(tf.constant(wave[np.newaxis, :, np.newaxis]))[0, 1000:, 0]
    np.testing.assert_allclose(
        np.sqrt(2 * np.mean(smoothed**2)), 1 / np.sqrt(2), rtol=0.01
    )


@pytest.mark.parametrize(
    "cutoff, q", itertools.product([-30.0, -3.0, 0.0, 3.0, 30.0], repeat=2)
)
def test_biquad_is_stable_for_every_learned_value(cutoff, q):
    smoother = smoothing.Biquad(learned=True)
    smoother.build([1, 1, 1])
    smoother.cutoff_logit.assign([cutoff])
    smoother.q_logit.assign([q])
    (system,) = smoother.systems()
    radius = np.abs(np.linalg.eigvals(system.transition.numpy().astype(float))).max()
    assert radius < 1.0
    np.testing.assert_allclose(smoother(tf.ones([1, 3000, 1])), 1.0, atol=1e-4)


@pytest.mark.parametrize("logit", [-100.0, -3.0, 3.0, 20.0, 1e6])
@pytest.mark.parametrize("name", ["onepole_learned", "ar_residual_learned"])
def test_learned_poles_stay_stable_wherever_training_takes_them(name, logit):
    smoother = SMOOTHERS[name]()
    smoother.build([1, 1, 1])
    (variable,) = smoother.trainable_variables
    variable.assign(logit)
    (system,) = smoother.systems()
    assert 0.0 <= float(system.transition[0, 0]) <= smoothing.MAX_LEARNED_POLE
    # An endless input of 1 stays below the sum of the impulse response.
    bound = 1.0 / (1.0 - smoothing.MAX_LEARNED_POLE)
    assert float(tf.reduce_max(smoother(tf.ones([1, 3000, 1])))) <= bound


@pytest.mark.parametrize("name", SMOOTHERS)
def test_what_is_built_before_the_first_call_is_not_built_again(name):
    smoother = SMOOTHERS[name]()
    smoother.build([1, 1, 1])
    for variable in smoother.trainable_variables:
        variable.assign(tf.ones_like(variable))
    smoother(tf.zeros([1, 1, 1]))
    for variable in smoother.trainable_variables:
        np.testing.assert_array_equal(variable, 1.0)


@pytest.mark.parametrize("name", ["onepole_learned", "ar_residual_learned"])
def test_learned_poles_start_where_they_are_told(name):
    smoother = SMOOTHERS[name]()
    smoother.build([1, 1, 1])
    pole = smoother.alpha if name == "onepole_learned" else smoother.leak
    np.testing.assert_allclose(
        pole, {"onepole_learned": 0.8, "ar_residual_learned": 0.9}[name], rtol=1e-6
    )


@pytest.mark.parametrize(("cutoff_hz", "q"), [(0.5, 0.2), (20.0, 0.7071), (90.0, 5.0)])
def test_learned_biquad_starts_where_it_is_told_and_stays_in_its_ranges(cutoff_hz, q):
    options = dict(cutoff_hz=cutoff_hz, q=q, n_sections=2, frame_rate=200.0)
    learned = smoothing.Biquad(learned=True, **options)
    learned.build([1, 1, 1])
    fixed = smoothing.Biquad(**options)
    assert len(learned.systems()) == len(fixed.systems()) == 2
    for ours, theirs in zip(learned.systems(), fixed.systems(), strict=True):
        np.testing.assert_allclose(ours.transition, theirs.transition, atol=1e-5)
    for logit, (cutoff, resonance) in ((-1e3, (0.1, 0.1)), (1e3, (99.0, 10.0))):
        learned.cutoff_logit.assign([logit] * 2)
        learned.q_logit.assign([logit] * 2)
        found = learned._coefficients()
        np.testing.assert_allclose(found[0], [cutoff] * 2, rtol=1e-4)
        np.testing.assert_allclose(found[1], [resonance] * 2, rtol=1e-4)


def test_defaults_are_those_of_the_documents():
    assert float(smoothing.OnePole().alpha) == pytest.approx(0.8)
    assert float(smoothing.ArResidual().leak) == pytest.approx(0.95)
    biquad = smoothing.Biquad()
    assert (biquad.cutoff_hz, biquad.q, biquad.frame_rate) == (20.0, 0.7071, 250.0)
    assert (biquad.n_sections, biquad.learned) == (1, False)
    assert not smoothing.OnePole().learned and not smoothing.ArResidual().learned


def test_ranges_hold_their_ends_or_not_as_they_say():
    smoothing.OnePole(alpha=0.0)
    smoothing.ArResidual(leak=1.0)
    for make in (
        lambda: smoothing.Biquad(cutoff_hz=0.1),
        lambda: smoothing.Biquad(cutoff_hz=123.75),
        lambda: smoothing.Biquad(cutoff_hz=99.0, frame_rate=200.0),
        lambda: smoothing.Biquad(q=0.1),
        lambda: smoothing.Biquad(q=10.0),
        lambda: smoothing.ArResidual(leak=0.0),
        lambda: smoothing.OnePole(alpha=0.9999, learned=True),
        lambda: smoothing.OnePole(alpha=-0.1),
    ):
        with pytest.raises(ValueError, match=r"must be|below"):
            make()


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.long
def test_gradients_equal_those_of_the_steps(rng, name):
    smoother = SMOOTHERS[name]()
    frames = tf.constant(rng.normal(size=(2, 40, 3)), tf.float32)
    weights = tf.constant(rng.normal(size=(2, 40, 3)), tf.float32)
    smoother(frames)
    gradients = []
    for form in (smoother, lambda x: run_blocks(smoother, x)):
        with tf.GradientTape() as tape:
            tape.watch(frames)
            total = tf.reduce_mean(weights * form(frames))
        sources = [frames, *smoother.trainable_variables]
        gradients.append(tape.gradient(total, sources))
    for fast, slow in zip(*gradients, strict=True):
        scale = np.abs(slow).max()
        np.testing.assert_allclose(fast, slow, atol=GRADIENT_TOLERANCE * scale)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: smoothing.OnePole(alpha=1.0), "never moves"),
        (lambda: smoothing.OnePole(alpha=0.0, learned=True), "above 0 and below"),
        (lambda: smoothing.OnePole(alpha=0.99995, learned=True), "below 0.9999"),
        (lambda: smoothing.Biquad(cutoff_hz=124.0), "must be between"),
        (lambda: smoothing.Biquad(q=0.0), "must be between"),
        (lambda: smoothing.Biquad(n_sections=0), "at least 1"),
        (lambda: smoothing.ArResidual(leak=1.5), r"must be in \(0, 1\]"),
        (lambda: smoothing.ArResidual(leak=1.0, learned=True), "below 0.9999"),
        (lambda: control_smoothing.ControlSmoothing(targets=("gain",)), "harm_dist"),
        (lambda: control_smoothing.ControlSmoothing(targets=()), "at least one"),
        (lambda: control_smoothing.ControlSmoothing(position="middle"), "before"),
        (
            lambda: control_smoothing.ControlSmoothing(smoother=smoothing.ArResidual),
            "position = 'before'",
        ),
    ],
)
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_smoother_instance_is_refused():
    with pytest.raises(TypeError, match="without parentheses"):
        control_smoothing.ControlSmoothing(smoother=smoothing.OnePole())


def make_raw(rng, *, n_frames=30):
    sizes = {"amps": 1, "harmonic_distribution": 8, "noise_magnitudes": 5}
    return {
        key: tf.constant(rng.normal(size=(2, n_frames, size)), tf.float32)
        for key, size in sizes.items()
    }


@pytest.mark.parametrize("position", control_smoothing.POSITIONS)
@pytest.mark.parametrize(
    "smoother", [smoothing.OnePole, smoothing.Biquad, smoothing.Fir]
)
def test_smoothed_controls_keep_the_contract(rng, position, smoother):
    raw = make_raw(rng)
    f0_hz = tf.constant(rng.uniform(500.0, 3000.0, size=(2, 30, 1)), tf.float32)
    layer = control_smoothing.ControlSmoothing(
        smoother, tuple(control_smoothing.TARGETS), position
    )
    smoothed, unsmoothed = control_smoothing.scale_and_smooth(
        raw, f0_hz, head=heads.ExpSigmoidHead(), smooth=layer, position=position
    )
    mask = harmonic_synth.below_nyquist(f0_hz, n_harmonics=8, sample_rate=16000)
    distribution = smoothed["harmonic_distribution"]
    np.testing.assert_allclose(tf.reduce_sum(distribution, -1), 1.0, atol=1e-5)
    assert np.all(distribution * (1.0 - mask) == 0.0)
    for key, value in smoothed.items():
        assert np.all(value >= 0.0)
        roughness = lambda x: float(tf.reduce_mean(tf.abs(x[:, 1:] - x[:, :-1])))
        if key != "harmonic_distribution":
            assert roughness(value) < roughness(unsmoothed[key])


def test_each_target_learns_its_own_coefficient(rng):
    layer = control_smoothing.ControlSmoothing(
        lambda: smoothing.OnePole(learned=True), ("harm_gain", "noise_gain"), "before"
    )
    layer(make_raw(rng))
    assert len(layer.trainable_variables) == 2


@ALL
@pytest.mark.long
def test_smoothing_gradient_is_numerically_right(rng, name):
    smoother = SMOOTHERS[name](dtype="float64")
    frames = rng.normal(size=(1, 34, 2))  # more than one block
    assert ladder_helpers.gradient_error(smoother, frames) < 1e-6
