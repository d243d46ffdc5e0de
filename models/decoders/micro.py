"""The micro-RNN's recurrence, forward and backward by hand.

z[t] = sigmoid(a[t] + h[t-1] Uz), h[t] = z h[t-1] + (1 - z) tanh(b[t] + h[t-1] Uh),
where [a, b] is the input's projection, computed for all frames before the loop. The
state depends on itself through matrices, so there is no parallel form; instead the loop
is kept bare. Forward it stores only states. Backward, gates are recomputed for all
frames in one product, and the loop carries nothing but the gradient of the state; the
gradient of the recurrent weights is one product after it.

Source: the plan, stage 4, for the cell; the loop is own.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

UNROLL = 8  # frames per loop iteration; more costs graph size and gains little


def _loop(
    body: Callable[[tf.Tensor, tuple[tf.Tensor, ...]], tuple[tf.Tensor, tf.Tensor]],
    state: tf.Tensor,
    sequences: tuple[tf.Tensor, ...],
) -> tf.Tensor:
    """Runs `body(state, frames) -> (state, output)` over time-major sequences.

    Args:
        body: One frame.
        state: Initial state, [batch, n_hidden].
        sequences: Each [n_frames, batch, n_channels].

    Returns:
        Outputs of all frames, [n_frames, batch, n_channels].
    """
    n_frames = sequences[0].shape[0]
    n_rounds = -(-n_frames // UNROLL)
    padding = [[0, n_rounds * UNROLL - n_frames], [0, 0], [0, 0]]
    arrays = []
    for sequence in sequences:
        rounds = tf.reshape(
            tf.pad(sequence, padding), [n_rounds, UNROLL, -1, sequence.shape[-1]]
        )
        array = tf.TensorArray(sequence.dtype, size=n_rounds)
        arrays.append(array.unstack(rounds))

    def one_round(index, state, outputs):
        blocks = [tf.unstack(array.read(index), num=UNROLL) for array in arrays]
        emitted = []
        for frames in zip(*blocks, strict=True):
            state, output = body(state, frames)
            emitted.append(output)
        return index + 1, state, outputs.write(index, tf.stack(emitted))

    _, _, outputs = tf.while_loop(
        lambda index, *_: index < n_rounds,
        one_round,
        (tf.constant(0), state, tf.TensorArray(state.dtype, size=n_rounds)),
        parallel_iterations=1,
    )
    stacked = outputs.stack()  # [n_rounds, UNROLL, batch, n_channels]
    flat = tf.reshape(stacked, [n_rounds * UNROLL, -1, stacked.shape[-1]])
    return flat[:n_frames]


def cell(
    projected: tf.Tensor, state: tf.Tensor, recurrent_kernel: tf.Tensor
) -> tf.Tensor:
    """One frame of the recurrence.

    Args:
        projected: The input's projection, gate then candidate, [batch, 2 * n_hidden].
        state: h[t-1], [batch, n_hidden].
        recurrent_kernel: [n_hidden, 2 * n_hidden], Uz then Uh.

    Returns:
        h[t], [batch, n_hidden].
    """
    gate, candidate = tf.split(
        projected + tf.matmul(state, recurrent_kernel), 2, axis=-1
    )
    candidate = tf.tanh(candidate)
    return candidate + tf.sigmoid(gate) * (state - candidate)


@tf.function(autograph=False)
def _forward(
    projected: tf.Tensor, recurrent_kernel: tf.Tensor, initial_state: tf.Tensor
) -> tf.Tensor:
    """States of all frames, time-major."""

    def body(state, frames):
        state = cell(frames[0], state, recurrent_kernel)
        return state, state

    return _loop(body, initial_state, (projected,))


@tf.function(autograph=False)
def _backward(
    projected: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    previous: tf.Tensor,
    upstream: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradients of the pre-activations, time-major, and of the initial state."""
    n_hidden = recurrent_kernel.shape[0]
    pre = projected + tf.matmul(previous, recurrent_kernel)
    gate, candidate = tf.split(pre, 2, axis=-1)
    gate, candidate = tf.sigmoid(gate), tf.tanh(candidate)
    to_gate = gate * (1.0 - gate) * (previous - candidate)
    to_candidate = (1.0 - gate) * (1.0 - tf.square(candidate))
    slopes = tf.concat([to_gate, to_candidate], axis=-1)  # d h[t] / d pre[t], diagonal
    transposed = tf.transpose(recurrent_kernel)

    def body(carried, frames):
        from_above, slope, keep = frames
        total = from_above + carried
        grad_pre = tf.concat([total, total], axis=-1) * slope
        carried = total * keep + tf.matmul(grad_pre, transposed)
        return carried, tf.concat([grad_pre, carried], axis=-1)

    backwards = tuple(tf.reverse(x, [0]) for x in (upstream, slopes, gate))
    outputs = tf.reverse(_loop(body, tf.zeros_like(upstream[0]), backwards), [0])
    return outputs[..., : 2 * n_hidden], outputs[0, :, 2 * n_hidden :]


@tf.custom_gradient
def _recurrence(
    projected: tf.Tensor, recurrent_kernel: tf.Tensor, initial_state: tf.Tensor
):
    """Time-major recurrence with its gradient."""
    states = _forward(projected, recurrent_kernel, initial_state)

    def gradient(upstream: tf.Tensor):
        previous = tf.concat([initial_state[tf.newaxis], states[:-1]], axis=0)
        grad_pre, grad_state = _backward(
            projected, recurrent_kernel, previous, upstream
        )
        grad_kernel = tf.einsum("tbi,tbj->ij", previous, grad_pre)
        return grad_pre, grad_kernel, grad_state

    return states, gradient


def recurrence(
    projected: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    *,
    initial_state: tf.Tensor | None = None,
) -> tf.Tensor:
    """Runs `cell` over all frames.

    Args:
        projected: The input's projection, [batch, n_frames, 2 * n_hidden].
        recurrent_kernel: [n_hidden, 2 * n_hidden].
        initial_state: h[-1], [batch, n_hidden]; None means zeros.

    Returns:
        States of all frames, [batch, n_frames, n_hidden].

    Raises:
        ValueError: If the number of frames is not known when the graph is traced.
    """
    if projected.shape[1] is None:
        raise ValueError(
            f"Shape {projected.shape} has an unknown number of frames; set it first "
            "(tf.ensure_shape)."
        )
    time_major = tf.transpose(projected, [1, 0, 2])
    if initial_state is None:
        n_hidden = recurrent_kernel.shape[0]
        initial_state = tf.zeros([tf.shape(projected)[0], n_hidden], projected.dtype)
    states = _recurrence(
        time_major, tf.convert_to_tensor(recurrent_kernel), initial_state
    )
    return tf.transpose(states, [1, 0, 2])
