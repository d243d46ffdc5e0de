"""Which checkpoint is best: one measure, on one batch that training never sees.

The measure is the multi-scale spectral distance of the generated audio to the
recording, mean |difference of magnitudes| plus mean |difference of log magnitudes|,
summed over FFT sizes 2048 to 64. It is the same for every stage, whatever losses and
weights the stage trains with, so runs can be compared by it. A measurement at which the
model has collapsed counts for more by a penalty.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from ddsp import spectral_ops

from models import data
from models import randomness

FFT_SIZES = (2048, 1024, 512, 256, 128, 64)  # samples, as ddsp's SpectralLoss
# Magnitude added before the logarithm: noise at -75 dBFS in the shortest window.
# Without it, silent bins, down to 1e-12, would outweigh everything that can be heard.
LOG_FLOOR = 1e-3
_HELD_OUT_SEED = 0  # of the noise in every measurement


def spectral_distance(target: tf.Tensor, audio: tf.Tensor) -> tf.Tensor:
    """Multi-scale spectral distance.

    Args:
        target: The recording, [batch, n_samples].
        audio: What was generated, same shape.

    Returns:
        Distance of each example, 0 for equal signals, [batch].

    Source:
        Engel et al., "DDSP", ICLR 2020, eq. 4, with L1 norms; differs: means instead of
        sums, and a floor below the logarithm.
    """
    total = tf.zeros(tf.shape(target)[:1])
    for size in FFT_SIZES:
        reference = spectral_ops.compute_mag(target, size=size)
        estimate = spectral_ops.compute_mag(audio, size=size)
        linear = tf.abs(reference - estimate)
        ratio = tf.abs(_log(reference) - _log(estimate))
        total += tf.reduce_mean(linear + ratio, axis=(1, 2))
    return total


def _log(magnitude: tf.Tensor) -> tf.Tensor:
    return tf.math.log(magnitude + LOG_FLOOR)


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """A fixed batch to judge by.

    Attributes:
        batch: Features, as the provider gives them, with `example_index`.
        names: What each example is, for plots and files.
        sample_rate: Samples a second.
        frame_rate: Control frames a second.
        split: Where the batch is from: 'eval', or 'train' where that was asked for.
    """

    batch: dict[str, tf.Tensor]
    names: tuple[str, ...]
    sample_rate: int
    frame_rate: int
    split: str


def held_out_batch(provider: data.PreparedDataset, *, n_examples: int) -> HeldOut:
    """Picks examples that are evenly spaced through a split."""
    indices = provider.spread_indices(n_examples)
    batch = provider.examples(indices)
    names = tuple(
        f"{item.recording_id}@{item.start_secs:g}s"
        for item in provider.example_ids(indices)
    )
    return HeldOut(
        batch={key: tf.constant(value) for key, value in batch.items()},
        names=names,
        sample_rate=provider.sample_rate,
        frame_rate=provider.frame_rate,
        split=provider.split,
    )


def first_batch(provider: Any, *, n_examples: int) -> HeldOut:
    """The first examples of a provider that has no held-out split."""
    dataset = provider.get_batch(n_examples, shuffle=False, repeats=1)
    batch = next(iter(dataset))
    return HeldOut(
        batch=batch,
        names=tuple(f"example {i}" for i in range(n_examples)),
        sample_rate=provider.sample_rate,
        frame_rate=provider.frame_rate,
        split="train",
    )


def measurement(model: tf.keras.Model, held_out: HeldOut) -> Callable[[], Any]:
    """A function that runs the model on the held-out batch.

    Returns:
        Function without arguments → (spectral distance of each example, outputs). Its
        noise is the same at every call.
    """
    n_rows = held_out.batch["audio"].shape[0]
    key = randomness.NoiseKey(_HELD_OUT_SEED, step=0, n_rows=n_rows)

    @tf.function(autograph=False)
    def measure() -> tuple[tf.Tensor, Any]:
        with randomness.reproducible(key):
            outputs = model(dict(held_out.batch), training=False)
        audio = model.get_audio_from_outputs(outputs)
        return spectral_distance(held_out.batch["audio"], audio), outputs

    return measure


class Progress(tf.Module):
    """What a run must remember to go on: saved with every checkpoint."""

    def __init__(self, seed: int = 0):
        """Starts at the beginning."""
        super().__init__(name="progress")
        self.seed = tf.Variable(seed, dtype=tf.int64, trainable=False)
        self.attempts = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.skipped = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_loss = tf.Variable(np.inf, dtype=tf.float32, trainable=False)
        self.best_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self.best_collapsed = tf.Variable(False, trainable=False)
        self.stale = tf.Variable(0, dtype=tf.int64, trainable=False)


def penalized(loss: float, *, collapsed: bool, collapse_penalty: float) -> float:
    """What a measurement counts: its loss, and the penalty's share more of it."""
    return loss * (1.0 + collapse_penalty * collapsed)


def best_measure(progress: Progress, *, collapse_penalty: float) -> float:
    """What the best measurement so far counts; infinity before there is one."""
    return penalized(
        float(progress.best_loss.numpy()),
        collapsed=bool(progress.best_collapsed.numpy()),
        collapse_penalty=collapse_penalty,
    )


def note_measurement(
    progress: Progress,
    *,
    loss: float,
    step: int,
    min_delta: float,
    collapsed: bool = False,
    collapse_penalty: float = 0.0,
) -> bool:
    """Remembers a measurement; says whether it is the best so far.

    It is when it counts less than the best by more than `min_delta`; otherwise the
    number of stale measurements goes up. A value that is not finite is never the best.

    Args:
        progress: What is remembered.
        loss: Spectral distance.
        step: Where it was measured.
        min_delta: What it must be lower by.
        collapsed: Whether a rule of `models.alarms` holds at this measurement.
        collapse_penalty: Share by which the loss then counts for more: held-out clips
            that training knows little about are matched best, by spectrum, by a steady
            average, and a player has no use for that.
    """
    best = best_measure(progress, collapse_penalty=collapse_penalty)
    measure = penalized(loss, collapsed=collapsed, collapse_penalty=collapse_penalty)
    is_best = bool(np.isfinite(loss)) and measure < best - (
        min_delta if np.isfinite(best) else 0.0
    )
    if is_best:
        progress.best_loss.assign(loss)
        progress.best_step.assign(step)
        progress.best_collapsed.assign(collapsed)
        progress.stale.assign(0)
    else:
        progress.stale.assign_add(1)
    return is_best
