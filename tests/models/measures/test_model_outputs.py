import ddsp
import numpy as np
import pytest

from models.measures import control_arrays
from models.measures import model_outputs

N_FRAMES, N_SAMPLES = 20, 1280


def test_finished_controls_are_taken_as_they_are():
    finished = dict.fromkeys((*model_outputs.NEEDED, "noise_magnitudes"), 1.0)
    outputs = {"amps": "raw", "controls": finished, "audio_synth": 0}
    assert model_outputs.find_controls(outputs) == finished


def test_ddsp_s_own_models_show_what_their_synths_were_fed(rng):
    group = ddsp.processors.ProcessorGroup(
        dag=[
            (
                ddsp.synths.Harmonic(N_SAMPLES, name="harmonic"),
                ["amps", "harmonic_distribution", "f0_hz"],
            ),
            (
                ddsp.synths.FilteredNoise(N_SAMPLES, name="filtered_noise"),
                ["noise_magnitudes"],
            ),
            (
                ddsp.processors.Add(name="add"),
                ["filtered_noise/signal", "harmonic/signal"],
            ),
        ]
    )
    raw = {
        "amps": rng.normal(size=(2, N_FRAMES, 1)),
        "harmonic_distribution": rng.normal(size=(2, N_FRAMES, 60)),
        "noise_magnitudes": rng.normal(size=(2, N_FRAMES, 65)),
        "f0_hz": np.full((2, N_FRAMES, 1), 440.0),
    }
    raw = {key: value.astype(np.float32) for key, value in raw.items()}
    outputs = group(raw, return_outputs_dict=True)["controls"]
    found = model_outputs.find_controls(outputs)
    clip = control_arrays.from_model(
        {key: np.asarray(value[0]) for key, value in found.items()},
        sample_rate=16000,
        frame_rate=250,
    )
    assert np.all(clip.amps > 0) and np.all(clip.noise_power > 0)
    expected = ddsp.core.exp_sigmoid(raw["amps"])[0, :, 0]
    np.testing.assert_allclose(clip.amps, expected, rtol=1e-5)
    np.testing.assert_allclose(clip.harmonic_distribution.sum(axis=1), 1.0, rtol=1e-5)
    assert np.count_nonzero(clip.harmonic_distribution[0]) == 18  # below 8 kHz


def test_a_model_without_a_harmonic_synth_is_refused():
    with pytest.raises(KeyError, match="0 harmonic and 1 noise"):
        model_outputs.find_controls({"noise": {"controls": {"magnitudes": 1.0}}})
