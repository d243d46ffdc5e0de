"""Trainings with products in bfloat16 beside the same in float32."""

import numpy as np
import pytest
import tensorflow as tf

from models.training import options as training_options
from models.training import trainer as trainer_lib
from tests.helpers import ladder_helpers

N_STEPS = 300
LEARNING_RATE = 3e-4  # the stages' own
LAST_STEPS = 20  # whose losses are averaged: one step's depends on its noise
MAX_DIFFERENCE = 0.01  # of the loss


def last_loss(stage: str, precision: str) -> tuple[float, float]:
    """Trains on one batch; the loss of the first step, and at the end."""
    tf.keras.utils.set_random_seed(5)
    batch = ladder_helpers.make_batch(np.random.default_rng(5))
    model = ladder_helpers.build_model(f"gin/{stage}.gin", ladder_helpers.TINY)
    options = training_options.TrainerOptions(
        learning_rate=LEARNING_RATE, product_precision=precision
    )
    trainer = trainer_lib.LadderTrainer(
        model, tf.distribute.get_strategy(), options=options
    )
    trainer.build(batch)
    parts = {key: value[tf.newaxis] for key, value in batch.items()}
    losses = [
        float(trainer.train_step(parts, tf.constant(n, tf.int64)).losses["total_loss"])
        for n in range(N_STEPS)
    ]
    return losses[0], float(np.mean(losses[-LAST_STEPS:]))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["stage2", "stage5"])
def test_loss_after_300_steps_is_that_of_float32(stage):
    first, exact = last_loss(stage, "float32")
    _, rounded = last_loss(stage, "bfloat16")
    assert exact < 0.9 * first  # it has learnt
    assert rounded != exact
    assert abs(rounded - exact) / exact < MAX_DIFFERENCE
