import dataclasses
import math

import ddsp
import numpy as np
import pytest

from evaluation.metrics import fidelity
from models.measures import control_arrays
from models.measures import frame_masks
from models.measures import spectra
from tests.helpers import evaluation_helpers as helpers

PARITY = 2e-4  # relative; two float32 FFT libraries over 64000 samples


@pytest.fixture
def pair(rng):
    ref = helpers.instrument(67, rng=rng).audio
    est = 0.7 * helpers.instrument(67.5, rng=rng).audio
    est[:2000] = 0.0  # exact zeros take the logarithm's guard
    return ref.astype(np.float32), est.astype(np.float32)


@pytest.mark.parametrize(
    ("key", "weights"),
    [
        ("spectral_mag", {"mag_weight": 1.0, "logmag_weight": 0.0}),
        ("spectral_logmag", {"mag_weight": 0.0, "logmag_weight": 1.0}),
        ("spectral_loss", {"mag_weight": 1.0, "logmag_weight": 1.0}),
    ],
)
def test_spectral_loss_is_ddsps(pair, key, weights):
    ref, est = pair
    loss = ddsp.losses.SpectralLoss(**weights)
    expected = float(loss(ref[np.newaxis], est[np.newaxis]))
    found = fidelity.spectral_scores(ref, est)[key].value
    assert found == pytest.approx(expected, rel=PARITY)


def test_scales_add_up_and_a_copy_scores_zero(pair):
    ref, est = pair
    found = fidelity.spectral_scores(ref, est)
    for part in ("mag", "logmag"):
        scales = [found[f"spectral_{part}_{size}"].value for size in spectra.FFT_SIZES]
        assert found[f"spectral_{part}"].value == pytest.approx(sum(scales))
    assert fidelity.spectral_scores(ref, ref)["spectral_loss"].value == 0.0
    assert fidelity.log_spectral_distance(ref, ref).value == 0.0


def test_half_the_amplitude_is_six_db_away(pair):
    ref, _ = pair
    loud = ref[8000:24000]  # clear of the floor
    distance = fidelity.log_spectral_distance(loud, 0.5 * loud).value
    assert 4.0 < distance < 6.03  # bins at the floor are not off by 6.02 dB


def test_silence_has_no_log_spectral_distance(pair):
    _, est = pair
    silence = np.zeros_like(est)
    score = fidelity.log_spectral_distance(silence, est)
    assert math.isnan(score.value) and "silent" in score.reason
    # Not even a silent system is right where there is nothing to be right about.
    for played in (est, silence):
        found = fidelity.spectral_scores(silence, played)
        assert set(found) == set(fidelity.spectral_scores(est, est))
        assert all(s.reason == "the recording is silent" for s in found.values())


def test_lengths_must_agree(pair):
    ref, est = pair
    with pytest.raises(ValueError, match="same"):
        fidelity.spectral_scores(ref, est[:-1])


def test_loudness_distance_counts_audible_frames_only():
    ref = np.repeat([-20.0, -30.0, -80.0], 8)
    est = np.repeat([-23.0, -29.0, -10.0], 8)
    audible = ref > -70
    assert fidelity.loudness_distance(ref, est, audible=audible).value == 2.0
    for n_audible in (0, 1, frame_masks.MIN_FRAMES - 1):
        few = np.arange(ref.size) < n_audible
        score = fidelity.loudness_distance(ref, est, audible=few)
        assert math.isnan(score.value) and "audible" in score.reason


def test_harmonic_error_is_in_db(rng):
    played = helpers.note_controls(helpers.instrument(60, rng=rng))
    louder = dataclasses.replace(played, amps=played.amps * 2)
    pitched = np.ones(played.n_frames, bool)
    found = fidelity.harmonic_error(played, louder, pitched=pitched)
    assert found.value == pytest.approx(20 * math.log10(2))
    assert fidelity.harmonic_error(played, played, pitched=pitched).value == 0.0
    assert fidelity.harmonic_error(played, played, pitched=~pitched).reason


# --- by hand ---


def controls_of(amplitudes):
    """Controls of an A4 with given harmonics, [n_frames, n_harmonics]."""
    amplitudes = np.asarray(amplitudes, float)
    amps = amplitudes.sum(axis=1)
    return control_arrays.ControlArrays(
        f0_hz=np.full(len(amps), 440.0),
        amps=amps,
        harmonic_distribution=amplitudes / amps[:, np.newaxis],
        noise_power=np.zeros(len(amps)),
        sample_rate=16000,
        frame_rate=250,
    )


def error_of(ref, est, pitched=None):
    """Harmonic error of frames that are repeated to 20, or of given ones."""
    size = frame_masks.MIN_FRAMES if pitched is None else 1
    ref, est = (controls_of(np.repeat(x, size, axis=0)) for x in (ref, est))
    pitched = np.ones(ref.n_frames, bool) if pitched is None else pitched
    return fidelity.harmonic_error(ref, est, pitched=pitched)


def test_harmonic_error_is_the_mean_over_what_counts():
    """Off by 20 and 0 dB in one frame, by 6.02 and -6.02 in the other: (20 + 12.04)/4.

    A mean of signed differences would be 5; one of frames' sums twice as large.
    """
    ref = [[1.0, 0.5], [1.0, 0.5]]
    est = [[0.1, 0.5], [2.0, 0.25]]
    found = error_of(ref, est).value
    assert found == pytest.approx((20.0 + 2 * 20 * math.log10(2)) / 4)


def test_harmonics_count_within_50_db_of_the_frame_s_strongest():
    """At -49 dB it counts, and what the system lacks of it counts down to -50 dB."""
    near, far = 10 ** (-49 / 20), 10 ** (-51 / 20)
    est = [[1.0, 1e-6]]
    assert error_of([[1.0, near]], est).value == pytest.approx((0.0 + 1.0) / 2)
    assert error_of([[1.0, far]], est).value == pytest.approx(0.0)
    # The strongest is the recording's, in each frame by itself.
    two = [[1.0, near], [0.01, 0.01 * near]]
    assert error_of(two, [[1.0, 1e-6], [0.01, 1e-8]]).value == pytest.approx(0.5)


def test_harmonic_error_needs_ten_pitched_frames_and_sees_no_others():
    n_frames, n_min = 24, frame_masks.MIN_FRAMES
    ref = np.ones((n_frames, 2))
    est = np.where(np.arange(n_frames)[:, np.newaxis] < n_min, 0.1, 77.0) * ref
    frames = np.arange(n_frames) < n_min
    assert error_of(ref, est, frames).value == pytest.approx(20.0)
    assert error_of(ref, est, np.arange(n_frames) < n_min - 1).reason


def test_loudness_distance_needs_ten_audible_frames():
    ref, est = np.full(20, -20.0), np.full(20, -26.0)
    score = fidelity.loudness_distance(ref, est, audible=np.arange(20) < 10)
    assert score.value == 6.0
    assert fidelity.loudness_distance(ref, est, audible=np.arange(20) < 9).reason


def test_log_spectral_distance_is_a_mean_of_frames_root_mean_squares(monkeypatch):
    """Three frames of two bins: off by 20 and 0 dB, and by 0: 20 / sqrt 2 / 3."""
    spectra_of = {
        1.0: np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]),
        2.0: np.array([[0.1, 1.0], [1.0, 1.0], [1.0, 1.0]]),
    }
    monkeypatch.setattr(
        fidelity.spectra, "magnitudes", lambda audio, *, fft_size: spectra_of[audio[0]]
    )
    distance = lambda: fidelity.log_spectral_distance(np.ones(1), np.full(1, 2.0)).value
    assert distance() == pytest.approx(20 / math.sqrt(2) / 3)
    # Both sides are lifted to 80 dB below the recording's loudest bin.
    spectra_of[1.0] = np.array([[1.0, 1e-6]])
    spectra_of[2.0] = np.array([[1.0, 1e-3]])
    assert distance() == pytest.approx(20 / math.sqrt(2))  # -60 against -80 dB
    spectra_of[2.0] = np.array([[1.0, 1e-9]])
    assert distance() == 0.0
    spectra_of[1.0], spectra_of[2.0] = np.array([[1.0, 1.0]]), np.array([[1.0, 0.0]])
    assert distance() == pytest.approx(80 / math.sqrt(2))
