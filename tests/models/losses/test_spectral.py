"""The shared-work spectral distance against ddsp's SpectralLoss and by hand."""

from unittest import mock

import ddsp
import numpy as np
import pytest
import tensorflow as tf

from models.losses import spectral
from tests.helpers import defaults

SIZES = (256, 64)
VALUE_TOLERANCE = 1e-5  # relative: float32 means over some thousand bins
GRADIENT_TOLERANCE = 1e-5  # share of the gradient's norm


@pytest.fixture
def signals(rng):
    """A synthesised signal and its target, a length that no hop divides."""
    return [
        tf.constant(rng.normal(0, 0.1, [2, 801]), tf.float32) for _ in ("est", "ref")
    ]


def with_gradient(function, audio):
    with tf.GradientTape() as tape:
        tape.watch(audio)
        value = function(audio)
    return value, tape.gradient(value, audio)


@pytest.mark.parametrize("loss_type", spectral.LOSS_TYPES)
def test_terms_and_gradient_are_ddsps(signals, loss_type):
    audio, target = signals
    mag, logmag = 1.0, 0.5  # apart
    stock = ddsp.losses.SpectralLoss(
        SIZES, loss_type, mag_weight=mag, logmag_weight=logmag
    )

    def ours(audio):
        terms = spectral.spectral_terms(
            audio, target, fft_sizes=SIZES, loss_type=loss_type
        )
        return mag * terms["mag"] + logmag * terms["logmag"]

    ref, ref_gradient = with_gradient(lambda audio: stock(target, audio), audio)
    est, est_gradient = with_gradient(ours, audio)
    assert est.numpy() == pytest.approx(ref.numpy(), rel=VALUE_TOLERANCE)
    error = tf.norm(est_gradient - ref_gradient) / tf.norm(ref_gradient)
    assert error.numpy() < GRADIENT_TOLERANCE


def test_gradient_beside_empty_bins_is_ddsps(signals):
    """A silent target counts as 1e-5: the logarithm pulls up what is quieter."""
    audio, silence = signals[0] * 1e-7, tf.zeros_like(signals[1])
    stock = ddsp.losses.SpectralLoss(SIZES, mag_weight=0.0, logmag_weight=1.0)
    _, ref = with_gradient(lambda audio: stock(silence, audio), audio)
    _, est = with_gradient(
        lambda audio: spectral.spectral_terms(audio, silence, fft_sizes=SIZES)[
            "logmag"
        ],
        audio,
    )
    assert tf.norm(est - ref).numpy() < GRADIENT_TOLERANCE * tf.norm(ref).numpy()


def test_each_size_is_told_apart(signals):
    terms = spectral.spectral_terms(*signals, fft_sizes=SIZES)
    assert set(terms) == {"mag", "logmag"} | {
        f"{name}_{size}" for name in ("mag", "logmag") for size in SIZES
    }
    for name in ("mag", "logmag"):
        total = sum(terms[f"{name}_{size}"].numpy() for size in SIZES)
        assert terms[name].numpy() == pytest.approx(total, rel=1e-6)
        alone = ddsp.losses.SpectralLoss((256,), mag_weight=name == "mag")
        alone.logmag_weight = float(name == "logmag")
        expected = alone(signals[1], signals[0]).numpy()
        assert terms[f"{name}_256"].numpy() == pytest.approx(expected, rel=1e-5)


def test_six_sizes_are_compiled_without_a_word_of_retracing(signals):
    with mock.patch.object(tf.get_logger(), "warning") as warning:
        spectral.stft_magnitudes(signals[0], fft_sizes=(8, 16, 24, 32, 40, 48))
    warning.assert_not_called()


def test_known_magnitudes_spare_the_target(signals):
    audio, target = signals
    magnitudes = spectral.stft_magnitudes(target, fft_sizes=SIZES)
    ref = spectral.spectral_terms(audio, target, fft_sizes=SIZES)
    est = spectral.spectral_terms(audio, fft_sizes=SIZES, target_magnitudes=magnitudes)
    for name, value in ref.items():
        np.testing.assert_array_equal(est[name], value)


def test_magnitudes_are_ddsps_at_any_length(signals):
    for size, overlap in ((96, 0.75), (64, 0.5), (4096, 0.75)):
        ref = ddsp.spectral_ops.compute_mag(signals[0], size=size, overlap=overlap)
        (est,) = spectral.stft_magnitudes(signals[0], fft_sizes=[size], overlap=overlap)
        np.testing.assert_allclose(est, ref, atol=1e-4)


def test_added_epsilon_bounds_logarithm_and_gradient(signals):
    """Against silence, where ddsp's rule sees a distance of ln(1e-5 / 1e-5) or more."""
    silence, nearly = tf.zeros_like(signals[0]), signals[0] * 1e-9
    results = {}
    for log_epsilon in (None, 1e-3):
        results[log_epsilon] = with_gradient(
            lambda audio, how=log_epsilon: spectral.spectral_terms(
                audio, silence, fft_sizes=(64,), log_epsilon=how
            )["logmag"],
            nearly,
        )
    assert results[None][0].numpy() > 1.0
    assert results[1e-3][0].numpy() < 1e-4  # ln(1 + 1e-8 / 1e-3)
    largest = {how: np.abs(gradient).max() for how, (_, gradient) in results.items()}
    assert largest[1e-3] < 1e-4 * largest[None]


@pytest.mark.parametrize("log_epsilon", [None, 1e-4])
def test_gradient_is_finite_at_silence(signals, log_epsilon):
    _, gradient = with_gradient(
        lambda audio: sum(
            spectral.spectral_terms(
                audio, signals[1], fft_sizes=SIZES, log_epsilon=log_epsilon
            ).values()
        ),
        tf.zeros_like(signals[0]),
    )
    np.testing.assert_array_equal(gradient, tf.zeros_like(gradient))


@pytest.mark.parametrize("log_epsilon", [None, 1e-2])
def test_gradient_matches_differences(rng, log_epsilon):
    audio, target = (rng.normal(0, 1, [1, 160]) for _ in range(2))
    how = {"fft_sizes": (32,), "loss_type": "L2", "log_epsilon": log_epsilon}
    direction = rng.normal(0, 1, [1, 160])
    step = 1e-3

    def loss(audio):
        terms = spectral.spectral_terms(
            tf.cast(audio, tf.float32), tf.cast(target, tf.float32), **how
        )
        return terms["mag"] + terms["logmag"]

    _, gradient = with_gradient(loss, tf.constant(audio, tf.float32))
    slope = (loss(audio + step * direction) - loss(audio - step * direction)) / 2 / step
    assert slope.numpy() == pytest.approx(np.sum(gradient * direction), rel=2e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss_type": "COSINE"}, "is not one of"),
        ({"overlap": 0.7}, "overlap of 0.5, 0.75"),
        ({"target_audio": None}, "target_magnitudes"),
    ],
)
def test_bad_arguments_are_explained(signals, change, message):
    arguments = {"target_audio": signals[1], "fft_sizes": (64,)} | change
    with pytest.raises(ValueError, match=message):
        spectral.spectral_terms(signals[0], **arguments)


def test_defaults_are_ddsps():
    ours, theirs = spectral.FastSpectralLoss, ddsp.losses.SpectralLoss
    defaults.check_defaults(ours, theirs, added={})
