"""Keras's GRU layer with a fast path on the CPU, and ddsp's GRU decoder built on it.

Weights, their names and their place in a checkpoint are those of
`tf.keras.layers.GRU`, so either layer restores what the other saved. On a GPU, where
Keras runs cuDNN's kernel, and for options that the fast path does not cover (masks,
dropout, other activations), the layer is Keras's own.
"""

import typing

import gin
import tensorflow as tf
from ddsp.training import decoders
from ddsp.training import nn

from models.layers import dense
from models.layers import products
from models.layers import recurrent_kernels


class FastGru(tf.keras.layers.GRU):
    """Gated recurrent unit, the same numbers as Keras's at a fraction of the time.

    Takes all arguments of `tf.keras.layers.GRU`. Gradients agree with Keras's to about
    1e-6 of the largest; both differ from exact arithmetic by as much.

    Source:
        own; see `models.layers.recurrent_kernels`.
    """

    def call(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor | None = None,
        training: bool | None = None,
        initial_state: typing.Any = None,
    ) -> typing.Any:
        """Runs the layer over a sequence.

        Args:
            inputs: Shape [batch, n_frames, n_channels].
            mask: As in Keras; a mask takes Keras's own path.
            training: As in Keras.
            initial_state: State before the first frame, [batch, n_units] or a list of
                one; zeros where absent.

        Returns:
            States [batch, n_frames, n_units] with `return_sequences`, else the last
            [batch, n_units]; with `return_state` a list of that and the last state.
        """
        if mask is not None or not self._fast_path_covers(inputs):
            return super().call(
                inputs, mask=mask, training=training, initial_state=initial_state
            )
        states = self._scan(inputs, self._first_state(inputs, initial_state))
        output = states if self.return_sequences else states[:, -1]
        return [output, states[:, -1]] if self.return_state else output

    def step(self, inputs: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """Advances by one frame, for streaming.

        Args:
            inputs: Shape [batch, n_channels].
            state: State after the frame before. Shape [batch, n_units].

        Returns:
            State after this frame, which is the output too. Shape [batch, n_units].
        """
        output, _ = self.cell(inputs, [state])
        return output

    def _fast_path_covers(self, inputs: typing.Any) -> bool:
        return (
            self._could_use_gpu_kernel  # the activations and options of cuDNN's GRU
            and isinstance(inputs, tf.Tensor)
            and inputs.dtype == tf.float32
            and not (self.dropout or self.go_backwards or self.time_major)
            and not self.stateful
            and not tf.config.list_logical_devices("GPU")
        )

    def _first_state(self, inputs: tf.Tensor, initial_state: typing.Any) -> tf.Tensor:
        if isinstance(initial_state, list | tuple):
            (initial_state,) = initial_state
        if initial_state is None:
            return tf.zeros_like(inputs[:, 0, :1]) + tf.zeros([1, self.units])
        return tf.convert_to_tensor(initial_state, tf.float32)

    def _scan(self, inputs: tf.Tensor, initial_state: tf.Tensor) -> tf.Tensor:
        kernel, recurrent_kernel, bias = (
            tf.convert_to_tensor(weight)
            for weight in (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        )
        n_gated = 2 * self.units
        input_bias = bias[0] + tf.pad(bias[1, :n_gated], [[0, self.units]])
        projected = products.active().tensordot(inputs, kernel) + input_bias
        return recurrent_kernels.gru_scan(
            projected, recurrent_kernel, bias[1, n_gated:], initial_state
        )


class FastStatelessRnn(nn.StatelessRnn):
    """ddsp's `StatelessRnn` with the fast GRU: state in, sequence and state out.

    Args:
        dims: Units of the GRU.
    """

    def __init__(self, dims: int, **kwargs: typing.Any) -> None:
        super().__init__(dims, "gru", **kwargs)
        self.rnn = FastGru(dims, return_sequences=True, return_state=True)


@gin.register(module="models.gru")
class FastRnnFcDecoder(decoders.RnnFcDecoder):
    """ddsp's `RnnFcDecoder` with this project's GRU and fully connected stacks.

    Takes its arguments, has its weights in its order, and reads its checkpoints; only
    `rnn_type='gru'` is accepted. With `stateless=True` the carried state works as in
    ddsp.
    """

    def __init__(
        self,
        rnn_channels: int = 512,
        rnn_type: str = "gru",
        ch: int = 512,
        layers_per_stack: int = 3,
        stateless: bool = False,
        input_keys: typing.Sequence[str] = ("ld_scaled", "f0_scaled", "z"),
        output_splits: typing.Sequence[tuple[str, int]] = (
            ("amps", 1),
            ("harmonic_distribution", 40),
        ),
        **kwargs: typing.Any,
    ) -> None:
        if rnn_type != "gru":
            raise ValueError(
                f"rnn_type={rnn_type!r}, but FastRnnFcDecoder has a fast 'gru' "
                "only; use decoders.RnnFcDecoder for others."
            )
        super().__init__(
            rnn_channels=rnn_channels,
            rnn_type=rnn_type,
            ch=ch,
            layers_per_stack=layers_per_stack,
            stateless=stateless,
            input_keys=input_keys,
            output_splits=output_splits,
            **kwargs,
        )
        # In place of ddsp's layers, with weights of the same names and order.
        self.input_stacks = [
            dense.FastFcStack(ch, layers_per_stack, keep_products=False)
            for _ in input_keys
        ]
        if stateless:
            self.rnn = FastStatelessRnn(rnn_channels)
        else:
            self.rnn.rnn = FastGru(rnn_channels, return_sequences=True)
        self.out_stack = dense.FastFcStack(ch, layers_per_stack)
