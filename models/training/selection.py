"""Which checkpoint is best: the one of the smallest held-out spectral distance.

A measurement at which the model has collapsed counts for more by a penalty.
`models.monitoring.held_out` measures.
"""

import numpy as np
import tensorflow as tf


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
    """Returns a loss, raised by the penalty's share where the model has collapsed."""
    return loss * (1.0 + collapse_penalty * collapsed)


def best_measure(progress: Progress, *, collapse_penalty: float) -> float:
    """Returns the penalised loss of the best measurement; infinity before one."""
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
        collapsed: Whether a rule of `models.monitoring.alarms` holds at this
            measurement.
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
