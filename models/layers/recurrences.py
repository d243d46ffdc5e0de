"""Recurrences over time, computed in parallel: linear scans and state-space filters.

A loop of 1000 dependent steps costs far more than its arithmetic. Both functions here
cut time into blocks of about sqrt(n_frames), work on all blocks at once and then hand
one state from block to block, which is exact and needs about 2 * sqrt(n_frames)
dependent steps (`linear_scan`) or three small matrix products (`filter_frames`).

Shapes are [batch, n_frames, n_channels]; float32, or float64 for gradient checks.
Source: own; the two-level scan is the blocked form of Blelloch, "Prefix sums and their
applications", CMU-CS-90-190, section 1.4.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf


def _n_frames(tensor: tf.Tensor) -> int:
    """The static number of frames of a [batch, n_frames, n_channels] tensor."""
    n_frames = tensor.shape[1]
    if n_frames is None:
        raise ValueError(
            f"Shape {tensor.shape} has an unknown number of frames: blocks are cut "
            "when the graph is traced, so set it first (tf.ensure_shape)."
        )
    return int(n_frames)


def _into_blocks(tensor: tf.Tensor, block_size: int) -> tf.Tensor:
    """[batch, n_frames, c] -> [batch, n_blocks, block_size, c], zeros at the end."""
    n_frames = _n_frames(tensor)
    n_blocks = -(-n_frames // block_size)
    padded = tf.pad(tensor, [[0, 0], [0, n_blocks * block_size - n_frames], [0, 0]])
    return tf.reshape(padded, [-1, n_blocks, block_size, tensor.shape[-1]])


# ---- time-varying, one state a channel


def _scan_in_blocks(gates: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """y[t] = gates[t] * y[t-1] + inputs[t] with y[-1] = 0, two levels of blocks."""
    n_frames = _n_frames(inputs)
    block_size = math.isqrt(n_frames - 1) + 1 if n_frames > 1 else 1
    gate = tf.unstack(_into_blocks(gates, block_size), axis=2)
    value = tf.unstack(_into_blocks(inputs, block_size), axis=2)
    local, decay = [value[0]], [gate[0]]
    for t in range(1, block_size):  # all blocks at once: [batch, n_blocks, c]
        local.append(gate[t] * local[-1] + value[t])
        decay.append(gate[t] * decay[-1])
    entering = [tf.zeros_like(local[-1][:, 0])]
    for block in range(local[-1].shape[1] - 1):  # one state from block to block
        entering.append(decay[-1][:, block] * entering[-1] + local[-1][:, block])
    carry = tf.stack(entering, axis=1)
    blocks = [y + d * carry for y, d in zip(local, decay, strict=True)]
    stacked = tf.stack(blocks, axis=2)
    flat_shape = [-1, stacked.shape[1] * block_size, inputs.shape[-1]]
    return tf.reshape(stacked, flat_shape)[:, :n_frames]


@tf.custom_gradient
def _scan(gates: tf.Tensor, inputs: tf.Tensor):
    """`_scan_in_blocks`, with the backward pass as one scan that runs backwards."""
    outputs = _scan_in_blocks(gates, inputs)

    def gradient(upstream: tf.Tensor):
        following = tf.concat([gates[:, 1:], tf.zeros_like(gates[:, :1])], axis=1)
        reversed_sum = _scan_in_blocks(
            tf.reverse(following, [1]), tf.reverse(upstream, [1])
        )
        grad_inputs = tf.reverse(reversed_sum, [1])
        previous = tf.concat([tf.zeros_like(outputs[:, :1]), outputs[:, :-1]], axis=1)
        return grad_inputs * previous, grad_inputs

    return outputs, gradient


def linear_scan(
    gates: tf.Tensor, inputs: tf.Tensor, *, initial_state: tf.Tensor | None = None
) -> tf.Tensor:
    """Runs y[t] = gates[t] * y[t-1] + inputs[t] for all channels, parallel in time.

    Args:
        gates: Factor of the previous state, any values; in [0, 1] the scan cannot grow.
            Shape [batch, n_frames, n_channels].
        inputs: What is added at each frame. Same shape.
        initial_state: y[-1], shape [batch, n_channels]; None means zeros.

    Returns:
        All states, same shape.

    Raises:
        ValueError: If the number of frames is not known when the graph is traced.
    """
    if initial_state is not None:
        first = inputs[:, :1] + gates[:, :1] * initial_state[:, tf.newaxis]
        inputs = tf.concat([first, inputs[:, 1:]], axis=1)
    return _scan(gates, inputs)


# ---- time-invariant, a few states shared by all channels


class StateSpace(NamedTuple):
    """A linear filter: y[t] = d x[t] + c s[t-1] and s[t] = A s[t-1] + b x[t].

    Attributes:
        transition: A, shape [n_states, n_states].
        input_gain: b, shape [n_states].
        output_gain: c, shape [n_states].
        feedthrough: d, scalar.
        settled: State after an endless input of 1, shape [n_states]; known in closed
            form, so no nearly singular system is solved for poles near 1.
    """

    transition: tf.Tensor
    input_gain: tf.Tensor
    output_gain: tf.Tensor
    feedthrough: tf.Tensor
    settled: tf.Tensor


def steady_state(system: StateSpace, frame: tf.Tensor) -> tf.Tensor:
    """The state after an endless constant input, so that a filter starts settled.

    Args:
        system: The filter.
        frame: The constant, shape [batch, n_channels].

    Returns:
        State of shape [batch, n_states, n_channels].
    """
    return system.settled[tf.newaxis, :, tf.newaxis] * frame[:, tf.newaxis, :]


def filter_step(
    system: StateSpace, frame: tf.Tensor, state: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """One frame of a filter.

    Args:
        system: The filter.
        frame: x[t], shape [batch, n_channels].
        state: s[t-1], shape [batch, n_states, n_channels].

    Returns:
        y[t] of the frame's shape and s[t] of the state's shape.
    """
    output = system.feedthrough * frame + tf.einsum(
        "s,bsc->bc", system.output_gain, state
    )
    following = tf.einsum("st,btc->bsc", system.transition, state)
    following += system.input_gain[:, tf.newaxis] * frame[:, tf.newaxis, :]
    return output, following


def _powers(transition: tf.Tensor, n_powers: int) -> tf.Tensor:
    """A^0 ... A^(n_powers - 1) by doubling, shape [n_powers, n_states, n_states]."""
    powers = tf.eye(transition.shape[0], dtype=transition.dtype)[tf.newaxis]
    step = transition
    while powers.shape[0] < n_powers:
        powers = tf.concat([powers, tf.matmul(step[tf.newaxis], powers)], axis=0)
        step = tf.matmul(step, step)
    return powers[:n_powers]


def _block_tables(system: StateSpace, block_size: int) -> tuple[tf.Tensor, ...]:
    """Makes the tables of a filter within a block, in float64.

    Powers of a matrix with poles near 1 lose five digits in float32; the tables are
    small, so they are made in float64 whatever the data are.

    Returns:
        c A^t and A^t b, both [block_size, n_states], the impulse response [block_size],
        and A^block_size.
    """
    system = StateSpace(*(tf.cast(item, tf.float64) for item in system))
    powers = _powers(system.transition, block_size + 1)
    seen = tf.einsum("s,tsr->tr", system.output_gain, powers[:-1])
    driven = tf.einsum("tsr,r->ts", powers[:-1], system.input_gain)
    tail = tf.linalg.matvec(seen, system.input_gain)[:-1]
    impulse_response = tf.concat([[system.feedthrough], tail], axis=0)
    return seen, driven, impulse_response, powers[-1]


def _toeplitz(impulse_response: tf.Tensor) -> tf.Tensor:
    """Lower triangular matrix of a causal convolution, from [size] to [size, size]."""
    size = impulse_response.shape[0]
    lag = tf.range(size)[:, tf.newaxis] - tf.range(size)[tf.newaxis, :]
    values = tf.gather(impulse_response, tf.maximum(lag, 0))
    return tf.where(lag >= 0, values, tf.zeros_like(values))


def filter_frames(
    system: StateSpace, frames: tf.Tensor, *, initial_state: tf.Tensor
) -> tf.Tensor:
    """Runs a filter over all frames, parallel in time, equal to `filter_step`.

    Args:
        system: The filter.
        frames: Input, shape [batch, n_frames, n_channels].
        initial_state: s[-1], shape [batch, n_states, n_channels].

    Returns:
        Output of the input's shape.

    Raises:
        ValueError: If the number of frames is not known when the graph is traced.
    """
    n_frames = _n_frames(frames)
    block_size = min(n_frames, max(32, math.isqrt(n_frames)))
    blocks = _into_blocks(frames, block_size)  # [batch, n_blocks, block_size, c]
    seen, driven, impulse_response, to_next = (
        tf.cast(table, frames.dtype) for table in _block_tables(system, block_size)
    )
    local = tf.matmul(_toeplitz(impulse_response)[tf.newaxis, tf.newaxis], blocks)
    to_end = tf.transpose(tf.reverse(driven, [0]))[tf.newaxis, tf.newaxis]
    left_behind = tf.matmul(to_end, blocks)  # [batch, n_blocks, n_states, c]
    entering = [initial_state]
    for block in range(blocks.shape[1] - 1):
        carried = tf.einsum("sr,brc->bsc", to_next, entering[-1])
        entering.append(carried + left_behind[:, block])
    states = tf.stack(entering, axis=1)  # [batch, n_blocks, n_states, c]
    outputs = local + tf.matmul(seen[tf.newaxis, tf.newaxis], states)
    flat_shape = [-1, blocks.shape[1] * block_size, frames.shape[-1]]
    return tf.reshape(outputs, flat_shape)[:, :n_frames]


def filter_block(
    system: StateSpace, frames: tf.Tensor, state: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs a filter over a block of frames and goes on from its state.

    Args:
        system: The filter.
        frames: Input, shape [batch, n_frames, n_channels].
        state: State before the block, shape [batch, n_states, n_channels].

    Returns:
        Output of the input's shape and the state after the block.
    """
    if frames.shape[1] == 1:  # a live step needs no tables
        output, state = filter_step(system, frames[:, 0], state)
        return output[:, tf.newaxis], state
    outputs = filter_frames(system, frames, initial_state=state)
    return outputs, _state_after(system, frames, state)


def _state_after(system: StateSpace, frames: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
    """State after n frames: A^n s + sum over t of A^(n-1-t) b x[t]."""
    n_frames = frames.shape[1]
    # b, A b, A A b, ..., twice as many with every product.
    gains = system.input_gain[tf.newaxis]
    power = system.transition
    while gains.shape[0] < n_frames:
        gains = tf.concat([gains, tf.matmul(gains, power, transpose_b=True)], axis=0)
        power = tf.matmul(power, power)
    driven = tf.einsum("ts,btc->bsc", tf.reverse(gains[:n_frames], [0]), frames)
    carried = _matrix_power(system.transition, n_frames)
    return tf.einsum("rs,bsc->brc", carried, state) + driven


def _matrix_power(matrix: tf.Tensor, exponent: int) -> tf.Tensor:
    """A square matrix to a power of 1 or more, by squaring."""
    result = None
    while exponent:
        if exponent % 2:
            result = matrix if result is None else tf.matmul(result, matrix)
        matrix = tf.matmul(matrix, matrix)
        exponent //= 2
    return result
