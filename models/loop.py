"""The training loop: steps, measurements, checkpoints, and when to stop.

ddsp's `train` block keeps its meaning: `train.data_provider`, `train.batch_size`,
`train.num_steps`, `train.steps_per_save`; `LoopOptions` holds what is ours.
"""

import dataclasses
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from absl import logging

import gin
from models import checkpointing
from models import data
from models import feed
from models import instruments
from models import metrics_log
from models import selection
from models import stopping
from models import trainer as trainer_lib

BEST_DIR = "best"


@gin.register(module="models.loop")
@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """How often to look, and when to stop.

    Attributes:
        log_every: Steps between two rows of metrics.jsonl.
        held_out_every: Steps between two measurements on the held-out batch.
        held_out_examples: Examples of the held-out batch, spread over its recordings.
        held_out_split: 'eval'; or 'train' to overfit on purpose.
        patience: Stop after so many measurements without improvement; 0 never stops.
        min_delta: What a measurement must be lower by to count as better.
        max_skipped_in_row: Stop after so many steps in a row that were not finite.
        dump_controls_every: Steps between two dumps of the controls; 0 writes none.
        render_every: Steps between two renderings of the held-out batch; 0 none.
        alarms: Whether to watch for collapse.
        alarms_after: Steps before the first alarm may be raised.
        early_stop_loss_value: Stop when the training loss is this low, as in ddsp.
    """

    log_every: int = 10
    held_out_every: int = 50
    held_out_examples: int = 8
    held_out_split: str = "eval"
    patience: int = 0
    min_delta: float = 0.0
    max_skipped_in_row: int = 10
    dump_controls_every: int = 0
    render_every: int = 0
    alarms: bool = True
    alarms_after: int = 100
    early_stop_loss_value: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot work."""
        for name in ("log_every", "held_out_every", "held_out_examples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; at least 1.")
        for name in ("patience", "min_delta", "dump_controls_every", "render_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}; at least 0.")
        if self.held_out_split not in ("eval", "train"):
            raise ValueError(
                f"held_out_split={self.held_out_split!r}; 'eval' or 'train'."
            )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How training ended.

    Attributes:
        reason: 'finished', 'early stop', 'loss reached', 'interrupted'.
        step: Updates made.
        best_loss: Lowest held-out spectral loss.
        best_step: Where it was.
        skipped: Steps that were not finite.
    """

    reason: str
    step: int
    best_loss: float
    best_step: int
    skipped: int


class NonFiniteError(RuntimeError):
    """Too many steps in a row without a finite loss and gradient."""


class Loop:
    """A training run from its first step, or the one it goes on from, to its last."""

    def __init__(
        self,
        trainer: trainer_lib.LadderTrainer,
        provider: Any,
        *,
        held_out: selection.HeldOut,
        progress: selection.Progress,
        run_dir: pathlib.Path | None,
        batch_size: int,
        num_steps: int,
        steps_per_save: int,
        options: LoopOptions,
        quiet: bool = False,
        settings: dict[str, Any] | None = None,
    ):
        """Prepares a run; the trainer is built and restored.

        Args:
            trainer: Makes the steps.
            provider: Gives the batches.
            held_out: What is measured on.
            progress: What a run remembers; saved with each checkpoint.
            run_dir: Where all is written; None writes nothing (a worker that is not
                the chief).
            batch_size: Examples in a part of a step.
            num_steps: Updates to make in all.
            steps_per_save: Steps between two checkpoints.
            options: The rest.
            quiet: No progress line.
            settings: What made the run; written beside dumps.
        """
        self.trainer = trainer
        self.provider = provider
        self.progress = progress
        self.options = options
        self.num_steps = num_steps
        self.steps_per_save = steps_per_save
        self.run_dir = run_dir
        self.batch_size = batch_size
        self._measure = selection.measurement(trainer.model, held_out)
        trackables = {
            "model": trainer.model,
            "optimizer": trainer.optimizer,
            "progress": progress,
        }
        self._log: metrics_log.MetricsLog | None = None
        self._line = metrics_log.ProgressLine(n_steps=num_steps, quiet=quiet)
        if run_dir is not None:
            self._log = metrics_log.MetricsLog(run_dir, first_step=self.step)
            self._last = checkpointing.CheckpointStore(
                run_dir, keep=trainer.checkpoints_to_keep, trackables=trackables
            )
            self._best = checkpointing.CheckpointStore(
                run_dir / BEST_DIR, keep=1, trackables=trackables
            )
            self._last.clean()
            self._best.clean()
        self._instruments = instruments.Instruments(
            trainer.model,
            held_out,
            run_dir=run_dir,
            alarms_after=options.alarms_after if options.alarms else None,
            settings=settings,
        )
        self._means = metrics_log.Means()
        self._skipped_in_row = 0
        self._stopping = stopping.StopOnSignals()
        self._traced = False

    @property
    def step(self) -> int:
        """Updates made."""
        return int(self.trainer.step.numpy())

    def run(self) -> Outcome:
        """Trains until a reason to stop.

        Raises:
            NonFiniteError: After too many steps in a row that were not finite.
        """
        batches = feed.step_batches(
            self.provider,
            self.trainer.strategy,
            batch_size=self.batch_size,
            accumulate_steps=self.trainer.accumulate_steps,
            start_step=int(self.progress.attempts.numpy()),
        )
        reason = "finished"
        with self._stopping:
            if self.step == 0:
                self._look(0)
            while self.step < self.num_steps:
                step, is_new = self._one_step(batches)
                reason = self._after(step) if is_new else ""
                if reason:
                    break
                reason = "finished"
        return self._finish(reason)

    def _one_step(self, batches: Iterator[Any]) -> tuple[int, bool]:
        """Makes a step; says whether it updated the weights."""
        begin = time.perf_counter()
        parts = next(batches)
        got_data = time.perf_counter()
        self.trainer.set_model_step(self.step)
        attempt = self.progress.attempts.read_value()
        result = self.trainer.train_step(parts, attempt)
        finite = bool(result["finite"].numpy())
        is_traced = self._traced
        self._traced = True
        self.progress.attempts.assign_add(1)
        if not finite:
            self._skip(parts, result)
            return self.step, False
        self._skipped_in_row = 0
        self._means.add(
            {
                f"losses/{name}": value.numpy()
                for name, value in result["losses"].items()
            }
            | {"grad_norm": result["grad_norm"].numpy()}
        )
        if is_traced:  # the first step's time is mostly that of building the graph
            self._add_times(result, begin, got_data)
        self._means.set("learning_rate", float(result["learning_rate"].numpy()))
        return self.step, True

    def _add_times(self, result: dict[str, Any], begin: float, got_data: float) -> None:
        self._means.add(
            {
                "time/data_ms": 1e3 * (got_data - begin),
                "time/forward_backward_ms": 1e3 * result["gradient_secs"].numpy(),
                "time/optimizer_ms": 1e3 * result["update_secs"].numpy(),
                "time/step_ms": 1e3 * (time.perf_counter() - begin),
            }
        )

    def _skip(self, parts: Any, result: dict[str, Any]) -> None:
        """Reports a step that was not finite; gives up after several in a row."""
        self.progress.skipped.assign_add(1)
        self._skipped_in_row += 1
        what = (
            f"step {self.step + 1}: loss {result['losses']['total_loss'].numpy():g}, "
            f"gradient norm {result['grad_norm'].numpy():g}; not finite, so the step "
            f"is skipped ({self._skipped_in_row} in a row). Its examples: "
            f"{self._names(parts)}."
        )
        logging.warning("%s", what)
        if self._skipped_in_row >= self.options.max_skipped_in_row:
            self._save(self.step)
            raise NonFiniteError(
                f"{what} Training stops; the weights from before are saved at step "
                f"{self.step}. Lower learning_rate, or look at these examples."
            )

    def _names(self, parts: Any) -> str:
        """Where the examples of a step come from."""
        if not isinstance(self.provider, data.PreparedDataset):
            return "unknown to this data provider"
        local = self.trainer.strategy.experimental_local_results(parts["example_index"])
        indices = np.concatenate([item.numpy().ravel() for item in local])
        ids = self.provider.example_ids(indices.tolist())
        return ", ".join(f"{item.recording_id}@{item.start_secs:g}s" for item in ids)

    def _after(self, step: int) -> str:
        """Looks, logs and saves as the step asks; returns a reason to stop, or ''."""
        options = self.options
        is_last = step >= self.num_steps
        reason = ""
        total_loss = self._means.last("losses/total_loss")
        row: metrics_log.Row = {}
        if _due(step, options.held_out_every) or is_last:
            row = self._look(step, with_row=True)
            if options.patience and int(self.progress.stale) >= options.patience:
                reason = "early stop"
        elif self._is_dump_due(step):
            self._dump(step, *self._measured())
        limit = options.early_stop_loss_value
        if limit is not None and total_loss <= limit:
            reason = "loss reached"
        if self._stopping.asked and not is_last:
            reason = "interrupted"
        if _due(step, options.log_every) or row or is_last or reason:
            self._write_row(step, row)
        if _due(step, self.steps_per_save) or is_last or reason:
            self._save(step)
        return reason

    def _measured(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Spectral distances and outputs on the held-out batch."""
        distances, outputs = self._measure()
        return distances.numpy(), outputs

    def _look(self, step: int, *, with_row: bool = False) -> metrics_log.Row:
        """Measures on the held-out batch; keeps the best."""
        distances, outputs = self._measured()
        loss = float(np.mean(distances))
        is_best = selection.note_measurement(
            self.progress, loss=loss, step=step, min_delta=self.options.min_delta
        )
        row = {
            "held_out/spectral_loss": loss,
            "held_out/best_loss": float(self.progress.best_loss.numpy()),
            "held_out/best_step": int(self.progress.best_step.numpy()),
            **self._instruments.observe(outputs, step=step),
        }
        if is_best and step > 0 and self.run_dir is not None:
            self._best.save_only(step)
        if self._is_dump_due(step):
            self._dump(step, distances, outputs)
        if not with_row:
            self._write_row(step, row)
        return row

    def _is_dump_due(self, step: int) -> bool:
        return _due(step, self.options.dump_controls_every) or _due(
            step, self.options.render_every
        )

    def _dump(self, step: int, distances: np.ndarray, outputs: dict[str, Any]) -> None:
        """Writes controls and audio where the step asks for them."""
        if self.run_dir is None:
            return
        if _due(step, self.options.dump_controls_every):
            self._instruments.dump_controls(outputs, distances, step=step)
        if _due(step, self.options.render_every):
            self._instruments.render(outputs, step=step)

    def _write_row(self, step: int, row: metrics_log.Row) -> None:
        means = self._means.take()
        row = (
            {"step": step, "attempts": int(self.progress.attempts.numpy())}
            | means
            | row
        )
        row["skipped_steps"] = int(self.progress.skipped.numpy())
        row["time/unix"] = time.time()
        if self._log is not None:
            self._log.write(row)
        shown = self._instruments.last_row | row
        self._line.update(shown, alarms=self._instruments.active_alarms)

    def _save(self, step: int) -> None:
        if self._log is not None:
            self._last.save(step)
            self._log.flush()

    def _finish(self, reason: str) -> Outcome:
        self._line.finish()
        if self._log is not None:
            self._log.close()
        return Outcome(
            reason=reason,
            step=self.step,
            best_loss=float(self.progress.best_loss.numpy()),
            best_step=int(self.progress.best_step.numpy()),
            skipped=int(self.progress.skipped.numpy()),
        )


def _due(step: int, every: int) -> bool:
    """Whether something that happens every so many steps happens now; 0 is never."""
    return bool(every) and step % every == 0
