"""Decoders block by block: what follows continues what came before.

A block has a fixed number of frames, one for a live instrument, hundreds for a file. A
state goes in and comes out, so that any cutting into blocks gives what the whole
sequence gives. Everything is a pure function of tensors with static lengths and can be
exported.
"""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
from ddsp.training import nn

from models.decoders import base
from models.decoders import micro
from models.decoders import mlp
from models.decoders import recurrent
from models.decoders import transformer
from models.layers import recurrences


def why_not_in_blocks(decoder: tf.keras.layers.Layer) -> str:
    """The reason why a decoder cannot go on from a state of fixed size; "" if it can.

    Args:
        decoder: Any decoder.
    """
    if not isinstance(decoder, base.LadderDecoder):
        return (
            f"{type(decoder).__name__} is no decoder of the ladder and has no step form"
        )
    if isinstance(decoder, transformer.TransformerDecoder):
        if not decoder.causal:
            return "a transformer with causal=False sees the future"
        if decoder.window is None:
            return (
                "a transformer without a window remembers everything it has heard; "
                "train one with models.decoders.TransformerDecoder.window"
            )
    return ""


def decode_block(
    decoder: base.LadderDecoder, inputs: dict[str, tf.Tensor], *, state: Any
) -> tuple[dict[str, tf.Tensor], Any]:
    """Raw controls of a block of frames.

    Args:
        decoder: One for which `why_not_in_blocks` is empty.
        inputs: Holds the decoder's `input_keys`, each [batch, n_frames, n_channels].
        state: From `decoder.initial_state` or from the block before.

    Returns:
        Raw controls, each [batch, n_frames, n_channels], and the next state.
    """
    frames = tuple(inputs[key] for key in decoder.input_keys)
    hidden, state = _hidden_block(decoder, *frames, state=state)
    return nn.split_to_dict(decoder.dense_out(hidden), decoder.output_splits), state


@functools.singledispatch
def _hidden_block(
    decoder: base.LadderDecoder, *frames: tf.Tensor, state: Any
) -> tuple[tf.Tensor, Any]:
    """Hidden output of a block and the next state; frame by frame in general."""
    outputs = []
    for t in range(frames[0].shape[1]):
        output, state = decoder.step_output(
            *(x[:, t : t + 1] for x in frames), state=state
        )
        outputs.append(output)
    return tf.concat(outputs, axis=1), state


@_hidden_block.register
def _(decoder: mlp.MlpDecoder, *frames: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
    return decoder.compute_output(*frames), state


@_hidden_block.register
def _(
    decoder: recurrent.GruDecoder, *frames: tf.Tensor, state: Any
) -> tuple[tf.Tensor, Any]:
    return decoder.step_output(*frames, state=state)  # takes any number of frames


@_hidden_block.register
def _(
    decoder: recurrent.MicroRnnDecoder, *frames: tf.Tensor, state: Any
) -> tuple[tf.Tensor, Any]:
    if frames[0].shape[1] == 1:
        return decoder.step_output(*frames, state=state)
    stacked = decoder.stacked(frames)
    states = micro.recurrence(
        decoder.project(stacked), decoder.recurrent_kernel, initial_state=state
    )
    return decoder.out_stack(tf.concat([stacked, states], axis=-1)), states[:, -1]


@_hidden_block.register
def _(
    decoder: recurrent.MinGruDecoder, *frames: tf.Tensor, state: Any
) -> tuple[tf.Tensor, Any]:
    if frames[0].shape[1] == 1:
        return decoder.step_output(*frames, state=state)
    stacked = decoder.stacked(frames)
    gate, candidate = tf.split(decoder.project(stacked), 2, axis=-1)
    update = tf.sigmoid(gate)
    states = recurrences.linear_scan(
        1.0 - update, update * candidate, initial_state=state
    )
    return decoder.out_stack(tf.concat([stacked, states], axis=-1)), states[:, -1]
