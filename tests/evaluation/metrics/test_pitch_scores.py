"""Scores of pitch, on made-up tracks."""

import math

import librosa
import numpy as np
import pytest
from ddsp.training import metrics as ddsp_metrics

from evaluation.metrics import pitch_scores
from models.measures import frame_masks


def track(f0_hz, confidence=0.95):
    f0_hz = np.asarray(f0_hz, float)
    return pitch_scores.PitchTrack(f0_hz, np.broadcast_to(confidence, f0_hz.shape))


def measure(ref, est, audible=None, loudness_db=-20.0):
    return pitch_scores.measure(
        ref,
        est,
        audible=np.ones(ref.f0_hz.size, bool) if audible is None else audible,
        est_loudness_db=np.broadcast_to(loudness_db, ref.f0_hz.shape),
        settings=frame_masks.MaskSettings(min_confidence=0.5, floor_db=-70.0),
    )


def score(ref, est, audible=None, loudness_db=-20.0):
    found = measure(ref, est, audible, loudness_db)
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
    found = measure(track(FLAT, 0.1), track(FLAT))
    assert "pitched frames" in found["raw_pitch_accuracy"].reason
    assert "certain in fewer" in found["pitch_outlier"].reason
    lost = measure(track(FLAT), track(FLAT, 0.1))
    assert math.isnan(lost["pitch_error_cents"].value)
    assert lost["voicing_recall"].value == 0.0


def test_outlier_rule_is_ddsps(rng):
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


# --- which frames count ---

# 40 frames: 20 with a pitch, 10 without, and 10 that nobody hears, with a sure pitch
# that the system misses by a tritone.
N_PITCHED, N_AUDIBLE, N_FRAMES = 20, 30, 40
FRAMES = np.arange(N_FRAMES)
AUDIBLE = FRAMES < N_AUDIBLE
A4 = np.full(N_FRAMES, 440.0)
REF = track(A4, np.where((FRAMES < N_PITCHED) | ~AUDIBLE, 0.9, 0.1))


def test_inaudible_frames_are_not_scored():
    """Of 20 pitched frames 15 are sure, of 10 unpitched ones 4, of the rest all."""
    f0_hz = np.where(AUDIBLE, A4 * 2 ** (10 / 1200), A4 * math.sqrt(2))
    is_sure = (FRAMES < 15) | ((FRAMES >= N_PITCHED) & (FRAMES < 24)) | ~AUDIBLE
    found = score(REF, track(f0_hz, np.where(is_sure, 0.9, 0.1)), AUDIBLE)
    assert found["pitch_error_cents"] == pytest.approx(10.0)
    assert found["raw_pitch_accuracy"] == 1.0  # 20 of 30 with the rest
    assert found["raw_chroma_accuracy"] == 1.0
    assert found["voicing_recall"] == 0.75  # 25 of 30
    assert found["voicing_false_alarm"] == 0.4


def test_inaudible_frames_are_none_without_pitch():
    """10 audible frames without pitch, all answered; 10 inaudible ones, none."""
    ref = track(A4, np.where(FRAMES < N_PITCHED, 0.9, 0.1))
    est = track(A4, np.where(AUDIBLE, 0.9, 0.1))
    assert score(ref, est, AUDIBLE)["voicing_false_alarm"] == 1.0  # 0.5 with the rest


def test_an_error_is_the_median_over_frames_that_both_have():
    """12 frames: 7 off by 10 cents, 5 by 45; the recording's other 8 by an octave."""
    cents = np.select([FRAMES < 7, FRAMES < 12], [10.0, -45.0], 1200.0)
    est = track(A4 * 2 ** (cents / 1200), np.where(FRAMES < 12, 0.9, 0.1))
    found = score(REF, est, AUDIBLE)
    assert found["pitch_error_cents"] == pytest.approx(10.0)
    # An unsure answer is an answer: 12 of 20, and with octaves forgiven all.
    assert found["raw_pitch_accuracy"] == pytest.approx(12 / 20)
    assert found["raw_chroma_accuracy"] == 1.0


@pytest.mark.parametrize(("cents", "accuracy"), [(49.0, 1.0), (51.0, 0.0)])
def test_half_a_semitone_is_right(cents, accuracy):
    for sign in (1, -1):
        found = score(track(A4), track(A4 * 2 ** (sign * cents / 1200)))
        assert found["raw_pitch_accuracy"] == accuracy
        octave = score(track(A4), track(A4 * 2 ** (sign * cents / 1200 - 1)))
        assert octave["raw_chroma_accuracy"] == accuracy


def test_a_frame_has_a_pitch_from_the_threshold_on():
    ref = track(A4, np.where(FRAMES < 20, 0.5, 0.49))
    est = track(A4, np.where(FRAMES < 30, 0.5, 0.49))
    found = score(ref, est)
    assert found["voicing_recall"] == 1.0
    assert found["voicing_false_alarm"] == 0.5


@pytest.mark.parametrize(("loudness_db", "recall"), [(-70.0, 1.0), (-70.1, 0.0)])
def test_a_system_that_nobody_hears_has_no_pitch(loudness_db, recall):
    """Its tracker is as sure as of the recording: frames are normalised."""
    found = score(REF, track(A4), AUDIBLE, loudness_db)
    assert found["voicing_recall"] == found["voicing_false_alarm"] == recall
    assert math.isnan(found["pitch_error_cents"]) == (recall == 0.0)


@pytest.mark.parametrize(("n_frames", "is_scored"), [(10, True), (9, False)])
def test_ten_frames_are_enough_to_score(n_frames, is_scored):
    some = np.where(FRAMES < n_frames, 0.9, 0.1)
    rest = np.where(FRAMES < n_frames, 0.1, 0.9)
    known = lambda ref, est, key: math.isfinite(score(track(A4, ref), est)[key])
    every = track(A4)
    for key in ("raw_pitch_accuracy", "raw_chroma_accuracy", "voicing_recall"):
        assert known(some, every, key) == is_scored
    assert known(some, every, "pitch_outlier") == is_scored
    assert known(rest, every, "voicing_false_alarm") == is_scored
    assert known(np.full(N_FRAMES, 0.9), track(A4, some), "pitch_error_cents") == (
        is_scored
    )


@pytest.mark.parametrize(
    ("semitones", "value"), [(12.0, 0.0), (12.1, 1.0), (-12.1, 1.0)]
)
def test_an_outlier_is_more_than_an_octave_off(semitones, value):
    found = pitch_scores.outlier(track(A4), track(A4 * 2 ** (semitones / 12)))
    assert found.value == value


def test_an_outlier_is_judged_by_the_mean_over_sure_frames():
    """Two of ten sure frames off by 72 semitones: the mean is 14.4, the median 0."""
    sure = np.where(FRAMES < 10, 0.86, 0.85)  # ddsp's rule: above 0.85
    far = A4 * np.where(FRAMES < 2, 2.0**6, 1.0)
    assert pitch_scores.outlier(track(A4, sure), track(far)).value == 1.0
    # Unsure frames do not count: 40 of 10 would be 12 each on average.
    unsure = A4 * np.where(FRAMES >= 10, 2.0**6, 1.0)
    assert pitch_scores.outlier(track(A4, sure), track(unsure)).value == 0.0
