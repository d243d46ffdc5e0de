"""What is observed on the held-out batch while a model trains: statistics and alarms.

Statistics go into metrics.jsonl as `controls/<name>` (`control_statistics`), beside
`reference/<name>`, the same measured from the recordings, in the first row only. What
a model's own `diagnostics` adds appears as `model/<name>`.
"""

import functools
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from models.measures import levels
from models.measures import reference
from models.measures import statistics
from models.monitoring import alarms
from models.monitoring import dumps
from models.monitoring import held_out as held_out_lib


class Instruments:
    """Observes a model on one fixed batch."""

    def __init__(
        self,
        model: tf.keras.Model,
        held_out: held_out_lib.HeldOut,
        *,
        run_dir: pathlib.Path | None,
        alarms_after: int | None,
        settings: dict[str, Any] | None = None,
    ):
        """Prepares to observe.

        Args:
            model: The model that trains.
            held_out: The batch it is observed on.
            run_dir: Where dumps go; None writes none.
            alarms_after: Steps before the first alarm; None raises none.
            settings: What made the run; written beside every dump.
        """
        self.model = model
        self.held_out = held_out
        self.last_row: dict[str, Any] = {}
        self.has_collapsed = False  # by the latest measurement, where alarms are on
        self._watch = (
            None if alarms_after is None else alarms.Watch(after_step=alarms_after)
        )
        self._dumps = (
            None
            if run_dir is None
            else dumps.Dumps(run_dir, held_out, settings=settings or {})
        )
        self._batch = {key: value.numpy() for key, value in held_out.batch.items()}
        n_rows = len(self._batch["audio"])
        self.counted = statistics.counted_frames(
            self._batch["f0_confidence"].reshape(n_rows, -1),
            self._batch["loudness_db"].reshape(n_rows, -1),
        )

    @property
    def active_alarms(self) -> tuple[str, ...]:
        """The alarms that stand."""
        return self._watch.active if self._watch else ()

    @functools.cache  # noqa: B019  one instance lives as long as its run
    def reference(self, n_harmonics: int) -> dict[str, float]:
        """What the recordings do themselves; measured once."""
        found = reference.reference_statistics(
            self._batch,
            counted=self.counted,
            sample_rate=self.held_out.sample_rate,
            n_harmonics=n_harmonics,
        )
        return found | self._levels(self._batch["audio"])

    def _levels(self, audio: np.ndarray) -> dict[str, float]:
        """How loud audio is, and how far it follows the recordings' level."""
        return {
            "level_db": levels.level_db(audio),
            "level_slope": levels.slope(
                audio,
                self._batch["audio"],
                counted=self.counted,
                frame_rate=self.held_out.frame_rate,
            ),
        }

    def observe(self, outputs: dict[str, Any], *, step: int) -> dict[str, Any]:
        """Statistics of the outputs; judges them for collapse."""
        controls = statistics.controls_of(outputs)
        if controls is None:
            return {}
        figures = statistics.statistics(
            controls, counted=self.counted, sample_rate=self.held_out.sample_rate
        )
        audio = self.model.get_audio_from_outputs(outputs).numpy()
        figures |= self._levels(audio)
        row: dict[str, Any] = {
            f"controls/{key}": value for key, value in figures.items()
        }
        recordings = self.reference(controls.harmonic_distribution.shape[-1])
        if step == 0:
            row |= {f"reference/{key}": value for key, value in recordings.items()}
        if self._watch:
            found = alarms.findings(figures, recordings)
            self.has_collapsed = bool(found)
            row["alarms"] = list(self._watch.observe(found, step=step))
        row |= self._own_diagnostics(outputs, known=figures)
        self.last_row = row
        return row

    def _own_diagnostics(
        self, outputs: dict[str, Any], *, known: dict[str, float]
    ) -> dict[str, float]:
        """What the model itself has to say, beyond what is measured here."""
        if not hasattr(self.model, "diagnostics"):
            return {}
        own = self.model.diagnostics(outputs)
        return {
            f"model/{name}": float(np.asarray(value))
            for name, value in own.items()
            if name not in known
        }

    def dump_controls(
        self, outputs: dict[str, Any], distances: np.ndarray, *, step: int
    ) -> None:
        """Writes the controls of the held-out batch, with plots."""
        if self._dumps is not None:
            self._dumps.write_controls(outputs, distances, step=step)

    def render(self, outputs: dict[str, Any], *, step: int) -> None:
        """Writes the audio of the held-out batch."""
        if self._dumps is not None:
            audio = self.model.get_audio_from_outputs(outputs).numpy()
            self._dumps.write_audio(audio, step=step)
