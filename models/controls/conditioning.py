"""Features of a recording -> inputs of a decoder: pitch, loudness, voicing, trends.

All inputs are causal and made from the features that preparation wrote on the shared
time grid; nothing is computed from audio unless asked for.
"""

from collections.abc import Sequence

import ddsp
import gin
import tensorflow as tf
from ddsp import spectral_ops
from ddsp.training import nn
from ddsp.training import preprocessing

SEMITONES_PER_F0_SCALED = spectral_ops.F0_RANGE  # f0_scaled 0..1 is MIDI 0..127
OUTPUT_KEYS = (
    "f0_hz",
    "loudness_db",
    "f0_confidence",
    "f0_scaled",
    "ld_scaled",
    "voicing",
)
TREND_KEYS = ("f0_trend", "loudness_trend")
TREND_DB = 10.0  # dB that make a loudness trend of 1 before it is bounded


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


def check_trends(layer: nn.DictLayer, input_keys: Sequence[str]) -> None:
    """Checks that the trends that a decoder reads are computed.

    Args:
        layer: The conditioning.
        input_keys: What the decoder reads.

    Raises:
        ValueError: If they are not; Keras would list every tensor instead.
    """
    lacking = [
        key for key in TREND_KEYS if key in input_keys and key not in layer.output_keys
    ]
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
        recompute_loudness: False (default) uses the dataset's aligned `loudness_db`.
            True computes it from the audio with ddsp's padding, as ddsp's
            `F0LoudnessPreprocessor` does unless told otherwise.
        n_frames: Frames of a training example. Records that ddsp_prepare_tfrecord made
            with centred frames hold one more; those, and no others, are resampled to
            `n_frames`, as ddsp does. None leaves every length alone.
        with_trends: Whether to compute `f0_trend` and `loudness_trend`.
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
        **kwargs,
    ):
        trends = TREND_KEYS if with_trends else ()
        super().__init__(output_keys=[*OUTPUT_KEYS, *trends], **kwargs)
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

    def _loudness_db(
        self, loudness_db: tf.Tensor | None, audio: tf.Tensor | None
    ) -> tf.Tensor:
        """The dataset's loudness, or ddsp's own from the audio."""
        if not self.recompute_loudness:
            if loudness_db is None:
                raise ValueError(
                    "The batch has no loudness_db; prepare the data with "
                    "prep/run_beam.py or set "
                    "models.conditioning.Conditioning.recompute_loudness = True."
                )
            return preprocessing.at_least_3d(loudness_db)
        computed = spectral_ops.compute_loudness(
            audio, sample_rate=self.sample_rate, frame_rate=self.frame_rate
        )
        return preprocessing.at_least_3d(computed)

    def _to_length(self, curve: tf.Tensor, n_frames: int) -> tf.Tensor:
        """Resampled to a number of frames where it differs."""
        if curve.shape[1] == n_frames:
            return curve
        return ddsp.core.resample(curve, n_frames)

    def call(self, f0_hz, loudness_db=None, f0_confidence=None, audio=None):
        """Makes the decoder's inputs.

        Args:
            f0_hz: Hz, shape [batch, n_frames] or [batch, n_frames, 1].
            loudness_db: dB, same shape.
            f0_confidence: [0, 1], same shape; where absent, every frame with a pitch
                above 0 Hz counts as voiced.
            audio: [batch, n_samples]; only read with `recompute_loudness`.

        Returns:
            Dictionary of [batch, n_frames, 1] tensors: f0_hz, loudness_db,
            f0_confidence, f0_scaled, ld_scaled, voicing, and with trends f0_trend,
            loudness_trend.
        """
        # Features as [batch, n_frames, 1], each of them present.
        f0_hz = preprocessing.at_least_3d(f0_hz)
        loudness_db = self._loudness_db(loudness_db, audio)
        if f0_confidence is None:
            f0_confidence = tf.cast(f0_hz > 0.0, f0_hz.dtype)
        f0_confidence = preprocessing.at_least_3d(f0_confidence)

        # ddsp's centred framing: one frame more, resampled as ddsp does.
        n_frames = int(f0_hz.shape[1])
        if self.n_frames is not None and n_frames == self.n_frames + 1:
            n_frames = self.n_frames
        f0_hz = self._to_length(f0_hz, n_frames)
        loudness_db = self._to_length(loudness_db, n_frames)
        f0_confidence = self._to_length(f0_confidence, n_frames)

        # What the network reads.
        outputs = {
            "f0_hz": f0_hz,
            "loudness_db": loudness_db,
            "f0_confidence": f0_confidence,
            "f0_scaled": preprocessing.scale_f0_hz(f0_hz),
            "ld_scaled": preprocessing.scale_db(loudness_db),
            "voicing": tf.clip_by_value(f0_confidence, 0.0, 1.0),
        }
        if self.with_trends:
            outputs.update(self._trends(outputs["f0_scaled"], outputs["ld_scaled"]))
        return outputs

    def _trends(
        self, f0_scaled: tf.Tensor, ld_scaled: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Short-term changes of pitch and loudness."""
        return {
            "f0_trend": causal_trend(
                f0_scaled,
                n_frames_back=self.n_frames_back,
                gain=SEMITONES_PER_F0_SCALED,
            ),
            "loudness_trend": causal_trend(
                ld_scaled,
                n_frames_back=self.n_frames_back,
                gain=spectral_ops.DB_RANGE / TREND_DB,
            ),
        }
