"""What all decoders of the ladder share: named inputs, named outputs, two forms.

A decoder maps network inputs [batch, n_frames, 1] to *raw* controls. The sequence form
is `decoder(features)`; the step form is `decoder.step(frame, state)` with frames of
shape [batch, 1, 1], and gives the same output.
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
        reference_formulas, E3: gain 0.5 for dense trunks, 0.4 inside attention blocks.
    """
    # VarianceScaling draws from +-sqrt(3 * scale / fan_in).
    return tf.keras.initializers.VarianceScaling(
        scale=2.0 * gain**2 / 3.0, mode="fan_in", distribution="uniform"
    )


def small_output(n_out: int, *, bound: float = 0.05) -> tf.keras.layers.Dense:
    """Output layer that starts near zero, so that every head starts at its middle.

    Source:
        reference_formulas, E3: output weights uniform in +-0.05 (0.06 for harmonics).
    """
    return tf.keras.layers.Dense(
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

    Subclasses implement `compute_output` and, where they carry state, `initial_state`
    and `step_output`.

    Attributes set by gin:
        input_keys: Keys of the conditioning to read, in this order.
        output_splits: Output keys with their number of channels.
    """

    def __init__(
        self,
        input_keys: Sequence[str] = DEFAULT_INPUTS,
        output_splits: OutputSplits = DEFAULT_SPLITS,
        **kwargs: Any,
    ):
        super().__init__(input_keys=input_keys, output_splits=output_splits, **kwargs)

    def initial_state(self, batch_size: int) -> Any:
        """State before the first frame; () for a decoder without memory."""
        del batch_size
        return ()

    def step_output(self, *frame: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        """Hidden output of one frame and the next state.

        Args:
            *frame: Inputs in the order of `input_keys`, each [batch, 1, n_channels].
            state: From `initial_state` or the step before.

        Returns:
            What `compute_output` gives at that frame, [batch, 1, n_hidden]; the state.
        """
        return self.compute_output(*frame), state

    def step(
        self, frame: dict[str, tf.Tensor], state: Any
    ) -> tuple[dict[str, tf.Tensor], Any]:
        """Decodes one frame.

        Args:
            frame: Dictionary that holds `input_keys`, each [batch, 1, n_channels].
            state: From `initial_state` or the step before.

        Returns:
            Raw controls, each [batch, 1, n_channels], and the next state.
        """
        hidden, state = self.step_output(
            *(frame[k] for k in self.input_keys), state=state
        )
        return nn.split_to_dict(self.dense_out(hidden), self.output_splits), state
