"""Clips with hardly anything in them, by the way that every clip takes."""

import dataclasses
import json
import math

import numpy as np
import pytest

from evaluation.metrics import catalogue
from evaluation.scoring import across_clips
from evaluation.scoring import clips
from evaluation.scoring import rows as rows_lib
from models.measures import frame_masks
from tests.helpers import evaluation_helpers as helpers
from tests.helpers import metric_helpers

LENGTHS = (1, 2, 5, 11, 50)  # frames of 4 ms; fewer than 10 have no statistics
# Distances of the spectra ask for no number of frames: any sound has a spectrum.
OF_ANY_LENGTH = {metric.key for metric in catalogue.ALL if "spectral" in metric.key}

NEED_PITCH = metric_helpers.OF_PITCHED_FRAMES | {
    "clip_diversity",
    "harmonic_error",
    "pitch_error_cents",
    "raw_pitch_accuracy",
    "raw_chroma_accuracy",
    "voicing_recall",
    "pitch_outlier",
}


def silence(n_samples, rng):
    del rng
    return np.zeros(n_samples)


def hiss(n_samples, rng):
    return 0.1 * rng.standard_normal(n_samples)


def tone(n_samples, rng):
    t = np.arange(n_samples) / helpers.SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 440 * k * t) / k for k in range(1, 9))
    return 0.2 * buzz + 1e-3 * rng.standard_normal(n_samples)


def confidence_of(sound):
    return 0.95 if sound is tone else 0.1


def score_clips(sound, n_frames, *, rng, n_clips=1):
    """References and a system that copies them, through the way of `evaluate`."""
    n_samples = n_frames * helpers.HOP_SIZE

    def tracker(audio_16k, frame_rate):
        del audio_16k, frame_rate
        return np.full(n_frames, 440.0), np.full(n_frames, confidence_of(sound))

    references = [
        clips.measure_reference(
            clips.Clip(
                name=f"clip {turn}",
                recording_id=f"clip {turn}",
                start_secs=0.0,
                audio=sound(n_samples, rng).astype(np.float32),
                sample_rate=helpers.SAMPLE_RATE,
                frame_rate=helpers.FRAME_RATE,
            ),
            tracker=tracker,
            settings=frame_masks.MaskSettings(),
        )
        for turn in range(n_clips)
    ]
    across_clips.add_reference_diversity(references)
    scored = helpers.copies(references, [tracker] * n_clips)
    rows = rows_lib.make_rows(
        references,
        {"copy": scored},
        runs={"copy": {"path": "runs/copy", "step": 1}},
    )
    json.dumps(rows, allow_nan=False)
    return references, scored


def assert_missing_with_reasons(found, *, keys):
    for key in keys:
        assert math.isnan(found[key].value), key
        assert found[key].reason, key
    for key, score in found.items():
        assert math.isnan(score.value) == bool(score.reason), key


@pytest.mark.parametrize("n_frames", LENGTHS)
@pytest.mark.parametrize("sound", [silence, hiss, tone])
def test_every_clip_is_scored_however_short(sound, n_frames, rng):
    references, scored = score_clips(sound, n_frames, rng=rng)
    ref, one = references[0], scored[0]
    assert ref.controls.n_frames == n_frames
    assert set(one.scores) == set(catalogue.BY_KEY)
    everything = set(catalogue.BY_KEY)
    if sound is silence:
        missing = everything
    elif n_frames < frame_masks.MIN_FRAMES:
        missing = everything - OF_ANY_LENGTH
    elif sound is hiss:
        missing = NEED_PITCH
    else:
        missing = {"clip_diversity", "saturation_rate", "brightness_pitch"}
    assert_missing_with_reasons(one.scores, keys=missing)
    assert_missing_with_reasons(ref.scores, keys=missing & set(ref.scores))


@pytest.mark.parametrize("n_frames", [11, 50])
def test_a_short_clip_that_can_be_scored_is(n_frames, rng):
    _, scored = score_clips(tone, n_frames, rng=rng)
    found = {key: score.value for key, score in scored[0].scores.items()}
    assert found["collapse_index"] == pytest.approx(0.0, abs=1e-9)
    assert found["raw_pitch_accuracy"] == 1.0
    assert found["spectral_loss"] == 0.0
    # The window is an even number of periods, so eight partials are told apart.
    assert 4 < found["effective_harmonics"] < 8


def test_one_clip_has_no_diversity_and_two_have(rng):
    for n_clips in (1, 2):
        references, scored = score_clips(tone, 50, rng=rng, n_clips=n_clips)
        for found in (references[0].scores, scored[0].scores):
            score = found["clip_diversity"]
            assert score.reason == ("only one clip" if n_clips == 1 else "")
            assert math.isnan(score.value) == (n_clips == 1)


def test_one_clip_with_a_pitch_among_others_has_no_diversity(rng):
    (sounding,), _ = score_clips(tone, 50, rng=rng)
    (other,), _ = score_clips(hiss, 50, rng=rng)
    references = [sounding, dataclasses.replace(other, scores=dict(other.scores))]
    across_clips.add_reference_diversity(references)
    for ref in references:
        score = ref.scores["clip_diversity"]
        assert math.isnan(score.value) and "only one clip" in score.reason
