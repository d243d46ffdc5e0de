"""The interface that ddsp knows as `crepe`."""

import inspect

import numpy as np
import pytest

from prep.pitch import crepe_package
from prep.pitch import keras_model
from prep.pitch import tracker

pytestmark = pytest.mark.crepe


def sine(f0_hz=440.0, n_samples=8000, sample_rate=16000) -> np.ndarray:
    seconds = np.arange(n_samples) / sample_rate
    return np.sin(2 * np.pi * f0_hz * seconds).astype(np.float32)


def test_all_names_exist():
    for name in crepe_package.__all__:
        assert hasattr(crepe_package, name)


def test_predict_has_crepes_signature():
    parameters = inspect.signature(crepe_package.predict).parameters
    defaults = {name: p.default for name, p in parameters.items()}
    assert defaults == {
        "audio": inspect.Parameter.empty,
        "sr": inspect.Parameter.empty,
        "model_capacity": "full",
        "viterbi": False,
        "center": True,
        "step_size": 10,
        "verbose": 1,
    }


@pytest.mark.parametrize("viterbi", [False, True])
@pytest.mark.long
def test_predict_finds_a_sine(viterbi):
    time, frequency, confidence, activation = crepe_package.predict(
        sine(), 16000, model_capacity="tiny", viterbi=viterbi, verbose=0
    )
    assert len(time) == len(frequency) == len(confidence) == len(activation) == 51
    np.testing.assert_allclose(time, 0.01 * np.arange(51))
    np.testing.assert_allclose(frequency[5:-5], 440, rtol=0.01)
    np.testing.assert_array_equal(confidence, activation.max(axis=1))


@pytest.mark.slow
def test_predict_takes_other_rates_and_channels():
    audio = np.stack([sine(330, 24000, 48000)] * 2, axis=1)
    _, frequency, _, _ = crepe_package.predict(
        audio, 48000, model_capacity="tiny", step_size=20, verbose=0
    )
    np.testing.assert_allclose(frequency[3:-3], 330, rtol=0.01)


@pytest.mark.long
def test_without_centring_frames_begin_at_their_time():
    audio = sine()
    activation = crepe_package.get_activation(
        audio, 16000, "tiny", center=False, step_size=4, verbose=0
    )
    assert len(activation) == 1 + (8000 - 1024) // 64
    centred = crepe_package.get_activation(audio, 16000, "tiny", step_size=4, verbose=0)
    np.testing.assert_allclose(centred[8:-8], activation, atol=1e-5)


@pytest.mark.long
def test_keras_model_has_the_published_layers_and_agrees():
    model = crepe_package.build_and_load_model("tiny")
    names = [layer.name for layer in model.layers]
    assert names[:2] == ["input", "input-reshape"]
    assert names[2:6] == ["conv1", "conv1-BN", "conv1-maxpool", "conv1-dropout"]
    assert names[-3:] == ["transpose", "flatten", "classifier"]
    assert crepe_package.build_and_load_model("tiny") is model
    crepe_package.models["tiny"] = None
    assert crepe_package.build_and_load_model("tiny") is not model


def test_cents_of_one_frame_and_of_many_agree(rng):
    salience = rng.uniform(0, 1, (6, 360))
    many = crepe_package.to_local_average_cents(salience)
    one = [crepe_package.to_local_average_cents(frame) for frame in salience]
    np.testing.assert_array_equal(many, one)
    at = crepe_package.to_local_average_cents(salience[0], center=10)
    expected = tracker.local_average_cents(salience[:1], np.array([10]))[0]
    assert at == expected


def test_frames_without_activation_have_no_cents(rng):
    assert np.isnan(crepe_package.to_local_average_cents(np.zeros(360)))
    with pytest.raises(ValueError, match="1 or 2 axes"):
        crepe_package.to_local_average_cents(np.zeros((2, 2, 360)))


def test_viterbi_cents_follow_the_path(rng):
    salience = rng.uniform(0, 0.1, (20, 360))
    salience[:, 200] = 1
    salience[9, 40] = 2
    cents = crepe_package.to_viterbi_cents(salience)
    near = np.abs(cents - (tracker.FIRST_BIN_CENTS + 4000))
    assert near.max() < 30


def test_a_constant_frame_becomes_zeros():
    frames = np.stack([np.full(1024, 0.25), np.arange(1024.0)])
    found = keras_model.normalize_frames(frames, dtype=np.float64)
    assert not found[0].any()
    assert found[1].mean() == pytest.approx(0.0, abs=1e-6)
    assert found[1].std() == pytest.approx(1.0, rel=1e-5)
