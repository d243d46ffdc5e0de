"""From the configuration in force to the objects of a training, each built once."""

import dataclasses
from typing import Any

import gin
import tensorflow as tf
from absl import logging
from ddsp.training import models as ddsp_models
from ddsp.training import trainers

from models.config import gin_config
from models.config import gin_dataset
from models.data import provider as data_provider
from models.monitoring import held_out as held_out_lib
from models.runs import checkpoints
from models.training import options as training_options
from models.training import selection
from models.training import trainer as trainer_lib
from prep.dataset import info as dataset_info

STOCK_TRAINER = "ddsp.training.trainers.Trainer"
OWN_TRAINER = "models.trainer.LadderTrainer"
LOOP_BLOCK = "models.loop.LoopOptions"


@dataclasses.dataclass(frozen=True)
class TrainBlock:
    """ddsp's `train` block: the provider and the lengths of a run."""

    provider: Any
    batch_size: int
    num_steps: int
    steps_per_save: int


@dataclasses.dataclass(frozen=True)
class Training:
    """The objects of a training; the trainer's variables are created.

    Attributes:
        block: Where the batches come from, and how many.
        options: Of the loop.
        trainer: Makes the steps.
        held_out: What is measured on.
        progress: What a run remembers; saved with each checkpoint.
    """

    block: TrainBlock
    options: training_options.LoopOptions
    trainer: trainer_lib.LadderTrainer
    held_out: held_out_lib.HeldOut
    progress: selection.Progress

    @property
    def trackables(self) -> checkpoints.Trackables:
        """Contents of a checkpoint; the names are part of its format."""
        return {
            "model": self.trainer.model,
            "optimizer": self.trainer.optimizer,
            "progress": self.progress,
        }


@dataclasses.dataclass(frozen=True)
class StockTraining:
    """A model under ddsp's own trainer, which has a loop of its own."""

    trainer: Any


def assemble(
    strategy: tf.distribute.Strategy,
    *,
    info: dataset_info.DatasetInfo | None,
    seed: int,
) -> Training | StockTraining:
    """Builds what the configuration in force names.

    Args:
        strategy: Where it runs.
        info: The dataset, if it is a prepared one.
        seed: Decides weights, order of examples and noise.

    Raises:
        gin_config.ConfigError: If something named cannot be built, or not together.
    """
    tf.keras.utils.set_random_seed(seed)
    # Data first: what is wrong with it is found before a model is built.
    block = train_block(seed=seed)
    with gin_config.building():
        options = gin.get_configurable(LOOP_BLOCK)()
        _check_batches(block, strategy)
        held_out = make_held_out(block.provider, info, options=options)
    model = make_model(strategy)
    trainer = make_trainer(model, strategy, num_steps=block.num_steps, seed=seed)
    if not isinstance(trainer, trainer_lib.LadderTrainer):
        return StockTraining(trainer)
    progress = selection.Progress(seed)
    with gin_config.building():
        trainer.build({key: value[:1] for key, value in held_out.batch.items()})
    return Training(block, options, trainer, held_out, progress)


def _check_batches(block: TrainBlock, strategy: tf.distribute.Strategy) -> None:
    """Checks that batches can be filled and shared."""
    if block.num_steps < 1:
        raise ValueError(
            f"train.num_steps={block.num_steps}; at least 1, e.g. --steps=2000."
        )
    if isinstance(block.provider, data_provider.PreparedDataset):
        block.provider.check_batch_size(block.batch_size)
    if block.batch_size % strategy.num_replicas_in_sync:
        raise ValueError(
            f"batch_size={block.batch_size} cannot be shared by "
            f"{strategy.num_replicas_in_sync} devices evenly."
        )


def make_model(strategy: tf.distribute.Strategy) -> tf.keras.Model:
    """Builds the model that `get_model` names.

    Raises:
        gin_config.ConfigError: If the configuration names none.
    """
    if not gin_config.is_bound("get_model", "model"):
        raise gin_config.ConfigError(
            "the gin files name no model (get_model.model); say "
            "--gin_file=gin/stage2.gin."
        )
    with strategy.scope(), gin_config.building():
        return ddsp_models.get_model()


def train_block(*, seed: int) -> TrainBlock:
    """Reads ddsp's `train` block, and builds its provider."""
    with gin_config.building():
        provider = gin_config.parameter(gin_dataset.STOCK_TRAIN, "data_provider")
    # Whatever is bound: configurations of finished runs say the default of 0.
    if isinstance(provider, data_provider.PreparedDataset):
        provider.seed = seed
    return TrainBlock(
        provider=provider,
        batch_size=_whole_number("batch_size", default=32),
        num_steps=_whole_number("num_steps", default=1000000),
        steps_per_save=_whole_number("steps_per_save", default=300),
    )


def _whole_number(name: str, *, default: int) -> int:
    """A number of ddsp's `train` block."""
    value = gin_config.parameter(gin_dataset.STOCK_TRAIN, name, default=default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise gin_config.ConfigError(f"train.{name}={value!r} is not a whole number.")
    return value


def make_trainer(
    model: tf.keras.Model,
    strategy: tf.distribute.Strategy,
    *,
    num_steps: int,
    seed: int,
) -> Any:
    """Builds the trainer that `get_trainer_class` names.

    For ours, what is bound for ddsp's `Trainer` counts where ours binds nothing.
    """
    trainer_class = trainers.get_trainer_class()
    if not issubclass(trainer_class, training_options.TrainerOptions):
        return trainer_class(model, strategy)
    own = gin.get_bindings(OWN_TRAINER, resolve_references=False)
    inherited = {
        name: value
        for name, value in gin.get_bindings(STOCK_TRAINER).items()
        if name not in own
    }
    of_run = {"total_steps": num_steps, "seed": seed}
    inherited |= {name: value for name, value in of_run.items() if name not in own}
    with gin_config.building():
        options = trainer_class(**inherited)
    return trainer_lib.LadderTrainer(model, strategy, options=options)


def make_held_out(
    provider: Any,
    info: dataset_info.DatasetInfo | None,
    *,
    options: training_options.LoopOptions,
) -> held_out_lib.HeldOut:
    """The fixed batch that a run is judged by.

    Raises:
        ValueError: If the eval split is empty.
    """
    wants_eval = options.held_out_split == "eval"
    # A prepared dataset has an eval split, spread over its recordings.
    if info is not None and wants_eval:
        if not info.n_examples("eval"):
            raise ValueError(
                f"the eval split of {info.data_dir} is empty, so nothing could tell a "
                "good checkpoint from a bad one; prepare more recordings or a larger "
                "--eval_split_fraction, or judge by training data with "
                "--gin_param=\"LoopOptions.held_out_split='train'\"."
            )
        if isinstance(provider, data_provider.PreparedDataset):
            held_out = provider.other_split("eval")
        else:
            held_out = data_provider.PreparedDataset(info.data_dir, "eval")
        return held_out_lib.held_out_batch(
            held_out, n_examples=options.held_out_examples
        )
    # Other data is judged by its first examples, of which training sees some.
    if wants_eval:
        logging.warning(
            "This data has no held-out split that is known here: checkpoints are "
            "judged by the first training examples."
        )
    if isinstance(provider, data_provider.PreparedDataset):
        return held_out_lib.held_out_batch(
            provider, n_examples=options.held_out_examples
        )
    return held_out_lib.first_batch(provider, n_examples=options.held_out_examples)
