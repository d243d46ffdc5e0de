"""Batches for a training step: [accumulate_steps, batch, ...] on each device.

With a prepared dataset the joint batch is the same whatever the number of workers: each
reads its own rows of it. Other providers draw at random on each worker.
"""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import logging

from models.data import provider as data_provider


def step_batches(
    provider: Any,
    strategy: tf.distribute.Strategy,
    *,
    batch_size: int,
    accumulate_steps: int,
    start_step: int = 0,
) -> Iterator[Any]:
    """Endless inputs of training steps.

    Args:
        provider: A ddsp data provider; a `PreparedDataset` can begin anywhere.
        strategy: Where the steps run.
        batch_size: Examples in a part, over all devices.
        accumulate_steps: Parts of a step.
        start_step: How many steps to pass over.

    Returns:
        Iterator of features with axes [accumulate_steps, batch, ...], per device.

    Raises:
        ValueError: If the devices cannot share a batch evenly.
    """
    n_replicas = strategy.num_replicas_in_sync
    if batch_size % n_replicas:
        raise ValueError(
            f"batch_size={batch_size} cannot be shared by {n_replicas} devices evenly; "
            f"use a multiple of {n_replicas}."
        )
    if start_step and not isinstance(provider, data_provider.PreparedDataset):
        logging.warning(
            "%s cannot begin at a position: the examples come in another order than in "
            "an uninterrupted run.",
            type(provider).__name__,
        )

    # A worker reads its rows of each joint batch and divides them among its devices.
    def dataset_of(context: tf.distribute.InputContext) -> tf.data.Dataset:
        rows = batch_size // context.num_input_pipelines
        first = context.input_pipeline_id * rows
        parts = _parts(
            provider, batch_size, (first, first + rows), start_step * accumulate_steps
        )
        steps = parts.batch(accumulate_steps, drop_remainder=True)
        return _split(steps, n_parts=n_replicas // context.num_input_pipelines)

    if n_replicas == 1:
        return iter(dataset_of(tf.distribute.InputContext()).prefetch(2))
    return iter(strategy.distribute_datasets_from_function(dataset_of))


def _parts(
    provider: Any, batch_size: int, rows: tuple[int, int], start: int
) -> tf.data.Dataset:
    """Batches with the given rows of each joint batch."""
    if isinstance(provider, data_provider.PreparedDataset):
        return provider.batches(batch_size, start_batch=start, rows=rows)
    first, last = rows
    return provider.get_batch(last - first, shuffle=True, repeats=-1)


def _split(steps: tf.data.Dataset, *, n_parts: int) -> tf.data.Dataset:
    """Divides the rows of [accumulate, rows, ...] among devices, one after another."""
    if n_parts == 1:
        return steps

    def divide(value: tf.Tensor) -> tf.Tensor:
        return tf.stack(tf.split(value, n_parts, axis=1))  # [n_parts, accumulate, ...]

    return steps.map(lambda step: tf.nest.map_structure(divide, step)).unbatch()
