"""What a pitch tracker wrote as CSV -> performance.

CREPE and PESTO write `time,frequency,confidence`, a row every 10 ms or as asked for.
The rows are interpolated to the model's frames. They say nothing of loudness: notes
sound as loud as the training data's middle, and rests are silent.

Source: the files of `crepe` (marl/crepe) and `pesto` (SonyCSLParis/pesto); own.
"""

from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from evaluation.render import performance
from evaluation.render import transfer
from prep import loudness as loudness_lib

COLUMNS = ("time", "frequency", "confidence")
MAX_GAP_SECS = 0.1  # between rows; a longer one is a rest whose rows were left out
MAX_SECS = 6 * 3600.0  # of a file
MILLISECONDS_FROM = 1.0  # between rows; PESTO's time may be in milliseconds
REST_DB = 60.0  # by which rests are quieter than notes
_MIDDLE = 50  # of the 101 quantiles


def is_tracked(names: Sequence[str]) -> bool:
    """Tells the columns of a pitch tracker."""
    return {"time", "frequency"} <= set(names) and "f0_hz" not in names


def make_performance(
    curves: Mapping[str, np.ndarray], *, frame_rate: int, heard: transfer.Heard
) -> performance.Performance:
    """Plays a tracker's rows.

    Args:
        curves: By name of `COLUMNS`, [n_rows] each; a frequency of 0 is no pitch, and
            without `confidence` every other one is sure.
        frame_rate: Frames per second that the model plays.
        heard: The training data's quantiles, for loudness.

    Raises:
        ValueError: If the times do not ascend, or nothing has a pitch.
    """
    time, confidence = _tidy(curves)
    pitched = curves["frequency"] > 0.0
    if not pitched.any():
        raise ValueError("no row has a frequency above 0")
    frames = np.arange(1 + int(time[-1] * frame_rate)) / frame_rate
    octaves = np.interp(frames, time[pitched], np.log2(curves["frequency"][pitched]))
    # A gap ends with the row before it and begins with the row behind it.
    steps = np.diff(time)
    longest = max(MAX_GAP_SECS, 1.5 * float(np.median(steps))) if len(steps) else 0.0
    gaps, frame_secs = np.flatnonzero(steps > longest), 1.0 / frame_rate
    edges = np.concatenate([time[gaps] + frame_secs, time[gaps + 1] - frame_secs])
    known = np.concatenate([time, edges])
    order = np.argsort(known, kind="stable")
    sure = np.concatenate([confidence, np.zeros(len(edges))])
    sure_frames = np.interp(frames, known[order], sure[order])
    sounding = (sure_frames >= performance.MIN_CONFIDENCE).astype(np.float64)
    weight = transfer.fade(sounding, frame_rate)
    loudness = heard.loudness_db[_MIDDLE] - REST_DB * (1.0 - weight)
    return performance.Performance(
        frame_rate=frame_rate,
        f0_hz=(2.0**octaves).astype(np.float32),
        f0_confidence=sure_frames.astype(np.float32),
        loudness_db=np.maximum(loudness, loudness_lib.MIN_DB).astype(np.float32),
    )


def _tidy(curves: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds and confidences from 0 to 1, [n_rows] each."""
    time, frequency = curves["time"], curves["frequency"]
    steps = np.diff(time)
    if len(steps) and steps.min() <= 0.0:
        row = int(np.argmin(steps > 0.0)) + 2
        raise ValueError(f"its times do not ascend at row {row}")
    if len(steps) and np.median(steps) >= MILLISECONDS_FROM:
        time = time / 1000.0
    if time[0] < 0.0 or time[-1] > MAX_SECS:
        raise ValueError(
            f"its times go from {time[0]:g} to {time[-1]:g} s; 0 to {MAX_SECS:g} are "
            "played"
        )
    if frequency.min() < 0.0:
        raise ValueError(f"a frequency is {frequency.min():g} Hz; rests have 0")
    confidence = curves.get("confidence", np.ones_like(time))
    return time, np.where(frequency > 0.0, np.clip(confidence, 0.0, 1.0), 0.0)
