"""One frame of a model as Magenta's DDSP-VST calls it: pitch and power -> controls.

Every 20 ms the plug-in hands over a scaled pitch, a scaled power and the state that the
call before returned, zeros after a reset; its own synths play what comes back. It asks
for more than any training data holds (0 dB, 548 Hz in silence), so pitch and power are
held within the range heard in training, and what is quieter than that fades to silence.

Source: own; the plug-in's tensors are those of magenta/ddsp-vst, src/util/Constants.h
and src/audio/tflite/ModelLibrary.cpp.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import ddsp
import numpy as np
import tensorflow as tf

from models import autoencoder
from models.controls import conditioning
from models.data import provider
from models.measures import frame_masks
from models.streaming import block_controls
from models.streaming import block_model
from prep import errors

SAMPLE_RATE, FRAME_RATE = 16000, 50  # Hz of the plug-in's model side; hops of 320
N_HARMONICS, N_NOISE_BANDS = 60, 65
N_STATE = 512  # numbers that it keeps between two calls
FADE_DB = 12.0  # below the quietest notes heard, over which sound fades to silence
FLOOR_DB = -80.0  # the plug-in's least power, which must be silent
SEMITONES = 1.0  # beyond the pitches heard that the model is still told of
NOTE_SHARES = (0.05, 0.95)  # quantiles that are shown as the model's range
EXTREME_SHARES = (0.005, 0.995)  # quantiles that stand for the ends of what was heard
MAX_EXAMPLES = 600  # read for the range; more are thinned out evenly
_CHUNK = 32  # examples read at a time


class PluginError(errors.InputError, ValueError):
    """A run that the plug-in cannot play; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class HeardRange:
    """What a model has heard in training, of frames with a pitch.

    Attributes:
        pitch_midi: Lowest and highest pitch.
        power_db: Least and greatest power.
        note_midi: Where most notes lie, shown by the plug-in.
        note_power_db: The same of their power.
    """

    pitch_midi: tuple[float, float]
    power_db: tuple[float, float]
    note_midi: tuple[float, float]
    note_power_db: tuple[float, float]

    @property
    def silent_db(self) -> float:
        """Power at and below which nothing sounds."""
        return max(self.power_db[0] - FADE_DB, FLOOR_DB + 1.0)

    @property
    def full_db(self) -> float:
        """Power from which on the model sounds as it was trained."""
        return max(self.power_db[0], self.silent_db + 1.0)


def measure_range(dataset: provider.PreparedDataset) -> HeardRange:
    """Measures the range of a dataset's notes.

    Args:
        dataset: The split that a model was trained on.

    Raises:
        PluginError: If it has no frame with a pitch.
    """
    info = dataset.info
    n_read = min(dataset.n_examples, MAX_EXAMPLES)
    indices = [i * dataset.n_examples // n_read for i in range(n_read)]
    pitches, powers = [], []
    for first in range(0, n_read, _CHUNK):
        batch = dataset.examples(indices[first : first + _CHUNK])
        voiced = batch["f0_confidence"] >= (
            info.voiced_confidence or frame_masks.MIN_CONFIDENCE
        )
        voiced &= batch["loudness_db"] >= info.voiced_loudness_db
        pitches.append(ddsp.core.hz_to_midi(batch["f0_hz"][voiced]).numpy())
        powers.append(batch["power_db"][voiced])
    pitch, power = np.concatenate(pitches), np.concatenate(powers)
    if not pitch.size:
        raise PluginError(
            f"the dataset at {info.data_dir} has no frame with a pitch, so the range "
            "of the instrument is not known; prepare pitched recordings."
        )
    return HeardRange(
        pitch_midi=_quantiles(pitch, EXTREME_SHARES),
        power_db=_quantiles(power, EXTREME_SHARES),
        note_midi=_quantiles(pitch, NOTE_SHARES),
        note_power_db=_quantiles(power, NOTE_SHARES),
    )


def _quantiles(values: np.ndarray, shares: tuple[float, float]) -> tuple[float, float]:
    """Two quantiles of an array."""
    low, high = np.quantile(values, shares)
    return float(low), float(high)


def check_model(model: autoencoder.LadderAutoencoder) -> None:
    """Refuses models that the plug-in cannot play.

    Raises:
        PluginError: Saying what it needs and how to train it.
        block_controls.StreamError: If the model has no block form.
    """
    settings = block_model.synth_settings(model)
    inputs = model.conditioning
    again = "; train with --gin_file=gin/overlays/ddsp_vst.gin"
    # What the plug-in tells a model, how often, and what it takes back.
    if inputs.level != conditioning.POWER:
        raise PluginError(
            "the model is told A-weighted loudness, and DDSP-VST measures unweighted "
            f"power{again}."
        )
    if inputs.use_confidence and "voicing" in model.decoder.input_keys:
        raise PluginError(
            f"the model is told the tracker's confidence, and DDSP-VST has none{again}."
        )
    if (settings.sample_rate, inputs.frame_rate) != (SAMPLE_RATE, FRAME_RATE):
        raise PluginError(
            f"the model makes {inputs.frame_rate} frames/s at {settings.sample_rate} "
            f"Hz, and DDSP-VST plays {FRAME_RATE} at {SAMPLE_RATE}; prepare with "
            f"--sample_rate={SAMPLE_RATE}, and{again[1:]}."
        )
    counts = (settings.n_harmonics, settings.n_noise_bands)
    if counts != (N_HARMONICS, N_NOISE_BANDS):
        raise PluginError(
            f"the model has {counts[0]} harmonics and {counts[1]} noise bands, and "
            f"DDSP-VST plays {N_HARMONICS} and {N_NOISE_BANDS}; train without "
            "N_HARMONICS and N_NOISE_BANDS of your own."
        )
    # What it carries from call to call.
    controls = block_controls.BlockControls(model)
    if controls.latency_frames:
        raise PluginError(
            f"the model's smoother looks {controls.latency_frames} frames ahead, and "
            "DDSP-VST waits for none; train with models.smoothing.OnePole."
        )
    n_state = StateVector(controls).n_numbers
    if n_state > N_STATE:
        raise PluginError(
            f"the model carries {n_state} numbers from frame to frame, and DDSP-VST "
            f"keeps {N_STATE}; take a smaller decoder, as gin/stage3.gin's."
        )


class StateVector:
    """The state of a model's controls as one vector, zeros before the first frame.

    Args:
        controls: The model in blocks.

    Attributes:
        n_numbers: That are needed; the vector is longer.
    """

    def __init__(self, controls: block_controls.BlockControls):
        self._template = controls.initial_state(1)
        # How many frames there were is asked for by trends and smoothers alone, and
        # the paper's GRU leaves no room for it.
        sizes = {key: self._size(part) for key, part in self._template.items()}
        is_counted = sizes["history"] + sizes["smoothing"] > 0
        self._keys = [key for key in self._template if is_counted or key != "n_frames"]
        self._parts = {key: self._template[key] for key in self._keys}
        self.n_numbers = self._size(self._parts)

    @staticmethod
    def _size(nest: Any) -> int:
        """Numbers in a nest of tensors."""
        return sum(int(np.prod(x.shape)) for x in tf.nest.flatten(nest))

    def unpack(self, vector: tf.Tensor) -> block_controls.StreamState:
        """[N_STATE] -> the state of `BlockControls`."""
        parts, at = [], 0
        for like in tf.nest.flatten(self._parts):
            size = int(np.prod(like.shape))
            parts.append(tf.reshape(vector[at : at + size], like.shape))
            at += size
        return {**self._template, **tf.nest.pack_sequence_as(self._parts, parts)}

    def pack(self, state: block_controls.StreamState) -> tf.Tensor:
        """The state of `BlockControls` -> [N_STATE], filled up with zeros."""
        kept = tf.nest.flatten({key: state[key] for key in self._keys})
        flat = [tf.reshape(x, [-1]) for x in kept if int(np.prod(x.shape))]
        flat.append(tf.zeros([N_STATE - self.n_numbers]))
        return tf.concat([part for part in flat if part.shape[0]], axis=0)


class PluginStep(tf.Module):
    """A model's step with the plug-in's inputs and outputs.

    Args:
        model: A built model that `check_model` lets through.
        heard: What it has heard in training.
    """

    def __init__(self, model: autoencoder.LadderAutoencoder, heard: HeardRange):
        super().__init__(name="plugin_step")
        controls = block_controls.BlockControls(model)
        self._run = controls.__call__
        self._state = StateVector(controls)
        self.heard = heard
        # A saved model must know the variables that its function reads.
        self.read_variables = block_model.BlockModel(model).variables
        one = lambda name, size: tf.TensorSpec([size], tf.float32, name=name)
        self.call = tf.function(
            self._call,
            input_signature=[
                one("f0_scaled", 1),
                one("pw_scaled", 1),
                one("state", N_STATE),
            ],
            autograph=False,
        )

    def _call(
        self, f0_scaled: tf.Tensor, pw_scaled: tf.Tensor, state: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Runs a frame.

        Args:
            f0_scaled: MIDI / 127, [1].
            pw_scaled: dB / 80 + 1, [1].
            state: [N_STATE].

        Returns:
            Amplitude [1], shares of the harmonics [N_HARMONICS], noise magnitudes
            [N_NOISE_BANDS], all linear, and the next state [N_STATE].
        """
        # Within the range heard: what lies beyond is told as its end.
        heard = self.heard
        low, high = heard.pitch_midi
        midi = ddsp.spectral_ops.F0_RANGE * f0_scaled
        midi = tf.clip_by_value(midi, low - SEMITONES, high + SEMITONES)
        f0_hz = 440.0 * tf.exp(math.log(2.0) / 12.0 * (midi - 69.0))
        power_db = ddsp.spectral_ops.DB_RANGE * (pw_scaled - 1.0)
        told_db = tf.clip_by_value(power_db, FLOOR_DB, heard.power_db[1])

        # The model's own frame.
        frame = lambda x: tf.reshape(x, [1, 1, 1])
        features = {
            "f0_hz": frame(f0_hz),
            "power_db": frame(told_db),
            "f0_confidence": tf.ones([1, 1, 1]),
        }
        controls, following = self._run(features, self._state.unpack(state))

        # Below the quietest notes it has learnt nothing: there it fades out.
        gain = (power_db - heard.silent_db) / (heard.full_db - heard.silent_db)
        gain = tf.clip_by_value(gain, 0.0, 1.0)
        return (
            tf.reshape(controls["amps"], [1]) * gain,
            tf.reshape(controls["harmonic_distribution"], [N_HARMONICS]),
            tf.reshape(controls["noise_magnitudes"], [N_NOISE_BANDS]) * gain,
            self._state.pack(following),
        )
