"""The training step: accumulation, averaging, skipping, reproducible noise."""

import numpy as np
import pytest
import tensorflow as tf

from models.synths import seeded_noise
from models.training import options as training_options
from models.training import trainer as trainer_lib
from prep import errors
from tests.helpers import training_toy

# Float32 sums in another order; Adam divides by the gradient's size, so weights after
# updates of size 0.01 are compared.
ACCUMULATION_TOLERANCE = 1e-5


def _trainer(batch, *, strategy=None, **kwargs):
    tf.keras.utils.set_random_seed(7)
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model = training_toy.ToyModel()
    trainer = trainer_lib.LadderTrainer(
        model,
        strategy,
        options=training_options.TrainerOptions(learning_rate=0.01, **kwargs),
    )
    trainer.build(batch)
    return trainer


def _steps(trainer, parts, n_steps=3):
    for attempt in range(n_steps):
        result = trainer.train_step(parts, tf.constant(attempt, tf.int64))
    return result


def _weights(trainer):
    return np.concatenate(
        [item.numpy().ravel() for item in trainer.model.trainable_variables]
    )


def _parts(batch, n_parts):
    return {
        key: tf.reshape(value, [n_parts, value.shape[0] // n_parts, *value.shape[1:]])
        for key, value in batch.items()
    }


@pytest.mark.long
def test_accumulated_parts_equal_the_large_batch(rng):
    """Noise included: it belongs to the row of the joint batch."""
    batch = training_toy.toy_batch(rng, n_rows=4)
    whole = _trainer(batch)
    split = _trainer(batch, accumulate_steps=4)
    start = _weights(whole)
    large = _steps(whole, _parts(batch, 1))
    small = _steps(split, _parts(batch, 4))
    assert np.max(np.abs(_weights(whole) - start)) > 0.01  # it learnt something
    np.testing.assert_allclose(
        _weights(split), _weights(whole), atol=ACCUMULATION_TOLERANCE
    )
    np.testing.assert_allclose(
        small.losses["total_loss"], large.losses["total_loss"], rtol=1e-5
    )


def test_precision_that_no_layer_of_the_model_has_is_refused(rng):
    batch = training_toy.toy_batch(rng)
    trainer = _trainer(batch, product_precision="bfloat16")
    with pytest.raises(errors.InputError, match="no layer of this model multiplies"):
        _steps(trainer, _parts(batch, 1))
    with pytest.raises(ValueError, match="product_precision='float16'"):
        training_options.TrainerOptions(product_precision="float16")


@pytest.mark.parametrize("lacks", [True, False])
def test_a_processor_without_bfloat16_is_told(rng, monkeypatch, caplog, lacks):
    monkeypatch.setattr(trainer_lib.tensorflow_setup, "lacks_bfloat16", lambda: lacks)
    warn = []
    monkeypatch.setattr(trainer_lib.logging, "warning", lambda *said: warn.append(said))
    _trainer(training_toy.toy_batch(rng), product_precision="bfloat16")
    assert len(warn) == lacks


def test_step_is_traced_once(rng):
    batch = training_toy.toy_batch(rng)
    trainer = _trainer(batch)
    _steps(trainer, _parts(batch, 1), n_steps=5)
    assert trainer.train_step.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_step_that_is_not_finite_changes_nothing(rng, bad):
    batch = training_toy.toy_batch(rng)
    trainer = _trainer(batch)
    _steps(trainer, _parts(batch, 1))
    weights, step = _weights(trainer), int(trainer.step)
    moments = [item.numpy() for item in trainer.optimizer.variables]
    batch["audio"] = batch["audio"] * bad
    result = _steps(trainer, _parts(batch, 1), n_steps=1)
    assert not result.finite.numpy()
    assert int(trainer.step) == step
    np.testing.assert_array_equal(_weights(trainer), weights)
    for before, after in zip(moments, trainer.optimizer.variables, strict=True):
        np.testing.assert_array_equal(after.numpy(), before)


def test_result_tells_losses_norm_rate_and_times(rng):
    batch = training_toy.toy_batch(rng)
    result = _steps(_trainer(batch), _parts(batch, 1), n_steps=1)
    assert set(result.losses) == {"audio_loss", "total_loss"}
    assert result.grad_norm > 0
    assert result.learning_rate.numpy() == pytest.approx(0.01)
    for secs in (result.gradient_secs, result.update_secs):
        assert 0 < secs < 1000  # a time of day is far more


FIRST_MOMENT = 0.1  # 1 - beta_1: of the gradient, in Adam's average after one step


def _gradient_used(trainer, batch):
    """The gradient that a first step updates with, and what the step says."""
    result = _steps(trainer, _parts(batch, 1), n_steps=1)
    moments = [np.ravel(item) for item in trainer.optimizer._momentums]
    return np.concatenate(moments) / FIRST_MOMENT, result


def test_the_gradient_is_clipped_before_the_update(rng):
    """Adam divides by the gradient's size, so the weights themselves hardly tell."""
    batch = training_toy.toy_batch(rng)
    gradient, result = _gradient_used(_trainer(batch, clip_mode="none"), batch)
    norm = float(result.grad_norm)
    assert np.linalg.norm(gradient) == pytest.approx(norm, rel=1e-5)
    # Half of the norm; a bound above it changes nothing; each element by itself.
    halved, result = _gradient_used(_trainer(batch, grad_clip_norm=0.5 * norm), batch)
    np.testing.assert_allclose(halved, 0.5 * gradient, rtol=1e-4)
    assert float(result.grad_norm) == pytest.approx(norm, rel=1e-5)  # before it
    free, _ = _gradient_used(_trainer(batch, grad_clip_norm=2.0 * norm), batch)
    np.testing.assert_allclose(free, gradient, rtol=1e-5)
    bound = float(np.median(np.abs(gradient)))
    single, _ = _gradient_used(
        _trainer(batch, grad_clip_norm=bound, clip_mode="element"), batch
    )
    np.testing.assert_allclose(single, np.clip(gradient, -bound, bound), rtol=1e-4)


def test_noise_of_a_step_is_the_seed_s_and_the_attempt_s(rng):
    batch = training_toy.toy_batch(rng)

    trainers = {seed: _trainer(batch, seed=seed) for seed in (0, 1)}

    def loss(seed, attempt):
        arguments = _parts(batch, 1), tf.constant(attempt, tf.int64)
        joint = trainers[seed]._joint_gradients
        _, losses = trainers[seed].strategy.run(joint, arguments)
        return float(losses["total_loss"])

    assert loss(0, 0) == loss(0, 0)
    assert len({loss(0, 0), loss(1, 0), loss(0, 1)}) == 3


def test_bad_accumulation_is_refused():
    with pytest.raises(ValueError, match="accumulate_steps=0"):
        training_options.TrainerOptions(accumulate_steps=0)


def _draw(step, *, first_row=0, shape=(2, 5), n_rows=2, seed=1):
    with seeded_noise.reproducible(
        seeded_noise.NoiseKey(seed, step, first_row=first_row, n_rows=n_rows)
    ):
        return tf.random.uniform(shape, minval=-1.0, maxval=1.0).numpy()


def test_noise_is_a_function_of_seed_step_and_row():
    np.testing.assert_array_equal(_draw(3), _draw(3))
    assert not np.allclose(_draw(3), _draw(4))
    assert not np.allclose(_draw(3), _draw(3, seed=2))
    joint = _draw(3, shape=(4, 5), n_rows=4)
    np.testing.assert_array_equal(joint[2:], _draw(3, first_row=2))
    assert not np.allclose(joint[0], joint[1])


def test_noise_is_uniform_in_its_range_and_normal_is_normal():
    drawn = _draw(0, shape=(2, 20000))
    assert drawn.min() >= -1.0 and drawn.max() < 1.0
    assert np.mean(drawn) == pytest.approx(0.0, abs=0.02)
    assert np.var(drawn) == pytest.approx(1 / 3, rel=0.03)
    with seeded_noise.reproducible(seeded_noise.NoiseKey(0, 0)):
        normal = tf.random.normal([2, 20000], 1.0, 2.0).numpy()
    assert np.mean(normal) == pytest.approx(1.0, abs=0.05)
    assert np.std(normal) == pytest.approx(2.0, rel=0.03)


def test_two_draws_differ_and_tensorflow_is_left_as_it_was():
    stateful = tf.random.uniform
    with seeded_noise.reproducible(seeded_noise.NoiseKey(0, 0)):
        first = tf.random.uniform([2, 5]).numpy()
        second = tf.random.uniform([2, 5]).numpy()
    assert not np.allclose(first, second)
    assert tf.random.uniform is stateful
