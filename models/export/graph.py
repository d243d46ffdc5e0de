"""A model as graphs that take any batch and any length: what becomes SavedModels.

Blocks of frames go through a loop with a carried state, so that the length need not be
known and attention, scans and buffers keep their static shapes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from models.streaming import block_model

BLOCK_FRAMES = 100  # frames in a round of the loop
CONTROLS = ("f0_hz", "amps", "harmonic_distribution", "noise_magnitudes")


class Exported(tf.Module):
    """The functions that become SavedModels.

    Args:
        block: The model in blocks.
        impulse_response: Of the reverb, [n_taps].
    """

    def __init__(self, block: block_model.BlockModel, impulse_response: np.ndarray):
        super().__init__()
        self._block = _Untracked(block)
        self.read_variables = block.variables
        self._impulse_response = tf.constant(impulse_response)
        feature = lambda name: tf.TensorSpec([None, None], tf.float32, name=name)
        self._features = block.controls.feature_keys
        features = [feature(key) for key in self._features]
        self.decode = tf.function(
            self._decode, input_signature=features, autograph=False
        )
        self.play = tf.function(
            self._play,
            input_signature=[
                *features,
                tf.TensorSpec([None, None], tf.float32, name="noise"),
                tf.TensorSpec([], tf.float32, name="reverb_gain"),
            ],
            autograph=False,
        )

    def _decode(
        self, f0_hz: tf.Tensor, level_db: tf.Tensor, f0_confidence: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Features [batch, n_frames] -> controls [batch, n_frames, n_channels]."""
        controls = self._block.value.controls
        lag = controls.latency_frames
        curves = [x[..., tf.newaxis] for x in (f0_hz, level_db, f0_confidence)]
        blocks, n_frames = _into_blocks(curves, lag)

        def one_block(index, state):
            now, state = controls(_split(blocks[index], self._features, curves), state)
            return [now[key] for key in CONTROLS], state

        state = controls.initial_state(tf.shape(f0_hz)[0])
        outputs = _loop(one_block, state, n_rounds=tf.shape(blocks)[0])
        joined = [_join_blocks(output, lag, n_frames) for output in outputs]
        channels = {"f0_hz": 1, **dict(controls.output_splits)}
        shaped = [
            tf.ensure_shape(curve, [None, None, channels[key]])
            for key, curve in zip(CONTROLS, joined, strict=True)
        ]
        return dict(zip(CONTROLS, shaped, strict=True))

    def _play(
        self,
        f0_hz: tf.Tensor,
        level_db: tf.Tensor,
        f0_confidence: tf.Tensor,
        noise: tf.Tensor,
        reverb_gain: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Features [batch, n_frames] and noise [batch, n_samples] -> audio."""
        synth = self._block.value.synth
        hop, lag = synth.settings.hop_size, synth.latency_frames
        controls = self._decode(f0_hz, level_db, f0_confidence)
        curves = [controls[key] for key in CONTROLS]

        # Controls and noise cut into blocks; the last one is padded.
        blocks, n_frames = _into_blocks(curves, lag)
        n_block = BLOCK_FRAMES * hop
        missing = tf.shape(blocks)[0] * n_block - tf.shape(noise)[1]
        drawn = tf.pad(noise, [[0, 0], [0, missing]])
        drawn = tf.reshape(drawn, [tf.shape(noise)[0], -1, n_block])

        # The synth block after block, its state carried by the loop.
        def one_block(index, state):
            now = _split(blocks[index], CONTROLS, curves)
            harmonic, filtered, state = synth(now, drawn[:, index], state=state)
            return [harmonic, filtered], state

        state = synth.initial_state(tf.shape(f0_hz)[0])
        outputs = _loop(one_block, state, n_rounds=tf.shape(blocks)[0])
        harmonic, filtered = (
            _join_blocks(output, lag * hop, n_frames * hop) for output in outputs
        )

        # The reverb over the whole, as its response is longer than a block.
        dry = harmonic + filtered
        wet = _convolve(dry, self._impulse_response) * reverb_gain
        return {
            "audio": dry + wet,
            "harmonic": harmonic,
            "noise_audio": filtered,
            "reverb": wet,
        }


class _Untracked:
    """Keeps an object that is none of TensorFlow's from being saved with a module."""

    def __init__(self, value: Any):
        self.value = value


def _into_blocks(curves: list[tf.Tensor], lag: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Joins curves [batch, n_frames, n] and cuts them into blocks.

    Returns [n_blocks, batch, BLOCK_FRAMES, sum of n] and the number of frames. The last
    frame is held to the end of the last block, and for `lag` frames more.
    """
    joined = tf.concat(curves, axis=-1)
    n_frames = tf.shape(joined)[1]
    n_blocks = (n_frames + lag + BLOCK_FRAMES - 1) // BLOCK_FRAMES
    index = tf.minimum(tf.range(n_blocks * BLOCK_FRAMES), n_frames - 1)
    held = tf.gather(joined, index, axis=1)
    shape = [tf.shape(joined)[0], n_blocks, BLOCK_FRAMES, joined.shape[-1]]
    return tf.transpose(tf.reshape(held, shape), [1, 0, 2, 3]), n_frames


def _split(
    block: tf.Tensor, keys: tuple[str, ...], curves: list[tf.Tensor]
) -> dict[str, tf.Tensor]:
    """One block of joined curves, by name."""
    block = tf.ensure_shape(block, [None, BLOCK_FRAMES, block.shape[-1]])
    parts = tf.split(block, [curve.shape[-1] for curve in curves], axis=-1)
    return dict(zip(keys, parts, strict=True))


def _loop(one_block: Any, state: Any, *, n_rounds: tf.Tensor) -> list[tf.Tensor]:
    """Runs blocks one after another; stacks what each gives.

    Args:
        one_block: (index, state) -> (list of tensors, state).
        state: Before the first.
        n_rounds: How many.

    Returns:
        For each tensor of a block [n_rounds, batch, n, ...].
    """
    outputs, state = one_block(tf.constant(0), state)
    arrays = [
        tf.TensorArray(x.dtype, n_rounds, element_shape=x.shape).write(0, x)
        for x in outputs
    ]

    def body(index, state, arrays):
        outputs, following = one_block(index, state)
        following = tf.nest.map_structure(_with_shape_of, following, state)
        written = [a.write(index, x) for a, x in zip(arrays, outputs, strict=True)]
        return index + 1, following, written

    _, _, arrays = tf.while_loop(
        lambda index, *_: index < n_rounds,
        body,
        (tf.constant(1), state, arrays),
        parallel_iterations=1,
    )
    return [array.stack() for array in arrays]


def _with_shape_of(tensor: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """States keep their static shapes around the loop."""
    return tf.ensure_shape(tensor, like.shape)


def _join_blocks(blocks: tf.Tensor, lag: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """[n_blocks, batch, n, ...] -> [batch, length, ...] from `lag` on."""
    inner = blocks.shape[3:].as_list()
    order = [1, 0, 2, *range(3, 3 + len(inner))]
    n_batch = tf.shape(blocks)[1]
    joined = tf.reshape(tf.transpose(blocks, order), [n_batch, -1, *inner])
    return joined[:, lag : lag + length]


def _convolve(audio: tf.Tensor, impulse_response: tf.Tensor) -> tf.Tensor:
    """Causal convolution, as long as the audio."""
    n_samples = tf.shape(audio)[1]
    needed = tf.cast(n_samples + impulse_response.shape[0] - 1, tf.float32)
    power = tf.math.ceil(tf.math.log(needed) / tf.math.log(2.0))
    n_fft = tf.cast(tf.pow(2.0, power), tf.int32)
    spectrum = tf.signal.rfft(audio, [n_fft])
    response = tf.signal.rfft(impulse_response[tf.newaxis], [n_fft])
    return tf.signal.irfft(spectrum * response, [n_fft])[:, :n_samples]
