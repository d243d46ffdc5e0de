"""The contract of all decoders: named inputs, named outputs, sequence and block form.

A decoder maps network inputs [batch, n_frames, 1] to *raw* controls. The sequence form
is `decoder(features)`; the block form is `decoder.decode_block(features, state=state)`,
which goes on where the block before ended and gives the same output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from ddsp.training import nn

from models.layers import dense

OutputSplits = Sequence[tuple[str, int]]
DEFAULT_INPUTS = ("ld_scaled", "f0_scaled")
DEFAULT_SPLITS = (("amps", 1), ("harmonic_distribution", 60), ("noise_magnitudes", 65))


def scaled_uniform(gain: float) -> tf.keras.initializers.Initializer:
    """Uniform weights in +-gain * sqrt(2 / fan_in).

    Source:
        docs/plan.md, "Heads": gain 0.5 for dense trunks, 0.4 inside attention blocks.
    """
    # VarianceScaling draws from +-sqrt(3 * scale / fan_in).
    return tf.keras.initializers.VarianceScaling(
        scale=2.0 * gain**2 / 3.0, mode="fan_in", distribution="uniform"
    )


def small_output(n_out: int, *, bound: float = 0.05) -> tf.keras.layers.Dense:
    """Output layer that starts near zero, so that every head starts at its middle.

    Source:
        docs/plan.md, "Heads": output weights uniform in +-0.05 (0.06 for harmonics).
    """
    return dense.Dense(
        n_out, kernel_initializer=tf.keras.initializers.RandomUniform(-bound, bound)
    )


def per_input_stacks(
    n_inputs: int, *, ch: int, n_layers: int
) -> list[tf.keras.Sequential]:
    """One stack of dense, layer norm, leaky ReLU for each input, as in the paper.

    Args:
        n_inputs: How many inputs the decoder reads.
        ch: Width of every layer.
        n_layers: Layers in each stack; 0 gives no stacks.

    Returns:
        A list of `n_inputs` stacks, or an empty one.
    """
    if n_layers == 0:
        return []
    return [dense.FastFcStack(ch, n_layers) for _ in range(n_inputs)]


class LadderDecoder(nn.OutputSplitsLayer):
    """Base of all decoders.

    A subclass implements `output_block`, and `initial_state` where it has memory. That
    is all that training, rendering, live playing and export ask for: a whole sequence
    is one block.

    Attributes set by gin:
        input_keys: Keys of the conditioning to read, in this order.
        output_splits: Output keys with their number of channels.
    """

    counts_frames = False  # whether outputs depend on the number of frames since 0

    def __init__(
        self,
        input_keys: Sequence[str] = DEFAULT_INPUTS,
        output_splits: OutputSplits = DEFAULT_SPLITS,
        **kwargs: Any,
    ):
        super().__init__(input_keys=input_keys, output_splits=output_splits, **kwargs)

    @property
    def has_memory(self) -> bool:
        """Returns whether a frame's output depends on the frames before it."""
        return type(self).initial_state is not LadderDecoder.initial_state

    def first_layers(self) -> list[tuple[tf.keras.layers.Dense, tuple[int, ...]]]:
        """Returns the layers that read inputs, each with the places of its inputs.

        A start from the data (`models.teaching.warm_up`) draws their weights anew.
        """
        stacks = getattr(self, "input_stacks", [])
        return [
            (stack.layers[0].layers[0], (place,))
            for place, stack in enumerate(stacks)
            if stack.layers
        ]

    def initial_state(self, batch_size: int | tf.Tensor) -> Any:
        """Returns the state before the first frame: () for a decoder without memory.

        Args:
            batch_size: Sequences decoded at once.

        Returns:
            A nest of tensors of fixed shapes.
        """
        del batch_size
        return ()

    def output_block(self, *frames: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        """Computes the hidden output of a block of frames, and the next state.

        Any cutting of a sequence into blocks must give the same outputs.

        Args:
            *frames: Inputs in the order of `input_keys`, each
                [batch, n_frames, n_channels] with a static n_frames of 1 or more.
            state: From `initial_state` or the block before.

        Returns:
            What the output layer reads, [batch, n_frames, n_hidden], and the state
            after the last frame.
        """
        raise NotImplementedError

    def streaming_obstacle(self) -> str:
        """Says why the decoder cannot go on from a state of fixed size; "" if it can.

        Returns:
            A clause for messages, without a full stop.
        """
        return ""

    def compute_output(self, *inputs: tf.Tensor) -> tf.Tensor:
        """Computes the hidden output of a whole sequence; ddsp's layer calls this.

        Override it where training has a cheaper form than one long block.

        Args:
            *inputs: As in `output_block`.

        Returns:
            [batch, n_frames, n_hidden].
        """
        batch_size = inputs[0].shape[0] or tf.shape(inputs[0])[0]
        state = self.initial_state(batch_size)
        return self.output_block(*inputs, state=state)[0]

    def decode_block(
        self, inputs: dict[str, tf.Tensor], *, state: Any
    ) -> tuple[dict[str, tf.Tensor], Any]:
        """Decodes a block of frames.

        Args:
            inputs: Holds the `input_keys`, each [batch, n_frames, n_channels].
            state: From `initial_state` or the block before.

        Returns:
            Raw controls, each [batch, n_frames, n_channels], and the next state.
        """
        frames = [inputs[key] for key in self.input_keys]
        hidden, state = self.output_block(*frames, state=state)
        return nn.split_to_dict(self.dense_out(hidden), self.output_splits), state
