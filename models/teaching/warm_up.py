"""Trains a decoder on measured controls alone: thousands of frames a step, no synth.

A decoder without memory is taught frames in any order; one with memory, stretches of
neighbouring frames. Which ones is a function of (seed, step), so that a warm-up that
was interrupted goes on as if it had not been.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from ddsp.training import nn

from models.losses import teacher
from models.teaching import material as material_lib

STEPS_PER_CALL = 25  # in one call of the graph
FRAMES = 1024  # of a step of a decoder without memory
STRETCH_FRAMES, STRETCHES = 125, 8  # of one with memory
BIAS_STEPS, BIAS_RATE = 200, 0.2  # of the output layer's biases by themselves
NOISE_SHARE = 0.5  # of the noise bands beside the harmonics
CLIP_NORM = 10.0  # of the gradient, dB a unit
MIN_DEVIATION = 0.01  # of an input; one that stands still is not blown up


@dataclasses.dataclass(frozen=True)
class RecentDistances:
    """Distances over the last steps, in dB.

    Attributes:
        harmonics: Of the harmonics.
        noise: Of the noise bands.
    """

    harmonics: float
    noise: float


class WarmUpProgress(tf.Module):
    """How far a warm-up has come; saved with its checkpoints."""

    def __init__(self) -> None:
        """Starts at the beginning."""
        super().__init__(name="warm_up_progress")
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)


def fit_first_layers(
    decoder: tf.keras.layers.Layer, inputs: dict[str, tf.Tensor], *, seed: int
) -> None:
    """Draws a decoder's first layers anew, for the data's own range of inputs.

    A flute's pitch spans a third of `f0_scaled`, its loudness a fifth of `ld_scaled`:
    first layers drawn for inputs between -1 and 1 hardly tell its notes apart, and with
    ddsp's biases of zero a layer-normalised stack of one input is deaf to all but its
    sign. Here weights are drawn for standardised inputs and biases so that each unit
    bends at a value that occurs in the data.

    Args:
        decoder: A built decoder; one that names no `first_layers` stays as it is.
        inputs: Values of its input keys over the training data, [..., 1].
        seed: Of the drawing.

    Source:
        own; data-dependent initialisation after Krähenbühl et al., ICLR 2016.
    """
    rng = np.random.default_rng(seed)
    values = [np.asarray(inputs[key]).reshape(-1) for key in decoder.input_keys]
    for layer, places in decoder.first_layers():
        kernel, bias = layer.kernel, layer.bias
        n_units = kernel.shape[-1]
        columns = np.stack([values[place] for place in places], axis=1)
        deviation = np.maximum(columns.std(axis=0), MIN_DEVIATION)
        drawn = rng.uniform(-1.0, 1.0, [len(places), n_units])
        drawn *= np.sqrt(3.0 / len(places)) / deviation[:, np.newaxis]
        bends = columns[rng.integers(0, len(columns), n_units)]
        new = np.array(kernel)
        new[: len(places)] = drawn
        kernel.assign(new)
        bias.assign(-np.sum(bends.T * drawn, axis=0))


class WarmUp:
    """Steps of a decoder on measured controls."""

    def __init__(
        self,
        model: tf.keras.Model,
        material: material_lib.Material,
        *,
        n_steps: int,
        learning_rate: float,
        sample_rate: int,
        seed: int,
    ):
        """Prepares; nothing is changed yet.

        Args:
            model: A built `LadderAutoencoder`; its decoder is trained.
            material: What is taught.
            n_steps: Steps in all; the rate falls over them as a cosine.
            learning_rate: Of Adam, at the start.
            sample_rate: Hz.
            seed: Decides which frames are taught when.
        """
        self.model = model
        self.material = material
        self.n_steps = n_steps
        self.seed = seed
        self.sample_rate = sample_rate
        self._size = (
            (STRETCHES, min(STRETCH_FRAMES, material.n_frames))
            if model.decoder.has_memory
            else (FRAMES, 1)
        )
        self.progress = WarmUpProgress()
        self.optimizer = tf.keras.optimizers.Adam(
            tf.keras.optimizers.schedules.CosineDecay(learning_rate, n_steps),
            jit_compile=False,
            clipnorm=None,
            global_clipnorm=CLIP_NORM,
        )
        self.optimizer.build(model.decoder.trainable_variables)

    def fit_output_bias(self) -> None:
        """Lets the decoder begin at the instrument's average.

        The head's parameters are whatever they are, so the biases are found as the rest
        is, by gradients, which takes a fraction of a second for one layer's biases.
        """
        decoder = self.model.decoder
        bias = decoder.dense_out.bias
        inputs, measured = self.material.stretches(
            tf.constant([self.seed, 0]), n_stretches=1024, n_frames=1
        )
        optimizer = tf.keras.optimizers.Adam(BIAS_RATE, jit_compile=False)
        optimizer.build([bias])

        @tf.function(autograph=False)
        def fit() -> tf.Tensor:
            def body(step: tf.Tensor) -> tuple[tf.Tensor]:
                with tf.GradientTape() as tape:
                    raw = tf.broadcast_to(bias, [1, 1024, bias.shape[0]])
                    loss = self._loss(raw, inputs, measured)[0]
                optimizer.apply_gradients([(tape.gradient(loss, bias), bias)])
                return (step + 1,)

            return tf.while_loop(
                lambda step: step < BIAS_STEPS, body, (tf.constant(0),)
            )[0]

        fit()

    def _loss(
        self,
        raw: tf.Tensor,
        inputs: dict[str, tf.Tensor],
        measured: dict[str, tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the loss that is taught, and its two distances."""
        decoder, f0_hz = self.model.decoder, inputs["f0_hz"]
        controls = self.model.head(nn.split_to_dict(raw, decoder.output_splits), f0_hz)
        harmonics, noise = teacher.control_distances(
            {**controls, "f0_hz": f0_hz}, measured, sample_rate=self.sample_rate
        )
        return harmonics + NOISE_SHARE * noise, harmonics, noise

    def _one_step(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Teaches one batch; returns the two distances."""
        decoder = self.model.decoder
        n_stretches, n_frames = self._size
        seed = tf.stack([self.seed, tf.cast(step, tf.int32)]) * 2
        inputs, measured = self.material.stretches(
            seed, n_stretches=n_stretches, n_frames=n_frames
        )
        with tf.GradientTape() as tape:
            hidden = decoder.compute_output(
                *(inputs[key] for key in decoder.input_keys)
            )
            loss, harmonics, noise = self._loss(
                decoder.dense_out(hidden), inputs, measured
            )
        variables = decoder.trainable_variables
        gradients = tape.gradient(
            loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return harmonics, noise

    @tf.function(autograph=False)
    def _steps(self, n_steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Some steps in a loop of the graph; mean distances."""
        first = tf.identity(self.progress.step)
        last = first + n_steps

        def body(step: tf.Tensor, *sums: tf.Tensor) -> Sequence[tf.Tensor]:
            found = self._one_step(step)
            added = [total + item for total, item in zip(sums, found, strict=True)]
            return [step + 1, *added]

        zero = tf.constant(0.0)
        _, harmonics, noise = tf.while_loop(
            lambda step, *_: step < last, body, [first, zero, zero]
        )
        self.progress.step.assign(last)
        count = tf.cast(n_steps, tf.float32)
        return harmonics / count, noise / count

    @property
    def is_done(self) -> bool:
        """Returns whether all steps are made."""
        return int(self.progress.step.numpy()) >= self.n_steps

    def advance(self) -> RecentDistances:
        """Makes the next few steps."""
        left = self.n_steps - int(self.progress.step.numpy())
        n_steps = tf.constant(min(STEPS_PER_CALL, left), tf.int64)
        harmonics, noise = self._steps(n_steps)
        return RecentDistances(float(harmonics), float(noise))
