"""Observation of the held-out batch while a model trains: statistics and alarms.

Statistics go into metrics.jsonl as `controls/<name>` (`models.measures.statistics`),
beside `reference/<name>`, the same measured from the recordings, in the first row only.
Where a model smooths its controls, `unsmoothed/<name>` is their movement before that.
"""

import pathlib

import numpy as np
import tensorflow as tf

from models.measures import control_arrays
from models.measures import frame_masks
from models.measures import levels
from models.measures import model_outputs
from models.measures import reference
from models.measures import statistics
from models.monitoring import alarms
from models.monitoring import dumps
from models.monitoring import held_out as held_out_lib
from prep import checked_json


class Observer:
    """Observes a model on one fixed batch."""

    def __init__(
        self,
        model: tf.keras.Model,
        held_out: held_out_lib.HeldOut,
        *,
        run_dir: pathlib.Path | None,
        alarms_after: int | None,
        settings: checked_json.Json | None = None,
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
        self.last_row: checked_json.Json = {}
        self.has_collapsed = False  # by the latest measurement, where alarms are on
        self._recordings: dict[str, float] = {}  # measured at the first look
        self._watch = (
            None if alarms_after is None else alarms.AlarmWatch(after_step=alarms_after)
        )
        self._dumps = (
            None
            if run_dir is None
            else dumps.Dumps(run_dir, held_out, settings=settings or {})
        )
        # ddsp's models for its plug-in have a frame more than the audio is long.
        n_samples = int(held_out.batch["audio"].shape[1])
        self._n_frames = n_samples * held_out.frame_rate // held_out.sample_rate
        self._batch = {
            key: value.numpy()[:, : self._n_frames]
            if value.ndim == 3
            else value.numpy()
            for key, value in held_out.batch.items()
        }
        shape = len(self._batch["audio"]), -1
        masks = map(
            frame_masks.make_masks,
            self._batch["loudness_db"].reshape(shape),
            self._batch["f0_confidence"].reshape(shape),
        )
        self.counted = [mask.pitched for mask in masks]

    @property
    def active_alarms(self) -> tuple[str, ...]:
        """Names of the alarms that are raised and not withdrawn."""
        return self._watch.active if self._watch else ()

    def reference(self, n_harmonics: int) -> dict[str, float]:
        """Measures the same of the recordings."""
        clips = reference.measure_batch(
            self._batch,
            sample_rate=self.held_out.sample_rate,
            n_harmonics=n_harmonics,
        )
        found = statistics.statistics(clips, self.counted)
        return found | self._levels(self._batch["audio"])

    def _levels(self, audio: np.ndarray) -> dict[str, float]:
        """Measures the level of audio, and how far it follows the recordings'."""
        return {
            "level_db": levels.level_db(audio),
            "level_slope": levels.slope(
                audio,
                self._batch["audio"],
                counted=np.stack(self.counted),
                frame_rate=self.held_out.frame_rate,
            ),
        }

    def observe(
        self, outputs: model_outputs.ModelOutputs, *, step: int
    ) -> checked_json.Json:
        """Measures a model's outputs and judges them for collapse."""
        clips = self._clips(outputs)
        if not clips:
            return {}

        # Statistics of the controls, levels of the audio that comes of them.
        figures = statistics.statistics(clips, self.counted)
        audio = self.model.get_audio_from_outputs(outputs).numpy()
        figures |= self._levels(audio)
        row: checked_json.Json = {
            f"controls/{key}": value for key, value in figures.items()
        }

        # The recordings do not change: they are measured and logged once.
        if not self._recordings:
            n_harmonics = clips[0].harmonic_distribution.shape[1]
            self._recordings = self.reference(n_harmonics)
        if step == 0:
            row |= {f"reference/{k}": value for k, value in self._recordings.items()}
        if self._watch:
            found = alarms.findings(figures, self._recordings)
            self.has_collapsed = bool(found)
            row["alarms"] = list(self._watch.observe(found, step=step))

        # Movement that the model's smoothing takes away.
        if getattr(self.model, "smoothing", None) is not None:
            unsmoothed = self._clips(outputs, key="raw_controls")
            moved = statistics.movement(unsmoothed, self.counted)
            row |= {f"unsmoothed/{key}": value for key, value in moved.items()}
        self.last_row = row
        return row

    def _clips(
        self, outputs: model_outputs.ModelOutputs, *, key: str = "controls"
    ) -> list[control_arrays.ControlArrays]:
        """Controls among the outputs, clip by clip; none where there are none."""
        try:
            found = model_outputs.find_controls(outputs, key=key)
        except model_outputs.NoControlsError:
            return []
        arrays = {name: np.asarray(value) for name, value in found.items()}
        return [
            control_arrays.from_model(
                {name: value[row, : self._n_frames] for name, value in arrays.items()},
                sample_rate=self.held_out.sample_rate,
                frame_rate=self.held_out.frame_rate,
            )
            for row in range(len(self.counted))
        ]

    def dump_controls(
        self, outputs: model_outputs.ModelOutputs, distances: np.ndarray, *, step: int
    ) -> None:
        """Writes the controls of the held-out batch, with plots."""
        if self._dumps is not None:
            self._dumps.write_controls(outputs, distances, step=step)

    def render(self, outputs: model_outputs.ModelOutputs, *, step: int) -> None:
        """Writes the audio of the held-out batch."""
        if self._dumps is not None:
            audio = self.model.get_audio_from_outputs(outputs).numpy()
            self._dumps.write_audio(audio, step=step)
