"""A rough pitch of a recording's first seconds, by autocorrelation.

It puts recordings in order, so that both splits reach over the instrument's compass; no
record holds it. CREPE would say it better and takes a hundred times as long.
"""

import numpy as np
import scipy.fft

ROUGH_SECS = 6.0  # s of a recording that are looked at
_FRAME_SECS = 0.064  # s: two periods of the lowest pitch
_LOWEST_HZ, _HIGHEST_HZ = 32.0, 2100.0  # CREPE's range
_MIN_CLARITY = 0.8  # autocorrelation, of the energy, from which a frame has a pitch
_FIRST_PEAK = 0.9  # of the highest peak; a later one may be a multiple of the period
_MAX_FRAMES = 64  # spread over what is looked at; a median needs no more


class Opening:
    """Keeps the first seconds of a stream that passes."""

    def __init__(self, sample_rate: int):
        """Starts empty.

        Args:
            sample_rate: Samples/s of the stream.
        """
        self._sample_rate = sample_rate
        self._wanted = round(ROUGH_SECS * sample_rate)
        self._parts: list[np.ndarray] = []

    def keep(self, block: np.ndarray) -> np.ndarray:
        """Takes a mono block [n] and returns it."""
        if self._wanted > 0:
            self._parts.append(block[: self._wanted].copy())
            self._wanted -= len(block)
        return block

    def estimate_hz(self) -> float | None:
        """Estimates the median pitch of what was kept, Hz; None where there is none."""
        return estimate_hz(
            np.concatenate([np.zeros(0, np.float32), *self._parts]), self._sample_rate
        )


def estimate_hz(audio: np.ndarray, sample_rate: int) -> float | None:
    """Estimates the median pitch of the clear frames of a signal.

    Args:
        audio: Mono, shape [n_samples].
        sample_rate: Samples/s.

    Returns:
        Hz; None if no frame is periodic.

    Source:
        McLeod and Wyvill, "A Smarter Way to Find Pitch", ICMC 2005: the normalised
        square difference and its first high peak. Differs: no interpolation.
    """
    frame_size = round(_FRAME_SECS * sample_rate)
    if len(audio) < frame_size:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(audio, frame_size)
    step = max(frame_size // 2, (len(frames) - 1) // _MAX_FRAMES)
    frames = frames[:: max(1, step)].astype(np.float64)  # [n_frames, frame_size]
    frames = frames - frames.mean(axis=1, keepdims=True)

    # Autocorrelation r(lag), and m(lag), the energy of the two parts that it compares.
    spectrum = scipy.fft.rfft(frames, 2 * frame_size, axis=1)
    correlation = scipy.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :frame_size]
    square = np.square(frames)
    head = np.cumsum(square[:, ::-1], axis=1)[:, ::-1]  # energy from a sample on
    tail = np.cumsum(square, axis=1)[:, ::-1]  # energy up to a sample
    clarity = 2.0 * correlation / np.maximum(head + tail, 1e-12)  # [n_frames, lag]

    first = int(sample_rate / _HIGHEST_HZ)
    last = min(frame_size - 1, int(sample_rate / _LOWEST_HZ))
    pitches = [_first_peak(row, first, last) for row in clarity]
    lags = [lag for lag in pitches if lag]
    return float(sample_rate / np.median(lags)) if lags else None


def _first_peak(clarity: np.ndarray, first: int, last: int) -> int:
    """Finds the lag of the first peak nearly as high as the highest; 0 for none."""
    inner = clarity[first : last + 1]
    is_peak = (inner[1:-1] > inner[:-2]) & (inner[1:-1] >= inner[2:])
    peaks = np.flatnonzero(is_peak) + 1
    if not len(peaks) or inner[peaks].max() < _MIN_CLARITY:
        return 0
    return first + int(peaks[inner[peaks] >= _FIRST_PEAK * inner[peaks].max()][0])
