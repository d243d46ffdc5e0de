"""One step of a model as a TensorFlow Lite program: small, and fast frame by frame.

A graph's call costs TensorFlow more than a frame's arithmetic; TensorFlow Lite has the
arithmetic and little else. Inputs, each float32:

  f0_hz, loudness_db (or power_db), f0_confidence  [n_frames]
  noise  [n_frames * hop_size], white in [-1, 1]
  state  [n_state], before the first frame what `FlatStep.initial_state` gives: zeros

Outputs: `harmonic` and `noise_audio` [n_frames * hop_size], and the next `state`.
"""

from __future__ import annotations

import ctypes
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from models.streaming import block_model

OUTPUTS = ("harmonic", "noise_audio", "state")


class FlatStep:
    """A block model with one vector as its state, for one stream.

    Args:
        block: The model.
        n_frames: Frames in a step.
    """

    def __init__(self, block: block_model.BlockModel, n_frames: int = 1):
        self.block = block
        self.n_frames = n_frames
        self.n_samples = n_frames * block.hop_size
        self._template = block.initial_state(1)
        sizes = [int(np.prod(x.shape)) for x in tf.nest.flatten(self._template)]
        self._sizes = sizes
        self.n_state = sum(sizes)
        self.variables = block.variables

    def initial_state(self) -> np.ndarray:
        """The vector before the first frame."""
        return self._pack(self._template).numpy()

    def _pack(self, state: Any) -> tf.Tensor:
        parts = [
            tf.reshape(tf.cast(x, tf.float32), [-1]) for x in tf.nest.flatten(state)
        ]
        return tf.concat([part for part in parts if part.shape[0] != 0], axis=0)

    def _unpack(self, vector: tf.Tensor) -> Any:
        like = tf.nest.flatten(self._template)
        parts = tf.split(vector, self._sizes)
        shaped = [
            tf.cast(tf.reshape(part, x.shape), x.dtype)
            for part, x in zip(parts, like, strict=True)
        ]
        return tf.nest.pack_sequence_as(self._template, shaped)

    def __call__(
        self,
        f0_hz: tf.Tensor,
        level_db: tf.Tensor,
        f0_confidence: tf.Tensor,
        noise: tf.Tensor,
        state: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Runs a step; arguments and result as the module says."""
        values = (f0_hz, level_db, f0_confidence)
        features = {
            key: tf.reshape(value, [1, self.n_frames, 1])
            for key, value in zip(self.block.controls.feature_keys, values, strict=True)
        }
        played, following = self.block(
            features, tf.expand_dims(noise, 0), state=self._unpack(state)
        )
        return {
            # Reshaping is free there, and taking the first of one is not.
            "harmonic": tf.reshape(played.harmonic, [self.n_samples]),
            "noise_audio": tf.reshape(played.noise, [self.n_samples]),
            "state": self._pack(following),
        }

    def as_function(self) -> Any:
        """The step as a graph with fixed shapes."""
        frames = tf.TensorSpec([self.n_frames])
        spec = lambda name: tf.TensorSpec(frames.shape, tf.float32, name=name)
        return tf.function(
            lambda f0_hz, level_db, f0_confidence, noise, state: self(
                f0_hz, level_db, f0_confidence, noise, state
            ),
            input_signature=[
                *(spec(key) for key in self.block.controls.feature_keys),
                tf.TensorSpec([self.n_samples], tf.float32, name="noise"),
                tf.TensorSpec([self.n_state], tf.float32, name="state"),
            ],
            autograph=False,
        )


def convert(step: FlatStep, *, quantize: bool = False) -> bytes:
    """Compiles a step for TensorFlow Lite.

    Args:
        step: The step.
        quantize: Whether large weight matrices are stored and multiplied in 8 bits: a
            quarter of the memory traffic, which is what a large GRU waits for, at
            about 1 % of error.

    Returns:
        The content of a .tflite file.
    """
    holder = tf.Module()
    holder.variables_read = step.variables
    function = step.as_function().get_concrete_function()
    # The converter makes a signature of the function's names, which LiteRunner reads.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


class LiteRunner:
    """Runs a converted step on one thread.

    Args:
        content: Of a .tflite file that `convert` made.
    """

    def __init__(self, content: bytes):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a future package name
            self._interpreter = tf.lite.Interpreter(
                model_content=content, num_threads=1
            )
        self._interpreter.allocate_tensors()
        self._interpreter.invoke()  # from here on tensors stay where they are
        signature = self._interpreter.get_signature_runner()
        inputs, outputs = signature.get_input_details(), signature.get_output_details()
        self._inputs = {k: self._memory(d["index"]) for k, d in inputs.items()}
        self._outputs = [self._memory(outputs[name]["index"]) for name in OUTPUTS]

    def _memory(self, index: int) -> np.ndarray:
        """A tensor's own memory, which lives as long as the interpreter.

        Not the interpreter's view of it: while one exists it refuses to run, and making
        them anew takes longer than a small model's arithmetic.
        """
        view = self._interpreter.tensor(index)()
        address = view.__array_interface__["data"][0]
        floats = (ctypes.c_float * view.size).from_address(address)
        return np.frombuffer(floats, np.float32).reshape(view.shape)

    def __call__(self, **inputs: Any) -> list[np.ndarray]:
        """Runs a step.

        Args:
            **inputs: As the module says, by name.

        Returns:
            Outputs in the order of `OUTPUTS`.
        """
        for name, value in inputs.items():
            self._inputs[name][:] = value
        self._interpreter.invoke()
        return [memory.copy() for memory in self._outputs]
