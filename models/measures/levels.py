"""Levels of audio and of controls, and how one level follows another."""

import numpy as np
import scipy.ndimage

SILENT_DB = -120.0  # dB of full scale; level of digital silence
SMOOTH_SECS = 0.05  # averaged over before levels are compared: periods of low notes
SPAN_DB = 60.0  # below the recordings' loudest frame; what is softer counts as that
MIN_LEVEL_STD_DB = 1.0  # dB; a recording whose level varies less has none to follow
UNIFORM_NOISE_POWER = 1.0 / 3.0  # mean square of U(-1, 1), what ddsp filters
Numbers = float | np.ndarray


def power_db(power: np.ndarray, *, floor_db: float = -100.0) -> np.ndarray:
    """Mean square in dB re full scale, not below `floor_db`."""
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (floor_db / 10.0)))


def level_db(audio: np.ndarray) -> float:
    """Level of a batch of audio in dB of full scale, by its root mean square."""
    power = np.mean(np.square(audio, dtype=np.float64))
    return float(power_db(power, floor_db=SILENT_DB))


def regression_moments(
    *, n: Numbers, x: Numbers, y: Numbers, xx: Numbers, xy: Numbers
) -> tuple[Numbers, Numbers]:
    """Computes from sums what the slope of a level on another is the ratio of.

    Args:
        n: Frames summed over, at least one.
        x: Sum of the level that is followed, dB.
        y: Sum of the level that follows.
        xx: Sum of squares of the first.
        xy: Sum of products.

    Returns:
        Covariance, and variance of x, dB squared. Their ratio is 1 for a level that
        follows, 0 for one that stays put, and means nothing where the variance is
        below `MIN_LEVEL_STD_DB` squared.
    """
    return xy / n - x * y / np.square(n), xx / n - np.square(x / n)


def slope(
    audio: np.ndarray, recordings: np.ndarray, *, counted: np.ndarray, frame_rate: float
) -> float:
    """By how many dB the level rises where the recordings' rises by one.

    Args:
        audio: What a model plays, [batch, n_samples].
        recordings: The clips it plays, same shape.
        counted: Frames that count, [batch, n_frames].
        frame_rate: Frames a second.

    Returns:
        Slope of the regression over the frames of all clips: 1 for the recordings
        themselves, 0 for a level that stays put. NaN where the recordings' level
        hardly moves or no frame counts.

    Source:
        One minus it is the component "flat" of the report's collapse index, there
        measured from the controls (docs/metrics.md).
    """
    if not counted.any():
        return float("nan")
    n_frames = counted.shape[1]
    width = max(1, round(SMOOTH_SECS * frame_rate))
    theirs = _frame_levels_db(recordings, n_frames=n_frames, width=width)[counted]
    played = _frame_levels_db(audio, n_frames=n_frames, width=width)[counted]
    # What is far below the loudest counts alike: there is nothing to follow in it.
    floor = theirs.max() - SPAN_DB
    theirs, played = np.maximum(theirs, floor), np.maximum(played, floor)
    covariance, variance = regression_moments(
        n=theirs.size,
        x=theirs.sum(),
        y=played.sum(),
        xx=np.square(theirs).sum(),
        xy=(theirs * played).sum(),
    )
    if variance < MIN_LEVEL_STD_DB**2:
        return float("nan")
    return float(covariance / variance)


def _frame_levels_db(audio: np.ndarray, *, n_frames: int, width: int) -> np.ndarray:
    """Level of the `width` frames around each, [batch, n_frames]."""
    hop_size = audio.shape[1] // n_frames
    whole = np.square(audio[:, : hop_size * n_frames], dtype=np.float64)
    hops = whole.reshape(len(audio), n_frames, hop_size)
    smooth = scipy.ndimage.uniform_filter1d(hops.mean(-1), width, axis=1)
    return power_db(smooth, floor_db=SILENT_DB)
