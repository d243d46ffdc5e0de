"""Smoothers and heads block by block: what follows continues what came before.

The arithmetic is that of `models.smoothing` and `models.controls`; here a block may
begin in the middle of a curve. Smoothers that look ahead lag behind instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from models.controls import control_smoothing as controls_lib
from models.controls import heads
from models.controls import smoothing
from models.controls import smoothing_base
from models.layers import recurrences

State = dict[str, list[tf.Tensor]]


def smooth_block(
    smoother: smoothing_base.Smoother, frames: tf.Tensor, *, state: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Smooths a block of one control.

    Args:
        smoother: Any smoother; an FIR one lags behind by its `latency_frames`.
        frames: [batch, n_frames, n_channels].
        state: From `smoother.initial_state` or from the block before.

    Returns:
        Smoothed frames, same shape, and the next state.
    """
    if isinstance(smoother, smoothing.Fir):
        return _fir_block(frames, state[0])
    if frames.shape[1] == 1:
        frame, following = smoother.step(frames[:, 0], list(state))
        return frame[:, tf.newaxis], following
    following = []
    for system, current in zip(smoother.systems(), state, strict=True):
        following.append(_state_after(system, frames, current))
        frames = recurrences.filter_frames(system, frames, initial_state=current)
    return frames, following


def _fir_block(
    frames: tf.Tensor, earlier: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The five taps over earlier frames and a block."""
    joined = tf.concat([earlier, frames], axis=1)
    n_frames = frames.shape[1]
    taps = enumerate(smoothing.FIR_TAPS)
    smoothed = tf.add_n([tap * joined[:, lag : lag + n_frames] for lag, tap in taps])
    return smoothed, [joined[:, n_frames:]]


def _state_after(
    system: recurrences.StateSpace, frames: tf.Tensor, state: tf.Tensor
) -> tf.Tensor:
    """State of a filter after a block: A^n s + sum over t of A^(n-1-t) b x[t]."""
    n_frames = frames.shape[1]
    gains = system.input_gain[tf.newaxis]  # b, A b, A A b, ... by doubling
    power = system.transition
    while gains.shape[0] < n_frames:
        gains = tf.concat([gains, tf.matmul(gains, power, transpose_b=True)], axis=0)
        power = tf.matmul(power, power)
    driven = tf.einsum("ts,btc->bsc", tf.reverse(gains[:n_frames], [0]), frames)
    whole = _matrix_power(system.transition, n_frames)
    return tf.einsum("rs,bsc->brc", whole, state) + driven


def _matrix_power(matrix: tf.Tensor, exponent: int) -> tf.Tensor:
    """A square matrix to a power of 1 or more, by squaring."""
    result = None
    while exponent:
        if exponent % 2:
            result = matrix if result is None else tf.matmul(result, matrix)
        matrix = tf.matmul(matrix, matrix)
        exponent //= 2
    return result


class BlockSmoothing:
    """`models.controls.ControlSmoothing` and the head, in blocks.

    Args:
        head: The model's head.
        smoothing_layer: The model's smoothing, or None.
    """

    def __init__(
        self,
        head: heads.ExpSigmoidHead,
        smoothing_layer: controls_lib.ControlSmoothing | None,
    ):
        self._head = head
        self._smoothers = smoothing_layer.smoothers if smoothing_layer else {}
        self._after = (
            smoothing_layer is not None and smoothing_layer.position == "after"
        )
        self.latency_frames = smoothing_layer.latency_frames if smoothing_layer else 0

    def initial_state(self, raw: heads.Controls, f0_hz: tf.Tensor) -> State:
        """State of the right shapes; the first block settles it on its first frame.

        Args:
            raw: Raw controls, each [batch, n_frames, n_channels].
            f0_hz: [batch, n_frames, 1].

        Returns:
            Tensors by control, and `delay` where smoothing lags behind.
        """
        if not self._smoothers:
            return {}
        return self._settle({**self._source(raw, f0_hz), "f0_hz": f0_hz})

    def _settle(self, source: heads.Controls) -> State:
        """State after an endless repetition of a block's first frame."""
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
        raw: heads.Controls,
        f0_hz: tf.Tensor,
        *,
        state: State,
        started: tf.Tensor,
    ) -> tuple[heads.Controls, State]:
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

    def flush(self, state: State) -> heads.Controls:
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

    def _source(self, raw: heads.Controls, f0_hz: tf.Tensor) -> heads.Controls:
        """What is smoothed: scaled or raw controls, as the model says."""
        return self._head(raw, f0_hz) if self._after else dict(raw)

    def _smooth(
        self, source: heads.Controls, state: State
    ) -> tuple[heads.Controls, State]:
        """Smooths, then does what `models.controls.scale_and_smooth` does after it."""
        following: State = {}
        delayed = dict(source)
        if self.latency_frames:
            delayed, following["delay"] = _delay(source, state["delay"])
        for key, smoother in self._smoothers.items():
            delayed[key], following[key] = smooth_block(
                smoother, source[key], state=state[key]
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
    frames: heads.Controls, earlier: list[tf.Tensor]
) -> tuple[heads.Controls, list[tf.Tensor]]:
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
