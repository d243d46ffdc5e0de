"""Features -> controls of a whole performance, stretch by stretch.

Decoders that can go on from a state run block after block. Others, transformers above
all, run over windows of the length they were trained with; windows overlap, and their
*controls* cross-fade, not their audio, so that no phases collide.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from evaluation.render import performance
from models import autoencoder
from models.controls import heads
from models.streaming import block_controls
from prep import errors

CONTROL_KEYS = ("f0_hz", "amps", "harmonic_distribution", "noise_magnitudes")

Controls = dict[str, np.ndarray]


class BlockDecoder:
    """Decodes performances with a carried state; its graph is traced once.

    Args:
        model: With a decoder for which `runs_in_blocks`.
        block_frames: Frames computed at once.
    """

    def __init__(self, model: autoencoder.LadderAutoencoder, *, block_frames: int):
        self._controls = block_controls.BlockControls(model)
        self._size = block_frames
        self._traced = tf.function(self._controls.__call__, autograph=False)

    def decode(self, played: performance.Performance) -> Iterator[Controls]:
        """Decodes a performance.

        Args:
            played: At the model's frame rate.

        Yields:
            Controls that sound, each [n, n_channels].
        """
        state = self._controls.initial_state(1)
        size, ahead = self._size, self._controls.latency_frames
        for start in range(0, played.n_frames, size):
            n_frames = min(size, played.n_frames - start)
            features = _features(
                played, start, start + n_frames, keys=self._controls.feature_keys
            )
            if n_frames == size or self._controls.latency_frames:
                # What comes after the end must not reach a state that is flushed.
                whole = n_frames == size
                run = self._traced if whole else self._controls
                controls, state = run(features, state)
                arrays = _to_arrays(controls)
            else:
                controls, _ = self._traced(_held(features, size), state)
                arrays = cut(_to_arrays(controls), 0, n_frames)
            yield from _without_first(arrays, ahead)
            ahead = max(0, ahead - size)
        if self._controls.latency_frames:
            yield _to_arrays(self._controls.flush(state))


def decode_windows(
    model: autoencoder.LadderAutoencoder,
    played: performance.Performance,
    *,
    window_frames: int,
) -> Iterator[Controls]:
    """Decodes overlapping windows whose controls cross-fade.

    Args:
        model: Any model of the ladder.
        played: At the model's frame rate.
        window_frames: Length of a window, at most what attention can hold.

    Yields:
        Controls that sound, each [n, n_channels].
    """
    size = min(window_frames, played.n_frames)
    decode = tf.function(
        lambda features: model.decode(features)["controls"], autograph=False
    )
    keys = ("f0_hz", model.conditioning.level.feature, "f0_confidence")
    starts = window_starts(played.n_frames, size)
    fade_size = size // 4
    fade = np.linspace(0.0, 1.0, fade_size + 2, dtype=np.float32)[1:-1, np.newaxis]
    done = 0
    before: Controls | None = None
    for number, start in enumerate(starts):
        features = _features(played, start, start + size, keys=keys)
        current = _to_arrays(decode(features))
        if before is not None:
            # The first quarter of a window has little context, for causal decoders.
            joint = max(done, start + fade_size)
            earlier = starts[number - 1]
            yield cut(before, done - earlier, joint - earlier)
            fading = cut(before, joint - earlier, joint - earlier + fade_size)
            coming = cut(current, joint - start, joint - start + fade_size)
            yield {
                key: fading[key] * (1.0 - fade) + coming[key] * fade for key in current
            }
            done = joint + fade_size
        before = current
    assert before is not None
    yield cut(before, done - starts[-1], size)


def runs_in_blocks(decoder: Any) -> bool:
    """Returns whether a decoder goes on from a state as well as it starts.

    Positions of a transformer count from the beginning: beyond the length it was
    trained on it meets numbers that it has never seen, so it runs in windows.
    """
    if block_controls.streaming_obstacle(decoder):
        return False
    return not decoder.counts_frames


def window_starts(n_frames: int, size: int) -> list[int]:
    """First frames of windows that overlap by at least half.

    Args:
        n_frames: Length in all.
        size: Length of a window, at most `n_frames`.
    """
    starts = list(range(0, n_frames - size + 1, max(1, size // 2)))
    if starts[-1] + size < n_frames:
        starts.append(n_frames - size)
    return starts


def _features(
    played: performance.Performance, start: int, stop: int, *, keys: Sequence[str]
) -> dict[str, tf.Tensor]:
    """Features of some frames as tensors [1, n_frames, 1].

    Raises:
        errors.InputError: If the model is told power and there was none to measure.
    """
    curves = {key: getattr(played, key) for key in keys}
    if any(curve is None for curve in curves.values()):
        raise errors.InputError(
            "this model is told unweighted power, which a recording has and MIDI or "
            "CSV do not; play it with a recording, or from DDSP-VST."
        )
    return {
        key: tf.constant(curve[np.newaxis, start:stop, np.newaxis])
        for key, curve in curves.items()
    }


def _held(features: dict[str, tf.Tensor], size: int) -> dict[str, tf.Tensor]:
    """Features whose last frame is repeated up to a length."""
    return {
        key: tf.concat(
            [value, tf.repeat(value[:, -1:], size - value.shape[1], axis=1)], axis=1
        )
        for key, value in features.items()
    }


def _to_arrays(controls: heads.ControlTensors) -> Controls:
    """Tensors of one stream -> arrays [n_frames, n_channels]."""
    return {key: controls[key].numpy()[0] for key in CONTROL_KEYS}


def cut(controls: Controls, start: int, stop: int) -> Controls:
    """Some frames."""
    return {key: value[start:stop] for key, value in controls.items()}


def _without_first(controls: Controls, n_frames: int) -> Iterator[Controls]:
    """Controls without their first frames; nothing if none is left."""
    if n_frames < len(controls["amps"]):
        yield cut(controls, n_frames, len(controls["amps"]))
