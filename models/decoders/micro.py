"""The micro-RNN's recurrence: one frame, and all frames.

z[t] = sigmoid(a[t] + h[t-1] Uz), h[t] = z h[t-1] + (1 - z) tanh(b[t] + h[t-1] Uh),
where [a, b] is the input's projection, computed for all frames before the loop. The
state depends on itself through matrices, so there is no parallel form; the loop is kept
small and compiled (`models.layers.recurrent_kernels`).

Source: the plan, stage 4.
"""

import tensorflow as tf

from models.layers import recurrent_kernels


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
    product = projected + tf.matmul(state, recurrent_kernel)
    gate, candidate = tf.split(product, 2, axis=-1)
    candidate = tf.tanh(candidate)
    return candidate + tf.sigmoid(gate) * (state - candidate)


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
    """
    kernel = tf.convert_to_tensor(recurrent_kernel)
    if initial_state is None:
        first = projected[:, 0, : kernel.shape[0]]
        initial_state = tf.zeros_like(first)
    return recurrent_kernels.micro_rnn_scan(projected, kernel, initial_state)
