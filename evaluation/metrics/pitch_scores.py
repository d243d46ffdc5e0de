"""Scores the pitch of generated audio against the recording's, both by one tracker.

A frame has a pitch when the tracker's confidence reaches the mask's threshold and it
is audible: of the recording by its mask, of the system from the mask's floor on, since
the tracker hears a tone 100 dB down as well as any. Definitions are mir_eval's for
melody; the outlier rule is ddsp's.

Sources: Poliner et al., "Melody transcription from music audio: approaches and
    evaluation", IEEE Trans. ASLP 2007, by way of mir_eval.melody; ddsp.training.metrics
    (F0CrepeMetrics) for the outlier.
"""

import dataclasses

import librosa
import mir_eval
import numpy as np

from evaluation.metrics import metric as metric_lib
from models.measures import frame_masks

TOLERANCE_CENTS = 50.0  # cents; half a semitone, as RPA and RCA are usually given
DDSP_MIN_CONFIDENCE = 0.85  # ddsp.training.metrics.MIN_F0_CONFIDENCE
DDSP_OUTLIER_SEMITONES = 12.0  # ddsp.training.metrics.OUTLIER_MIDI_THRESH
MIN_PITCHED_FRAMES = 10  # frames; below, one wild frame would be the score


@dataclasses.dataclass(frozen=True)
class PitchTrack:
    """What a tracker says of one clip.

    Attributes:
        f0_hz: Fundamental in Hz, an answer for every frame. Shape [n_frames].
        confidence: In [0, 1]. Shape [n_frames].
    """

    f0_hz: np.ndarray
    confidence: np.ndarray


def measure(
    ref: PitchTrack,
    est: PitchTrack,
    *,
    audible: np.ndarray,
    est_loudness_db: np.ndarray,
    settings: frame_masks.MaskSettings,
) -> dict[str, metric_lib.Score]:
    """Scores one clip.

    Args:
        ref: Of the recording.
        est: Of the system's audio, same tracker and frame rate.
        audible: Frames in which the recording is audible. Shape [n_frames].
        est_loudness_db: A-weighted, of the system's audio. Shape [n_frames].
        settings: What counts as pitched and audible.

    Returns:
        `pitch_error_cents`, `raw_pitch_accuracy`, `raw_chroma_accuracy`,
        `voicing_recall`, `voicing_false_alarm`, `pitch_outlier`.
    """
    ref_voiced = (ref.confidence >= settings.min_confidence) & audible
    # As preparation tells voiced frames: by confidence and loudness.
    est_voiced = est.confidence >= settings.min_confidence
    est_voiced &= est_loudness_db >= settings.floor_db
    result = {"pitch_outlier": outlier(ref, est)}
    if np.count_nonzero(ref_voiced) < MIN_PITCHED_FRAMES:
        reason = f"fewer than {MIN_PITCHED_FRAMES} pitched frames in the recording"
        keys = ("pitch_error_cents", "raw_pitch_accuracy", "raw_chroma_accuracy")
        result |= {key: metric_lib.missing(reason) for key in (*keys, "voicing_recall")}
    else:
        result |= _accuracy(ref, est, ref_voiced=ref_voiced, est_voiced=est_voiced)
    if np.count_nonzero(audible & ~ref_voiced) < MIN_PITCHED_FRAMES:
        result["voicing_false_alarm"] = metric_lib.missing(
            "the recording has hardly an audible frame without pitch"
        )
    else:
        alarm = mir_eval.melody.voicing_false_alarm(
            ref_voiced[audible].astype(float), est_voiced[audible].astype(float)
        )
        result["voicing_false_alarm"] = metric_lib.guarded(alarm)
    return result


def _accuracy(
    ref: PitchTrack,
    est: PitchTrack,
    *,
    ref_voiced: np.ndarray,
    est_voiced: np.ndarray,
) -> dict[str, metric_lib.Score]:
    """Scores that need frames in which the recording has a pitch."""
    ref_cents = mir_eval.melody.hz2cents(ref.f0_hz.astype(float))
    est_cents = mir_eval.melody.hz2cents(est.f0_hz.astype(float))
    voicing = ref_voiced.astype(float)
    # Pitch is scored in all frames of the recording that have one, whether or not the
    # tracker is sure of the system's: an unsure, wrong answer is still wrong.
    arguments = (voicing, ref_cents, np.ones_like(voicing), est_cents)
    both = ref_voiced & est_voiced
    error = (
        metric_lib.Score(float(np.median(np.abs(ref_cents - est_cents)[both])))
        if np.count_nonzero(both) >= MIN_PITCHED_FRAMES
        else metric_lib.missing("the system's audio has hardly a frame with pitch")
    )
    return {
        "pitch_error_cents": error,
        "raw_pitch_accuracy": metric_lib.guarded(
            mir_eval.melody.raw_pitch_accuracy(
                *arguments, cent_tolerance=TOLERANCE_CENTS
            )
        ),
        "raw_chroma_accuracy": metric_lib.guarded(
            mir_eval.melody.raw_chroma_accuracy(
                *arguments, cent_tolerance=TOLERANCE_CENTS
            )
        ),
        "voicing_recall": metric_lib.guarded(
            mir_eval.melody.voicing_recall(voicing, est_voiced.astype(float))
        ),
    }


def outlier(ref: PitchTrack, est: PitchTrack) -> metric_lib.Score:
    """Applies ddsp's rule: 1 when a clip misses the pitch by more than an octave.

    Frames count where the recording's confidence exceeds 0.85; a recording that hardly
    gets there is not scored.

    Args:
        ref: Of the recording.
        est: Of the system's audio.
    """
    sure = ref.confidence > DDSP_MIN_CONFIDENCE
    if np.count_nonzero(sure) < MIN_PITCHED_FRAMES:
        return metric_lib.missing(
            "the recording's pitch is certain in fewer than "
            f"{MIN_PITCHED_FRAMES} frames"
        )
    distance = np.abs(librosa.hz_to_midi(ref.f0_hz) - librosa.hz_to_midi(est.f0_hz))
    mean = float(np.mean(distance[sure]))
    return metric_lib.Score(0.0 if mean <= DDSP_OUTLIER_SEMITONES else 1.0)
