"""Causal transformer decoder, the plan's replacement for the GRU."""

from __future__ import annotations

from typing import NamedTuple

import gin
import tensorflow as tf
from absl import logging

from models.decoders import attention
from models.decoders import base
from models.layers import dense

NORM_EPSILON = 1e-5
WARN_SHARE = 0.5  # of the budget


class Cache(NamedTuple):
    """State of the block form: what frames to come may attend to.

    Attributes:
        keys: For each layer [batch, n_heads, size, n_channels], newest last.
        values: The same.
        position: Number of frames seen, scalar.
    """

    keys: tuple[tf.Tensor, ...]
    values: tuple[tf.Tensor, ...]
    position: tf.Tensor


class TransformerBlock(tf.keras.layers.Layer):
    """Pre-norm self-attention and feed-forward, each with a residual.

    Args:
        d_model: Channels, a multiple of `n_heads`.
        n_heads: Heads; 1 is the plan's.
        ff_multiplier: Width of the feed-forward layer over d_model.

    Source:
        docs/plan.md, "Heads": h += softmax(Q K' / sqrt(d)) V Wo, h += relu(f W1) W2,
        LayerNorm epsilon 1e-5, no dropout; weights uniform, gain 0.4.
    """

    def __init__(self, d_model: int, *, n_heads: int, ff_multiplier: int, **kwargs):
        super().__init__(**kwargs)
        self.n_heads = n_heads
        layers = tf.keras.layers
        linear = lambda n_out, use_bias: dense.Dense(  # an initializer each: shared
            n_out,  # ones would give equal weights
            use_bias=use_bias,
            kernel_initializer=base.scaled_uniform(0.4),
        )
        self.attention_norm = layers.LayerNormalization(epsilon=NORM_EPSILON)
        self.query, self.key, self.value, self.out = (
            linear(d_model, False) for _ in range(4)
        )
        self.ff_norm = layers.LayerNormalization(epsilon=NORM_EPSILON)
        self.ff_in = linear(ff_multiplier * d_model, True)
        self.ff_out = linear(d_model, True)

    def _heads(self, frames: tf.Tensor) -> tf.Tensor:
        """Splits channels by head, [batch, n_heads, n_frames, d_model / n_heads]."""
        shape = [-1, frames.shape[1], self.n_heads, frames.shape[-1] // self.n_heads]
        return tf.transpose(tf.reshape(frames, shape), [0, 2, 1, 3])

    def project(self, hidden: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Query, key and value of normalised frames, by head."""
        normed = self.attention_norm(hidden)
        return tuple(
            self._heads(layer(normed)) for layer in (self.query, self.key, self.value)
        )

    def finish(self, hidden: tf.Tensor, mixed: tf.Tensor) -> tf.Tensor:
        """Adds the attention's result, then the feed-forward layer's.

        Args:
            hidden: Residual stream, [batch, n_frames, d_model].
            mixed: Result by head, [batch, n_heads, n_frames, d_model / n_heads].

        Returns:
            Residual stream after the block.
        """
        joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), tf.shape(hidden))
        hidden = hidden + self.out(tf.ensure_shape(joined, hidden.shape))
        return hidden + self.ff_out(tf.nn.relu(self.ff_in(self.ff_norm(hidden))))


@gin.register(module="models.decoders")
class TransformerDecoder(base.LadderDecoder):
    """Input projection, positions, blocks; one memory guard.

    Attributes set by gin:
        d_model: Channels, a multiple of n_heads.
        n_layers: Blocks.
        n_heads: Heads; the plan's transformer has 1.
        ff_multiplier: Feed-forward width over d_model.
        causal: Whether a frame sees no later one; needed for the block form.
        use_positional_encoding: Whether frame numbers are added as sines. They count
            from the start of a clip: clips longer than those trained on reach numbers
            never seen.
        window: None sees everything. A number of frames bounds what a frame sees, the
            memory, and the block form's cache: the way out where full attention does
            not fit.
        memory_budget_bytes: What attention may take in a training step. None means the
            memory available when the graph is traced. Above half of it a warning names
            the numbers; above all of it the model refuses to build.

    Source:
        The plan, "transformer GRU-replacement"; docs/plan.md, "Heads".
    """

    def __init__(
        self,
        d_model: int = 64,
        n_layers: int = 2,
        n_heads: int = 1,
        ff_multiplier: int = 2,
        causal: bool = True,
        use_positional_encoding: bool = True,
        window: int | None = None,
        memory_budget_bytes: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Guards on sizes; heads share the channels evenly.
        for name, value in (
            ("d_model", d_model),
            ("n_layers", n_layers),
            ("n_heads", n_heads),
            ("ff_multiplier", ff_multiplier),
            ("window", 1 if window is None else window),
        ):
            if value < 1:
                raise ValueError(f"{name}={value} of the transformer: give at least 1.")
        if d_model % n_heads:
            raise ValueError(
                f"d_model={d_model} does not divide into n_heads={n_heads} heads."
            )

        self.d_model, self.n_heads = d_model, n_heads
        self.causal, self.window = causal, window
        self.use_positional_encoding = use_positional_encoding
        self.counts_frames = use_positional_encoding
        self.memory_budget_bytes = memory_budget_bytes

        # Layers; the names of these attributes are part of every checkpoint.
        self.input_projection = dense.Dense(
            d_model, kernel_initializer=base.scaled_uniform(0.5)
        )
        self.blocks = [
            TransformerBlock(d_model, n_heads=n_heads, ff_multiplier=ff_multiplier)
            for _ in range(n_layers)
        ]
        self.dense_out = base.small_output(self.n_out)

    def first_layers(self) -> list[tuple[tf.keras.layers.Dense, tuple[int, ...]]]:
        """The projection of all inputs; see the base class."""
        return [(self.input_projection, tuple(range(self.n_inputs)))]

    def check_memory(self, batch_size: int, n_frames: int) -> int:
        """Warns or refuses before attention runs out of memory.

        Args:
            batch_size: Examples computed at once.
            n_frames: Frames of each.

        Returns:
            Bytes that a training step takes for attention.

        Raises:
            ValueError: If they exceed the budget.
        """
        # Bytes of scores and weights in every layer, against the budget.
        needed = attention.score_bytes(
            batch_size=batch_size,
            n_frames=n_frames,
            n_heads=self.n_heads,
            n_layers=len(self.blocks),
            window=self.window,
        )
        budget = self.memory_budget_bytes or attention.available_bytes()

        # Above the budget it refuses, above `WARN_SHARE` of it it warns.
        message = (
            f"attention over {batch_size} x {n_frames} frames takes "
            f"{needed / attention.GIBIBYTE:.2f} GiB in a training step "
            f"({len(self.blocks)} layers, {self.n_heads} heads, window {self.window}) "
            f"of {budget / attention.GIBIBYTE:.2f} GiB"
        )
        advice = (
            "lower batch_size and raise accumulate_steps, or set "
            "models.decoders.TransformerDecoder.window"
        )
        if needed > budget:
            raise ValueError(f"{message}: {advice}.")
        if needed > WARN_SHARE * budget:
            logging.warning("%s: %s if memory runs out.", message, advice)
        return needed

    def _embed(self, inputs: tuple[tf.Tensor, ...], first: tf.Tensor) -> tf.Tensor:
        """Projects inputs and adds positions that count from `first`."""
        hidden = self.input_projection(tf.concat(inputs, axis=-1))
        if not self.use_positional_encoding:
            return hidden
        positions = tf.range(hidden.shape[1], dtype=hidden.dtype)
        positions += tf.cast(first, hidden.dtype)
        return hidden + attention.positional_encoding(positions, self.d_model)

    def compute_output(self, *inputs: tf.Tensor) -> tf.Tensor:
        """Hidden output of every frame, [batch, n_frames, d_model]."""
        batch_size, n_frames = inputs[0].shape[:2]
        self.check_memory(batch_size or 1, n_frames)
        hidden = self._embed(inputs, tf.constant(0))
        for block in self.blocks:
            query, key, value = block.project(hidden)
            if self.window is None or self.window >= n_frames:
                mixed = attention.full_attention(query, key, value, causal=self.causal)
            else:
                mixed = attention.windowed_attention(
                    query, key, value, window=self.window, causal=self.causal
                )
            hidden = block.finish(hidden, mixed)
        return hidden

    def streaming_obstacle(self) -> str:
        """Refuses a view of the future and a memory without end."""
        if not self.causal:
            return "a transformer with causal=False sees the future"
        if self.window is None:
            return (
                "a transformer without a window remembers all frames before; "
                "train one with models.decoders.TransformerDecoder.window"
            )
        return ""

    def initial_state(self, batch_size: int | tf.Tensor) -> Cache:
        """Returns an empty cache: of the window's size, or of size 0 that grows.

        Args:
            batch_size: Streams decoded at once.

        Returns:
            State for `output_block`.

        Raises:
            ValueError: If the transformer is not causal, which has no block form.
        """
        if not self.causal:
            raise ValueError(
                "A transformer with causal=False sees the future: it has no block form."
            )
        size = 0 if self.window is None else self.window - 1
        shape = [batch_size, self.n_heads, size, self.d_model // self.n_heads]
        empty = tuple(tf.zeros(shape) for _ in self.blocks)
        return Cache(keys=empty, values=empty, position=tf.constant(0))

    def output_block(self, *frames: tf.Tensor, state: Cache) -> tuple[tf.Tensor, Cache]:
        """Lets a block attend to itself and to the cache; see the base class."""
        hidden = self._embed(frames, state.position)
        n_frames, n_cached = hidden.shape[1], state.keys[0].shape[2]
        # Frames are numbered from the block's start, those of the cache below 0. The
        # oldest entries of a window's cache are empty until it has filled.
        key_frame = tf.range(-n_cached, n_frames)
        age = tf.range(n_frames)[:, tf.newaxis] - key_frame
        visible = (age >= 0) & (key_frame >= -state.position)
        first_kept = 0
        if self.window is not None:
            visible &= age < self.window
            first_kept = n_frames
        keys, values = [], []
        for layer, block in enumerate(self.blocks):
            query, new_key, new_value = block.project(hidden)
            key = tf.concat([state.keys[layer], new_key], axis=2)
            value = tf.concat([state.values[layer], new_value], axis=2)
            mixed = attention.attend(query, key, value, visible=visible)
            hidden = block.finish(hidden, mixed)
            keys.append(key[:, :, first_kept:])
            values.append(value[:, :, first_kept:])
        return hidden, Cache(tuple(keys), tuple(values), state.position + n_frames)
