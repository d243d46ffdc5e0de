"""From a parsed configuration to a run's objects: model, trainer, data, held-out."""

import dataclasses
import pathlib
from typing import Any

import gin
import tensorflow as tf
from absl import logging
from ddsp.training import models as ddsp_models
from ddsp.training import trainers

from models.config import gin_config
from models.data import provider as data_provider
from models.monitoring import held_out as held_out_lib
from models.training import options as loop_options
from models.training import trainer as trainer_lib
from prep.dataset import info as dataset_info

DEFAULT_DATA_DIR = "data"
STOCK_TRAIN = "ddsp.training.train_util.train"
STOCK_TRAINER = "ddsp.training.trainers.Trainer"
STOCK_RECORDS = "ddsp.training.data.TFRecordProvider"
OWN_TRAINER = "models.trainer.LadderTrainer"


@dataclasses.dataclass(frozen=True)
class TrainBlock:
    """ddsp's `train` block: the provider and the lengths of a run."""

    provider: Any
    batch_size: int
    num_steps: int
    steps_per_save: int


def dataset_of_config(data_dir: str | None) -> dataset_info.DatasetInfo | None:
    """Finds the prepared dataset that a configuration means.

    Args:
        data_dir: What the command line says, or None.

    Returns:
        Its facts; None if the data comes from elsewhere, e.g. TFDS.

    Raises:
        FileNotFoundError: If the dataset that is meant is missing or unfinished.
        ValueError: If it is damaged.
    """
    if data_dir is not None:
        return dataset_info.read_dataset_info(data_dir)
    pattern = gin_config.parameter(STOCK_RECORDS, "file_pattern")
    if pattern:  # records of ddsp's own kind may have no dataset_info.json
        directory = pathlib.Path(pattern).parent
        has_info = (directory / dataset_info.INFO_NAME).is_file()
        return dataset_info.read_dataset_info(directory) if has_info else None
    provider = gin_config.bound_class(STOCK_TRAIN, "data_provider")
    if provider not in (None, STOCK_RECORDS, "models.data.PreparedDataset"):
        return None
    bound = gin_config.macro_value("DATA_DIR") or DEFAULT_DATA_DIR
    return dataset_info.read_dataset_info(bound)


def bind_provider_defaults(info: dataset_info.DatasetInfo) -> None:
    """Lets configurations that name no data read the prepared dataset."""
    bindings = []
    for block, name in (
        ("train", ""),
        ("evaluate", "eval_data/"),
        ("sample", "eval_data/"),
    ):
        if not gin_config.is_bound(block, "data_provider"):
            provider = f"@{name}models.data.PreparedDataset()"
            bindings.append(f"{block}.data_provider = {provider}")
    if not gin_config.is_bound(STOCK_RECORDS, "file_pattern"):
        pattern = (
            info.data_dir
            / pathlib.Path(info.fields["splits"]["train"]["file_pattern"]).name
        )
        bindings.append(f"TFRecordProvider.file_pattern = {str(pattern)!r}")
    if not gin_config.is_bound("models.data.PreparedDataset", "data_dir"):
        bindings.append("models.data.PreparedDataset.data_dir = %DATA_DIR")
    gin_config.parse_bindings(bindings)


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
    with strategy.scope():
        return ddsp_models.get_model()


def train_block(*, seed: int) -> TrainBlock:
    """Reads ddsp's `train` block, and builds its provider."""
    provider = gin_config.parameter(STOCK_TRAIN, "data_provider")
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
    value = gin_config.parameter(STOCK_TRAIN, name, default=default)
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
    if not issubclass(trainer_class, trainer_lib.LadderTrainer):
        return trainer_class(model, strategy)
    own = gin.get_bindings(OWN_TRAINER, resolve_references=False)
    inherited = {
        name: value
        for name, value in gin.get_bindings(STOCK_TRAINER).items()
        if name not in own
    }
    if "total_steps" not in own:
        inherited["total_steps"] = num_steps
    return trainer_class(model, strategy, seed=seed, **inherited)


def make_held_out(
    provider: Any,
    info: dataset_info.DatasetInfo | None,
    *,
    options: loop_options.LoopOptions,
) -> held_out_lib.HeldOut:
    """The fixed batch that a run is judged by.

    Raises:
        ValueError: If the eval split is empty.
    """
    wants_eval = options.held_out_split == "eval"
    if info is not None and wants_eval:
        if not info.n_examples("eval"):
            raise ValueError(
                f"the eval split of {info.data_dir} is empty, so nothing could tell a "
                "good checkpoint from a bad one; prepare more recordings or a larger "
                "--eval_split_fraction, or judge by training data with "
                "--gin_param=\"LoopOptions.held_out_split='train'\"."
            )
        held_out = data_provider.PreparedDataset(info.data_dir, "eval")
        return held_out_lib.held_out_batch(
            held_out, n_examples=options.held_out_examples
        )
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
