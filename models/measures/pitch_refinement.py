"""A tracked pitch, corrected by the frequencies of the harmonics themselves.

The 60th harmonic is off by 60 times the tracker's error, so the track must be right
within a few cents before harmonics are measured around it.
"""

import numpy as np
import scipy.ndimage

from models.measures import warped_spectrum

N_HARMONICS = 8  # whose frequencies correct f0, the low ones first
MAX_CENTS = 60.0  # a tracker further off than that is lost, not rough
SMOOTH_SECS = 0.036  # Hann, 18 ms to the half height; takes jitter off the track
MEDIAN_SECS = 0.028  # steadies the correction
_TINY = 1e-20  # power of a silent bin


def refine(
    audio: np.ndarray, f0_hz: np.ndarray, *, sample_rate: int, hop_size: int
) -> np.ndarray:
    """Corrects a tracked f0 by the frequencies of its first harmonics.

    Args:
        audio: Mono, [n_samples].
        f0_hz: Tracked fundamental in Hz, NaN without pitch. Shape [n_frames].
        sample_rate: Hz.
        hop_size: Samples between frames.

    Returns:
        f0 in Hz, at most `MAX_CENTS` from the tracked one. Shape [n_frames].

    Source:
        Auger and Flandrin, "Improving the readability of time-frequency
        representations by the reassignment method", 1995, for the frequency of a
        component from the window's derivative; in the phase domain here.
    """
    frame_rate = sample_rate / hop_size
    smooth = _smooth_track(f0_hz, n_frames=_odd(SMOOTH_SECS * frame_rate))
    if not np.isfinite(f0_hz).any():
        return smooth
    needed = (N_HARMONICS + 2) * np.nanmax(smooth) / (0.5 * sample_rate)
    signal = warped_spectrum.Signal(audio, bandwidth=needed)
    error = np.full(f0_hz.shape, np.nan)
    for windows in warped_spectrum.analyse(
        signal, smooth, sample_rate=sample_rate, hop_size=hop_size, with_slope=True
    ):
        error[windows.frames] = _relative_error(windows)
    error = warped_spectrum.between_analysed(error, smooth, frame_rate=frame_rate)
    pitched = np.isfinite(error)
    smooth[pitched] *= 1.0 + scipy.ndimage.median_filter(
        error[pitched], size=_odd(MEDIAN_SECS * frame_rate), mode="nearest"
    )
    limit = 2.0 ** (MAX_CENTS / 1200.0)
    return np.clip(smooth, f0_hz / limit, f0_hz * limit)


def _odd(n_frames: float) -> int:
    """The nearest odd number of frames, at least 1."""
    return 2 * round((n_frames - 1) / 2) + 1 if n_frames > 1 else 1


def _smooth_track(f0_hz: np.ndarray, *, n_frames: int) -> np.ndarray:
    """Smooths f0 on a log scale, each pitched stretch by itself."""
    kernel = np.hanning(n_frames + 2)[1:-1]
    stretches, n_stretches = scipy.ndimage.label(np.isfinite(f0_hz))
    smooth = np.array(f0_hz, np.float64)
    for stretch in range(1, n_stretches + 1):
        inside = stretches == stretch
        logs = np.pad(np.log(smooth[inside]), n_frames // 2, mode="edge")
        smooth[inside] = np.exp(np.convolve(logs, kernel / kernel.sum(), "valid"))
    return smooth


def _relative_error(windows: warped_spectrum.Windows) -> np.ndarray:
    """By which share the true f0 lies above the track's. Shape [n]."""
    assert windows.slope is not None
    limit = 2.0 ** (MAX_CENTS / 1200.0) - 1.0
    rows = np.arange(windows.frames.size)
    n_bins = windows.spectrum.shape[1]
    total, weights = np.zeros(rows.size), np.full(rows.size, _TINY)
    error = np.zeros(rows.size)
    for harmonic in range(1, N_HARMONICS + 1):
        # Each harmonic is looked up where those below it say that it is.
        wanted = np.rint(harmonic * (1.0 + error) * windows.n_periods).astype(int)
        inside = wanted < n_bins - 1
        bins = np.where(inside, wanted, 0)
        value, slope = windows.spectrum[rows, bins], windows.slope[rows, bins]
        power = np.square(np.abs(value))
        offset = np.imag(slope * np.conj(value)) / np.maximum(power, _TINY)
        frequency = bins / windows.n_periods - offset / (2 * np.pi)
        weight = np.where(inside, power * harmonic**2, 0.0)
        total += weight * np.clip(frequency / harmonic - 1.0, -limit, limit)
        weights += weight
        error = total / weights
    return error
