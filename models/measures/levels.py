"""Levels of audio, and how one follows another's."""

import numpy as np
import scipy.ndimage

SILENT_DB = -120.0  # dB of full scale; level of digital silence
SMOOTH_SECS = 0.05  # averaged over before levels are compared: periods of low notes
SPAN_DB = 60.0  # below the recordings' loudest frame; what is softer counts as that
MIN_STD_DB = 1.0  # of the recordings' level; what moves less cannot be followed


def level_db(audio: np.ndarray) -> float:
    """Level of a batch of audio in dB of full scale, by its root mean square."""
    return float(_in_db(np.mean(np.square(audio, dtype=np.float64))))


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
        One minus it is the component "flat" of the scorecard's collapse index, there
        measured from the controls (docs/metrics.md).
    """
    if not counted.any():
        return float("nan")
    n_frames = counted.shape[1]
    width = max(1, round(SMOOTH_SECS * frame_rate))
    theirs = _frame_levels_db(recordings, n_frames=n_frames, width=width)[counted]
    own = _frame_levels_db(audio, n_frames=n_frames, width=width)[counted]
    floor = theirs.max() - SPAN_DB
    theirs, own = np.maximum(theirs, floor), np.maximum(own, floor)
    if theirs.std() < MIN_STD_DB:
        return float("nan")
    return float(np.mean((theirs - theirs.mean()) * own) / theirs.var())


def _frame_levels_db(audio: np.ndarray, *, n_frames: int, width: int) -> np.ndarray:
    """Level of the `width` frames around each, [batch, n_frames]."""
    hop_size = audio.shape[1] // n_frames
    whole = np.square(audio[:, : hop_size * n_frames], dtype=np.float64)
    hops = whole.reshape(len(audio), n_frames, hop_size)
    return _in_db(scipy.ndimage.uniform_filter1d(hops.mean(-1), width, axis=1))


def _in_db(power: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (SILENT_DB / 10.0)))
