"""Training steps one by one: timed, and skipped with a report where not finite."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from models.data import provider as data_provider
from models.runs import metrics_log
from models.training import selection
from models.training import trainer as trainer_lib
from prep import errors
from prep import processes


class NonFiniteError(errors.InputError):
    """Too many steps in a row without a finite loss and gradient."""


class Stepper:
    """Makes steps and gathers what they report, in `means`."""

    def __init__(
        self,
        trainer: trainer_lib.LadderTrainer,
        provider: Any,
        *,
        progress: selection.Progress,
        max_skipped_in_row: int,
    ):
        """Nothing is done yet.

        Args:
            trainer: Makes the updates.
            provider: Where the examples come from, to name them.
            progress: Counts attempts and skipped steps.
            max_skipped_in_row: Give up after so many.
        """
        self.means = metrics_log.RowMeans()
        self._trainer = trainer
        self._provider = provider
        self._progress = progress
        self._max_skipped_in_row = max_skipped_in_row
        self._skipped_in_row = 0
        self._traced = False

    def step(self, batches: Iterator[Any]) -> bool:
        """Makes a step; says whether it updated the weights.

        Raises:
            NonFiniteError: If it was one too many that was not finite.
            record_index.DatasetChangedError: If a record is damaged.
        """
        begin = time.perf_counter()
        parts = self._next(batches)
        got_data = time.perf_counter()
        self._trainer.set_model_step(self._n_updates)
        attempt = self._progress.attempts.read_value()
        result = self._trainer.train_step(parts, attempt)
        finite = bool(result.finite.numpy())
        is_traced = self._traced
        if not is_traced:
            processes.give_back_freed()  # what compiling the step has used
        self._traced = True
        self._progress.attempts.assign_add(1)
        if not finite:
            self._skip(parts, result)
            return False
        self._skipped_in_row = 0
        self._add_losses(result)
        if is_traced:  # the first step's time is mostly that of building the graph
            self._add_times(result, begin, got_data)
        return True

    def _next(self, batches: Iterator[Any]) -> Any:
        """Reads the next parts; says in a sentence if the dataset is damaged."""
        try:
            return next(batches)
        except tf.errors.DataLossError as error:
            if isinstance(self._provider, data_provider.PreparedDataset):
                raise self._provider.damage(error) from error
            raise

    @property
    def _n_updates(self) -> int:
        return int(self._trainer.step.numpy())

    def _add_losses(self, result: trainer_lib.StepResult) -> None:
        losses = {
            f"losses/{name}": value.numpy() for name, value in result.losses.items()
        }
        self.means.add(losses | {"grad_norm": result.grad_norm.numpy()})
        self.means.set("learning_rate", float(result.learning_rate.numpy()))

    def _add_times(
        self, result: trainer_lib.StepResult, begin: float, got_data: float
    ) -> None:
        self.means.add(
            {
                "time/data_ms": 1e3 * (got_data - begin),
                "time/forward_backward_ms": 1e3 * result.gradient_secs.numpy(),
                "time/optimizer_ms": 1e3 * result.update_secs.numpy(),
                "time/step_ms": 1e3 * (time.perf_counter() - begin),
            }
        )

    def _skip(self, parts: Any, result: trainer_lib.StepResult) -> None:
        """Reports a step that was not finite; gives up after several in a row."""
        self._progress.skipped.assign_add(1)
        self._skipped_in_row += 1
        what = (
            f"step {self._n_updates + 1}: "
            f"loss {result.losses['total_loss'].numpy():g}, "
            f"gradient norm {result.grad_norm.numpy():g}; not finite, so the step "
            f"is skipped ({self._skipped_in_row} in a row). Its examples: "
            f"{self._names(parts)}."
        )
        logging.warning("%s", what)
        if self._skipped_in_row >= self._max_skipped_in_row:
            raise NonFiniteError(
                f"{what} Training stops; the weights from before are saved at step "
                f"{self._n_updates}. Lower learning_rate, or look at these examples."
            )

    def _names(self, parts: Any) -> str:
        """Names the recordings of a step's examples."""
        if not isinstance(self._provider, data_provider.PreparedDataset):
            return "unknown to this data provider"
        strategy = self._trainer.strategy
        local = strategy.experimental_local_results(parts["example_index"])
        indices = np.concatenate([item.numpy().ravel() for item in local])
        ids = self._provider.example_ids(indices.tolist())
        return ", ".join(f"{item.recording_id}@{item.start_secs:g}s" for item in ids)
