"""What a decoder is told: as ddsp scales it, and trends by hand."""

import ddsp
import numpy as np
import pytest
import tensorflow as tf
from ddsp import spectral_ops

from models.controls import conditioning
from tests.helpers import ladder_helpers

FEATURES = ("f0_hz", "loudness_db", "f0_confidence")


def test_conditioning_equals_ddsp(rng):
    batch = ladder_helpers.make_batch(rng, n_frames=50)
    for recompute in (False, True):
        theirs = ddsp.training.preprocessing.F0LoudnessPreprocessor(
            time_steps=50, compute_loudness=recompute
        )(batch)
        ours = conditioning.Conditioning(recompute_loudness=recompute)(batch)
        for key, value in theirs.items():
            np.testing.assert_allclose(ours[key], value, atol=1e-6, err_msg=key)


def test_conditioning_adds_the_channel_axis_and_resamples(rng):
    flat = {
        key: ladder_helpers.make_batch(rng, n_frames=51)[key][..., 0]
        for key in FEATURES
    }
    outputs = conditioning.Conditioning(n_frames=50)(flat)
    assert all(value.shape == (2, 50, 1) for value in outputs.values())
    longer = conditioning.Conditioning(n_frames=40)(flat)  # not one more: another clip
    assert all(value.shape == (2, 51, 1) for value in longer.values())


@pytest.mark.parametrize("n_frames, n_kept", [(50, 50), (51, 50), (52, 52), (49, 49)])
def test_one_frame_too_many_and_no_other_length_is_resampled(n_frames, n_kept, rng):
    batch = ladder_helpers.make_batch(rng, n_frames=n_frames)
    outputs = conditioning.Conditioning(n_frames=50)(batch)
    assert {value.shape[1] for value in outputs.values()} == {n_kept}
    for key in FEATURES:
        expected = batch[key]
        if n_kept != n_frames:
            expected = ddsp.core.resample(expected, n_kept)
        np.testing.assert_allclose(outputs[key], expected, rtol=1e-6)


def test_confidence_beyond_its_range_is_voicing_within_it():
    features = {
        "f0_hz": tf.fill([1, 3, 1], 440.0),
        "loudness_db": tf.zeros([1, 3, 1]),
        "f0_confidence": tf.constant([[[-0.5], [0.25], [1.5]]]),
    }
    outputs = conditioning.Conditioning()(features)
    np.testing.assert_array_equal(outputs["voicing"][0, :, 0], [0.0, 0.25, 1.0])
    np.testing.assert_array_equal(outputs["f0_confidence"][0, :, 0], [-0.5, 0.25, 1.5])


def test_loudness_is_recomputed_at_the_rates_that_are_set(rng):
    audio = tf.constant(0.1 * rng.normal(size=[2, 9600]), tf.float32)
    layer = conditioning.Conditioning(
        sample_rate=48000, frame_rate=100, recompute_loudness=True
    )
    outputs = layer({"f0_hz": tf.fill([2, 20, 1], 440.0), "audio": audio})
    expected = spectral_ops.compute_loudness(audio, 48000, 100)[..., tf.newaxis]
    assert expected.shape[1] != 20
    np.testing.assert_allclose(
        outputs["loudness_db"], ddsp.core.resample(expected, 20), atol=1e-4
    )


@pytest.mark.parametrize(
    "delta_secs, frame_rate, n_back",
    [(0.016, 250, 4), (0.016, 100, 2), (0.014, 100, 1), (0.0051, 100, 1)],
)
def test_trends_reach_back_a_rounded_number_of_frames(delta_secs, frame_rate, n_back):
    layer = conditioning.Conditioning(
        with_trends=True, delta_secs=delta_secs, frame_rate=frame_rate
    )
    assert layer.n_frames_back == n_back


def test_without_confidence_a_pitch_counts_as_voiced():
    features = {
        "f0_hz": tf.constant([[[0.0], [440.0]]]),
        "loudness_db": tf.zeros([1, 2, 1]),
    }
    voicing = conditioning.Conditioning()(features)["voicing"]
    np.testing.assert_allclose(voicing[0, :, 0], [0.0, 1.0])


def test_trends_by_hand():
    # One semitone up in 4 frames is a trend of tanh(1); 5 dB up is tanh(0.5).
    f0_hz = 440.0 * 2.0 ** (np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1]) / 12.0)
    loudness = np.array([-40.0] * 4 + [-35.0] * 6)
    features = {
        "f0_hz": tf.constant(f0_hz[np.newaxis, :, np.newaxis], tf.float32),
        "loudness_db": tf.constant(loudness[np.newaxis, :, np.newaxis], tf.float32),
    }
    outputs = conditioning.Conditioning(with_trends=True)(features)
    rising = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 0])
    np.testing.assert_allclose(
        outputs["f0_trend"][0, :, 0], np.tanh(1.0) * rising, atol=1e-4
    )
    np.testing.assert_allclose(
        outputs["loudness_trend"][0, :, 0], np.tanh(0.5) * rising, atol=1e-5
    )


def test_power_takes_the_place_of_loudness():
    features = {
        "f0_hz": tf.fill([1, 3, 1], 440.0),
        "power_db": tf.constant([[[-40.0], [-40.0], [-30.0]]]),
        "f0_confidence": tf.zeros([1, 3, 1]),
    }
    layer = conditioning.Conditioning(
        level_keys=("pw_scaled", "power_trend"),
        use_confidence=False,
        with_trends=True,
        frame_rate=50,
        delta_secs=0.02,
    )
    outputs = layer(features)
    np.testing.assert_allclose(outputs["pw_scaled"][0, :, 0], [0.5, 0.5, 0.625])
    np.testing.assert_allclose(
        outputs["power_trend"][0, :, 0], [0.0, 0.0, np.tanh(1.0)], atol=1e-5
    )
    np.testing.assert_array_equal(outputs["voicing"], tf.ones([1, 3, 1]))
    assert not {"loudness_db", "ld_scaled", "loudness_trend"} & outputs.keys()


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: conditioning.Conditioning(with_trends=True, delta_secs=1e-4),
            r"at least 0\.0040 s",
        ),
        (
            lambda: conditioning.causal_trend(
                tf.zeros([1, 3, 1]), n_frames_back=0, gain=1.0
            ),
            "at least 1 frame",
        ),
        (
            lambda: conditioning.Conditioning()({"f0_hz": tf.ones([1, 3, 1])}),
            "no loudness_db",
        ),
        (
            lambda: conditioning.Conditioning(level_keys=conditioning.POWER[1:])(
                {"f0_hz": tf.ones([1, 3, 1])}
            ),
            r"no power_db; prepare the data with prep/run_beam.py\.",
        ),
        (
            lambda: conditioning.Conditioning(level_keys=("ld_scaled", "power_trend")),
            "is not .*'ld_scaled', 'loudness_trend'.* or .*'pw_scaled'",
        ),
    ],
)
def test_bad_conditioning_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
