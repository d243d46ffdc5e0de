"""From a dataset to a wav by the programs alone: train a few steps, then play."""

import pathlib

import numpy as np
import pytest
import soundfile

from tests.helpers import programs
from tests.helpers import render_helpers
from tests.helpers import training_helpers

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


def run_program(module, *arguments):
    """Runs a program of the project; fails with what it said."""
    return programs.run(programs.PYTHON, "-m", module, *arguments).stdout


@pytest.mark.slow
@pytest.mark.crepe
def test_a_model_that_was_trained_plays_a_recording(tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    training_helpers.write_dataset(data, example_secs=0.5)
    run_program(
        "models.ddsp_run",
        "--gin_file=gin/stage2.gin",
        "--gin_file=gin/overlays/tiny.gin",
        f"--data_dir={data}",
        f"--save_dir={run}",
    )
    source = render_helpers.write_tone(tmp_path / "tone.wav", sample_rate=44100)
    output = tmp_path / "out.wav"
    said = run_program(
        "evaluation.run_render",
        f"--run={run}",
        f"--input={source}",
        f"--output={output}",
        "--crepe_capacity=tiny",
        "--stems",
    )
    assert "1.0 s from step" in said
    mix, rate = soundfile.read(output)
    assert (rate, mix.size) == (16000, 16000)
    stems = [
        soundfile.read(tmp_path / f"out.{stem}.wav")[0]
        for stem in ("harmonic", "noise", "reverb")
    ]
    np.testing.assert_allclose(sum(stems), mix, atol=1e-6)  # three roundings to 24 bit
    # Harmonics stand at the multiples of the recording's pitch, trained or not.
    spectrum = np.abs(np.fft.rfft(stems[0] * np.hanning(mix.size)))
    assert abs(int(np.argmax(spectrum[:660])) - 440) <= 5  # Hz; a bin is 1 Hz
