"""Noise that is a function of (seed, step, row), for models that ask TensorFlow for it.

ddsp's FilteredNoise draws from `tf.random.uniform`, whose state lives inside a kernel
and cannot be saved: a run that goes on would hear other noise than the uninterrupted
one, and a batch split into parts other noise than the whole. Inside `reproducible` such
calls draw statelessly instead, each row of the batch from its own seed. It acts while a
function is traced, so it costs nothing afterwards.

Not covered: `tf.nn.dropout` and Keras's own generators.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any
from unittest import mock

import tensorflow as tf

# The namespaces under which libraries know tf.random; each has its own module object.
_NAMESPACES = (tf.random, tf.compat.v2.random)
_MAX_UNROLLED_ROWS = 64  # larger leading axes are drawn at once
_ROWS_A_STEP = 1 << 20  # seeds set aside for the rows of one step


@dataclasses.dataclass(frozen=True)
class NoiseKey:
    """What decides the noise of one part of a batch.

    Attributes:
        seed: The run's seed.
        step: Training step, int64 scalar.
        first_row: Where this part's rows begin in the joint batch, int64 scalar.
        n_rows: Rows of this part; arrays of another length are not a batch.
    """

    seed: int
    step: tf.Tensor | int
    first_row: tf.Tensor | int = 0
    n_rows: int | None = None


@contextlib.contextmanager
def reproducible(key: NoiseKey) -> Iterator[None]:
    """Makes `tf.random.uniform` and `tf.random.normal` functions of the key."""
    calls = [0]  # drawn so far in this context: each call has its own noise
    uniform = _stateless(tf.random.stateless_uniform, key, calls, ("minval", "maxval"))
    normal = _stateless(tf.random.stateless_normal, key, calls, ("mean", "stddev"))
    with contextlib.ExitStack() as stack:
        for namespace in _NAMESPACES:
            stack.enter_context(mock.patch.object(namespace, "uniform", uniform))
            stack.enter_context(mock.patch.object(namespace, "normal", normal))
        yield


def _stateless(
    draw: Callable[..., tf.Tensor],
    key: NoiseKey,
    calls: list[int],
    positional: tuple[str, str],
) -> Callable[..., tf.Tensor]:
    """A stand-in for a stateful random function that counts its calls."""

    def stand_in(
        shape: Any, *args: Any, seed: Any = None, name: Any = None, **kwargs: Any
    ) -> tf.Tensor:
        del seed, name
        names = (*positional, "dtype")
        kwargs |= dict(zip(names, args, strict=False))
        call = calls[0]
        calls[0] += 1
        return _draw_rows(draw, shape, key, call, kwargs)

    return stand_in


def _draw_rows(
    draw: Callable[..., tf.Tensor],
    shape: Any,
    key: NoiseKey,
    call: int,
    kwargs: dict[str, Any],
) -> tf.Tensor:
    """Draws an array, row by row where its rows are those of the batch."""
    static = tf.TensorShape(tf.get_static_value(tf.convert_to_tensor(shape)))
    n_rows = int(static[0]) if static.rank and static[0] else 0
    is_batch = key.n_rows is None or n_rows == key.n_rows
    if not (is_batch and 0 < n_rows <= _MAX_UNROLLED_ROWS):
        row = key.first_row if is_batch else 0
        return draw(shape, seed=_seed(key, call, row=row), **kwargs)
    first = tf.cast(key.first_row, tf.int64)
    rows = [
        draw(static[1:], seed=_seed(key, call, row=first + i), **kwargs)
        for i in range(n_rows)
    ]
    return tf.stack(rows)


def _seed(key: NoiseKey, call: int, *, row: tf.Tensor | int) -> tf.Tensor:
    """The two numbers a stateless draw takes."""
    stream = tf.constant(key.seed * 1009 + call, tf.int64)
    position = tf.cast(key.step, tf.int64) * _ROWS_A_STEP + tf.cast(row, tf.int64)
    return tf.stack([stream, position])
