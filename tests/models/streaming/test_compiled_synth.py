"""The synth for files sounds as the one for steps, whatever the pitch does."""

import numpy as np
import pytest
import tensorflow as tf

from models.streaming import block_synth
from models.streaming import compiled_synth

N_FRAMES = 12
TOLERANCE = 2e-5  # of full scale: a phase is rounded, times the number of a harmonic
PITCHES = {
    "flute": np.linspace(430.0, 450.0, 2 * N_FRAMES),
    "bass": np.full(2 * N_FRAMES, 41.0),
    "above all but one": np.full(2 * N_FRAMES, 4500.0),
    "glide": np.geomspace(60.0, 7900.0, 2 * N_FRAMES),
    "jump": np.repeat([100.0, 3000.0], N_FRAMES),
    "none": np.zeros(2 * N_FRAMES),
}


@pytest.fixture(scope="module", params=[13, 60], ids="{} harmonics".format)
def synths(request):
    """Both synths of a size; the compiled one works in chunks of six intervals."""
    settings = block_synth.SynthSettings(
        sample_rate=16000, hop_size=64, n_harmonics=request.param, n_noise_bands=5
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled_synth, "MIN_CHUNK", 2)
        patch.setattr(compiled_synth, "MAX_CHUNK", N_FRAMES // 2)
        compiled = compiled_synth.CompiledSynth(settings)
        # Compiles it, while it is patched.
        play(compiled, compiled.play, PITCHES["flute"])
    plain = block_synth.BlockSynth(settings)
    return {"compiled": (compiled, compiled.play), "plain": (plain, plain)}


def play(synth, run, f0_hz):
    """Two blocks, one after another: harmonic and noise audio."""
    rng = np.random.default_rng(3)
    shape = (1, 2 * N_FRAMES)
    n_harmonics = synth.settings.n_harmonics
    controls = {
        "amps": rng.uniform(0.0, 1.0, (*shape, 1)),
        "harmonic_distribution": rng.dirichlet(np.ones(n_harmonics), shape),
        "noise_magnitudes": rng.uniform(0.0, 0.1, (*shape, 5)),
        "f0_hz": f0_hz[np.newaxis, :, np.newaxis],
    }
    noise = rng.uniform(-1.0, 1.0, (1, 2 * N_FRAMES * synth.settings.hop_size))
    state, parts = synth.initial_state(1), []
    for block in range(2):
        frames = slice(block * N_FRAMES, (block + 1) * N_FRAMES)
        cut = {k: tf.constant(v[:, frames], tf.float32) for k, v in controls.items()}
        drawn = np.split(noise, 2, axis=1)[block]
        *audio, state = run(cut, tf.constant(drawn, tf.float32), state=state)
        parts.append(audio)
    return np.concatenate(parts, axis=2)[:, 0]  # [2, n_samples]


@pytest.mark.parametrize("f0_hz", PITCHES.values(), ids=PITCHES.keys())
@pytest.mark.long
def test_files_sound_as_steps(synths, f0_hz):
    wanted = play(*synths["plain"], f0_hz)
    found = play(*synths["compiled"], f0_hz)
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE)
    if f0_hz.any():
        assert np.abs(wanted[0]).max() > 0.01


@pytest.mark.parametrize(
    "n_intervals, size", [(1000, 250), (25, 25), (128, 128), (997, 997), (600, 200)]
)
def test_chunks_are_whole_parts(n_intervals, size):
    assert compiled_synth._chunk_size(n_intervals) == size
