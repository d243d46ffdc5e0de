"""Head and smoothing of a model block by block.

Does what `models.controls.control_smoothing.scale_and_smooth` does to a whole sequence,
with smoothers that go on from a state (`Smoother.smooth_block`). Where one of them
looks ahead, all controls lag behind alike.
"""

from __future__ import annotations

import tensorflow as tf

from models.controls import control_smoothing as controls_lib
from models.controls import heads

SmoothingState = dict[str, list[tf.Tensor]]


class BlockSmoothing:
    """`models.controls.ControlSmoothing` and the head, in blocks.

    Args:
        head: The model's head.
        smoothing_layer: The model's smoothing, or None.
    """

    def __init__(
        self,
        head: heads.Head,
        smoothing_layer: controls_lib.ControlSmoothing | None,
    ):
        self._head = head
        self._smoothers = smoothing_layer.smoothers if smoothing_layer else {}
        self._after = (
            smoothing_layer is not None and smoothing_layer.position == "after"
        )
        self.latency_frames = smoothing_layer.latency_frames if smoothing_layer else 0

    def initial_state(
        self, raw: heads.ControlTensors, f0_hz: tf.Tensor
    ) -> SmoothingState:
        """Returns a state of the right shapes, which the first block settles.

        Args:
            raw: Raw controls, each [batch, n_frames, n_channels].
            f0_hz: [batch, n_frames, 1].

        Returns:
            Tensors by control, and `delay` where smoothing lags behind.
        """
        if not self._smoothers:
            return {}
        return self._settle({**self._source(raw, f0_hz), "f0_hz": f0_hz})

    def _settle(self, source: heads.ControlTensors) -> SmoothingState:
        """Returns the state after an endless repetition of a block's first frame."""
        state = {
            key: smoother.initial_state(source[key][:, 0])
            for key, smoother in self._smoothers.items()
        }
        if self.latency_frames:
            state["delay"] = [
                tf.repeat(source[key][:, :1], self.latency_frames, axis=1)
                for key in sorted(source)
            ]
        return state

    def __call__(
        self,
        raw: heads.ControlTensors,
        f0_hz: tf.Tensor,
        *,
        state: SmoothingState,
        started: tf.Tensor,
    ) -> tuple[heads.ControlTensors, SmoothingState]:
        """Raw controls of a block -> controls that sound.

        Args:
            raw: Raw controls, each [batch, n_frames, n_channels].
            f0_hz: [batch, n_frames, 1].
            state: From `initial_state` or the block before.
            started: Whether there was a block before, bool, [batch, 1, 1].

        Returns:
            Controls with `f0_hz`, `latency_frames` behind the input; the next state.
        """
        if not self._smoothers:
            return {**self._head(raw, f0_hz), "f0_hz": f0_hz}, state
        source = {**self._source(raw, f0_hz), "f0_hz": f0_hz}
        before = tf.nest.map_structure(
            lambda carried, fresh: tf.where(
                _of_rank(started, len(carried.shape)), carried, fresh
            ),
            state,
            self._settle(source),
        )
        return self._smooth(source, before)

    def flush(self, state: SmoothingState) -> heads.ControlTensors:
        """The last `latency_frames` frames: the curve's end is held.

        Args:
            state: After the last block.

        Returns:
            Controls with `f0_hz`, each [batch, latency_frames, n_channels].
        """
        keys = sorted({*controls_lib.TARGETS.values(), "f0_hz"})
        held = {
            key: tf.repeat(frames[:, -1:], self.latency_frames, axis=1)
            for key, frames in zip(keys, state["delay"], strict=True)
        }
        return self._smooth(held, state)[0]

    def _source(
        self, raw: heads.ControlTensors, f0_hz: tf.Tensor
    ) -> heads.ControlTensors:
        """Returns what is smoothed: scaled or raw controls, by the layer's position."""
        return self._head(raw, f0_hz) if self._after else dict(raw)

    def _smooth(
        self, source: heads.ControlTensors, state: SmoothingState
    ) -> tuple[heads.ControlTensors, SmoothingState]:
        """Smooths, then does what `models.controls.scale_and_smooth` does after it."""
        following: SmoothingState = {}
        delayed = dict(source)
        if self.latency_frames:
            delayed, following["delay"] = _delay(source, state["delay"])
        for key, smoother in self._smoothers.items():
            delayed[key], following[key] = smoother.smooth_block(
                source[key], state=state[key]
            )
        f0_hz = delayed.pop("f0_hz")
        if self._after:
            final = {key: tf.nn.relu(value) for key, value in delayed.items()}
            final["harmonic_distribution"] = self._head.renormalize(
                final["harmonic_distribution"], f0_hz
            )
        else:
            final = self._head(delayed, f0_hz)
        return {**final, "f0_hz": f0_hz}, following


def _delay(
    frames: heads.ControlTensors, earlier: list[tf.Tensor]
) -> tuple[heads.ControlTensors, list[tf.Tensor]]:
    """Delays all controls by as many frames as `earlier` holds of each."""
    delayed, following = {}, []
    for key, before in zip(sorted(frames), earlier, strict=True):
        joined = tf.concat([before, frames[key]], axis=1)
        delayed[key] = joined[:, : frames[key].shape[1]]
        following.append(joined[:, frames[key].shape[1] :])
    return delayed, following


def _of_rank(flag: tf.Tensor, rank: int) -> tf.Tensor:
    """A flag [batch, 1, 1] for tensors of another rank."""
    return flag if rank == 3 else tf.reshape(flag, [-1] + [1] * (rank - 1))
