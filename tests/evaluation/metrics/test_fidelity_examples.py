"""Every fidelity metric on a healthy and on a spoilt case, against what is documented.

Spectra, levels and harmonics: a made-up A4 is measured as a recording is, and played
again with other noise from its own controls, once as they are and once degraded.
Pitch: made-up tracks.
"""

import numpy as np
import pytest

from evaluation.metrics import catalogue
from evaluation.metrics import pitch_scores
from models.measures import frame_masks
from tests.helpers import evaluation_helpers as helpers
from tests.helpers import metric_helpers

AUDIO_CASES = {
    "spectral_loss": "one harmonic",
    "spectral_mag": "one harmonic",
    "spectral_logmag": "one harmonic",
    "log_spectral_distance": "one harmonic",
    "loudness_distance": "flat gain",
    "harmonic_error": "one harmonic",
}


def rerendered(change, rng):
    refs, trackers = helpers.references([69], rng=rng)
    (one,) = helpers.system(refs, trackers, change=change, rng=rng)
    return one.scores


@pytest.mark.parametrize(("key", "kind"), AUDIO_CASES.items())
def test_audio_metrics_score_what_is_documented(key, kind, rng):
    metric = catalogue.BY_KEY[key]
    healthy = rerendered(lambda played, typical: played, rng)[key].value
    spoilt = rerendered(helpers.degraded(kind, 1.0), rng)[key].value
    assert healthy == metric_helpers.as_documented(metric.healthy)
    assert spoilt == metric_helpers.as_documented(metric.collapsed)
    assert metric.low <= healthy < spoilt <= metric.high


# 100 frames of a held A4, the last 20 without a pitch.
N_FRAMES, N_PITCHED = 100, 80
HELD = np.full(N_FRAMES, 440.0)
PITCHED = np.where(np.arange(N_FRAMES) < N_PITCHED, 0.95, 0.1)


def healthy_track():
    """5 cents sharp; 2 frames an octave up, 4 without and 1 with a pitch wrongly."""
    f0_hz = HELD * 2 ** (5 / 1200)
    f0_hz[:2] *= 2
    confidence = PITCHED.copy()
    confidence[10:14] = 0.1
    confidence[-1] = 0.95
    return pitch_scores.PitchTrack(f0_hz, confidence)


def hum():
    """100 Hz all the time, whatever is played."""
    return pitch_scores.PitchTrack(np.full(N_FRAMES, 100.0), np.full(N_FRAMES, 0.95))


def noise():
    """No pitch at all."""
    return pitch_scores.PitchTrack(HELD, np.full(N_FRAMES, 0.1))


PITCH_CASES = {
    "pitch_error_cents": hum,
    "raw_pitch_accuracy": hum,
    "raw_chroma_accuracy": hum,
    "voicing_recall": noise,
    "voicing_false_alarm": hum,
    "pitch_outlier": hum,
}


@pytest.mark.parametrize(("key", "spoilt"), PITCH_CASES.items())
def test_pitch_metrics_score_what_is_documented(key, spoilt):
    metric = catalogue.BY_KEY[key]

    def measure(track):
        found = pitch_scores.measure(
            pitch_scores.PitchTrack(HELD, PITCHED),
            track,
            audible=np.ones(N_FRAMES, bool),
            est_loudness_db=np.zeros(N_FRAMES),
            settings=frame_masks.MaskSettings(),
        )
        return found[key].value

    good, bad = measure(healthy_track()), measure(spoilt())
    for value, text in ((good, metric.healthy), (bad, metric.collapsed)):
        documented = metric_helpers.first_number(text)
        assert value == pytest.approx(documented, rel=1e-3, abs=0.005)
    assert metric.badness(good, 0.0) < metric.badness(bad, 0.0)
    assert metric.low <= min(good, bad) and max(good, bad) <= metric.high


def test_every_fidelity_metric_has_both_cases():
    assert [*AUDIO_CASES, *PITCH_CASES] == [metric.key for metric in catalogue.FIDELITY]
