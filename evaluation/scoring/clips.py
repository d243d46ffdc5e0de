"""What is known of one eval clip before any score: its audio, its controls, its pitch.

Everything is measured from the audio again, at 16 kHz and centred on sample
i * hop_size, on both sides alike. The dataset's own features are not used for scoring:
they may have been prepared with another framing.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import soxr

from evaluation.metrics import collapse
from evaluation.metrics import fidelity
from evaluation.metrics import metric as metric_lib
from evaluation.metrics import pitch_scores
from models.measures import control_arrays
from models.measures import frame_masks
from models.measures import measured_controls
from models.measures import reference
from prep import features
from prep.recordings import pitch_range

FEATURE_RATE = features.CREPE_RATE  # at which pitch and loudness are measured
N_REFERENCE_HARMONICS = 100  # at most; what lies above Nyquist is zero

PitchTracker = Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Clip:
    """One example of the eval split.

    Attributes:
        name: Recording and start, unique in the split.
        recording_id: Where it was cut from.
        start_secs: Where it begins in the recording.
        audio: Shape [n_samples].
        sample_rate: Hz.
        frame_rate: Control frames per second.
    """

    name: str
    recording_id: str
    start_secs: float
    audio: np.ndarray
    sample_rate: int
    frame_rate: int


@dataclasses.dataclass(frozen=True)
class Hearing:
    """What is measured from audio, recorded or generated.

    Attributes:
        loudness_db: A-weighted. Shape [n_frames].
        power: Mean square around each frame. Shape [n_frames].
        pitch: The tracker's answer.
        octaves: By which the tracker heard the audio higher (`prep.pitch.octaves`).
    """

    loudness_db: np.ndarray
    power: np.ndarray
    pitch: pitch_scores.PitchTrack
    octaves: int = 0


@dataclasses.dataclass(frozen=True)
class Reference:
    """A clip with all that its recording says.

    Attributes:
        clip: The clip.
        hearing: Loudness and pitch of the recording.
        masks: Frames that count.
        controls: The recording's own controls.
        noise_magnitudes: Colour of its noise, gains of bands up to Nyquist. Shape
            [n_frames, n_bands].
        scores: Collapse metrics of the recording.
    """

    clip: Clip
    hearing: Hearing
    masks: frame_masks.Masks
    controls: control_arrays.ControlArrays
    noise_magnitudes: np.ndarray
    scores: dict[str, metric_lib.Score]


@dataclasses.dataclass(frozen=True)
class Rendering:
    """What a system makes of a clip.

    Attributes:
        audio: Shape [n_samples].
        controls: The synthesiser controls behind it; None where only audio is given.
        amps_limits: Lowest and highest amplitude that the model's head can give,
            linear; None where it has no such limits.
    """

    audio: np.ndarray
    controls: control_arrays.ControlArrays | None = None
    amps_limits: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Scored:
    """A system's rendering of a clip with its scores.

    Attributes:
        rendering: Audio and controls.
        hearing: Loudness and pitch of the audio.
        heard: Controls measured from the audio, as the recording's are.
        scores: Score by metric key, without those that need other clips.
    """

    rendering: Rendering
    hearing: Hearing
    heard: control_arrays.ControlArrays
    scores: dict[str, metric_lib.Score]

    @property
    def controls(self) -> control_arrays.ControlArrays:
        """The system's controls; where it gave none, those measured from its audio."""
        return (
            self.heard if self.rendering.controls is None else self.rendering.controls
        )


def hear(
    audio: np.ndarray, *, clip: Clip, tracker: PitchTracker, octaves: int = 0
) -> Hearing:
    """Measures loudness and pitch of a signal as long as the clip.

    Args:
        audio: Shape [n_samples].
        clip: For the rates.
        tracker: Audio at 16 kHz and a frame rate -> f0_hz and f0_confidence.
        octaves: By which the tracker hears the audio higher.

    Returns:
        Curves with as many frames as the clip has.
    """
    # Features are measured at 16 kHz, as in preparation.
    audio_16k = np.asarray(audio, np.float32)
    if clip.sample_rate != FEATURE_RATE:
        audio_16k = soxr.resample(audio_16k, clip.sample_rate, FEATURE_RATE)
    n_frames = count_frames(clip)
    loudness = features.loudness_db(audio_16k, FEATURE_RATE, frame_rate=clip.frame_rate)
    f0_hz, confidence = features.track_clip(
        audio_16k, clip.frame_rate, tracker=tracker, octaves=octaves
    )
    # A frame too many is cut; a frame too few is an error.
    lengths = {len(loudness), len(f0_hz), len(confidence)}
    if min(lengths) < n_frames:
        raise ValueError(
            f"{clip.name}: features have {sorted(lengths)} frames where the clip has "
            f"{n_frames}; its length must be a whole number of frames"
        )
    return Hearing(
        loudness_db=np.asarray(loudness[:n_frames], np.float64),
        power=power_of(audio, clip=clip),
        pitch=pitch_scores.PitchTrack(
            np.asarray(f0_hz[:n_frames], np.float64),
            np.asarray(confidence[:n_frames], np.float64),
        ),
        octaves=octaves,
    )


def choose_octaves(clip: Clip) -> int:
    """Octaves by which a tracker should hear a clip higher, to have it in its range."""
    return pitch_range.choose_octaves(
        pitch_range.measure(clip.audio, clip.sample_rate),
        hop_size=FEATURE_RATE // clip.frame_rate,
    )


def power_of(audio: np.ndarray, *, clip: Clip) -> np.ndarray:
    """Measures the mean square around each frame of a clip, [n_frames]."""
    return measured_controls.local_power(
        np.asarray(audio, np.float64),
        n_frames=count_frames(clip),
        sample_rate=clip.sample_rate,
        hop_size=clip.sample_rate // clip.frame_rate,
    )


def count_frames(clip: Clip) -> int:
    """Control frames of a clip."""
    return clip.audio.size * clip.frame_rate // clip.sample_rate


def measure_reference(
    clip: Clip, *, tracker: PitchTracker, settings: frame_masks.MaskSettings
) -> Reference:
    """Measures all that a recording says of a clip.

    Args:
        clip: The clip.
        tracker: See `hear`.
        settings: What counts as pitched and audible.
    """
    hearing = hear(clip.audio, clip=clip, tracker=tracker, octaves=choose_octaves(clip))
    masks = frame_masks.make_masks(
        hearing.loudness_db, hearing.pitch.confidence, settings=settings
    )
    measured = measure_heard(clip.audio, clip=clip, hearing=hearing, masks=masks)
    own_scores = collapse.measure(
        measured,
        masks,
        loudness_db=hearing.loudness_db,
        ref_power=hearing.power,
        heard_power=hearing.power,
    )
    own_scores["gain_range_ratio"] = collapse.gain_range_ratio(
        own_scores["gain_range"], own_scores["gain_range"]
    )
    own_scores["saturation_rate"] = metric_lib.missing("a recording has no gain limits")
    return Reference(
        clip=clip,
        hearing=hearing,
        masks=masks,
        controls=measured,
        noise_magnitudes=_measure_noise(clip, measured.f0_hz),
        scores=own_scores,
    )


def _measure_noise(clip: Clip, f0_hz: np.ndarray) -> np.ndarray:
    """Bands of a recording's noise around a pitch that is corrected already."""
    return measured_controls.measure(
        np.asarray(clip.audio, np.float64),
        f0_hz,
        sample_rate=clip.sample_rate,
        frame_rate=clip.frame_rate,
        n_harmonics=1,
        refine_f0=False,
    ).noise_magnitudes


def measure_heard(
    audio: np.ndarray, *, clip: Clip, hearing: Hearing, masks: frame_masks.Masks
) -> control_arrays.ControlArrays:
    """Controls of audio around the recording's pitch, where it has one."""
    f0_hz = np.where(masks.pitched, hearing.pitch.f0_hz, math.nan)
    lowest = np.nanmin(f0_hz) if np.any(masks.pitched) else clip.sample_rate / 2
    n_harmonics = max(1, int(clip.sample_rate / 2 / lowest))
    measured = reference.measure_controls(
        audio,
        f0_hz,
        sample_rate=clip.sample_rate,
        frame_rate=clip.frame_rate,
        n_harmonics=min(N_REFERENCE_HARMONICS, n_harmonics),
    )
    return control_arrays.widen(measured, n_harmonics=N_REFERENCE_HARMONICS)


def score_rendering(
    ref: Reference,
    rendering: Rendering,
    *,
    tracker: PitchTracker,
    settings: frame_masks.MaskSettings,
) -> Scored:
    """Scores what a system makes of a clip.

    Args:
        ref: The clip and its recording.
        rendering: The system's audio and controls.
        tracker: See `hear`.
        settings: What counts as pitched and audible.

    Returns:
        The rendering with its scores; without controls the metrics of controls are
        those of what is measured from the audio, as of the recording.
    """
    # In the recording's register, so that both pitches are by one measure.
    hearing = hear(
        rendering.audio, clip=ref.clip, tracker=tracker, octaves=ref.hearing.octaves
    )
    recording = np.asarray(ref.clip.audio, np.float64)
    audio = np.asarray(rendering.audio, np.float64)
    # Controls once more, from the sound: a reverb may hide what they do.
    heard = measure_heard(audio, clip=ref.clip, hearing=ref.hearing, masks=ref.masks)
    result = collapse.measure(
        heard if rendering.controls is None else rendering.controls,
        ref.masks,
        loudness_db=ref.hearing.loudness_db,
        ref_power=ref.hearing.power,
        heard_power=hearing.power,
        amps_limits=rendering.amps_limits,
    )
    result["gain_range_ratio"] = collapse.gain_range_ratio(
        result["gain_range"], ref.scores["gain_range"]
    )
    # Audio against audio.
    result |= fidelity.spectral_scores(recording, audio)
    result["log_spectral_distance"] = fidelity.log_spectral_distance(recording, audio)
    result["loudness_distance"] = fidelity.loudness_distance(
        ref.hearing.loudness_db, hearing.loudness_db, audible=ref.masks.audible
    )
    result["harmonic_error"] = fidelity.harmonic_error(
        ref.controls, heard, pitched=ref.masks.pitched
    )
    # Pitch against the recording's, both by one tracker.
    result |= pitch_scores.measure(
        ref.hearing.pitch,
        hearing.pitch,
        audible=ref.masks.audible,
        est_loudness_db=hearing.loudness_db,
        settings=settings,
    )
    return Scored(rendering=rendering, hearing=hearing, heard=heard, scores=result)
