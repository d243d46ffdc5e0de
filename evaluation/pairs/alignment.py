"""By how much a rendering is late and louder than its recording, whatever played it.

A synthesiser's phases are its own, so waveforms cannot be laid over each other. What is
compared is the spectrum's movement: the level of bands, every 2 ms, about its mean.
Where the rendering is a copy (another codec, another gain), the waveform itself then
says the delay to the sample.

Positive delays are of renderings that come late. Source: own.
"""

import dataclasses
import math

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.signal
from scipy import interpolate

MAX_DELAY_SECS = 0.1  # delays up to here are removed, larger ones told
SEARCHED_SECS = 0.25  # to either side
HOP_SECS = 0.002  # between levels
WINDOW_SECS = 0.032  # Hann, of one spectrum
N_BANDS = 16
LOWEST_HZ = 80.0  # of the bands, which are equally wide in octaves
RANGE_DB = 50.0  # below the loudest band's loudest moment; softer counts as that
# A delay is known when the bands agree as well as that; unrelated notes reach 0.2.
MIN_AGREEMENT = 0.5
# ... and when removing it takes away so much of what disagrees: a held note agrees with
# itself at any delay.
MIN_GAIN = 0.1
LEAST_SECS = 0.004  # shorter than one control frame is no delay
# Correlation of waveforms from which they are copies of each other.
COPY_CORRELATION = 0.9
EQUAL_PEAKS = 0.995  # of the highest: as high, but for noise
FINE_STEPS = 16  # of a sample, in which the largest correlation is looked for
COPY_REACH_SECS = 0.012  # around the delay of the bands; a period of low notes
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Alignment:
    """How a rendering lies beside its recording.

    Attributes:
        delay_secs: By how much it is late, below 0 early; NaN where nothing tells.
        is_removed: Whether the delay was taken out; half a sample is left.
        gain_db: Level against the recording's over the common part; NaN where one of
            them is silent.
        missing_secs: Of the recording, before the rendering begins or after it ends,
            beyond what the delay explains; counted as silence.
        extra_secs: Of the rendering, after the recording's end; not judged.
    """

    delay_secs: float
    is_removed: bool
    gain_db: float
    missing_secs: float
    extra_secs: float


def align(
    ref: np.ndarray, est: np.ndarray, *, sample_rate: int
) -> tuple[np.ndarray, np.ndarray, Alignment]:
    """Lays a rendering over its recording.

    Args:
        ref: The recording. Shape [n_samples].
        est: The rendering, any length. Shape [n_other_samples].
        sample_rate: Hz, of both.

    Returns:
        Recording and rendering of equal length, and what was done. Ends that differ by
        `MAX_DELAY_SECS` at most are cut to the common part; a rendering that ends
        earlier is filled with silence.
    """
    delay = estimate_delay(ref, est, sample_rate=sample_rate)
    shift = round(delay * sample_rate) if abs(delay) <= MAX_DELAY_SECS else 0
    # What the shift leaves without a counterpart at the beginning goes on both sides.
    ref_part, est_part = ref[max(-shift, 0) :], est[max(shift, 0) :]
    slack = round(MAX_DELAY_SECS * sample_rate)
    lacking = ref_part.size - est_part.size
    if abs(lacking) <= slack:
        size = min(ref_part.size, est_part.size)
        ref_part, est_part, lacking = ref_part[:size], est_part[:size], 0
    elif lacking > 0:
        est_part = np.pad(est_part, (0, lacking))
    else:
        est_part = est_part[: ref_part.size]
    return (
        ref_part,
        est_part,
        Alignment(
            delay_secs=delay,
            is_removed=shift != 0,
            gain_db=_gain_db(ref_part, est_part[: est_part.size - max(lacking, 0)]),
            missing_secs=max(lacking, 0) / sample_rate,
            extra_secs=max(-lacking, 0) / sample_rate,
        ),
    )


def _gain_db(ref: np.ndarray, est: np.ndarray) -> float:
    """Level of the rendering against the recording's, over the rendering's length."""
    ref_power = float(np.sum(np.square(ref[: est.size], dtype=np.float64)))
    est_power = float(np.sum(np.square(est, dtype=np.float64)))
    if not ref_power > 0 or not est_power > 0:
        return math.nan
    return 10.0 * math.log10(est_power / ref_power)


def estimate_delay(ref: np.ndarray, est: np.ndarray, *, sample_rate: int) -> float:
    """Estimates by how much a rendering is late.

    Args:
        ref: The recording. Shape [n_samples].
        est: The rendering. Shape [n_other_samples].
        sample_rate: Hz.

    Returns:
        Seconds, up to `SEARCHED_SECS` to either side; 0 where no delay explains more
        than none; NaN where the two have too little in common, or nothing moves.
    """
    n_lags = round(SEARCHED_SECS / HOP_SECS)
    if not ref.any() or not est.any():
        return math.nan
    size = min(ref.size, est.size) + round(SEARCHED_SECS * sample_rate)
    ref, est = ref[:size], est[:size]
    agreement = _agreement(
        band_levels(ref, sample_rate=sample_rate),
        band_levels(est, sample_rate=sample_rate),
        n_lags=n_lags,
    )
    best = int(np.argmax(agreement))
    if not agreement[best] >= MIN_AGREEMENT:
        return math.nan
    if 1.0 - agreement[best] > (1.0 - MIN_GAIN) * (1.0 - agreement[n_lags]):
        best = n_lags
    delay = (best - n_lags + _peak_offset(agreement, best)) * HOP_SECS
    copied = _copy_delay(ref, est, near=delay, sample_rate=sample_rate)
    if copied is not None:
        return copied
    return delay if best != n_lags and abs(delay) >= LEAST_SECS else 0.0


def band_levels(audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Measures the level of bands in dB, every `HOP_SECS`.

    Args:
        audio: Shape [n_samples].
        sample_rate: Hz.

    Returns:
        Levels, not below `RANGE_DB` under the loudest. Shape [n_frames, N_BANDS].
    """
    hop_size = round(HOP_SECS * sample_rate)
    size = round(WINDOW_SECS * sample_rate)
    padded = np.pad(np.asarray(audio, np.float32), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop_size]
    window = scipy.signal.get_window("hann", size).astype(np.float32)
    edges = np.geomspace(LOWEST_HZ, sample_rate / 2, N_BANDS + 1)
    bins_hz = np.arange(size // 2 + 1) * (sample_rate / size)
    # The lowest bands may be narrower than a bin: each takes at least the nearest one.
    members = (bins_hz >= edges[:-1, np.newaxis]) & (bins_hz < edges[1:, np.newaxis])
    nearest = np.abs(bins_hz - np.sqrt(edges[:-1] * edges[1:])[:, np.newaxis]).argmin(1)
    members[np.arange(N_BANDS), nearest] = True
    power = np.concatenate(
        [
            np.square(np.abs(scipy.fft.rfft(part * window, axis=1))) @ members.T
            for part in np.array_split(frames, max(1, len(frames) // 4096))
        ]
    )
    floor = power.max() * 10.0 ** (-RANGE_DB / 10.0)
    return 10.0 * np.log10(np.maximum(power, max(floor, _TINY)))


def _agreement(ref: np.ndarray, est: np.ndarray, *, n_lags: int) -> np.ndarray:
    """Correlation of two sets of bands at every lag, over what overlaps.

    Returns:
        From `-n_lags` to `n_lags` hops of delay, -1 to 1. Shape [2 n_lags + 1].
    """
    found = np.full(2 * n_lags + 1, -1.0)
    for place, lag in enumerate(range(-n_lags, n_lags + 1)):
        begin = ref[max(-lag, 0) :]
        size = min(len(begin), len(est) - max(lag, 0))
        if size < n_lags // 2:
            continue
        one, other = begin[:size], est[max(lag, 0) :][:size]
        one, other = one - one.mean(axis=0), other - other.mean(axis=0)
        scale = math.sqrt(float(np.sum(one**2)) * float(np.sum(other**2)))
        if scale > 0:
            found[place] = float(np.sum(one * other)) / scale
    return found


def _peak_offset(values: np.ndarray, place: int) -> float:
    """Offset of a parabola's peak through three neighbours, -0.5 to 0.5."""
    if not 0 < place < values.size - 1:
        return 0.0
    left, middle, right = values[place - 1 : place + 2]
    bend = left - 2.0 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _copy_delay(
    ref: np.ndarray, est: np.ndarray, *, near: float, sample_rate: int
) -> float | None:
    """The delay of a copy of the waveform, to the sample; None for what is no copy."""
    correlation = scipy.signal.correlate(
        est.astype(np.float64), ref.astype(np.float64), method="fft"
    )
    lags = np.arange(-ref.size + 1, est.size)
    is_near = np.abs(lags / sample_rate - near) <= COPY_REACH_SECS
    is_near &= np.abs(lags) < 0.5 * min(ref.size, est.size)
    if np.count_nonzero(is_near) < 4:
        return None
    # A held note is nearly a copy of itself a period later too. Of the peaks that are
    # about as high as the highest, found between samples, the bands' own delay decides.
    curve = interpolate.CubicSpline(lags[is_near], correlation[is_near])
    fine = np.arange(lags[is_near][0], lags[is_near][-1], 1.0 / FINE_STEPS)
    heights = curve(fine)
    peaks, _ = scipy.signal.find_peaks(heights, height=EQUAL_PEAKS * heights.max())
    if not peaks.size:
        return None
    found = fine[min(peaks, key=lambda place: abs(fine[place] / sample_rate - near))]
    lag = round(float(found))
    begin, end = max(-lag, 0), min(ref.size, est.size - lag)
    one = ref[begin:end].astype(np.float64)
    other = est[begin + lag : end + lag].astype(np.float64)
    energy = float(one @ one) * float(other @ other)
    likeness = float(one @ other) / math.sqrt(max(energy, _TINY))
    return float(found) / sample_rate if likeness >= COPY_CORRELATION else None
