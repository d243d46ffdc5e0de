"""A run from its request to its end: checks, start, loop, record."""

import contextlib
import dataclasses
import errno
import functools
import logging as std_logging
import os
import pathlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import gin
import tensorflow as tf
from absl import logging
from ddsp.training import eval_util
from ddsp.training import train_util

from models.config import gin_config
from models.config import gin_contents
from models.runs import checkpoints
from models.runs import layout
from models.runs import loading
from models.runs import record
from models.runs import warm_start
from models.teaching import lessons
from models.training import assembly
from models.training import loop
from models.training import options as training_options
from models.training import request as run_request
from models.training import resume
from models.training import stepper
from prep import checked_json
from prep import errors
from prep import files
from prep.dataset import info as dataset_info

_NO_COMMON_CLOCK = (
    "--max_minutes cannot be kept by several workers, whose clocks would end at "
    "different steps; use --steps with --cluster_config."
)


def make_strategy(request: run_request.TrainingRequest) -> tf.distribute.Strategy:
    """Makes ddsp's strategy, or TensorFlow's plain one for one device."""
    is_plain = not request.tpu and not request.cluster_config
    # Listing devices starts TensorFlow, after which workers cannot be joined.
    if is_plain and len(tf.config.list_logical_devices("GPU")) <= 1:
        return tf.distribute.get_strategy()
    return train_util.get_strategy(
        tpu=request.tpu, cluster_config=request.cluster_config
    )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Tells if this process is the one that writes the run directory."""
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.task_id


def train(
    request: run_request.TrainingRequest, *, say: Callable[[str], None] = logging.info
) -> training_options.TrainingResult:
    """Trains as a request says.

    Args:
        request: What to train, where.
        say: Takes the line that tells what was restored, and the last one.

    Returns:
        What it came to.

    Raises:
        errors.InputError: If the request cannot work; before minutes are spent. Also
            `stepper.NonFiniteError`, if training fell apart.
    """
    # Collective operations must be set up before any other, but for what is refused.
    if request.cluster_config and request.loop_options.get("max_minutes"):
        raise errors.InputError(_NO_COMMON_CLOCK)
    strategy = make_strategy(request) if request.cluster_config else None
    info = run_request.configure(request)
    if request.cluster_config and run_request.max_minutes():
        raise errors.InputError(_NO_COMMON_CLOCK)
    save_dir = pathlib.Path(request.save_dir)
    resume.check_writable(save_dir)
    strategy = strategy or make_strategy(request)
    chief = is_chief(strategy)
    with layout.only_one(save_dir) if chief else contextlib.nullcontext():
        return _train_in(request, info, strategy=strategy, say=say)


def _train_in(
    request: run_request.TrainingRequest,
    info: dataset_info.DatasetInfo | None,
    *,
    strategy: tf.distribute.Strategy,
    say: Callable[[str], None],
) -> training_options.TrainingResult:
    """Trains in a run directory that is this process's own."""
    save_dir = pathlib.Path(request.save_dir)
    found = resume.find_start(
        save_dir,
        restore_dir=pathlib.Path(request.restore_dir) if request.restore_dir else None,
        mode=request.resume,
    )
    resume.check_dataset(found, plan_hash=info.plan_hash if info else "")
    # Built and restored before anything is written or moved.
    seed = request.seed
    if seed is None:
        seed = resume.seed_of(pathlib.Path(found.path).parent) if found else 0
    training = assembly.assemble(strategy, info=info, seed=seed)
    if isinstance(training, assembly.StockTraining):
        if request.resume == "never" and is_chief(strategy):
            resume.move_aside(save_dir)
        return _train_with_stock_loop(request, training.trainer)
    first_line = start_weights(training, found=found, request=request)
    if request.resume == "never" and is_chief(strategy):
        resume.move_aside(save_dir)
    say(first_line)
    report = lessons.give(
        training.trainer.model,
        training.block.provider,
        settings=gin.get_configurable(lessons.Lessons)(),
        strategy=strategy,
        run_dir=save_dir,
        seed=seed,
        is_new=found is None and not request.init_from,
    )
    if report is not None:
        say(report.sentence())
    if found is not None:
        changes = resume.differences(
            save_dir, config_text=gin_config.config_text(), seed=seed
        )
        if changes is not None:
            say(changes)
    settings = _settings(request, info, seed=seed)
    run = loop.Loop(
        training,
        run_dir=save_dir if is_chief(strategy) else None,
        settings=settings,
        quiet=request.quiet,
        spent_secs=report.secs if report else 0.0,
    )
    settings = {
        **settings,
        "start_from": first_line,
        "lessons": dataclasses.asdict(report)
        if report
        else record.read_run(save_dir).get("lessons"),
    }
    result = _run_loop(run, info=info, settings=settings)
    lessons.forget_warm_up(save_dir)
    say(_last_line(save_dir, result))
    return result


def start_weights(
    training: assembly.Training,
    *,
    found: checkpoints.FoundCheckpoint | None,
    request: run_request.TrainingRequest,
) -> str:
    """Sets what a training starts from; returns the line that says what that was."""
    if found is not None:
        return resume.restore(
            training, found=found, save_dir=pathlib.Path(request.save_dir)
        )
    if request.init_from:
        source = loading.find_weights(request.init_from)
        with training.trainer.strategy.scope():
            report = warm_start.restore_matching(
                training.trainer.model,
                source.path,
                allow_shape_mismatch=request.allow_shape_mismatch,
            )
        return (
            f"weights of step {source.step} from {source.path} ({source.digest}): "
            f"{report.summary()}"
        )
    return "new run from step 0"


def _run_loop(
    run: loop.Loop,
    *,
    info: dataset_info.DatasetInfo | None,
    settings: checked_json.Json,
) -> training_options.TrainingResult:
    """Runs the loop between the first and the last line of the run's record."""
    if run.run_dir is None:
        return run.run()
    weights = run.trainer.model.trainable_variables
    config_text = gin_config.config_text()
    files.write_text(run.run_dir / f"operative_config-{run.step}.gin", config_text)
    facts: checked_json.Json = {
        "first_step": run.step,
        "n_parameters": sum(int(tf.size(item)) for item in weights),
    }
    record.started(
        run.run_dir, info=info, config_text=config_text, settings=settings | facts
    )
    # Whatever happens from here on, run.json says how it ended.
    outcome = layout.Outcome.FAILED
    facts = {}
    try:
        with saying_full_disk():
            result = run.run()
        outcome, facts = result.reason, dataclasses.asdict(result)
    except stepper.NonFiniteError as error:
        outcome, facts = layout.Outcome.NOT_FINITE, {"error": str(error)}
        raise
    except KeyboardInterrupt:
        outcome = layout.Outcome.INTERRUPTED
        raise
    finally:
        # A disk that is full is said by the error that is on its way.
        is_failing = outcome in (layout.Outcome.FAILED, layout.Outcome.NOT_FINITE)
        with contextlib.suppress(OSError) if is_failing else contextlib.nullcontext():
            record.ended(run.run_dir, outcome=outcome, facts=facts)
    return result


@contextlib.contextmanager
def saying_full_disk() -> Iterator[None]:
    """Makes a sentence of what TensorFlow says when a disk is full."""
    try:
        yield
    except tf.errors.OpError as error:
        if os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise errors.InputError(
            "the disk is full; free some space and run the same command again: it goes "
            "on from the last whole checkpoint."
        ) from error


def _settings(
    request: run_request.TrainingRequest,
    info: dataset_info.DatasetInfo | None,
    *,
    seed: int,
) -> checked_json.Json:
    """Returns what made a run, for its record and its dumps."""
    return {
        "gin_files": list(request.gin_files),
        "bindings": run_request.all_bindings(request),
        "seed": seed,
        "gin_digest": gin_contents.digest(request.gin_files, request.search_paths),
        "plan_hash": info.plan_hash if info else "",
        "config_hash": record.config_hash(gin_config.config_text()),
    }


def _last_line(save_dir: pathlib.Path, result: training_options.TrainingResult) -> str:
    collapsed = ", where it has collapsed (see the alarms)"
    return (
        f"{result.reason} at step {result.step}: best held-out spectral loss "
        f"{result.best_loss:.4f} at step {result.best_step}"
        f"{collapsed if result.best_collapsed else ''}; the run is in {save_dir}"
    )


def _train_with_stock_loop(
    request: run_request.TrainingRequest, trainer: Any
) -> training_options.TrainingResult:
    """Runs ddsp's own loop for a trainer that is not ours."""
    train_util.train(
        data_provider=gin.REQUIRED,
        trainer=trainer,
        save_dir=request.save_dir,
        restore_dir=request.restore_dir or request.save_dir,
        early_stop_loss_value=request.loop_options.get("early_stop_loss_value"),
    )
    step = int(trainer.step.numpy())
    return training_options.TrainingResult(
        layout.Outcome.FINISHED, step, float("nan"), -1, 0
    )


def evaluate_or_sample(
    request: run_request.TrainingRequest, *, mode: str, run_once: bool
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
