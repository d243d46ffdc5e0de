"""The training loop: steps, measurements, checkpoints, and when to stop.

ddsp's `train` block keeps its meaning: `train.data_provider`, `train.batch_size`,
`train.num_steps`, `train.steps_per_save`; `models.training.options` holds
what is ours, `models.training.assembly` builds what is trained.
"""

import pathlib
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np

from models.data import batches as data_batches
from models.data import provider as data_provider
from models.data import record_index
from models.measures import model_outputs
from models.monitoring import held_out as held_out_lib
from models.monitoring import observer
from models.runs import checkpoints
from models.runs import layout
from models.runs import metrics_log
from models.training import assembly
from models.training import options as training_options
from models.training import progress_line
from models.training import selection
from models.training import stepper
from models.training import stopping
from prep import checked_json
from prep import processes


class Loop:
    """A training run from its first step, or the one it goes on from, to its last."""

    def __init__(
        self,
        training: assembly.Training,
        *,
        run_dir: pathlib.Path | None,
        settings: checked_json.Json | None = None,
        quiet: bool = False,
        spent_secs: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Prepares a run.

        Args:
            training: Its objects; what is to be restored is restored.
            run_dir: Where all is written; None writes nothing (a worker that is not
                the chief).
            settings: What made the run; written beside dumps.
            quiet: No progress line.
            spent_secs: What lessons before the first step took of
                `LoopOptions.max_minutes`.
            clock: Seconds, for `LoopOptions.max_minutes`.
        """
        trainer, options = training.trainer, training.options
        self.trainer = trainer
        self.block = training.block
        self.progress = training.progress
        self.options = options
        self.run_dir = run_dir
        self._measure = held_out_lib.measurement(trainer.model, training.held_out)
        trackables = training.trackables
        self._log: metrics_log.MetricsLog | None = None
        self._line = progress_line.ProgressLine(
            n_steps=self.block.num_steps, quiet=quiet
        )
        # Files: the log is cut back to this step, half-written checkpoints go.
        if run_dir is not None:
            self._log = metrics_log.MetricsLog(run_dir, first_step=self.step or -1)
            self._last = checkpoints.CheckpointStore(
                run_dir, keep=trainer.options.checkpoints_to_keep, trackables=trackables
            )
            self._best = checkpoints.CheckpointStore(
                run_dir / layout.BEST_DIR, keep=1, trackables=trackables
            )
            self._last.clean()
            self._best.clean()
        # What observes the model, what makes its steps, what ends the run.
        self._observer = observer.Observer(
            trainer.model,
            training.held_out,
            run_dir=run_dir,
            alarms_after=options.alarms_after if options.alarms else None,
            settings=settings,
        )
        self._stepper = stepper.Stepper(
            trainer,
            self.block.provider,
            progress=self.progress,
            max_skipped_in_row=options.max_skipped_in_row,
        )
        self._stopping = stopping.StopOnSignals()
        self._budget = stopping.TimeBudget(60.0 * options.max_minutes, clock=clock)
        self._spent_secs = spent_secs

    @property
    def step(self) -> int:
        """Updates made."""
        return int(self.trainer.step.numpy())

    def run(self) -> training_options.TrainingResult:
        """Trains until a reason to stop.

        Raises:
            stepper.NonFiniteError: After too many steps in a row that were not
                finite.
            record_index.DatasetChangedError: If the dataset is another than it was.
                Either way what was reached is saved.
        """
        self._budget.start(spent_secs=self._spent_secs)
        batches = data_batches.step_batches(
            self.block.provider,
            self.trainer.strategy,
            batch_size=self.block.batch_size,
            accumulate_steps=self.trainer.options.accumulate_steps,
            start_step=int(self.progress.attempts.numpy()),
        )
        with self._stopping:
            try:
                reason = self._make_steps(batches)
            except (stepper.NonFiniteError, record_index.DatasetChangedError):
                self._save(self.step)
                raise
        return self._finish(reason)

    def _make_steps(self, batches: Iterator[Any]) -> layout.Outcome:
        """Makes steps until a reason to stop, which it returns."""
        reason = None
        if self.step == 0:
            self._look(0)
        while self.step < self.block.num_steps and reason is None:
            if self._stepper.step(batches):
                reason = self._after(self.step)
        return reason or layout.Outcome.FINISHED

    def _after(self, step: int) -> layout.Outcome | None:
        """Looks, logs and saves as the step asks; returns a reason to stop early."""
        options = self.options
        time_is_up = self._budget.is_over
        is_last = step >= self.block.num_steps
        # Measuring: a run that ends here is measured at its end.
        row: metrics_log.Row = {}
        if _due(step, options.held_out_every) or is_last or time_is_up:
            row = self._look(step, with_row=True)
        elif self._is_dump_due(step):
            self._dump(step, *self._measured())
        reason = self._reason_to_stop(
            measured=bool(row), time_is_up=time_is_up, is_last=is_last
        )
        # Writing: whatever ends the run, its last step is logged and saved.
        if _due(step, options.log_every) or row or is_last or reason:
            self._write_row(step, row)
        if _due(step, self.block.steps_per_save) or is_last or reason:
            self._save(step)
        return reason

    def _reason_to_stop(
        self, *, measured: bool, time_is_up: bool, is_last: bool
    ) -> layout.Outcome | None:
        """Why training ends after a step: the last reason that holds counts."""
        options = self.options
        reason = None
        if (
            measured
            and options.patience
            and int(self.progress.stale) >= options.patience
        ):
            reason = layout.Outcome.EARLY_STOP
        limit = options.early_stop_loss_value
        if limit is not None and self._stepper.means.last("losses/total_loss") <= limit:
            reason = layout.Outcome.LOSS_REACHED
        if time_is_up and not (is_last or reason):
            reason = layout.Outcome.TIME_LIMIT
        if self._stopping.asked and not is_last:
            reason = layout.Outcome.INTERRUPTED
        return reason

    def _measured(self) -> tuple[np.ndarray, model_outputs.ModelOutputs]:
        """Spectral distances and outputs on the held-out batch."""
        distances, outputs = self._measure()
        return distances.numpy(), outputs

    def _look(self, step: int, *, with_row: bool = False) -> metrics_log.Row:
        """Measures on the held-out batch; keeps the best."""
        if isinstance(self.block.provider, data_provider.PreparedDataset):
            self.block.provider.check_unchanged()
        distances, outputs = self._measured()
        loss = float(np.mean(distances))
        observed = self._observer.observe(outputs, step=step)
        # The best checkpoint is chosen by the held-out loss, collapse counted in.
        is_best = selection.note_measurement(
            self.progress,
            loss=loss,
            step=step,
            min_delta=self.options.min_delta,
            collapsed=self._observer.has_collapsed,
            collapse_penalty=self.options.collapse_penalty,
        )
        row = {
            "held_out/spectral_distance": loss,
            "held_out/best_loss": float(self.progress.best_loss.numpy()),
            "held_out/best_step": int(self.progress.best_step.numpy()),
            **observed,
        }
        if is_best and self.run_dir is not None:
            with self._stopping.held():
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

    def _dump(
        self, step: int, distances: np.ndarray, outputs: model_outputs.ModelOutputs
    ) -> None:
        """Writes controls and audio where the step asks for them."""
        if self.run_dir is None:
            return
        if _due(step, self.options.dump_controls_every):
            self._observer.dump_controls(outputs, distances, step=step)
        if _due(step, self.options.render_every):
            self._observer.render(outputs, step=step)

    def _write_row(self, step: int, row: metrics_log.Row) -> None:
        means = self._stepper.means.take()
        row = (
            {"step": step, "attempts": int(self.progress.attempts.numpy())}
            | means
            | row
        )
        row["skipped_steps"] = int(self.progress.skipped.numpy())
        row["memory/peak_mb"] = processes.peak_mb()
        row["time/unix"] = time.time()
        if self._log is not None:
            self._log.write(row)
        shown = self._observer.last_row | row
        self._line.update(
            shown,
            alarms=self._observer.active_alarms,
            left_at_most=self._budget.left_secs,
        )

    def _save(self, step: int) -> None:
        if self._log is not None:
            with self._stopping.held():
                self._last.save(step)
                self._log.flush()

    def _finish(self, reason: layout.Outcome) -> training_options.TrainingResult:
        self._line.finish()
        if self._log is not None:
            self._log.close()
        return training_options.TrainingResult(
            reason=reason,
            step=self.step,
            best_loss=float(self.progress.best_loss.numpy()),
            best_step=int(self.progress.best_step.numpy()),
            skipped=int(self.progress.skipped.numpy()),
            best_measure=selection.best_measure(
                self.progress, collapse_penalty=self.options.collapse_penalty
            ),
            best_collapsed=bool(self.progress.best_collapsed.numpy()),
        )


def _due(step: int, every: int) -> bool:
    """True at every so many steps; never for 0."""
    return bool(every) and step % every == 0
