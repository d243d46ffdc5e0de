import math

import ddsp
import librosa
import numpy as np
import pytest

from evaluation.metrics import fidelity
from evaluation.metrics import pitch_scores
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
    import dataclasses

    louder = dataclasses.replace(played, amps=played.amps * 2)
    pitched = np.ones(played.n_frames, bool)
    found = fidelity.harmonic_error(played, louder, pitched=pitched)
    assert found.value == pytest.approx(20 * math.log10(2))
    assert fidelity.harmonic_error(played, played, pitched=pitched).value == 0.0
    assert fidelity.harmonic_error(played, played, pitched=~pitched).reason


# --- pitch ---


def track(f0_hz, confidence=0.95):
    f0_hz = np.asarray(f0_hz, float)
    return pitch_scores.PitchTrack(f0_hz, np.broadcast_to(confidence, f0_hz.shape))


def score(ref, est, audible=None):
    audible = np.ones(ref.f0_hz.size, bool) if audible is None else audible
    found = pitch_scores.measure(ref, est, audible=audible, min_confidence=0.5)
    return {key: one.value for key, one in found.items()}


FLAT = np.full(100, 440.0)


def test_pitch_scores_of_a_perfect_copy():
    found = score(track(FLAT), track(FLAT))
    assert found["pitch_error_cents"] == 0.0
    assert found["raw_pitch_accuracy"] == found["voicing_recall"] == 1.0
    assert found["pitch_outlier"] == 0.0
    assert math.isnan(found["voicing_false_alarm"])  # nothing is unpitched


def test_cents_and_octaves():
    sharp = score(track(FLAT), track(FLAT * 2 ** (30 / 1200)))
    assert sharp["pitch_error_cents"] == pytest.approx(30.0, abs=1e-6)
    assert sharp["raw_pitch_accuracy"] == 1.0
    octave = score(track(FLAT), track(FLAT * 2))
    assert octave["raw_pitch_accuracy"] == 0.0
    assert octave["raw_chroma_accuracy"] == 1.0
    assert octave["pitch_outlier"] == 0.0  # an octave is not more than an octave
    assert score(track(FLAT), track(FLAT * 2.2))["pitch_outlier"] == 1.0


def test_voicing_is_scored_over_audible_frames():
    ref_confidence = np.where(np.arange(100) < 60, 0.9, 0.1)
    est_confidence = np.where(np.arange(100) < 30, 0.9, 0.1)
    est_confidence[60:70] = 0.9
    found = score(track(FLAT, ref_confidence), track(FLAT, est_confidence))
    assert found["voicing_recall"] == pytest.approx(0.5)
    assert found["voicing_false_alarm"] == pytest.approx(0.25)


def test_what_cannot_be_scored_says_why():
    found = pitch_scores.measure(
        track(FLAT, 0.1), track(FLAT), audible=np.ones(100, bool), min_confidence=0.5
    )
    assert "pitched frames" in found["raw_pitch_accuracy"].reason
    assert "certain in fewer" in found["pitch_outlier"].reason
    lost = pitch_scores.measure(
        track(FLAT), track(FLAT, 0.1), audible=np.ones(100, bool), min_confidence=0.5
    )
    assert math.isnan(lost["pitch_error_cents"].value)
    assert lost["voicing_recall"].value == 0.0


def test_outlier_rule_is_ddsps(rng):
    from ddsp.training import metrics as ddsp_metrics

    for shift in (5.0, 11.9, 12.1, 20.0):
        confidence = rng.uniform(0.5, 1.0, 100)
        est = FLAT * 2 ** (shift / 12)
        expected = (
            ddsp_metrics.f0_dist_conf_thresh(FLAT, est, confidence)
            > ddsp_metrics.OUTLIER_MIDI_THRESH
        )
        found = pitch_scores.outlier(track(FLAT, confidence), track(est))
        assert bool(found.value) == bool(expected)
    assert librosa.hz_to_midi(440.0) == 69
