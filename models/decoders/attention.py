"""Self-attention over frames: full or in a window, and what it costs in memory.

Full attention holds [batch, n_heads, n_frames, n_frames] scores in every layer.
Windowed attention cuts time into blocks of the window's size and lets each block see
itself and its neighbours, so memory grows with n_frames * window.

Source: Vaswani et al., "Attention is all you need", 2017, eq. 1; windows as in Beltagy
et al., "Longformer", 2020, section 3.1. Own code.
"""

from __future__ import annotations

import math
import os

import tensorflow as tf

from models.layers import products

MASKED = -1e9  # score of a frame that may not be seen
BYTES = 4  # float32
# Scores and weights are kept for the backward pass; their gradients join them there.
COPIES_IN_TRAINING = 4
GIBIBYTE = 2.0**30


def score_bytes(
    *, batch_size: int, n_frames: int, n_heads: int, n_layers: int, window: int | None
) -> int:
    """Bytes that attention scores and weights take in a training step.

    Args:
        batch_size: Examples computed at once.
        n_frames: Frames of each example.
        n_heads: Heads of each layer.
        n_layers: Layers.
        window: Frames that a frame sees; None means all.

    Returns:
        Bytes: `COPIES_IN_TRAINING` copies of every layer's scores. The rest of the
        network is small beside them.
    """
    seen = n_frames if window is None else min(2 * window, n_frames + window)
    per_layer = batch_size * n_heads * n_frames * seen * BYTES
    return per_layer * n_layers * COPIES_IN_TRAINING


def available_bytes() -> int:
    """Memory of the host that is free or can be freed at once, bytes."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def positional_encoding(positions: tf.Tensor, n_channels: int) -> tf.Tensor:
    """Sines at even channels, cosines of the same angle beside them.

    Args:
        positions: Frame numbers, [n_frames], float.
        n_channels: Channels; an odd number drops the last cosine.

    Returns:
        [n_frames, n_channels] in [-1, 1].

    Source:
        Vaswani et al., section 3.5, in the form of docs/plan.md, "Heads".
    """
    pairs = tf.range(0, n_channels, 2, dtype=positions.dtype)
    angle = positions[:, tf.newaxis] / tf.pow(
        tf.cast(10000.0, positions.dtype), pairs / n_channels
    )
    both = tf.stack([tf.sin(angle), tf.cos(angle)], axis=-1)
    return tf.reshape(both, [positions.shape[0], -1])[:, :n_channels]


def attend(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *, visible: tf.Tensor | None
) -> tf.Tensor:
    """softmax(Q K' / sqrt(d)) V over the last two axes.

    Args:
        query: [..., n_queries, n_channels].
        key: [..., n_keys, n_channels].
        value: [..., n_keys, n_channels].
        visible: Boolean, broadcast to [..., n_queries, n_keys]; None shows everything.

    Returns:
        [..., n_queries, n_channels].
    """
    multiply = products.active().matmul
    scores = multiply(query, key, transpose_b=True) / math.sqrt(query.shape[-1])
    if visible is not None:
        scores = tf.where(visible, scores, tf.cast(MASKED, scores.dtype))
    return multiply(tf.nn.softmax(scores, axis=-1), value)


def full_attention(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *, causal: bool
) -> tf.Tensor:
    """Every frame sees all frames, or all up to itself.

    Args:
        query: [batch, n_heads, n_frames, n_channels].
        key: Same shape.
        value: Same shape.
        causal: Whether later frames are hidden.

    Returns:
        Same shape.
    """
    visible = None
    if causal:
        frame = tf.range(query.shape[2])
        visible = frame[:, tf.newaxis] >= frame[tf.newaxis, :]
    return attend(query, key, value, visible=visible)


def _with_neighbours(blocks: tf.Tensor, *, causal: bool) -> tf.Tensor:
    """Joins each block with the one before, and the one after unless causal.

    [batch, n_heads, n_blocks, size, c] -> [batch, n_heads, n_blocks, 2 or 3 * size, c].
    """
    edge = tf.zeros_like(blocks[:, :, :1])
    before = tf.concat([edge, blocks[:, :, :-1]], axis=2)
    after = [] if causal else [tf.concat([blocks[:, :, 1:], edge], axis=2)]
    return tf.concat([before, blocks, *after], axis=3)


def windowed_attention(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *, window: int, causal: bool
) -> tf.Tensor:
    """Every frame sees itself and frames less than `window` away.

    Args:
        query: [batch, n_heads, n_frames, n_channels].
        key: Same shape.
        value: Same shape.
        window: Frames; 1 sees itself alone.
        causal: Whether later frames are hidden.

    Returns:
        Same shape, equal to full attention with the same visibility.
    """
    n_frames = query.shape[2]
    n_blocks = -(-n_frames // window)
    padding = [[0, 0], [0, 0], [0, n_blocks * window - n_frames], [0, 0]]
    shape = [-1, query.shape[1], n_blocks, window, query.shape[-1]]
    query, key, value = (
        tf.reshape(tf.pad(x, padding), shape) for x in (query, key, value)
    )
    visible = _window_mask(n_frames, window=window, n_blocks=n_blocks, causal=causal)
    mixed = attend(
        query,
        _with_neighbours(key, causal=causal),
        _with_neighbours(value, causal=causal),
        visible=visible,
    )
    flat = tf.reshape(mixed, [-1, shape[1], n_blocks * window, shape[-1]])
    return flat[:, :, :n_frames]


def _window_mask(
    n_frames: int, *, window: int, n_blocks: int, causal: bool
) -> tf.Tensor:
    """Marks the keys that each query sees, [n_blocks, window, 2 or 3 * window]."""
    starts = window * tf.range(n_blocks)[:, tf.newaxis, tf.newaxis]
    queries = starts + tf.range(window)[tf.newaxis, :, tf.newaxis]
    n_keys = (2 if causal else 3) * window
    keys = starts - window + tf.range(n_keys)[tf.newaxis, tf.newaxis, :]
    distance = queries - keys
    near = tf.logical_and(distance < window, distance > -window)
    if causal:
        near = tf.logical_and(near, distance >= 0)
    inside = tf.logical_and(keys >= 0, keys < n_frames)
    # A padded query sees nothing; the softmax over equal masked scores stays finite.
    return tf.logical_and(near, inside)
