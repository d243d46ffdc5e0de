import ddsp
import numpy as np
import pytest
import tensorflow as tf
from ddsp import spectral_ops

from models import schedules
from models.losses import regularizers
from models.losses import spectral
from models.losses import terms as loss_terms
from tests.helpers import ladder_helpers

PARITY = 1e-5  # float32 means over the same numbers in the same order


def make_outputs(rng, *, n_frames=50, n_harmonics=6, dtype=tf.float32):
    shape = (2, n_frames)
    share = rng.uniform(0.1, 1.0, size=(*shape, n_harmonics))
    constant = lambda value: tf.constant(value, dtype)
    return {
        "audio": constant(0.1 * rng.normal(size=(2, n_frames * 64))),
        "audio_synth": constant(0.1 * rng.normal(size=(2, n_frames * 64))),
        "ld_scaled": constant(rng.uniform(0.0, 1.0, size=(*shape, 1))),
        "voicing": constant(rng.uniform(0.0, 1.0, size=(*shape, 1))),
        "controls": {
            "amps": constant(rng.uniform(0.0, 1.0, size=(*shape, 1))),
            "harmonic_distribution": constant(share / share.sum(-1, keepdims=True)),
            "noise_magnitudes": constant(rng.uniform(0.0, 0.5, size=(*shape, 5))),
            "f0_hz": constant(np.full((*shape, 1), 200.0)),
        },
    }


def with_controls(outputs, **controls):
    cast = {key: tf.constant(value, tf.float32) for key, value in controls.items()}
    return {**outputs, "controls": {**outputs["controls"], **cast}}


LOSSES = {
    "spectral": lambda: loss_terms.SpectralTerms(fft_sizes=(256, 64)),
    "spectral_l2": lambda: loss_terms.SpectralTerms(
        fft_sizes=(256, 64), loss_type="L2"
    ),
    "loudness_db": lambda: loss_terms.LoudnessEnvelope(weight=1.0),
    "loudness_linear": lambda: loss_terms.LoudnessEnvelope(
        weight=1.0, mode="linear_l2"
    ),
    "mse": lambda: loss_terms.WaveformMse(weight=1.0),
    "entropy": lambda: regularizers.HarmonicEntropy(weight=1.0),
    "concentration": lambda: regularizers.HarmonicConcentration(weight=1.0),
    "noise": lambda: regularizers.NoiseDominance(weight=1.0, target_ratio=0.2),
}


@pytest.mark.parametrize("loss_type", ["L1", "L2"])
def test_spectral_terms_equal_ddsp_with_its_own_log(rng, loss_type):
    outputs, sizes = make_outputs(rng), (256, 64)
    ours = loss_terms.SpectralTerms(sizes, loss_type=loss_type, log_epsilon=0.0)
    theirs = ddsp.losses.SpectralLoss(sizes, loss_type, logmag_weight=1.0)
    total = tf.add_n(list(ours.get_losses_dict(outputs).values()))
    expected = theirs(outputs["audio"], outputs["audio_synth"])
    np.testing.assert_allclose(total, expected, rtol=PARITY)


def test_spectral_windows_last_equally_long_at_every_rate():
    loss = loss_terms.SpectralTerms(fft_sizes=(2048, 64), sample_rate=48000)
    assert loss.frame_sizes == (6144, 192)
    # 5644.8 and 176.4 samples, in eights.
    loss = loss_terms.SpectralTerms(fft_sizes=(2048, 64), sample_rate=44100)
    assert loss.frame_sizes == (5648, 176)
    assert loss_terms.SpectralTerms().frame_sizes == (2048, 1024, 512, 256, 128, 64)


def test_spectral_terms_hand_on_what_they_are_set_to(rng):
    outputs = make_outputs(rng)
    for options in ({}, {"log_epsilon": 1e-3}, {"loss_type": "L2"}):
        found = loss_terms.SpectralTerms(fft_sizes=(64,), **options)
        expected = spectral.spectral_terms(
            outputs["audio_synth"],
            outputs["audio"],
            fft_sizes=(64,),
            **{"log_epsilon": 1e-5, "loss_type": "L1", **options},
        )
        terms = found.get_losses_dict(outputs)
        np.testing.assert_array_equal(terms["spectral_mag"], expected["mag"])
        np.testing.assert_array_equal(terms["spectral_logmag"], expected["logmag"])
        total = expected["mag"] + expected["logmag"]
        np.testing.assert_allclose(found(outputs), total, rtol=1e-6)


def test_additive_epsilon_bounds_the_gradient_of_nearly_silent_audio(rng):
    outputs = make_outputs(rng)
    audio = tf.constant(1e-9 * rng.normal(size=outputs["audio"].shape), tf.float32)
    sizes = []
    for epsilon in (0.0, loss_terms.LOG_EPSILON):
        loss = loss_terms.SpectralTerms(fft_sizes=(64,), log_epsilon=epsilon)
        with tf.GradientTape() as tape:
            tape.watch(audio)
            terms = loss.terms({**outputs, "audio_synth": audio})
        gradient = tape.gradient(terms["spectral_logmag"], audio)
        sizes.append(float(tf.reduce_max(tf.abs(gradient))))
    assert sizes[1] < 1e-2 * sizes[0]


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_numbers_and_gradients_are_finite_at_silence(rng, name):
    outputs = make_outputs(rng)
    silent = tf.zeros_like(outputs["audio_synth"])
    noise = tf.zeros_like(outputs["controls"]["noise_magnitudes"])
    amps = tf.zeros_like(outputs["controls"]["amps"])
    with tf.GradientTape() as tape:
        tape.watch([silent, noise, amps])
        controls = {**outputs["controls"], "noise_magnitudes": noise, "amps": amps}
        outputs = {**outputs, "audio_synth": silent, "controls": controls}
        total = tf.add_n(list(LOSSES[name]().get_losses_dict(outputs).values()))
    assert np.isfinite(total)
    gradients = tape.gradient(
        total, [silent, noise, amps], unconnected_gradients="zero"
    )
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_spectral_gradient_equals_ddsp(rng):
    outputs = make_outputs(rng)
    audio, sizes = outputs["audio_synth"], (256, 64)
    theirs = ddsp.losses.SpectralLoss(sizes, logmag_weight=1.0)
    ours = loss_terms.SpectralTerms(sizes, log_epsilon=0.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(audio)
        expected = theirs(outputs["audio"], audio)
        total = tf.add_n(list(ours.terms({**outputs, "audio_synth": audio}).values()))
    gradient, reference = (tape.gradient(y, audio) for y in (total, expected))
    scale = float(tf.reduce_max(tf.abs(reference)))
    np.testing.assert_allclose(gradient, reference, atol=1e-4 * scale)


@pytest.mark.parametrize("name", ["spectral", "spectral_l2", "mse"])
def test_gradients_of_audio_losses_are_numerically_right(rng, name):
    outputs = make_outputs(rng, n_frames=6, dtype=tf.float64)
    loss = LOSSES[name]()

    def run(audio):
        terms = loss.get_losses_dict({**outputs, "audio_synth": audio})
        return tf.stack(list(terms.values()))

    error = ladder_helpers.gradient_error(run, outputs["audio_synth"].numpy())
    assert error < 1e-6


@pytest.mark.parametrize(
    "name", ["loudness_db", "loudness_linear", "entropy", "concentration", "noise"]
)
def test_gradients_of_control_losses_are_numerically_right(rng, name):
    outputs = make_outputs(rng, n_frames=4, dtype=tf.float64)
    loss = LOSSES[name]()
    keys = ("amps", "harmonic_distribution", "noise_magnitudes")

    def run(*controls):
        given = {**outputs["controls"], **dict(zip(keys, controls, strict=True))}
        terms = loss.get_losses_dict({**outputs, "controls": given})
        return tf.stack(list(terms.values()))

    arguments = (outputs["controls"][key].numpy() for key in keys)
    assert ladder_helpers.gradient_error(run, *arguments) < 1e-6


def test_terms_are_reported_apart_and_weighted_apart(rng):
    loss = loss_terms.SpectralTerms((256, 64), mag_weight=2.0, logmag_weight=0.5)
    outputs = make_outputs(rng)
    plain, weighted = loss.terms(outputs), loss.get_losses_dict(outputs)
    assert set(plain) == {"spectral_mag", "spectral_logmag"}
    np.testing.assert_allclose(
        weighted["spectral_mag"], 2.0 * plain["spectral_mag"], rtol=1e-6
    )
    np.testing.assert_allclose(
        weighted["spectral_logmag"], 0.5 * plain["spectral_logmag"], rtol=1e-6
    )


def test_a_term_without_weight_is_no_loss(rng):
    outputs = make_outputs(rng)
    linear = loss_terms.SpectralTerms((256, 64), logmag_weight=0.0)
    assert set(linear.get_losses_dict(outputs)) == {"spectral_mag"}
    assert regularizers.HarmonicEntropy().get_losses_dict(outputs) == {}


def test_a_weight_follows_its_schedule_without_retracing(rng):
    ramp = schedules.Ramp(start=0.0, end=1.0, warmup_steps=10, ramp_steps=10)
    loss = loss_terms.SpectralTerms(fft_sizes=(64,), logmag_weight=ramp)
    outputs = make_outputs(rng)
    n_traces = 0

    @tf.function(autograph=False)
    def logmag(step):
        nonlocal n_traces
        n_traces += 1
        return loss.get_losses_dict(outputs, step)["spectral_logmag"]

    full = loss.terms(outputs)["spectral_logmag"]
    for step, share in ((0, 0.0), (10, 0.0), (15, 0.5), (20, 1.0), (999, 1.0)):
        np.testing.assert_allclose(logmag(tf.constant(step)), share * full, rtol=1e-6)
    assert n_traces == 1


def test_loudness_by_hand():
    # Level 0.1 is -20 dB (the floor of 1e-4 adds 0.0087 dB), 0.75 of the way from -80.
    controls = {
        "amps": tf.fill([1, 2, 1], 0.1),
        "noise_magnitudes": tf.fill([1, 2, 3], 0.2),
    }
    ld_scaled, voiced = tf.fill([1, 2, 1], 0.5), tf.ones([1, 2, 1])
    distance = loss_terms.envelope_distance(
        controls, ld_scaled, voicing=voiced, mode="db_l1"
    )
    np.testing.assert_allclose(distance, 0.25, atol=2e-4)
    linear = loss_terms.envelope_distance(
        controls, ld_scaled, voicing=0.0 * voiced, mode="linear_l2"
    )
    np.testing.assert_allclose(linear, (0.2 - 0.5) ** 2, rtol=1e-5)


@pytest.mark.parametrize(
    "amps, noise, voicing, level_scaled",
    [
        # 0.4 * 0.25 + 0.2 * 0.75 = 0.25, and 20 log10(0.2501) = -12.0377 dB.
        (0.4, [0.2, 0.2], 0.25, 1 - 12.0377 / 80),
        (0.0, [0.0, 0.0], 1.0, 0.0),  # the floor of -80 dB
        (2.0, [0.0, 0.0], 1.0, 1.0),  # above full scale
        # The noise's level is the root of its mean power: 0.5 of 0.1 and 0.7.
        (0.0, [0.1, 0.7], 0.0, 1 - 6.0189 / 80),
    ],
)
def test_level_is_mixed_by_voicing_and_bounded(amps, noise, voicing, level_scaled):
    controls = {
        "amps": tf.fill([1, 2, 1], amps),
        "noise_magnitudes": tf.constant([[noise] * 2]),
    }
    for ld_scaled in (0.0, 1.0):
        distance = loss_terms.envelope_distance(
            controls,
            tf.fill([1, 2, 1], ld_scaled),
            voicing=tf.fill([1, 2, 1], voicing),
            mode="db_l1",
        )
        np.testing.assert_allclose(distance, abs(level_scaled - ld_scaled), atol=1e-5)


def test_loudness_above_full_scale_counts_as_full_scale(rng):
    outputs = with_controls(
        make_outputs(rng, n_frames=3),
        amps=np.full((2, 3, 1), 2.0),
        noise_magnitudes=np.zeros((2, 3, 5)),
    )
    outputs |= {"ld_scaled": tf.fill([2, 3, 1], 1.3), "voicing": tf.ones([2, 3, 1])}
    loss = loss_terms.LoudnessEnvelope(weight=1.0)
    np.testing.assert_allclose(loss.terms(outputs)["loudness"], 0.0, atol=1e-6)
    linear = loss_terms.LoudnessEnvelope(weight=1.0, mode="linear_l2")
    np.testing.assert_allclose(linear.terms(outputs)["loudness"], 1.0, rtol=1e-5)
    assert loss_terms.LoudnessEnvelope().terms(outputs) == {}
    del outputs["ld_scaled"]
    with pytest.raises(ValueError, match="source = 'audio'"):
        loss.terms(outputs)


def test_loudness_of_audio_is_measured_at_the_rates_that_are_set(rng):
    outputs = make_outputs(rng)
    loss = loss_terms.LoudnessEnvelope(
        weight=1.0, source="audio", sample_rate=48000, frame_rate=100
    )
    ref, est = (
        spectral_ops.compute_loudness(outputs[key], 48000, 100).numpy()
        for key in ("audio", "audio_synth")
    )
    expected = np.mean(np.abs(ref - est)) / 80.0
    np.testing.assert_allclose(loss.terms(outputs)["loudness"], expected, rtol=1e-5)


def test_loudness_of_audio_is_zero_for_equal_audio_and_follows_gain(rng):
    outputs = make_outputs(rng)
    loss = loss_terms.LoudnessEnvelope(weight=1.0, source="audio")
    same = {**outputs, "audio_synth": outputs["audio"]}
    np.testing.assert_allclose(loss.get_losses_dict(same)["loudness"], 0.0)
    louder = {**outputs, "audio_synth": 2.0 * outputs["audio"]}
    expected = 20.0 * np.log10(2.0) / spectral_ops.DB_RANGE
    np.testing.assert_allclose(
        loss.get_losses_dict(louder)["loudness"], expected, rtol=1e-3
    )


def test_mse_by_hand(rng):
    outputs = make_outputs(rng)
    outputs["audio_synth"] = outputs["audio"] + 0.5
    terms = loss_terms.WaveformMse(weight=1.0).terms(outputs)
    np.testing.assert_allclose(terms["mse"], 0.25, rtol=1e-5)


@pytest.mark.parametrize(
    "f0_hz, n_valid", [(200.0, 6), (2000.0, 3), (7000.0, 1), (9000.0, 1)]
)
def test_entropy_and_concentration_by_hand(rng, f0_hz, n_valid):
    shares = {"flat": np.zeros(6), "single": np.eye(6)[0]}
    shares["flat"][:n_valid] = 1.0 / n_valid
    expected = {
        "flat": (0.0, 0.0),
        "single": (np.log(n_valid), 1.0 - 1.0 / n_valid),
    }
    for name, share in shares.items():
        outputs = with_controls(
            make_outputs(rng, n_frames=3),
            harmonic_distribution=np.tile(share, (2, 3, 1)),
            f0_hz=np.full((2, 3, 1), f0_hz),
        )
        outputs["voicing"] = tf.ones([2, 3, 1])
        entropy = regularizers.HarmonicEntropy(weight=1.0).terms(outputs)
        concentration = regularizers.HarmonicConcentration(weight=1.0).terms(outputs)
        found = (
            entropy["harmonic_entropy"],
            concentration["harmonic_concentration"],
        )
        np.testing.assert_allclose(found, expected[name], atol=1e-5)


def test_unvoiced_frames_do_not_count(rng):
    outputs = make_outputs(rng, n_frames=4)
    loss = regularizers.HarmonicEntropy(weight=1.0)
    voiced = np.zeros((2, 4, 1), np.float32)
    voiced[:, :2] = 1.0
    first = loss.terms({**outputs, "voicing": tf.constant(voiced)})
    shares = outputs["controls"]["harmonic_distribution"].numpy()
    shares[:, 2:] = np.eye(6)[0]
    changed = with_controls(outputs, harmonic_distribution=shares)
    second = loss.terms({**changed, "voicing": tf.constant(voiced)})
    np.testing.assert_allclose(first["harmonic_entropy"], second["harmonic_entropy"])
    none = loss.terms({**outputs, "voicing": tf.zeros([2, 4, 1])})
    assert float(none["harmonic_entropy"]) == 0.0


@pytest.mark.parametrize(
    "make", [regularizers.HarmonicEntropy, regularizers.HarmonicConcentration]
)
def test_a_frame_counts_above_its_threshold_and_at_its_rate(rng, make):
    """Two frames of one harmonic of four; the confidence of the second is 0.5."""
    outputs = with_controls(
        make_outputs(rng, n_frames=2, n_harmonics=4),
        harmonic_distribution=[[[1, 0, 0, 0], [0.25] * 4]] * 2,
        f0_hz=np.full((2, 2, 1), 3000.0),
    )
    outputs["voicing"] = tf.constant([[[0.9], [0.5]]] * 2)
    measure = {
        "harmonic_entropy": lambda n: np.log(n),
        "harmonic_concentration": lambda n: 1 - 1 / n,
    }
    for options, n_valid, share in (
        ({}, 2, 1.0),  # at the threshold it does not count
        ({"voiced_threshold": 0.49, "sample_rate": 48000}, 4, 0.5),
        ({"sample_rate": 24001}, 4, 1.0),
        ({"sample_rate": 24000}, 3, 1.0),  # the fourth is at Nyquist
    ):
        (found,) = make(weight=1.0, **options).terms(outputs).items()
        expected = share * measure[found[0]](n_valid)
        np.testing.assert_allclose(found[1], expected, atol=1e-5)


def test_noise_is_as_loud_as_the_root_of_its_mean_power(rng):
    outputs = with_controls(
        make_outputs(rng, n_frames=1),
        amps=[[[0.2]], [[0.6]]],
        noise_magnitudes=[[[0.1, 0.7]], [[0.1, 0.7]]],
    )
    # 0.5 beside 0.2 is 0.3 too much, beside 0.6 nothing: the mean square is 0.045.
    loss = regularizers.NoiseDominance(weight=1.0)
    np.testing.assert_allclose(loss.terms(outputs)["noise_dominance"], 0.045, rtol=1e-5)


def test_noise_dominance_by_hand(rng):
    outputs = with_controls(
        make_outputs(rng, n_frames=2),
        amps=np.full((2, 2, 1), 0.5),
        noise_magnitudes=np.full((2, 2, 5), 0.4),
    )
    value = lambda ratio: regularizers.NoiseDominance(
        weight=1.0, target_ratio=ratio
    ).terms(outputs)["noise_dominance"]
    np.testing.assert_allclose(value(1.0), 0.0, atol=1e-9)
    np.testing.assert_allclose(value(0.4), 0.04, rtol=1e-5)
    np.testing.assert_allclose(value(-1.0), 0.16, rtol=1e-5)


def test_weight_from_earlier_by_hand():
    # 0.05 beside a loss of 1.235e-4 per bin is 404.9 per bin, over 6 sizes 2429.
    np.testing.assert_allclose(loss_terms.weight_from_earlier(0.05), 2429.15, rtol=1e-5)
    np.testing.assert_allclose(
        loss_terms.weight_from_earlier(0.05, n_fft_sizes=1), 404.86, rtol=1e-4
    )


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: loss_terms.SpectralTerms(loss_type="L3"), "not one of"),
        (lambda: loss_terms.SpectralTerms(log_epsilon=-1.0), "or more"),
        (lambda: loss_terms.SpectralTerms(fft_sizes=()), "8 and more"),
        (lambda: loss_terms.SpectralTerms(fft_sizes=(64, 7)), "8 and more"),
        (lambda: loss_terms.LoudnessEnvelope(source="both"), "'controls', or"),
        (lambda: loss_terms.LoudnessEnvelope(mode="l2"), "linear_l2"),
        (
            lambda: loss_terms.LoudnessEnvelope(mode="linear_l2", source="audio"),
            "mode='db_l1'",
        ),
    ],
)
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
