"""Distances between the audio that a system makes and the recording.

Spectral distances are the training loss's own, written for arrays and scale by scale.
Pitch is scored in `evaluation.metrics.pitch_scores`.

Both signals of a clip have the same length; nothing is cut to fit.
"""

import numpy as np

from evaluation.metrics import metric as metric_lib
from models.measures import control_arrays
from models.measures import frame_masks
from models.measures import spectra

SPECTRAL_KEYS = (
    "spectral_loss",
    "spectral_mag",
    "spectral_logmag",
    *(
        f"spectral_{part}_{size}"
        for part in ("mag", "logmag")
        for size in spectra.FFT_SIZES
    ),
)
DISTANCE_FFT_SIZE = 2048  # samples, of the log-spectral distance
DISTANCE_RANGE_DB = 80.0  # dB below the recording's loudest bin that are compared
HARMONIC_RANGE_DB = 50.0  # dB below a frame's strongest harmonic that are compared


def spectral_scores(ref: np.ndarray, est: np.ndarray) -> dict[str, metric_lib.Score]:
    """Multi-scale spectral loss, in all and scale by scale.

    Args:
        ref: The recording. Shape [n_samples].
        est: The system's audio. Shape [n_samples].

    Returns:
        `spectral_loss` (sum of the next two), `spectral_mag` and `spectral_logmag`
        (each a sum over the six sizes of mean absolute differences), and both for
        every size, `spectral_mag_2048` and so on (`SPECTRAL_KEYS`); all missing when
        the recording is digital silence.

    Raises:
        ValueError: If the lengths differ.
    """
    _check_same_length(ref, est)
    if not np.any(ref):
        missing = metric_lib.missing("the recording is silent")
        return dict.fromkeys(SPECTRAL_KEYS, missing)
    mag = {}
    logmag = {}
    for size in spectra.FFT_SIZES:
        mag[size], logmag[size] = spectra.mean_differences(ref, est, fft_size=size)
    total_mag = sum(mag.values())
    total_logmag = sum(logmag.values())
    values = {
        "spectral_loss": total_mag + total_logmag,
        "spectral_mag": total_mag,
        "spectral_logmag": total_logmag,
    }
    values |= {f"spectral_mag_{size}": value for size, value in mag.items()}
    values |= {f"spectral_logmag_{size}": value for size, value in logmag.items()}
    return {key: metric_lib.guarded(value) for key, value in values.items()}


def log_spectral_distance(ref: np.ndarray, est: np.ndarray) -> metric_lib.Score:
    """Log-spectral distance in dB.

    Bins more than `DISTANCE_RANGE_DB` below the recording's loudest are lifted to that
    level on both sides, so inaudible numerical noise does not count.

    Args:
        ref: The recording. Shape [n_samples].
        est: The system's audio. Shape [n_samples].

    Returns:
        Mean over frames of the root mean square difference of the log spectra.

    Source:
        Gray and Markel, "Distance measures for speech processing", IEEE Trans. ASSP
        1976. Differs: the common floor.
    """
    _check_same_length(ref, est)
    ref_mag = spectra.magnitudes(ref, fft_size=DISTANCE_FFT_SIZE)
    if not np.max(ref_mag) > 0:
        return metric_lib.missing("the recording is silent")
    floor = np.max(ref_mag) * 10.0 ** (-DISTANCE_RANGE_DB / 20.0)
    est_mag = spectra.magnitudes(est, fft_size=DISTANCE_FFT_SIZE)
    difference = 20.0 * np.log10(
        np.maximum(ref_mag, floor) / np.maximum(est_mag, floor)
    )
    return metric_lib.guarded(
        float(np.mean(np.sqrt(np.mean(np.square(difference), axis=1))))
    )


def loudness_distance(
    ref_db: np.ndarray, est_db: np.ndarray, *, audible: np.ndarray
) -> metric_lib.Score:
    """Mean absolute difference of A-weighted loudness over audible frames, in dB.

    Args:
        ref_db: Loudness of the recording. Shape [n_frames].
        est_db: Loudness of the system's audio, measured alike. Shape [n_frames].
        audible: Frames of the recording that count. Shape [n_frames].
    """
    if np.count_nonzero(audible) < frame_masks.MIN_FRAMES:
        return metric_lib.missing(f"fewer than {frame_masks.MIN_FRAMES} audible frames")
    return metric_lib.guarded(float(np.mean(np.abs(ref_db - est_db)[audible])))


def harmonic_error(
    ref: control_arrays.ControlArrays,
    est: control_arrays.ControlArrays,
    *,
    pitched: np.ndarray,
) -> metric_lib.Score:
    """Measures how far the level of the harmonics is off, in dB, in the audio.

    Both sides are measured from audio by `models.measures.reference` around the
    recording's f0, so the score sees what is heard, reverberation and all. A harmonic
    counts in a frame when it lies within `HARMONIC_RANGE_DB` of the recording's
    strongest, and below that level either side is lifted to it.

    Args:
        ref: Measured from the recording.
        est: Measured from the system's audio.
        pitched: Frames of the recording that count. Shape [n_frames].
    """
    if np.count_nonzero(pitched) < frame_masks.MIN_FRAMES:
        return metric_lib.missing(f"fewer than {frame_masks.MIN_FRAMES} pitched frames")
    ref_amps = (ref.amps[:, np.newaxis] * ref.harmonic_distribution)[pitched]
    est_amps = (est.amps[:, np.newaxis] * est.harmonic_distribution)[pitched]
    strongest = ref_amps.max(axis=1, keepdims=True, initial=0.0)
    floor = strongest * 10.0 ** (-HARMONIC_RANGE_DB / 20.0)
    counted = (ref_amps > floor) & (strongest > 0)
    if not np.any(counted):
        return metric_lib.missing("no pitched frame with harmonics above the noise")
    floor = np.broadcast_to(floor, ref_amps.shape)[counted]
    ratio = np.maximum(est_amps[counted], floor) / ref_amps[counted]
    return metric_lib.guarded(float(np.mean(np.abs(20.0 * np.log10(ratio)))))


def _check_same_length(ref: np.ndarray, est: np.ndarray) -> None:
    """Refuses signals of different length or with more than one axis."""
    if ref.ndim != 1 or ref.shape != est.shape:
        raise ValueError(
            f"recording and system need the same [n_samples]; got {ref.shape} and "
            f"{est.shape}. Render with the n_samples of dataset_info.json"
        )
