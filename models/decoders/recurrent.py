"""Decoders with memory: the plan's micro-RNN, minGRU, and the paper's GRU."""

from __future__ import annotations

import gin
import tensorflow as tf

from models.decoders import base
from models.layers import dense
from models.layers import gru
from models.layers import recurrences
from models.layers import recurrent_kernels

MICRO_HIDDEN = (16, 64)  # the plan's range: small enough to stay cheap


class _StackedDecoder(base.LadderDecoder):
    """Input stacks, one recurrent core, a layer that reads stacks and core together."""

    def __init__(self, stack_layers: int, stack_ch: int, hidden: int, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.input_stacks = base.per_input_stacks(
            self.n_inputs, ch=stack_ch, n_layers=stack_layers
        )
        self.out_stack = dense.FastFcStack(stack_ch, 1)

    def stacked(self, inputs: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Inputs through their stacks, concatenated."""
        if self.input_stacks:
            inputs = tuple(
                stack(x) for stack, x in zip(self.input_stacks, inputs, strict=True)
            )
        return tf.concat(inputs, axis=-1)

    def initial_state(self, batch_size: int | tf.Tensor) -> tf.Tensor:
        """Returns zeros, [batch_size, hidden]."""
        return tf.zeros([batch_size, self.hidden])

    def run(self, stacked: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """Runs the recurrent core.

        Args:
            stacked: What the stacks made of the inputs, [batch, n_frames, n_channels].
            state: State before the first frame, [batch, hidden].

        Returns:
            State after every frame, [batch, n_frames, hidden].
        """
        raise NotImplementedError

    def output_block(
        self, *frames: tf.Tensor, state: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs stacks, core and output layer over a block; see the base class."""
        stacked = self.stacked(frames)
        states = self.run(stacked, state)
        return self.out_stack(tf.concat([stacked, states], axis=-1)), states[:, -1]


@gin.register(module="models.decoders")
class MicroRnnDecoder(_StackedDecoder):
    """The plan's micro-RNN: one gate, no reset, a small state.

    z = sigmoid(Wz x + Uz h), h = z h + (1 - z) tanh(Wx x + Uh h).

    Attributes set by gin:
        hidden: Size of the state, 16 to 64; a larger one is refused, because the loop's
            cost grows with its square and the paper's GRU is there for that.
        stack_layers: Layers of a separate stack for each input; 0 means none.
        stack_ch: Width of the input stacks and of the output layer.

    Source:
        The plan, stage 4. The gate's bias starts at 1, so that the state is kept for
        a few frames at the start of training (own choice).
    """

    def __init__(
        self, hidden: int = 64, stack_layers: int = 1, stack_ch: int = 128, **kwargs
    ):
        low, high = MICRO_HIDDEN
        if not low <= hidden <= high:
            raise ValueError(
                f"hidden={hidden}: a micro-RNN has {low} to {high} units; take "
                "@models.decoders.GruDecoder or MinGruDecoder for more."
            )
        super().__init__(stack_layers, stack_ch, hidden, **kwargs)
        gate_first = tf.constant_initializer([1.0] * hidden + [0.0] * hidden)
        self.project = dense.Dense(2 * hidden, bias_initializer=gate_first)

    def build(self, input_shape: object) -> None:
        """Adds the recurrent weights."""
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=[self.hidden, 2 * self.hidden],
            initializer=tf.keras.initializers.Orthogonal(),
        )
        super().build(input_shape)

    def run(self, stacked: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """Runs the loop over a block; the input's projection is one product before it.

        The state depends on itself through a matrix, so there is no parallel form; the
        loop is kept small and compiled.
        """
        projected = self.project(stacked)
        kernel = tf.convert_to_tensor(self.recurrent_kernel)
        if stacked.shape[1] > 1:
            return recurrent_kernels.micro_rnn_scan(projected, kernel, state)
        # A live step: the same arithmetic in operations that TFLite has.
        gate, candidate = tf.split(
            projected[:, 0] + tf.matmul(state, kernel), 2, axis=-1
        )
        candidate = tf.tanh(candidate)
        state = candidate + tf.sigmoid(gate) * (state - candidate)
        return state[:, tf.newaxis]


@gin.register(module="models.decoders")
class MinGruDecoder(_StackedDecoder):
    """minGRU: gate and candidate from the input alone, so it trains parallel in time.

    z = sigmoid(Wz x), h = (1 - z) h + z (Wh x).

    Attributes set by gin:
        hidden: Size of the state; the cost grows linearly with it.
        stack_layers: Layers of a separate stack for each input; 0 means none.
        stack_ch: Width of the input stacks and of the output layer.

    Source:
        Feng et al., "Were RNNs all we needed?", 2024, section 3.1; the plain (not the
        log-space) form, which is enough in float32 because gates stay in (0, 1). The
        gate's bias starts at -2: a memory of about 8 frames (own choice).
    """

    def __init__(
        self, hidden: int = 256, stack_layers: int = 1, stack_ch: int = 128, **kwargs
    ):
        if hidden < 1:
            raise ValueError(f"hidden={hidden}: give at least 1 unit.")
        super().__init__(stack_layers, stack_ch, hidden, **kwargs)
        gate_first = tf.constant_initializer([-2.0] * hidden + [0.0] * hidden)
        self.project = dense.Dense(2 * hidden, bias_initializer=gate_first)

    def run(self, stacked: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """Runs a scan over a block; see the base class."""
        gate, candidate = tf.split(self.project(stacked), 2, axis=-1)
        update = tf.sigmoid(gate)
        if stacked.shape[1] == 1:  # a live step needs no scan
            return (1.0 - update) * state[:, tf.newaxis] + update * candidate
        return recurrences.linear_scan(
            1.0 - update, update * candidate, initial_state=state
        )


@gin.register(module="models.decoders")
class GruDecoder(base.LadderDecoder):
    """The paper's decoder: input stacks, one GRU, output stack.

    Attributes are named as in ddsp's `RnnFcDecoder`, so that its checkpoints load into
    this decoder and back (`models.runs.warm_start`).

    Attributes set by gin:
        rnn_channels: Units of the GRU; the paper uses 512.
        ch: Width of the stacks.
        layers_per_stack: Layers of every stack; 0 leaves stacks out, as ddsp's
            `tiny_instrument` does.

    Source:
        ddsp.training.decoders.RnnFcDecoder; Engel et al., "DDSP", ICLR 2020, B.3.
    """

    def __init__(
        self,
        rnn_channels: int = 512,
        ch: int = 512,
        layers_per_stack: int = 3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.rnn_channels = rnn_channels
        self.input_stacks = [
            dense.FastFcStack(ch, layers_per_stack, keep_products=False)
            for _ in self.input_keys
        ]
        self.rnn = gru.FastStatelessRnn(rnn_channels)
        self.out_stack = dense.FastFcStack(ch, layers_per_stack)

    def initial_state(self, batch_size: int | tf.Tensor) -> tf.Tensor:
        """Returns zeros, [batch_size, rnn_channels]."""
        return tf.zeros([batch_size, self.rnn_channels])

    def output_block(
        self, *frames: tf.Tensor, state: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs stacks, GRU and output stack over a block; see the base class."""
        stacked = [stack(x) for stack, x in zip(self.input_stacks, frames, strict=True)]
        joined = tf.concat(stacked, axis=-1)
        cell = self.rnn.rnn
        if joined.shape[1] == 1 and cell.built:  # a live step needs no loop
            state = cell.step(joined[:, 0], state)
            hidden = state[:, tf.newaxis]
        else:
            hidden, state = self.rnn(joined, state)
        return self.out_stack([joined, hidden]), state
