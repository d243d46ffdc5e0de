import numpy as np
import pytest

from models.measures import control_arrays
from models.measures import distributions
from models.measures import frame_masks

RATES = {"sample_rate": 16000, "frame_rate": 250}


def make(f0_hz, distribution, **kwargs):
    f0_hz = np.asarray(f0_hz, float)
    arrays = {"amps": np.ones_like(f0_hz), "noise_power": np.zeros_like(f0_hz)}
    arrays |= kwargs
    return control_arrays.ControlArrays(
        f0_hz=f0_hz, harmonic_distribution=np.asarray(distribution), **arrays, **RATES
    )


def test_harmonics_at_and_above_nyquist_are_masked_as_ddsp_does():
    f0_hz = np.array([1000.0, 2000.0, 3999.0, 4000.0, np.nan, 0.0])
    below = distributions.below_nyquist(f0_hz, n_harmonics=8, sample_rate=16000)
    np.testing.assert_array_equal(below.sum(axis=1), [7, 3, 2, 1, 0, 0])
    import ddsp

    ones = np.ones((1, 4, 8), np.float32)
    frequencies = f0_hz[:4, np.newaxis] * np.arange(1, 9)
    kept = ddsp.core.remove_above_nyquist(
        frequencies[np.newaxis].astype(np.float32), ones, 16000
    )
    np.testing.assert_array_equal(kept[0] > 0, below[:4])


def test_distribution_is_renormalised_after_masking():
    shares = distributions.normalise(
        np.array([[3.0, 1.0, 4.0], [1.0, 1.0, 1.0], [-1.0, 0.0, 0.0]]),
        f0_hz=np.array([3000.0, np.nan, 100.0]),
        sample_rate=16000,
    )
    np.testing.assert_allclose(shares, [[0.75, 0.25, 0.0], [0, 0, 0], [0, 0, 0]])


def test_power_is_that_of_the_sines():
    clip = make([500.0], [[0.5, 0.5]], amps=np.array([0.4]))
    np.testing.assert_allclose(clip.harmonic_power, 2 * 0.2**2 / 2)


def test_noise_power_is_what_ddsp_plays(rng):
    import ddsp
    import tensorflow as tf

    tf.random.set_seed(0)
    bands = np.linspace(0, np.pi, 65)
    magnitudes = 0.02 * (1.1 + np.cos(bands))[np.newaxis].repeat(250, 0)
    synth = ddsp.synths.FilteredNoise(n_samples=16000, scale_fn=None)
    audio = synth.get_signal(tf.constant(magnitudes[np.newaxis], tf.float32)).numpy()
    expected = control_arrays.noise_power(magnitudes)[0]
    # ddsp's 257-tap window smooths the response; 1 dB is what that changes at most.
    assert abs(10 * np.log10(np.mean(audio[0, 2000:-2000] ** 2) / expected)) < 1.0


def test_controls_are_taken_from_a_model():
    outputs = {
        "amps": np.ones((5, 1)),
        "harmonic_distribution": np.ones((5, 4)),
        "noise_magnitudes": np.zeros((5, 3)),
        "f0_hz": np.array([[3000.0], [0.0], [100.0], [100.0], [100.0]]),
    }
    clip = control_arrays.from_model(outputs, **RATES)
    np.testing.assert_allclose(clip.harmonic_distribution[0], [0.5, 0.5, 0, 0])
    assert np.isnan(clip.f0_hz[1]) and not np.any(clip.harmonic_distribution[1])
    del outputs["noise_magnitudes"]
    assert not np.any(control_arrays.from_model(outputs, **RATES).noise_power)
    del outputs["amps"]
    with pytest.raises(KeyError, match="amps"):
        control_arrays.from_model(outputs, **RATES)


def test_masks_follow_the_recording():
    loudness = np.array([-10.0, -49.0, -51.0, -20.0])
    masks = frame_masks.make_masks(loudness, np.array([0.9, 0.9, 0.9, 0.2]))
    np.testing.assert_array_equal(masks.audible, [True, True, False, True])
    np.testing.assert_array_equal(masks.pitched, [True, True, False, False])
    silent = frame_masks.make_masks(np.full(4, -80.0), np.ones(4))
    assert not np.any(silent.audible)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="same length"):
        make([500.0, 500.0], [[1.0]])


def test_widening_adds_silent_harmonics():
    clip = control_arrays.widen(make([500.0], [[0.5, 0.5]]), n_harmonics=5)
    np.testing.assert_array_equal(clip.harmonic_distribution, [[0.5, 0.5, 0, 0, 0]])
    with pytest.raises(ValueError, match="more than 3"):
        control_arrays.widen(clip, n_harmonics=3)
