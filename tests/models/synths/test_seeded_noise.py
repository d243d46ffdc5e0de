"""Draws by hand: from the run's seed, its step, the call and the row."""

import numpy as np
import pytest
import tensorflow as tf

from models.synths import seeded_noise

SEED, STEP, FIRST = 2, 5, 7
STEP_ROWS = 1 << 20  # rows that a step has seeds for


def expected(draw, shape, *, call, row, **options):
    seed = tf.constant([SEED * 1009 + call, STEP * STEP_ROWS + row], tf.int64)
    return draw(shape, seed=seed, **options).numpy()


def key(**changed):
    values = {"seed": SEED, "step": STEP, "first_row": FIRST, **changed}
    return seeded_noise.NoiseKey(**values)


@pytest.mark.parametrize("n_rows", [None, 3])
def test_each_row_of_a_batch_and_each_call_has_a_seed_of_its_own(n_rows):
    with seeded_noise.reproducible(key(n_rows=n_rows)):
        drawn = [
            tf.random.uniform([3, 4], minval=-1.0, maxval=1.0),
            tf.compat.v2.random.normal([3, 4], 10.0, 0.5, tf.float64, 1),
            tf.random.uniform([3, 4], 2.0, 5.0, seed=3),
        ]
    options = (
        dict(minval=-1.0, maxval=1.0),
        dict(mean=10.0, stddev=0.5, dtype=tf.float64),
        dict(minval=2.0, maxval=5.0),
    )
    for call, (found, values) in enumerate(zip(drawn, options, strict=True)):
        is_normal = "mean" in values
        draw = tf.random.stateless_normal if is_normal else tf.random.stateless_uniform
        for i in range(3):
            np.testing.assert_array_equal(
                found[i], expected(draw, [4], call=call, row=FIRST + i, **values)
            )


@pytest.mark.parametrize(
    ("shape", "n_rows", "row"),
    [([2, 3], 4, 0), ([65, 2], None, FIRST), ([], None, FIRST), ([0, 3], None, FIRST)],
)
def test_what_is_no_batch_or_a_large_one_is_drawn_at_once(shape, n_rows, row):
    """A large batch from its first row's seed: parts of a step differ."""
    with seeded_noise.reproducible(key(n_rows=n_rows)):
        found = tf.random.uniform(shape)
    at_once = expected(tf.random.stateless_uniform, shape, call=0, row=row)
    np.testing.assert_array_equal(found, at_once)


def test_sixty_four_rows_are_still_drawn_one_by_one():
    with seeded_noise.reproducible(key(first_row=0)):
        found = tf.random.uniform([64, 2])
    row = expected(tf.random.stateless_uniform, [2], call=0, row=63)
    np.testing.assert_array_equal(found[63], row)


def test_tensorflows_own_functions_are_back_afterwards():
    before = tf.random.uniform, tf.random.normal, tf.compat.v2.random.uniform
    with pytest.raises(RuntimeError), seeded_noise.reproducible(key()):
        assert tf.random.uniform is not before[0]
        raise RuntimeError
    after = tf.random.uniform, tf.random.normal, tf.compat.v2.random.uniform
    assert after == before
