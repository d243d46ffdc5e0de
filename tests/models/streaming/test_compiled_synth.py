"""The synth for files sounds as the one for steps, whatever the pitch does."""

import numpy as np
import pytest
import tensorflow as tf

from models.streaming import block_synth
from models.streaming import compiled_synth

N_FRAMES = 12
TOLERANCE = 2e-6  # of full scale: other sums, in float32
PITCHES = {
    "flute": np.linspace(430.0, 450.0, 2 * N_FRAMES),
    "bass": np.full(2 * N_FRAMES, 41.0),
    "above all but one": np.full(2 * N_FRAMES, 4500.0),
    "glide": np.geomspace(60.0, 7900.0, 2 * N_FRAMES),
    "jump": np.repeat([100.0, 3000.0], N_FRAMES),
    "none": np.zeros(2 * N_FRAMES),
}


def play(synth, f0_hz, n_harmonics):
    """Two blocks, one after another: harmonic and noise audio."""
    rng = np.random.default_rng(3)
    shape = (1, 2 * N_FRAMES)
    controls = {
        "amps": rng.uniform(0.0, 1.0, (*shape, 1)),
        "harmonic_distribution": rng.dirichlet(np.ones(n_harmonics), shape),
        "noise_magnitudes": rng.uniform(0.0, 0.1, (*shape, 5)),
        "f0_hz": f0_hz[np.newaxis, :, np.newaxis],
    }
    noise = rng.uniform(-1.0, 1.0, (1, 2 * N_FRAMES * synth.settings.hop_size))
    run = tf.function(
        lambda controls, noise, state: synth(controls, noise, state=state),
        jit_compile=True,
    )
    state, parts = synth.initial_state(1), []
    for block in range(2):
        frames = slice(block * N_FRAMES, (block + 1) * N_FRAMES)
        cut = {k: tf.constant(v[:, frames], tf.float32) for k, v in controls.items()}
        drawn = np.split(noise, 2, axis=1)[block]
        *audio, state = run(cut, tf.constant(drawn, tf.float32), state)
        parts.append(audio)
    return np.concatenate(parts, axis=2)[:, 0]  # [2, n_samples]


@pytest.mark.parametrize("n_harmonics", [13, 60])
@pytest.mark.parametrize("f0_hz", PITCHES.values(), ids=PITCHES.keys())
def test_files_sound_as_steps(f0_hz, n_harmonics):
    settings = block_synth.SynthSettings(
        sample_rate=16000, hop_size=64, n_harmonics=n_harmonics, n_noise_bands=5
    )
    wanted = play(block_synth.BlockSynth(settings), f0_hz, n_harmonics)
    found = play(compiled_synth.CompiledSynth(settings), f0_hz, n_harmonics)
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE)
    if f0_hz.any():
        assert np.abs(wanted[0]).max() > 0.01
