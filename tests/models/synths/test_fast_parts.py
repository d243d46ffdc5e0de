"""The fast parts beside ddsp's: defaults, and its own gin file with the overlay."""

import pathlib

import ddsp
import ddsp.training
import gin
import numpy as np
import pytest
import tensorflow as tf

from models.synths import harmonic
from models.synths import noise
from models.synths import reverb
from tests.helpers import defaults

STOCK_GIN = pathlib.Path(ddsp.__file__).parent / "training" / "gin"
OVERLAY = pathlib.Path(__file__).resolve().parents[3] / "gin/overlays/fast.gin"
N_FRAMES = 10  # short: ddsp's own phases drift over longer clips
AUDIO_TOLERANCE = 1e-3  # share of the RMS, ddsp's phases
LOSS_TOLERANCE = 1e-3  # relative, for the same reason


def build(*, fast):
    """The paper's model, small, from ddsp's file with or without the overlay."""
    gin.clear_config()
    gin.add_config_file_search_path(str(STOCK_GIN))
    with gin.unlock_config():
        gin.parse_config_file("models/solo_instrument.gin")
        if fast:
            gin.parse_config_file(str(OVERLAY), skip_unknown=False)
        decoder = "models.gru.FastRnnFcDecoder" if fast else "RnnFcDecoder"
        lengths = (
            ["N_SAMPLES = 640"]
            if fast
            else ["Harmonic.n_samples = 640", "FilteredNoise.n_samples = 640"]
        )
        reverb = "models.effects.FastReverb" if fast else "Reverb"
        loss = "models.spectral.FastSpectralLoss" if fast else "SpectralLoss"
        gin.parse_config(
            [
                f"F0LoudnessPreprocessor.time_steps = {N_FRAMES}",
                "F0LoudnessPreprocessor.compute_loudness = False",
                f"{decoder}.rnn_channels = 16",
                f"{decoder}.ch = 16",
                f"{reverb}.reverb_length = 100",
                f"{loss}.fft_sizes = (256, 64)",
                *lengths,
            ]
        )
    return ddsp.training.models.get_model()


@pytest.mark.parametrize(
    ("ours", "theirs", "added"),
    [
        (harmonic.FastHarmonic, ddsp.synths.Harmonic, {"f0_gradient": False}),
        (noise.FastFilteredNoise, ddsp.synths.FilteredNoise, {}),
        (reverb.FastReverb, ddsp.effects.Reverb, {}),
    ],
)
def test_defaults_are_ddsps(ours, theirs, added):
    defaults.check_defaults(ours, theirs, added=added)


def test_one_response_serves_the_whole_batch(rng):
    audio = tf.constant(rng.normal(size=(2, 40)), tf.float32)
    response = tf.constant(rng.normal(size=10), tf.float32)
    effect = reverb.FastReverb()
    wet = effect(audio, response)
    assert wet.shape == (2, 40)
    for form in (response[tf.newaxis], tf.stack([response] * 2)):
        np.testing.assert_allclose(effect(audio, form), wet, atol=1e-5)


@pytest.fixture
def batch(rng):
    walk = np.cumsum(rng.normal(0, 0.01, [2, N_FRAMES]), axis=1)
    features = {
        "audio": rng.normal(0, 0.1, [2, N_FRAMES * 64]),
        "f0_hz": 440.0 * 2.0**walk,
        "loudness_db": rng.uniform(-60.0, 0.0, [2, N_FRAMES]),
    }
    return {key: tf.constant(value, tf.float32) for key, value in features.items()}


@pytest.mark.slow
def test_paper_model_with_fast_parts_agrees_with_stock(batch, tmp_path):
    stock, fast = build(fast=False), build(fast=True)
    stock(batch, training=True)
    fast(batch, training=True)
    path = tf.train.Checkpoint(model=stock).write(str(tmp_path / "stock"))
    tf.train.Checkpoint(model=fast).read(path).assert_consumed()
    results = []
    for model in (stock, fast):
        tf.random.set_seed(3)  # the same noise
        results.append(model(batch, return_losses=True, training=True))
    (ref, ref_losses), (est, est_losses) = results
    error = tf.norm(est["audio_synth"] - ref["audio_synth"])
    assert error < AUDIO_TOLERANCE * tf.norm(ref["audio_synth"])
    assert est_losses.keys() == ref_losses.keys()
    for key, value in ref_losses.items():
        assert est_losses[key].numpy() == pytest.approx(
            value.numpy(), rel=LOSS_TOLERANCE
        )


@pytest.mark.slow
def test_ddsps_trainer_trains_it(batch):
    model = build(fast=True)
    trainer = ddsp.training.trainers.Trainer(
        model, tf.distribute.get_strategy(), learning_rate=3e-3
    )
    losses = [trainer.train_step(batch)["total_loss"].numpy() for _ in range(4)]
    assert np.all(np.isfinite(losses))
    assert min(losses[2:]) < losses[0]
