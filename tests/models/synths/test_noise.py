"""The fast noise filter and reverb against ddsp's."""

import ddsp
import numpy as np
import pytest
import tensorflow as tf

from models.synths import noise
from models.synths import reverb as reverb_synth

TOLERANCE = 2e-6  # share of the RMS: float32 transforms on both sides


def gaussian(rng, *shape):
    return tf.constant(rng.normal(0, 1, shape), tf.float32)


def with_gradients(function, inputs, upstream):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = function(*inputs)
    return [outputs, *tape.gradient(outputs, inputs, upstream)]


def assert_same(ours, stock):
    for est, ref in zip(ours, stock, strict=True):
        assert est.shape == ref.shape
        assert tf.norm(est - ref) < TOLERANCE * tf.norm(ref)


@pytest.mark.parametrize(
    ("n_bands", "window_size", "n_samples"),
    [(65, 0, 640), (17, 9, 640), (17, 257, 637)],
    ids=["as in the paper", "short window", "last frame cut"],
)
def test_filter_and_its_gradient_are_ddsps(rng, n_bands, window_size, n_samples):
    source = gaussian(rng, 2, n_samples)
    magnitudes = tf.abs(gaussian(rng, 2, 10, n_bands))
    upstream = gaussian(rng, 2, n_samples)
    results = [
        with_gradients(
            lambda m, f=function: f(source, m, window_size=window_size),
            [magnitudes],
            upstream,
        )
        for function in (noise.filter_noise, ddsp.core.frequency_filter)
    ]
    assert_same(*results)


def test_synth_draws_and_scales_as_ddsp(rng):
    raw = gaussian(rng, 2, 5, 17)
    audio = []
    for synth in (noise.FastFilteredNoise, ddsp.synths.FilteredNoise):
        tf.random.set_seed(5)
        audio.append(synth(n_samples=320, window_size=0)(raw))
    assert_same(audio[:1], audio[1:])
    assert np.abs(audio[0]).max() > 0.0


def test_frames_that_cannot_cover_the_audio_are_refused(rng):
    with pytest.raises(ValueError, match=r"7 frames .* cannot cover 10 samples"):
        noise.filter_noise(gaussian(rng, 1, 10), gaussian(rng, 1, 7, 5))


@pytest.mark.parametrize("add_dry", [True, False])
def test_trained_reverb_and_its_gradients_are_ddsps(rng, add_dry):
    audio, upstream = gaussian(rng, 3, 500), gaussian(rng, 3, 500)
    response = rng.normal(0, 0.1, 201).astype(np.float32)
    results = []
    for cls in (reverb_synth.FastReverb, ddsp.effects.Reverb):
        reverb = cls(trainable=True, reverb_length=201, add_dry=add_dry)
        reverb(audio)
        (weight,) = reverb.trainable_weights
        weight.assign(response)
        with tf.GradientTape() as tape:
            tape.watch(audio)
            wet = reverb(audio)
        results.append([wet, *tape.gradient(wet, [audio, weight], upstream)])
    assert_same(*results)


def test_reverb_reads_ddsps_checkpoint(tmp_path):
    layers = [
        cls(trainable=True, reverb_length=9)
        for cls in (ddsp.effects.Reverb, reverb_synth.FastReverb)
    ]
    for layer in layers:
        layer(tf.zeros([1, 32]))
    path = tf.train.Checkpoint(reverb=layers[0]).write(str(tmp_path / "stock"))
    tf.train.Checkpoint(reverb=layers[1]).read(path).assert_consumed()
    np.testing.assert_array_equal(layers[1].get_weights(), layers[0].get_weights())


@pytest.mark.parametrize("n_responses", [1, 2])
@pytest.mark.parametrize(
    ("n_samples", "response_size"),
    [(5000, 3100), (4096, 1024), (1500, 4000)],
    ids=["last blocks cut", "blocks divide both", "longer than the audio"],
)
def test_blocks_are_added_up(rng, n_responses, n_samples, response_size):
    audio, upstream = gaussian(rng, 2, n_samples), gaussian(rng, 2, n_samples)
    response = gaussian(rng, n_responses, response_size)
    results = [
        with_gradients(cls(add_dry=False), [audio, response], upstream)
        for cls in (reverb_synth.FastReverb, ddsp.effects.Reverb)
    ]
    assert_same(*results)


@pytest.mark.parametrize("n_responses", [1, 3])
def test_given_responses_are_applied_to_their_clips(rng, n_responses):
    audio = gaussian(rng, 3, 300)
    responses = gaussian(rng, n_responses, 40, 1)
    upstream = gaussian(rng, 3, 300)
    results = [
        with_gradients(cls(add_dry=False), [audio, responses], upstream)
        for cls in (reverb_synth.FastReverb, ddsp.effects.Reverb)
    ]
    assert_same(*results)
