"""The lessons of a run, from its settings to a decoder that has learnt them.

    measure the recordings' controls → start the decoder from the data → warm up

and the anchor, whose targets ride along in the batches of the training that follows.
"""

import dataclasses
import json
import pathlib
import shutil
import time
from collections.abc import Callable
from typing import Any

import gin
import numpy as np
import tensorflow as tf
from absl import logging

from models.data import provider as provider_lib
from models.losses import teacher
from models.runs import checkpoints
from models.teaching import material as material_lib
from models.teaching import targets
from models.teaching import warm_up as warm_up_lib
from prep import errors

WARM_UP_DIR = "warm_up"  # in the run's directory, while the warm-up lasts
LOG_NAME = "lessons.jsonl"
SAVE_SECS = 30.0  # between two checkpoints of a warm-up


@gin.register(module="models.teaching")
@dataclasses.dataclass(frozen=True)
class Lessons:
    """What is taught before the first step of training.

    Attributes:
        warm_up_steps: Steps on measured controls alone; 0 teaches nothing.
        learning_rate: Of the warm-up, at its start.
        from_data: Whether first layers and output biases start from the data.
    """

    warm_up_steps: int = 0
    learning_rate: float = 3e-3
    from_data: bool = True

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot work."""
        if self.warm_up_steps < 0:
            raise ValueError(f"warm_up_steps={self.warm_up_steps}; at least 0.")
        if not self.learning_rate > 0:
            raise ValueError(
                f"learning_rate={self.learning_rate} of the warm-up; above 0."
            )


@dataclasses.dataclass(frozen=True)
class Report:
    """How the lessons went; written into run.json.

    Attributes:
        steps: Of the warm-up.
        measuring_secs: For the recordings' controls; near 0 where they were kept.
        warm_up_secs: For the warm-up, of this process.
        harmonics_db: How far the harmonics were off over its last steps.
        noise_db: The same of the noise bands.
    """

    steps: int
    measuring_secs: float
    warm_up_secs: float
    harmonics_db: float
    noise_db: float

    @property
    def secs(self) -> float:
        """Returns what all of it took."""
        return self.measuring_secs + self.warm_up_secs

    def sentence(self) -> str:
        """Tells of the lessons in one line."""
        return (
            f"taught the recordings' own controls in {self.warm_up_secs:.0f} s "
            f"(measured in {self.measuring_secs:.0f} s): harmonics are off by "
            f"{self.harmonics_db:.1f} dB, noise bands by {self.noise_db:.1f} dB"
        )


def anchor_is_used(model: tf.keras.Model) -> bool:
    """Returns whether a model's losses compare controls with measured ones."""
    return any(
        isinstance(loss, teacher.TaughtControls) and loss.is_used("taught_harmonics")
        for loss in getattr(model, "loss_objs", [])
    )


def give(
    model: tf.keras.Model,
    provider: Any,
    *,
    settings: Lessons,
    strategy: tf.distribute.Strategy,
    run_dir: pathlib.Path,
    seed: int,
    is_new: bool,
) -> Report | None:
    """Gives a run the lessons that its configuration asks for.

    Args:
        model: A built model.
        provider: Training examples; batches hold the anchor's targets afterwards.
        settings: What is taught.
        strategy: Where the run trains.
        run_dir: The run's directory.
        seed: The run's.
        is_new: Whether the run begins at weights of its own; one that goes on has had
            its warm-up, and another run's weights would be lost in one.

    Returns:
        How the warm-up went; None without one.

    Raises:
        errors.InputError: If there is something to teach and no way to.
    """
    if not settings.warm_up_steps and not anchor_is_used(model):
        return None
    if strategy.num_replicas_in_sync > 1:
        raise errors.InputError(
            "a teacher needs one device, and here are several; leave the overlay out, "
            "or start from a run that it has taught with --init_from."
        )
    # The anchor needs the targets in every batch, also when a run goes on.
    begin = time.monotonic()
    measured = prepare(model, provider, run_dir=run_dir)
    measuring_secs = time.monotonic() - begin
    # The warm-up comes once, before the first step of a new run.
    if not is_new or not settings.warm_up_steps:
        return None
    return teach(
        model,
        provider,
        measured,
        settings=settings,
        run_dir=run_dir,
        seed=seed,
        measuring_secs=measuring_secs,
        show=logging.info,
    )


def forget_warm_up(run_dir: pathlib.Path) -> None:
    """Removes the warm-up's own checkpoints: the run's have taken their place."""
    shutil.rmtree(run_dir / WARM_UP_DIR, ignore_errors=True)


def prepare(
    model: tf.keras.Model, provider: Any, *, run_dir: pathlib.Path
) -> dict[str, np.ndarray]:
    """Measures what will be taught and hands the anchor's share to the provider.

    Returns:
        The measured controls, as `targets.measured_for` returns them.

    Raises:
        errors.InputError: If the data is not a prepared dataset or the model not ours.
    """
    if not isinstance(provider, provider_lib.PreparedDataset) or not hasattr(
        model, "decoder"
    ):
        raise errors.InputError(
            "a teacher (models.teaching.Lessons, models.losses.TaughtControls) needs "
            "a dataset of ddsp_prep and a rung of the ladder; leave the overlay out."
        )
    sizes = dict(model.decoder.output_splits)
    measured = targets.measured_for(
        provider,
        n_harmonics=sizes["harmonic_distribution"],
        n_noise_bands=sizes["noise_magnitudes"],
        fallback_dir=run_dir,
    )
    if anchor_is_used(model):
        provider.add_companions(measured)
    return measured


def teach(
    model: tf.keras.Model,
    provider: provider_lib.PreparedDataset,
    measured: dict[str, np.ndarray],
    *,
    settings: Lessons,
    run_dir: pathlib.Path,
    seed: int,
    measuring_secs: float,
    show: Callable[[str], None],
) -> Report:
    """Gives the lessons, or goes on with them where they were interrupted.

    Args:
        model: A built model, at its initial weights.
        provider: Training examples.
        measured: From `prepare`.
        settings: What is taught.
        run_dir: Where the log and, while it lasts, checkpoints go.
        seed: The run's.
        measuring_secs: What `prepare` took, for the report.
        show: Takes a line of progress.

    Returns:
        How it went.
    """
    begin = time.monotonic()
    material = material_lib.gather(model, provider, measured)
    warm_up = warm_up_lib.WarmUp(
        model,
        material,
        n_steps=settings.warm_up_steps,
        learning_rate=settings.learning_rate,
        sample_rate=provider.info.sample_rate,
        seed=seed,
    )
    trackables = {
        "model": model,
        "optimizer": warm_up.optimizer,
        "progress": warm_up.progress,
    }
    # Go on where an earlier start stopped, or begin at the average of the data.
    folder = run_dir / WARM_UP_DIR
    store = checkpoints.CheckpointStore(folder, keep=1, trackables=trackables)
    found = checkpoints.newest_sound(folder)
    if found is not None:
        checkpoints.restore(found.path, trackables=trackables)
    elif settings.from_data:
        warm_up_lib.fit_first_layers(model.decoder, material.inputs, seed=seed)
        warm_up.fit_output_bias()
    means = _advance(warm_up, store=store, run_dir=run_dir, show=show)
    return Report(
        steps=settings.warm_up_steps,
        measuring_secs=round(measuring_secs, 2),
        warm_up_secs=round(time.monotonic() - begin, 2),
        harmonics_db=round(means.harmonics, 3),
        noise_db=round(means.noise, 3),
    )


def _advance(
    warm_up: warm_up_lib.WarmUp,
    *,
    store: checkpoints.CheckpointStore,
    run_dir: pathlib.Path,
    show: Callable[[str], None],
) -> warm_up_lib.RecentDistances:
    """Makes the warm-up's steps; logs each few, saves now and then."""
    means = warm_up_lib.RecentDistances(float("nan"), float("nan"))
    saved = time.monotonic()
    with (run_dir / LOG_NAME).open("a", encoding="utf-8") as log:
        while not warm_up.is_done:
            means = warm_up.advance()
            step = int(warm_up.progress.step.numpy())
            row = {"step": step, **dataclasses.asdict(means), "time/unix": time.time()}
            log.write(json.dumps(row) + "\n")
            log.flush()
            show(
                f"lesson {step}/{warm_up.n_steps}: harmonics off by "
                f"{means.harmonics:.2f} dB, noise by {means.noise:.2f} dB"
            )
            # Its end is not saved: who goes on from there could not say how it went.
            if not warm_up.is_done and time.monotonic() - saved > SAVE_SECS:
                store.save(step)
                saved = time.monotonic()
    return means
