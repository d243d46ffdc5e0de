"""Does the sound follow what is asked of it? Rank correlations of one clip's curves.

A score is missing where the recording hardly varies in what is to be followed: a held
note drifts by a cent, ranks would make a full movement of it, and the correlation would
be that of two measuring errors. A system that stands still where there is something to
follow scores 0.

Source: Spearman's rank correlation; the thresholds are own.
"""

import numpy as np
import scipy.stats

from evaluation.metrics import metric as metric_lib
from models.measures import frame_masks
from models.measures import levels

# Standard deviations below which there is nothing to follow. Loudness: as for the
# index. Pitch: that of two equally long notes a semitone apart, or of a vibrato of 71
# cents to either side; a held note, with its vibrato, does not count as moving.
MIN_LOUDNESS_STD_DB = levels.MIN_LEVEL_STD_DB
MIN_PITCH_STD_CENTS = 50.0
# dB or octaves; less is the rounding of float32 controls, and a system stands still.
STANDSTILL_RANGE = 1e-4


def follow_loudness(values: np.ndarray, loudness_db: np.ndarray) -> metric_lib.Score:
    """Correlates a curve with the loudness; missing where that hardly varies.

    Args:
        values: Level in dB or brightness in octaves. Shape [n].
        loudness_db: A-weighted loudness of the same frames. Shape [n].

    Returns:
        Spearman's rank correlation in [-1, 1].
    """
    return _rank_correlation(
        values, loudness_db, least_std=MIN_LOUDNESS_STD_DB, what="loudness", unit="dB"
    )


def follow_pitch(values: np.ndarray, f0_hz: np.ndarray) -> metric_lib.Score:
    """Correlates a curve with the pitch; missing where that hardly varies.

    Args:
        values: Brightness in octaves. Shape [n].
        f0_hz: Fundamental of the same frames, all with a pitch. Shape [n].

    Returns:
        Spearman's rank correlation in [-1, 1].
    """
    return _rank_correlation(
        values,
        1200.0 * np.log2(f0_hz),
        least_std=MIN_PITCH_STD_CENTS,
        what="pitch",
        unit="cents",
    )


def _rank_correlation(
    values: np.ndarray, followed: np.ndarray, *, least_std: float, what: str, unit: str
) -> metric_lib.Score:
    """Spearman's rank correlation, missing when what is followed hardly varies."""
    if values.size < frame_masks.MIN_FRAMES:
        return metric_lib.missing(
            f"fewer than {frame_masks.MIN_FRAMES} frames to correlate"
        )
    if np.std(followed) < least_std:
        return metric_lib.missing(
            f"the {what} to follow varies by less than {least_std:g} {unit}"
        )
    if np.ptp(values) < STANDSTILL_RANGE:
        return metric_lib.Score(0.0)  # a constant follows nothing: that is a result
    return metric_lib.guarded(float(scipy.stats.spearmanr(values, followed).statistic))
