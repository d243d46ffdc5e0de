"""A model of a few weights with everything that training deals with, for fast tests.

It has controls, draws noise as ddsp's synths do, has a loss that its weights can lower
and a step counter; it builds and traces in a second.
"""

import pathlib

import gin
import numpy as np
import tensorflow as tf
from ddsp.training.models import model as ddsp_model

TOY_GIN = """
import tests.helpers.training_toy
get_model.model = @training_toy.ToyModel()
train.num_steps = 8
train.steps_per_save = 4
batch_size = 2
learning_rate = 0.05
models.loop.LoopOptions.log_every = 2
models.loop.LoopOptions.held_out_every = 4
models.loop.LoopOptions.held_out_examples = 2
"""
N_HARMONICS = 4


@gin.register(module="training_toy")
class ToyModel(ddsp_model.Model):
    """Loudness and pitch → gain and shares → three sines and some noise."""

    def __init__(self, n_hidden=3, noise=0.01, poison_index=-1, **kwargs):
        super().__init__(**kwargs)
        self.hidden = tf.keras.layers.Dense(n_hidden, activation="tanh")
        self.out = tf.keras.layers.Dense(1 + N_HARMONICS)
        self.noise = noise
        self.poison_index = poison_index
        self.steps_told = []

    def set_step(self, step):
        self.steps_told.append(int(step))

    def call(self, batch, training=True):
        inputs = tf.concat(
            [batch["loudness_db"] / 80.0 + 1.0, batch["f0_hz"] / 1000.0], axis=-1
        )
        raw = self.out(self.hidden(inputs))
        amps = tf.nn.softplus(raw[..., :1])
        shares = tf.nn.softmax(raw[..., 1:])
        audio = self._sines(batch, amps, shares)
        audio += self.noise * tf.random.uniform(audio.shape, -1, 1)
        outputs = dict(batch)
        outputs["audio_synth"] = audio
        outputs["controls"] = {
            "amps": amps,
            "harmonic_distribution": shares,
            "noise_magnitudes": self.noise * tf.ones_like(shares),
            "f0_hz": batch["f0_hz"],
        }
        if training:
            loss = tf.reduce_mean(tf.abs(tf.abs(batch["audio"]) - tf.abs(audio)))
            self._losses_dict["audio_loss"] = loss + self._poison(batch)
        return outputs

    def _sines(self, batch, amps, shares):
        hop = batch["audio"].shape[1] // amps.shape[1]
        gains = tf.repeat(amps * shares, hop, axis=1)
        phase = (
            2 * np.pi * tf.cumsum(tf.repeat(batch["f0_hz"], hop, axis=1), 1) / 16000.0
        )
        return tf.reduce_sum(gains * tf.sin(phase * [1.0, 2.0, 3.0, 4.0]), axis=-1)

    def _poison(self, batch):
        """NaN where the batch holds one certain example."""
        if self.poison_index < 0 or "example_index" not in batch:
            return 0.0
        bad = tf.reduce_any(batch["example_index"] == self.poison_index)
        return tf.where(bad, np.nan, 0.0)

    def get_audio_from_outputs(self, outputs):
        return outputs["audio_synth"]


def write_toy_gin(directory: pathlib.Path, *, more: str = "") -> pathlib.Path:
    """A gin file that trains the toy on data/."""
    path = directory / "toy.gin"
    path.write_text(TOY_GIN + more)
    return path


def toy_batch(rng: np.random.Generator, *, n_rows: int = 4) -> dict[str, tf.Tensor]:
    """A made-up batch for the toy, [n_rows, ...]."""
    n_frames, hop = 20, 64
    return {
        "audio": tf.constant(rng.normal(0, 0.3, [n_rows, n_frames * hop]), tf.float32),
        "f0_hz": tf.constant(rng.uniform(200, 400, [n_rows, n_frames, 1]), tf.float32),
        "f0_confidence": tf.ones([n_rows, n_frames, 1]),
        "loudness_db": tf.constant(
            rng.uniform(-60, -20, [n_rows, n_frames, 1]), tf.float32
        ),
    }
