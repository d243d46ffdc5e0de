"""What is observed on the held-out batch while a model trains."""

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from models import control_statistics
from models import selection


class Instruments:
    """Statistics of the controls on a fixed batch."""

    def __init__(
        self,
        model: tf.keras.Model,
        held_out: selection.HeldOut,
        *,
        run_dir: pathlib.Path | None,
        alarms_after: int | None,
    ):
        """Prepares to observe.

        Args:
            model: The model that trains.
            held_out: The batch it is observed on.
            run_dir: Where dumps go.
            alarms_after: Steps before the first alarm; None raises none.
        """
        self.model = model
        self.held_out = held_out
        self.run_dir = run_dir
        self.alarms_after = alarms_after
        self.active_alarms: tuple[str, ...] = ()
        self.last_row: dict[str, Any] = {}
        batch = {key: value.numpy() for key, value in held_out.batch.items()}
        n_rows = len(batch["audio"])
        self.counted = control_statistics.counted_frames(
            batch["f0_confidence"].reshape(n_rows, -1),
            batch["loudness_db"].reshape(n_rows, -1),
        )

    def observe(self, outputs: dict[str, Any], *, step: int) -> dict[str, float]:
        """Statistics of the outputs, named `controls/…` and `model/…`."""
        del step
        row: dict[str, float] = {}
        controls = control_statistics.controls_of(outputs)
        if controls is not None:
            found = control_statistics.statistics(
                controls, counted=self.counted, sample_rate=self.held_out.sample_rate
            )
            row |= {f"controls/{name}": value for name, value in found.items()}
        if hasattr(self.model, "diagnostics"):
            for name, value in self.model.diagnostics(outputs).items():
                row[f"model/{name}"] = float(np.asarray(value))
        self.last_row = row
        return row

    def dump_controls(
        self, outputs: dict[str, Any], distances: np.ndarray, *, step: int
    ) -> None:
        """Writes the controls of the held-out batch."""

    def render(self, outputs: dict[str, Any], *, step: int) -> None:
        """Writes the audio of the held-out batch."""
