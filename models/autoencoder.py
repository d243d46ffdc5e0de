"""The model of every rung: conditioning, decoder, head, smoothing, synths, losses.

It keeps ddsp's contract, `model(batch, return_losses=True)` -> outputs and a dictionary
of losses with `total_loss`, so ddsp's trainer trains it as well as ours. Losses see all
outputs, not the audio alone, and nothing is trained on that is not a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import ddsp
import gin
import tensorflow as tf
from ddsp.training.models import model as ddsp_model

from models.controls import conditioning as conditioning_lib
from models.controls import control_smoothing as controls_lib
from models.controls import heads
from models.decoders import base
from models.layers import compiled
from models.losses import terms as losses_lib
from models.measures import model_outputs

FeatureBatch = Mapping[str, tf.Tensor]
HARMONIC, NOISE = (
    "harmonic",
    "filtered_noise",
)  # processor names, as in ddsp's gin files
N_BUILD_FRAMES = 4  # of the example that creates the variables; their shapes need none


@gin.register(module="models.autoencoder")
class LadderAutoencoder(ddsp_model.Model):
    """Decodes features to controls and controls to audio.

    Attributes set by gin:
        conditioning: Makes the decoder's inputs.
        decoder: Inputs -> raw controls; the rungs of the ladder differ here.
        head: Raw -> scaled controls. The synths must have scale_fn = None.
        smoothing: `models.controls.ControlSmoothing`, or None.
        processor_group: ddsp processor group that reads amps, harmonic_distribution,
            noise_magnitudes, f0_hz.
        losses: The ladder's losses, or ddsp's, which are given the two audio signals.
    """

    def __init__(
        self,
        decoder: base.LadderDecoder,
        processor_group: ddsp.processors.ProcessorGroup,
        conditioning: conditioning_lib.Conditioning | None = None,
        head: heads.Head | None = None,
        smoothing: controls_lib.ControlSmoothing | None = None,
        losses: Sequence[ddsp.losses.Loss] = (),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.conditioning = conditioning or conditioning_lib.Conditioning()
        conditioning_lib.check_inputs(self.conditioning, decoder.input_keys)
        self.decoder = decoder
        self.head = head or heads.ExpSigmoidHead()
        self.smoothing = smoothing
        self.processor_group = processor_group
        self.loss_objs = list(ddsp.core.make_iterable(losses))
        self._step_is_set = False
        self.step = tf.Variable(
            0,
            trainable=False,
            dtype=tf.int64,
            name="schedule_step",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def create_variables(self, features: FeatureBatch) -> None:
        """Creates all variables as a first call would, in a fraction of its time.

        Decodes a few frames and builds the processors: no sound, no loss, and no kernel
        is traced. A model with parts that are not known to do without is called.

        Args:
            features: What a call takes, of any length.
        """
        processors = self.processor_group.processors
        losses_are_ours = all(
            isinstance(loss, losses_lib.LadderLoss) for loss in self.loss_objs
        )
        if not losses_are_ours or not all(map(_builds_without_input, processors)):
            outputs = self(dict(features), training=False)
            self.compute_losses(outputs)
            return
        few = {
            key: value[:1, :N_BUILD_FRAMES]
            for key, value in features.items()
            if len(value.shape) == 3  # features by frame
        }
        with compiled.as_written(), tf.name_scope(self.name):
            self.decode(few)
            with tf.name_scope(self.processor_group.name):
                for processor in processors:
                    if not processor.built:
                        with tf.name_scope(processor.name):
                            processor.build(None)
        self.built = True

    def set_step(self, step: tf.Tensor | int) -> None:
        """Tells the schedules how far training has come.

        Call before each training step. If it is never called, as by ddsp's trainer, the
        model counts its own training calls.

        Args:
            step: Number of completed training steps.
        """
        self._step_is_set = True
        self.step.assign(tf.cast(step, tf.int64))

    def decode(
        self, features: FeatureBatch, step: tf.Tensor | None = None
    ) -> model_outputs.ModelOutputs:
        """Features -> controls, without audio.

        Args:
            features: f0_hz, loudness_db or power_db, f0_confidence,
                [batch, n_frames, 1] each.
            step: Training step for schedules; None outside training.

        Returns:
            The features with the network's inputs, `controls` (final: amps,
            harmonic_distribution, noise_magnitudes, f0_hz) and `raw_controls` (the same
            before smoothing).
        """
        outputs: model_outputs.ModelOutputs = dict(features)
        outputs.update(self.conditioning(features))
        raw = self.decoder(outputs)
        smoothed, unsmoothed = controls_lib.scale_and_smooth(
            {key: raw[key] for key in controls_lib.TARGETS.values()},
            outputs["f0_hz"],
            head=self.head,
            smooth=self.smoothing,
            position=self.smoothing.position if self.smoothing else "after",
            step=step,
        )
        outputs["controls"] = {**smoothed, "f0_hz": outputs["f0_hz"]}
        outputs["raw_controls"] = {**unsmoothed, "f0_hz": outputs["f0_hz"]}
        return outputs

    def synthesize(self, controls: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Controls -> audio.

        Args:
            controls: Final controls as `decode` returns them.

        Returns:
            `audio_synth` [batch, n_samples], and where the processor group has them
            `harmonic_audio` and `noise_audio`, before the reverb.
        """
        result = self.processor_group(dict(controls), return_outputs_dict=True)
        audio = {"audio_synth": result["signal"]}
        for processor, key in ((HARMONIC, "harmonic_audio"), (NOISE, "noise_audio")):
            if processor in result["controls"]:
                audio[key] = result["controls"][processor]["signal"]
        return audio

    def call(
        self, features: FeatureBatch, training: bool = True
    ) -> model_outputs.ModelOutputs:
        """Runs the model.

        Args:
            features: A batch; `audio` is needed for losses only.
            training: Whether to compute losses.

        Returns:
            What `decode` and `synthesize` return, and `loss_terms`, unweighted, in
            training.
        """
        step = self._current_step() if training else None
        outputs = self.decode(features, step)
        outputs.update(self.synthesize(outputs["controls"]))
        if training:
            weighted, outputs["loss_terms"] = self.compute_losses(outputs, step)
            self._losses_dict.update(weighted)
        return outputs

    def _current_step(self) -> tf.Tensor:
        """The schedules' step; counts calls where nobody sets it."""
        step = tf.identity(self.step)
        if not self._step_is_set:
            with tf.control_dependencies([step]):
                self.step.assign_add(1)
        return step

    def compute_losses(
        self, outputs: Mapping[str, Any], step: tf.Tensor | None = None
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Losses of outputs, for training or for judging a held-out batch.

        Args:
            outputs: As `call` returns them, with `audio`.
            step: Training step for weights; None takes each schedule's end.

        Returns:
            Weighted losses by name, whose sum is trained on, and unweighted terms.

        Raises:
            ValueError: If two losses use one name, so that one would be lost.
        """
        weighted: dict[str, tf.Tensor] = {}
        terms: dict[str, tf.Tensor] = {}
        for loss in self.loss_objs:
            if isinstance(loss, losses_lib.LadderLoss):
                plain = loss.terms(outputs)
                scaled = loss.weighted(plain, step)
            else:
                plain = loss.get_losses_dict(outputs["audio"], outputs["audio_synth"])
                scaled = plain
            if shared := weighted.keys() & scaled.keys():
                raise ValueError(f"Two losses are named {sorted(shared)}; rename one.")
            weighted.update(scaled)
            terms.update(plain)
        return weighted, terms

    def get_audio_from_outputs(self, outputs: Mapping[str, Any]) -> tf.Tensor:
        """The audio among the outputs; ddsp's evaluation asks for it."""
        return outputs["audio_synth"]


def _builds_without_input(processor: ddsp.processors.Processor) -> bool:
    """Tells whether a processor makes its variables, if any, whatever it is given.

    ddsp's effects look at no shape when they build; all else has no variables.
    """
    build = getattr(type(processor).build, "__wrapped__", type(processor).build)
    return build.__module__ == "ddsp.effects" or (
        build.__qualname__ == "Layer.build" and not processor.variables
    )
