"""Batches, models from gin files and numeric gradients for the tests of the ladder."""

import pathlib
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from ddsp.training import models as ddsp_models

from models.config import checks
from models.config import gin_config
from models.data import provider  # noqa: F401  registers what our defaults name
from models.training import trainer  # noqa: F401  the same

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
GIN = REPOSITORY / "gin"
TINY = "gin/overlays/tiny.gin"
FRAME_RATE = 250  # frames per second


def make_batch(
    rng: np.random.Generator,
    *,
    batch_size: int = 2,
    n_frames: int = 50,
    sample_rate: int = 16000,
) -> dict[str, tf.Tensor]:
    """Features of noise with a wandering pitch, as the data provider shapes them."""
    shape = (batch_size, n_frames, 1)
    n_samples = n_frames * sample_rate // FRAME_RATE
    walk = np.cumsum(rng.normal(size=shape), axis=1)
    arrays = {
        "audio": 0.1 * rng.normal(size=(batch_size, n_samples)),
        "f0_hz": 440.0 * 2.0 ** (walk / 60.0),
        "f0_confidence": rng.uniform(0.0, 1.0, size=shape),
        "loudness_db": rng.uniform(-60.0, 0.0, size=shape),
    }
    return {key: tf.constant(value, tf.float32) for key, value in arrays.items()}


def parse_stage(*files: str, bindings: Sequence[str] = ()) -> None:
    """Parses gin files strictly, as `ddsp_run` does, and finalises."""
    gin_config.parse_files(gin_config.Sources(gin_files=files))
    gin_config.parse_bindings(tuple(bindings))
    checks.check_complete(tuple(bindings))


def build_model(
    *files: str, n_frames: int = 50, bindings: Sequence[str] = ()
) -> tf.keras.Model:
    """The model of gin files for clips of `n_frames` at 16 kHz."""
    lengths = (f"N_SAMPLES = {n_frames * 64}", f"TIME_STEPS = {n_frames}")
    parse_stage(*files, bindings=(*lengths, *bindings))
    return ddsp_models.get_model()


def gradient_error(
    function: Callable[..., tf.Tensor],
    *arguments: np.ndarray,
    delta: float = 1e-6,
    n_directions: int = 4,
) -> float:
    """Largest difference of analytic and numeric directional derivatives, in float64.

    Along random directions, in which a wrong element cannot hide; two evaluations a
    direction where `tf.test.compute_gradient` needs two an element. The output is
    weighted by fixed numbers, so that no two elements cancel.
    """

    def weighted(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        output = function(*tensors)
        weights = tf.cos(tf.range(tf.size(output), dtype=output.dtype))
        return tf.reduce_sum(tf.reshape(output, [-1]) * weights)

    tensors = [tf.constant(argument, tf.float64) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = weighted(tensors)
    gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
    rng = np.random.default_rng(7)
    errors = []
    for _ in range(n_directions):
        along = [tf.constant(rng.normal(size=x.shape), tf.float64) for x in tensors]
        shift = lambda sign, along=along: weighted(
            [x + sign * delta * d for x, d in zip(tensors, along, strict=True)]
        )
        numeric = (shift(1.0) - shift(-1.0)) / (2.0 * delta)
        pairs = zip(gradients, along, strict=True)
        analytic = tf.add_n([tf.reduce_sum(g * d) for g, d in pairs])
        errors.append(abs(float(numeric - analytic)))
    return max(errors)
