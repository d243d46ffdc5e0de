"""Framewise decoder: every frame is decoded from its own inputs alone."""

from __future__ import annotations

from typing import Any

import gin
import tensorflow as tf

from models.decoders import base
from models.layers import dense

ACTIVATIONS = ("tanh", "leaky_relu")


@gin.register(module="models.decoders")
class MlpDecoder(base.LadderDecoder):
    """Dense layers over the inputs of one frame.

    Attributes set by gin:
        hidden: Width of the trunk.
        n_layers: Depth of the trunk, at least 1.
        activation: "tanh" (the earlier implementation's trunk, small uniform weights)
            or "leaky_relu" (dense, layer norm, leaky ReLU, as in the paper's stacks).
        stack_layers: Layers of a separate stack for each input before the trunk;
            0 concatenates the inputs as they are.
        stack_ch: Width of those stacks.

    Source:
        The plan, stages 0 to 3; docs/plan.md, "Heads", for the tanh trunk.
    """

    def __init__(
        self,
        hidden: int = 128,
        n_layers: int = 2,
        activation: str = "tanh",
        stack_layers: int = 0,
        stack_ch: int = 64,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r} is not one of {ACTIVATIONS}.")
        if n_layers < 1:
            raise ValueError(f"n_layers={n_layers}: an MLP needs at least 1 layer.")
        self.dense_out = base.small_output(self.n_out)
        self.input_stacks = base.per_input_stacks(
            self.n_inputs, ch=stack_ch, n_layers=stack_layers
        )
        self.trunk = self._trunk(hidden, n_layers=n_layers, activation=activation)

    @staticmethod
    def _trunk(hidden: int, *, n_layers: int, activation: str) -> tf.keras.Sequential:
        """The dense layers."""
        if activation == "leaky_relu":
            return dense.FastFcStack(hidden, n_layers)
        layer = lambda: dense.Dense(
            hidden, activation="tanh", kernel_initializer=base.scaled_uniform(0.5)
        )
        return tf.keras.Sequential([layer() for _ in range(n_layers)])

    def first_layers(self) -> list[tuple[tf.keras.layers.Dense, tuple[int, ...]]]:
        """Returns those of the stacks, or the trunk's; see the base class."""
        if self.input_stacks:
            return super().first_layers()
        first = self.trunk.layers[0]
        dense_layer = getattr(first, "layers", [first])[0]
        return [(dense_layer, tuple(range(self.n_inputs)))]

    def output_block(self, *frames: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        """Computes each frame from itself; the state is empty. See the base class."""
        if self.input_stacks:
            frames = tuple(
                stack(x) for stack, x in zip(self.input_stacks, frames, strict=True)
            )
        return self.trunk(tf.concat(frames, axis=-1)), state
