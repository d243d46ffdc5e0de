"""A run from its request to its end: checks, start, loop, record."""

import dataclasses
import errno
import functools
import logging as std_logging
import os
import pathlib
from collections.abc import Callable
from typing import Any

import gin
import tensorflow as tf
from absl import logging
from ddsp.training import eval_util
from ddsp.training import train_util

from models.config import gin_config
from models.data import provider
from models.monitoring import held_out as held_out_lib
from models.runs import checkpoints
from models.runs import loading
from models.runs import record
from models.runs import warm_start
from models.training import assembly
from models.training import loop
from models.training import options as loop_options
from models.training import request as run_request
from models.training import resume
from models.training import selection
from models.training import stepper
from models.training import trainer as trainer_lib
from prep import files
from prep.dataset import info as dataset_info

# What a person can put right; shown as one sentence instead of a stack trace.
USER_ERRORS = (
    ValueError,
    OSError,  # a missing file, a full disk
    tf.errors.ResourceExhaustedError,  # what TensorFlow says of a full disk
    KeyError,
    TypeError,
    stepper.NonFiniteError,
)


def sentence(error: BaseException) -> str:
    """An error as one line."""
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    if os.strerror(errno.ENOSPC) in text:
        return (
            "the disk is full; free some space and run the same command again: it goes "
            "on from the last whole checkpoint."
        )
    return " ".join(text.split())


def make_strategy(request: run_request.Request) -> tf.distribute.Strategy:
    """Where to run: ddsp's strategies, or TensorFlow's plain one on one device."""
    is_plain = not request.tpu and not request.cluster_config
    # Listing devices starts TensorFlow, after which workers cannot be joined.
    if is_plain and len(tf.config.list_logical_devices("GPU")) <= 1:
        return tf.distribute.get_strategy()
    return train_util.get_strategy(
        tpu=request.tpu, cluster_config=request.cluster_config
    )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run directory."""
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.task_id


def train(
    request: run_request.Request, *, say: Callable[[str], None] = logging.info
) -> loop_options.Outcome:
    """Trains as a request says.

    Args:
        request: What to train, where.
        say: Takes the line that tells what was restored, and the last one.

    Returns:
        How it ended.

    Raises:
        ValueError: If the request cannot work; before minutes are spent.
        FileNotFoundError: If the dataset is missing.
        stepping.NonFiniteError: If training fell apart.
    """
    if request.cluster_config and request.loop_options.get("max_minutes"):
        raise ValueError(
            "--max_minutes cannot be kept by several workers, whose clocks would end "
            "at different steps; use --steps with --cluster_config."
        )
    # Collective operations must be set up before any other.
    strategy = make_strategy(request) if request.cluster_config else None
    info = run_request.configure(request)
    save_dir = pathlib.Path(request.save_dir)
    resume.check_writable(save_dir)
    strategy = strategy or make_strategy(request)
    found = resume.find_start(
        save_dir,
        restore_dir=pathlib.Path(request.restore_dir) if request.restore_dir else None,
        mode=request.resume,
    )
    tf.keras.utils.set_random_seed(request.seed)
    block = assembly.train_block(seed=request.seed)
    options = gin.get_configurable(run_request.LOOP_BLOCK)()
    held_out = _checked_data(block, info, strategy=strategy, options=options)
    model = assembly.make_model(strategy)
    trainer = assembly.make_trainer(
        model, strategy, num_steps=block.num_steps, seed=request.seed
    )
    if not isinstance(trainer, trainer_lib.LadderTrainer):
        return _train_with_stock_loop(request, trainer)
    progress = selection.Progress(request.seed)
    trainer.build({key: value[:1] for key, value in held_out.batch.items()})
    first_line = _start(trainer, progress, found=found, request=request)
    say(first_line)
    outcome = _run_loop(
        request,
        loop.Loop(
            trainer,
            block.provider,
            held_out=held_out,
            progress=progress,
            run_dir=save_dir if is_chief(strategy) else None,
            batch_size=block.batch_size,
            num_steps=block.num_steps,
            steps_per_save=block.steps_per_save,
            options=options,
            quiet=request.quiet,
            settings=_settings(request, info),
        ),
        info=info,
        first_line=first_line,
    )
    say(_last_line(save_dir, outcome))
    return outcome


def _checked_data(
    block: assembly.TrainBlock,
    info: dataset_info.DatasetInfo | None,
    *,
    strategy: tf.distribute.Strategy,
    options: loop_options.LoopOptions,
) -> held_out_lib.HeldOut:
    """Checks that batches and steps can be made; returns the held-out one."""
    if block.num_steps < 1:
        raise ValueError(
            f"train.num_steps={block.num_steps}; at least 1, e.g. --steps=2000."
        )
    if isinstance(block.provider, provider.PreparedDataset):
        block.provider.check_batch_size(block.batch_size)
    if block.batch_size % strategy.num_replicas_in_sync:
        raise ValueError(
            f"batch_size={block.batch_size} cannot be shared by "
            f"{strategy.num_replicas_in_sync} devices evenly."
        )
    return assembly.make_held_out(block.provider, info, options=options)


def _start(
    trainer: trainer_lib.LadderTrainer,
    progress: selection.Progress,
    *,
    found: checkpoints.Found | None,
    request: run_request.Request,
) -> str:
    """Restores what is to be restored; returns the line that says what was."""
    if found is not None:
        return resume.restore_trainer(trainer, progress, found=found)
    if request.init_from:
        source = loading.find_weights(request.init_from)
        with trainer.strategy.scope():
            report = warm_start.restore_matching(
                trainer.model,
                source.path,
                allow_shape_mismatch=request.allow_shape_mismatch,
            )
        return (
            f"weights of step {source.step} from {source.path} ({source.digest}): "
            f"{report.summary()}"
        )
    return "new run from step 0"


def _run_loop(
    request: run_request.Request,
    training: loop.Loop,
    *,
    info: dataset_info.DatasetInfo | None,
    first_line: str,
) -> loop_options.Outcome:
    """Runs the loop between the first and the last line of the run's record."""
    save_dir = pathlib.Path(request.save_dir)
    writes = training.run_dir is not None
    if writes:
        _write_config(save_dir, training.step)
        settings = {
            **_settings(request, info),
            "first_step": training.step,
            "start_from": first_line,
            "n_parameters": sum(
                int(tf.size(item))
                for item in training.trainer.model.trainable_variables
            ),
        }
        record.started(
            save_dir, info=info, config_text=gin_config.config_text(), settings=settings
        )
    outcome_name = "failed"
    facts: dict[str, Any] = {}
    try:
        outcome = training.run()
        outcome_name = outcome.reason
        facts = dataclasses.asdict(outcome)
    except stepper.NonFiniteError as error:
        facts = {"error": str(error)}
        outcome_name = "not finite"
        raise
    finally:
        if writes:
            record.ended(save_dir, outcome=outcome_name, facts=facts)
    return outcome


def _settings(
    request: run_request.Request, info: dataset_info.DatasetInfo | None
) -> dict[str, Any]:
    """What made a run, as its record and its dumps state it."""
    return {
        "gin_files": list(request.gin_files),
        "bindings": run_request.all_bindings(request),
        "seed": request.seed,
        "plan_hash": info.plan_hash if info else "",
        "config_hash": record.config_hash(gin_config.config_text()),
    }


def _last_line(save_dir: pathlib.Path, outcome: loop_options.Outcome) -> str:
    collapsed = ", where it has collapsed (see the alarms)"
    return (
        f"{outcome.reason} at step {outcome.step}: best held-out spectral loss "
        f"{outcome.best_loss:.4f} at step {outcome.best_step}"
        f"{collapsed if outcome.best_collapsed else ''}; the run is in {save_dir}"
    )


def _write_config(save_dir: pathlib.Path, step: int) -> None:
    path = save_dir / f"operative_config-{step}.gin"
    files.write_text(path, gin_config.config_text())


def _train_with_stock_loop(
    request: run_request.Request, trainer: Any
) -> loop_options.Outcome:
    """Runs ddsp's own loop for a trainer that is not ours."""
    train_util.train(
        data_provider=gin.REQUIRED,
        trainer=trainer,
        save_dir=request.save_dir,
        restore_dir=request.restore_dir or request.save_dir,
        early_stop_loss_value=request.loop_options.get("early_stop_loss_value"),
    )
    step = int(trainer.step.numpy())
    return loop_options.Outcome("finished", step, float("nan"), -1, 0)


def evaluate_or_sample(
    request: run_request.Request, *, mode: str, run_once: bool
) -> None:
    """Runs ddsp's evaluation or sampling on the eval split.

    Args:
        request: Which run (save_dir), and its gin files if it has no configuration yet.
        mode: 'eval' or 'sample'.
        run_once: Whether to stop after the newest checkpoint.
    """
    std_logging.getLogger("absl").setLevel(std_logging.INFO)
    run_request.configure(request)
    model = assembly.make_model(tf.distribute.get_strategy())
    # Otherwise it tells of every value of the optimiser, which is not needed here.
    model.restore = functools.partial(model.restore, verbose=False)
    function = eval_util.evaluate if mode == "eval" else eval_util.sample
    function(
        data_provider=gin.REQUIRED,
        model=model,
        save_dir=request.save_dir,
        restore_dir=request.restore_dir or request.save_dir,
        run_once=run_once,
    )
