"""Features of a recording -> inputs of a decoder: pitch, level, voicing, trends.

The level is A-weighted loudness or unweighted power, whichever a model is made for.

All inputs are causal and made from the features that preparation wrote on the shared
time grid; nothing is computed from audio unless asked for.
"""

from collections.abc import Sequence
from typing import NamedTuple

import ddsp
import gin
import tensorflow as tf
from ddsp import spectral_ops
from ddsp.training import nn
from ddsp.training import preprocessing

SEMITONES_PER_F0_SCALED = spectral_ops.F0_RANGE  # f0_scaled 0..1 is MIDI 0..127
OUTPUT_KEYS = ("f0_hz", "f0_confidence", "f0_scaled", "voicing")
TREND_KEY = "f0_trend"
TREND_DB = 10.0  # dB that make a level's trend of 1 before it is bounded


class Level(NamedTuple):
    """Names of a measure of level: the feature, the network's inputs made of it."""

    feature: str
    scaled: str
    trend: str


LOUDNESS = Level("loudness_db", "ld_scaled", "loudness_trend")  # A-weighted
POWER = Level("power_db", "pw_scaled", "power_trend")  # unweighted
LEVELS = (LOUDNESS, POWER)


def causal_trend(scaled: tf.Tensor, *, n_frames_back: int, gain: float) -> tf.Tensor:
    """Computes the change of a curve over the last few frames, bounded to (-1, 1).

    Bounded because the pitch tracker answers unpitched frames too, with jumps of many
    semitones that would swamp the network.

    Args:
        scaled: Curve of shape [batch, n_frames, 1].
        n_frames_back: Distance of the two frames compared, at least 1.
        gain: Factor from the curve's unit to the trend's, before tanh.

    Returns:
        tanh(gain * (x[t] - x[t - n_frames_back])), same shape. Frames before the first
        count as equal to it, so a curve starts with trend 0.

    Raises:
        ValueError: If `n_frames_back` is below 1.
    """
    if n_frames_back < 1:
        raise ValueError(
            f"n_frames_back={n_frames_back} compares a frame with itself or the "
            "future; give at least 1 frame (delta_secs * frame_rate, rounded)."
        )
    first = tf.repeat(scaled[:, :1], n_frames_back, axis=1)
    earlier = tf.concat([first, scaled], axis=1)[:, : scaled.shape[1]]
    return tf.tanh(gain * (scaled - earlier))


def check_inputs(layer: nn.DictLayer, input_keys: Sequence[str]) -> None:
    """Checks that the levels and trends that a decoder reads are computed.

    Args:
        layer: The conditioning.
        input_keys: What the decoder reads.

    Raises:
        ValueError: If they are not; Keras would list every tensor instead.
    """
    given = layer.output_keys
    for level in LEVELS:
        read = [key for key in level if key in input_keys]
        if read and level.feature not in given:
            raise ValueError(
                f"The decoder reads {' and '.join(read)}, which the conditioning does "
                f"not compute: set LEVEL_KEY = {level.scaled!r} and LEVEL_TREND_KEY = "
                f"{level.trend!r} (models.conditioning.Conditioning.level_keys)."
            )
    trends = (TREND_KEY, *(level.trend for level in LEVELS))
    lacking = [key for key in trends if key in input_keys and key not in given]
    if lacking:
        raise ValueError(
            f"The decoder reads {' and '.join(lacking)}, which the conditioning does "
            "not compute: set WITH_TRENDS = True "
            "(models.conditioning.Conditioning.with_trends), or leave them out of "
            "INPUT_KEYS."
        )


@gin.register(module="models.conditioning")
class Conditioning(nn.DictLayer):
    """Scales features as ddsp does and adds voicing and causal trends.

    Attributes set by gin:
        sample_rate: Hz; only read with `recompute_loudness`.
        frame_rate: Frames per second of the features.
        level_keys: What decoders are told of how loud it is, with its trend:
            ("ld_scaled", "loudness_trend") is A-weighted loudness, ("pw_scaled",
            "power_trend") unweighted power.
        use_confidence: False takes every frame for voiced, for places where nothing
            tells the tracker's confidence.
        recompute_loudness: False (default) uses the dataset's aligned `loudness_db`.
            True computes it from the audio with ddsp's padding, as ddsp's
            `F0LoudnessPreprocessor` does unless told otherwise.
        n_frames: Frames of a training example. Records that ddsp_prepare_tfrecord made
            with centred frames hold one more; those, and no others, are resampled to
            `n_frames`, as ddsp does. None leaves every length alone.
        with_trends: Whether to compute `f0_trend` and `loudness_trend` (`power_trend`).
        delta_secs: Distance of the two frames that a trend compares. 0.016 s was one
            hop of the earlier implementation; at 250 frames/s it is 4 frames.

    Source:
        ddsp.training.preprocessing.F0LoudnessPreprocessor for the scaling; the plan's
        "causal trend features" for the rest. Differs: trends are in semitones and in
        tens of dB, bounded by tanh, because raw differences of scaled curves are near
        0.001 at 250 frames/s.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        frame_rate: int = 250,
        recompute_loudness: bool = False,
        n_frames: int | None = None,
        with_trends: bool = False,
        delta_secs: float = 0.016,
        level_keys: Sequence[str] = LOUDNESS[1:],
        use_confidence: bool = True,
        **kwargs,
    ):
        matching = [one for one in LEVELS if one[1:] == tuple(level_keys)]
        if not matching:
            allowed = " or ".join(str(known[1:]) for known in LEVELS)
            raise ValueError(f"level_keys={tuple(level_keys)} is not {allowed}.")
        level = matching[0]
        trends = (TREND_KEY, level.trend) if with_trends else ()
        super().__init__(
            output_keys=[*OUTPUT_KEYS, level.feature, level.scaled, *trends], **kwargs
        )
        self.level = level
        self.use_confidence = use_confidence
        self.sample_rate = sample_rate
        self.frame_rate = frame_rate
        self.recompute_loudness = recompute_loudness
        self.n_frames = n_frames
        self.with_trends = with_trends
        self.n_frames_back = round(delta_secs * frame_rate)
        if with_trends and self.n_frames_back < 1:
            raise ValueError(
                f"delta_secs={delta_secs} is less than half a frame at "
                f"frame_rate={frame_rate}; give at least {1 / frame_rate:.4f} s."
            )

    def _level_db(
        self,
        loudness_db: tf.Tensor | None,
        power_db: tf.Tensor | None,
        audio: tf.Tensor | None,
    ) -> tf.Tensor:
        """The dataset's power or loudness, or ddsp's own loudness from the audio."""
        is_power = self.level == POWER
        if is_power or not self.recompute_loudness:
            level_db = power_db if is_power else loudness_db
            if level_db is None:
                raise ValueError(
                    f"The batch has no {self.level.feature}; prepare the data "
                    "with prep/run_beam.py"
                    + (
                        "."
                        if is_power
                        else " or set "
                        "models.conditioning.Conditioning.recompute_loudness = True."
                    )
                )
            return preprocessing.at_least_3d(level_db)
        computed = spectral_ops.compute_loudness(
            audio, sample_rate=self.sample_rate, frame_rate=self.frame_rate
        )
        return preprocessing.at_least_3d(computed)

    def _to_length(self, curve: tf.Tensor, n_frames: int) -> tf.Tensor:
        """Resampled to a number of frames where it differs."""
        if curve.shape[1] == n_frames:
            return curve
        return ddsp.core.resample(curve, n_frames)

    def call(
        self, f0_hz, loudness_db=None, f0_confidence=None, audio=None, power_db=None
    ):
        """Makes the decoder's inputs.

        Args:
            f0_hz: Hz, shape [batch, n_frames] or [batch, n_frames, 1].
            loudness_db: dB, same shape; not read where the level is power.
            f0_confidence: [0, 1], same shape; where absent, every frame with a pitch
                above 0 Hz counts as voiced.
            audio: [batch, n_samples]; only read with `recompute_loudness`.
            power_db: dB, shape of `f0_hz`; only read where the level is power.

        Returns:
            Dictionary of [batch, n_frames, 1] tensors: f0_hz, loudness_db,
            f0_confidence, f0_scaled, ld_scaled, voicing, and with trends f0_trend,
            loudness_trend. Where the level is power: power_db, pw_scaled, power_trend
            in place of loudness_db, ld_scaled, loudness_trend.
        """
        # Features as [batch, n_frames, 1], each of them present.
        f0_hz = preprocessing.at_least_3d(f0_hz)
        level_db = self._level_db(loudness_db, power_db, audio)
        if f0_confidence is None or not self.use_confidence:
            f0_confidence = tf.cast(f0_hz > 0.0, f0_hz.dtype)
        f0_confidence = preprocessing.at_least_3d(f0_confidence)

        # ddsp's centred framing: one frame more, resampled as ddsp does.
        n_frames = int(f0_hz.shape[1])
        if self.n_frames is not None and n_frames == self.n_frames + 1:
            n_frames = self.n_frames
        f0_hz = self._to_length(f0_hz, n_frames)
        level_db = self._to_length(level_db, n_frames)
        f0_confidence = self._to_length(f0_confidence, n_frames)

        # What the network reads.
        level_scaled = preprocessing.scale_db(level_db)
        outputs = {
            "f0_hz": f0_hz,
            self.level.feature: level_db,
            "f0_confidence": f0_confidence,
            "f0_scaled": preprocessing.scale_f0_hz(f0_hz),
            self.level.scaled: level_scaled,
            "voicing": tf.clip_by_value(f0_confidence, 0.0, 1.0),
        }
        if self.with_trends:
            outputs.update(self._trends(outputs["f0_scaled"], level_scaled))
        return outputs

    def _trends(
        self, f0_scaled: tf.Tensor, level_scaled: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Short-term changes of pitch and level."""
        return {
            TREND_KEY: causal_trend(
                f0_scaled,
                n_frames_back=self.n_frames_back,
                gain=SEMITONES_PER_F0_SCALED,
            ),
            self.level.trend: causal_trend(
                level_scaled,
                n_frames_back=self.n_frames_back,
                gain=spectral_ops.DB_RANGE / TREND_DB,
            ),
        }
