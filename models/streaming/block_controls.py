"""Features -> controls block by block, for a model of the ladder.

The state is a nest of tensors with static shapes (batch aside), so a graph can carry it
in a loop, and a program outside Python can hand it back unread.
"""

from __future__ import annotations

import copy
from typing import Any

import tensorflow as tf

from models import autoencoder
from models.controls import control_smoothing as controls_lib
from models.controls import heads
from models.decoders import base
from models.streaming import block_smoothing
from prep import errors

# Tensors by name, and nests of them, as `tf.nest` takes them.
StreamState = dict[str, Any]


class StreamError(errors.InputError, ValueError):
    """A model that cannot go on from a state; the message says why and what to do."""


def streaming_obstacle(decoder: tf.keras.layers.Layer) -> str:
    """Says why a decoder cannot go on from a state of fixed size; "" if it can.

    Args:
        decoder: Any decoder, ddsp's own too.

    Returns:
        A clause for messages, without a full stop.
    """
    if isinstance(decoder, base.LadderDecoder):
        return decoder.streaming_obstacle()
    return f"{type(decoder).__name__} is no decoder of the ladder and has no block form"


class BlockControls:
    """Conditioning, decoder, head and smoothing with carried state.

    Args:
        model: A built model.

    Attributes:
        feature_keys: What goes in: f0_hz, loudness_db or power_db, f0_confidence.
        output_splits: Controls with their numbers of channels.
        latency_frames: By which controls lag behind.

    Raises:
        StreamError: If its decoder cannot be run in blocks.
    """

    def __init__(self, model: autoencoder.LadderAutoencoder):
        reason = streaming_obstacle(model.decoder)
        if reason:
            raise StreamError(f"this model cannot be streamed: {reason}.")
        self._decoder = model.decoder
        self._smoothing = block_smoothing.BlockSmoothing(model.head, model.smoothing)
        # Lengths are the block's own here, and loudness comes from the caller.
        self._conditioning = copy.copy(model.conditioning)
        self._conditioning.n_frames = None
        self._conditioning.recompute_loudness = False
        level_key = self._conditioning.level.feature
        self.feature_keys = ("f0_hz", level_key, "f0_confidence")
        with_trends = self._conditioning.with_trends
        self._n_back = self._conditioning.n_frames_back if with_trends else 0
        self.output_splits = model.decoder.output_splits
        self.latency_frames = self._smoothing.latency_frames

    def initial_state(self, batch_size: int | tf.Tensor = 1) -> StreamState:
        """State before the first frame.

        Args:
            batch_size: Streams run at once.

        Returns:
            A nest of tensors.
        """
        zeros = lambda n: tf.zeros([batch_size, 1, n])
        raw = {key: zeros(n) for key, n in self._decoder.output_splits}
        wanted = {key: raw[key] for key in controls_lib.TARGETS.values()}
        return {
            "n_frames": tf.zeros([batch_size, 1, 1]),
            "history": tf.zeros([batch_size, self._n_back, len(self.feature_keys)]),
            "decoder": self._decoder.initial_state(batch_size),
            "smoothing": self._smoothing.initial_state(wanted, zeros(1)),
        }

    def __call__(
        self, features: dict[str, tf.Tensor], state: StreamState
    ) -> tuple[heads.ControlTensors, StreamState]:
        """Runs a block.

        Args:
            features: The `feature_keys`, [batch, n_frames, 1] each, with a static
                n_frames.
            state: From `initial_state` or the block before.

        Returns:
            Controls that sound (amps, harmonic_distribution, noise_magnitudes, f0_hz),
            `latency_frames` behind the input, and the next state. The first
            `latency_frames` frames of all come before the beginning: drop them.
        """
        started = state["n_frames"] > 0.0
        inputs, history = self._condition(features, state["history"], started)
        raw, decoder_state = self._decoder.decode_block(inputs, state=state["decoder"])
        wanted = {key: raw[key] for key in controls_lib.TARGETS.values()}
        f0_hz = inputs["f0_hz"]
        controls, smoothing_state = self._smoothing(
            wanted, f0_hz, state=state["smoothing"], started=started
        )
        return controls, {
            # Counted no further than needed: float32 would stop counting at 2^24.
            "n_frames": tf.minimum(
                state["n_frames"] + float(f0_hz.shape[1]), self.latency_frames + 1.0
            ),
            "history": history,
            "decoder": decoder_state,
            "smoothing": smoothing_state,
        }

    def exists(self, state: StreamState, n_frames: int) -> tf.Tensor:
        """Marks the frames of the next block's controls that do not lie before frame 0.

        Args:
            state: Before the block.
            n_frames: Of the block.

        Returns:
            0 or 1, [batch, n_frames, 1].
        """
        place = state["n_frames"] + tf.range(n_frames, dtype=tf.float32)[:, tf.newaxis]
        return tf.cast(place >= self.latency_frames, tf.float32)

    def flush(self, state: StreamState) -> heads.ControlTensors:
        """The last `latency_frames` frames after the end; only if that is not 0."""
        return self._smoothing.flush(state["smoothing"])

    def _condition(
        self, features: dict[str, tf.Tensor], history: tf.Tensor, started: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The decoder's inputs; trends look back into the block before."""
        block = tf.concat([features[key] for key in self.feature_keys], axis=-1)
        if not self._n_back:
            return self._conditioning(features), history
        repeated = tf.repeat(block[:, :1], self._n_back, axis=1)
        joined = tf.concat([tf.where(started, history, repeated), block], axis=1)
        split = tf.split(joined, len(self.feature_keys), axis=-1)
        inputs = self._conditioning(dict(zip(self.feature_keys, split, strict=True)))
        cropped = {key: value[:, self._n_back :] for key, value in inputs.items()}
        return cropped, joined[:, -self._n_back :]
