"""Recurrences over time with hand-written gradients, compiled as one loop each.

A recurrence cannot be computed for all frames at once, so what can be taken out of its
loop is: inputs arrive projected for the whole sequence, and on the way back the loop
carries nothing but the state's gradient. Gates are kept from the way there, and every
weight's gradient is one matrix product after the loop. What is left, one small product
and a handful of element-wise operations a frame, is compiled by XLA into a loop without
any work for TensorFlow's executor.

Conventions: float32, sequences [batch, n_frames, channels], states [batch, n_units].
Keras's order of gates: update z, reset r, candidate c. The state keeps z of what it
was: h = z * h_before + (1 - z) * c. Loops write each frame into its place in the whole
sequence, so nothing is transposed, in memory or in time.

Source:
    Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014,
    in the variant of Keras's `reset_after=True` and cuDNN. The rearrangement is own.
"""

import collections.abc

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from models.layers import compiled
from models.layers import products

_Gates = tuple[tf.Tensor, ...]


def _size(tensor: tf.Tensor, axis: int) -> int | tf.Tensor:
    """Length of an axis, as a number where the graph knows it."""
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static


def _states_before(states: tf.Tensor, initial_state: tf.Tensor) -> tf.Tensor:
    """The state that each frame started from. Shape [batch, n_frames, n_units]."""
    return tf.concat([initial_state[:, tf.newaxis], states[:, :-1]], axis=1)


def _put(
    sequences: tf.Tensor, frames: tf.Tensor | _Gates, frame: tf.Tensor
) -> tf.Tensor:
    """Writes frames side by side into one frame of sequences, in place.

    Args:
        sequences: Shape [batch, n_frames, n_channels].
        frames: One or more of shape [batch, n_units], n_channels in all.
        frame: Which frame, scalar.
    """
    return xla.dynamic_update_slice(
        sequences,
        tf.concat(frames, axis=-1)[:, tf.newaxis],
        tf.stack([0, frame, 0]),
    )


def _scan(
    step: collections.abc.Callable[[tf.Tensor, tf.Tensor], _Gates],
    inputs: tf.Tensor,
    *,
    initial_state: tf.Tensor,
    n_outputs: int,
) -> list[tf.Tensor]:
    """Runs `step` over the frames and returns all that it returns, as sequences.

    The state is what `step` returns first.
    """
    n_frames = _size(inputs, 1)
    shape = [_size(inputs, 0), n_frames, initial_state.shape[1]]

    def body(frame, state, *sequences):
        values = step(inputs[:, frame], state)
        written = (_put(s, (v,), frame) for s, v in zip(sequences, values, strict=True))
        return (frame + 1, values[0], *written)

    _, _, *sequences = tf.while_loop(
        lambda frame, *_: frame < n_frames,
        body,
        (0, initial_state, *(tf.zeros(shape) for _ in range(n_outputs))),
        maximum_iterations=n_frames,
    )
    return sequences


def _scan_gradient(
    gate_gradients: collections.abc.Callable[[tf.Tensor, tf.Tensor], tuple],
    upstream: tf.Tensor,
    *,
    keep: tf.Tensor,
    kernel: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Carries the state's gradient from the last frame to the first.

    Args:
        gate_gradients: Takes a frame's number and the gradient of its state, through
            all later frames too; returns the gradients of the state's product with the
            kernel, and those of the frame's projected input, both gate by gate.
        upstream: Gradient of every state as output. Shape [batch, n_frames, n_units].
        keep: Update gates z, the direct way from state to state; same shape.
        kernel: Recurrent kernel. Shape [n_units, n_gates * n_units].

    Returns:
        Gradient of the projected inputs [batch, n_frames, n_gates * n_units] and of the
        initial state [batch, n_units].
    """
    batch, n_frames = _size(upstream, 0), _size(upstream, 1)
    transposed = tf.transpose(kernel)

    def body(n_done, carried, sequences):
        frame = n_frames - 1 - n_done
        # By this frame's output, and by all frames after it.
        total = upstream[:, frame] + carried
        products, projected = gate_gradients(frame, total)
        into_kernel = tf.concat(products, axis=-1)
        carried = total * keep[:, frame] + tf.matmul(into_kernel, transposed)
        return n_done + 1, carried, _put(sequences, projected, frame)

    _, carried, sequences = tf.while_loop(
        lambda n_done, *_: n_done < n_frames,
        body,
        (
            0,
            tf.zeros_like(upstream[:, 0]),
            tf.zeros([batch, n_frames, kernel.shape[1]]),
        ),
        maximum_iterations=n_frames,
    )
    return sequences, carried


_OVER_FRAMES = [[0, 1], [0, 1]]  # axes of a weight's gradient, a sum over all frames


@compiled.compiled
def _gru_forward(projected, kernel, candidate_bias, initial_state):
    n_units = kernel.shape[0]

    def step(inputs, state):
        product = tf.matmul(state, kernel)
        gates = tf.sigmoid(inputs[:, : 2 * n_units] + product[:, : 2 * n_units])
        update, reset = gates[:, :n_units], gates[:, n_units:]
        recurrent = product[:, 2 * n_units :] + candidate_bias
        candidate = tf.tanh(inputs[:, 2 * n_units :] + reset * recurrent)
        state = candidate + update * (state - candidate)
        return state, update, reset, candidate, recurrent

    return _scan(step, projected, initial_state=initial_state, n_outputs=5)


@compiled.compiled
def _gru_backward(upstream, states, kernel, initial_state, gates):
    update, reset, candidate, recurrent = gates
    before = _states_before(states, initial_state)
    n_gated = 2 * kernel.shape[0]

    def gate_gradients(frame, total):
        u, r, c = update[:, frame], reset[:, frame], candidate[:, frame]
        by_candidate = total * (1.0 - u) * (1.0 - c * c)
        by_update = total * (before[:, frame] - c) * u * (1.0 - u)
        by_reset = by_candidate * recurrent[:, frame] * r * (1.0 - r)
        products = by_update, by_reset, by_candidate * r
        return products, (by_update, by_reset, by_candidate)

    projected, initial = _scan_gradient(
        gate_gradients, upstream, keep=update, kernel=kernel
    )
    # The reset gate stands between the candidate's product and the projected input.
    through_reset = projected[..., n_gated:] * reset
    by_bias = tf.reduce_sum(through_reset, axis=[0, 1])
    return projected, through_reset, by_bias, before, initial


@tf.custom_gradient
def gru_scan(
    projected: tf.Tensor,
    kernel: tf.Tensor,
    candidate_bias: tf.Tensor,
    initial_state: tf.Tensor,
) -> tuple[tf.Tensor, collections.abc.Callable]:
    """Runs a gated recurrent unit over projected inputs.

    All four arguments are positional because TensorFlow differentiates by position.

    Args:
        projected: Inputs times input kernel plus every bias that can be added before
            the loop (all of the input's, the update and reset gates' recurrent ones).
            Shape [batch, n_frames, 3 * n_units].
        kernel: Recurrent kernel. Shape [n_units, 3 * n_units].
        candidate_bias: Recurrent bias of the candidate, which the reset gate scales.
            Shape [n_units].
        initial_state: State before the first frame. Shape [batch, n_units].

    Returns:
        State after every frame. Shape [batch, n_frames, n_units].
    """
    states, *gates = _gru_forward(projected, kernel, candidate_bias, initial_state)
    by = products.active()

    def gradient(upstream):
        by_projected, through_reset, by_bias, before, by_initial = _gru_backward(
            upstream, states, kernel, initial_state, gates
        )
        # The other gates' share is cut out of a product: to cut its factor copies more.
        by_gates = by.tensordot(before, by_projected, _OVER_FRAMES)
        by_candidate = by.tensordot(before, through_reset, _OVER_FRAMES)
        by_kernel = tf.concat(
            [by_gates[:, : 2 * kernel.shape[0]], by_candidate], axis=1
        )
        return by_projected, by_kernel, by_bias, by_initial

    return states, gradient


@compiled.compiled
def _micro_forward(projected, kernel, initial_state):
    n_units = kernel.shape[0]

    def step(inputs, state):
        product = inputs + tf.matmul(state, kernel)
        update = tf.sigmoid(product[:, :n_units])
        candidate = tf.tanh(product[:, n_units:])
        return candidate + update * (state - candidate), update, candidate

    return _scan(step, projected, initial_state=initial_state, n_outputs=3)


@compiled.compiled
def _micro_backward(upstream, states, kernel, initial_state, gates):
    update, candidate = gates
    before = _states_before(states, initial_state)

    def gate_gradients(frame, total):
        u, c = update[:, frame], candidate[:, frame]
        by_update = total * (before[:, frame] - c) * u * (1.0 - u)
        by_candidate = total * (1.0 - u) * (1.0 - c * c)
        return (by_update, by_candidate), (by_update, by_candidate)

    projected, initial = _scan_gradient(
        gate_gradients, upstream, keep=update, kernel=kernel
    )
    return projected, before, initial


@tf.custom_gradient
def micro_rnn_scan(
    projected: tf.Tensor, kernel: tf.Tensor, initial_state: tf.Tensor
) -> tuple[tf.Tensor, collections.abc.Callable]:
    """Runs the micro-RNN, a recurrent unit with an update gate alone.

    z = sigmoid(W_z x + U_z h), h = z * h + (1 - z) * tanh(W_x x + U_h h). All arguments
    are positional because TensorFlow differentiates by position.

    Args:
        projected: Inputs times [W_z, W_x] plus biases. Shape
            [batch, n_frames, 2 * n_units].
        kernel: Recurrent kernel [U_z, U_h]. Shape [n_units, 2 * n_units].
        initial_state: State before the first frame. Shape [batch, n_units].

    Returns:
        State after every frame. Shape [batch, n_frames, n_units].

    Source:
        Zhou et al., "Minimal Gated Unit for Recurrent Neural Networks", 2016, without
        the gate inside the candidate.
    """
    states, *gates = _micro_forward(projected, kernel, initial_state)
    by = products.active()

    def gradient(upstream):
        by_projected, before, by_initial = _micro_backward(
            upstream, states, kernel, initial_state, gates
        )
        by_kernel = by.tensordot(before, by_projected, _OVER_FRAMES)
        return by_projected, by_kernel, by_initial

    return states, gradient
