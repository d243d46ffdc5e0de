"""Finds what lies outside the pitch tracker's range, by the sound's own period.

CREPE answers every frame with a pitch of its range. A piccolo above it or a contrabass
below it comes out an octave or more off, and looks sure of itself. The period of the
sound, where it has a clear one, tells them apart without CREPE, and with it whether the
tracker should hear the recording an octave lower or higher (`prep.pitch.octaves`). It
also puts recordings in order of pitch, roughly, so that both splits reach over the
instrument's compass.

Source: P. Boersma, "Accurate short-term analysis of the fundamental frequency", IFA
Proceedings 17, 1993: the autocorrelation of a windowed signal divided by the window's.
P. McLeod and G. Wyvill, "A smarter way to find pitch", ICMC 2005: of the maxima, the
first that comes near the highest. Differs: the spectrum is A-weighted, so that rumble
below the music is not taken for a note.
"""

import dataclasses
import functools
from collections.abc import Iterator

import librosa
import numpy as np
import scipy.fft

LOWEST_HZ, HIGHEST_HZ = 32.7, 1975.5  # C1 and B6, between which CREPE was trained
MARGIN = 2.0 ** (0.5 / 12.0)  # half a semitone, by which a pitch is beyond for sure
WINDOW_SECS = 0.4  # six periods of the lowest pitch that is looked for
HOP_SECS = 0.5
MIN_HZ, MAX_HZ = 16.0, 6000.0  # pitches that are looked for
CLARITY = 0.9  # of 1, from which a period is clear
NEAR_HIGHEST = 0.9  # of the highest maximum, from which the first is taken
AUDIBLE_DB = 30.0  # below the loudest window, from which a window counts
LAG_RATE = 64_000  # lags/s: ten lags in the shortest period
OUT_OF_RANGE_SHARE = 0.05  # of the audible length, from which something is done


@dataclasses.dataclass(frozen=True)
class Shares:
    """Parts of a recording's audible length whose pitch is out of range.

    Attributes:
        below: Under the lowest pitch that the tracker hears.
        above: Over the highest.
    """

    below: float = 0.0
    above: float = 0.0


def limits_hz(octaves: int = 0) -> tuple[float, float]:
    """Lowest and highest pitch that CREPE hears of what is played `octaves` higher."""
    return LOWEST_HZ / 2.0**octaves, HIGHEST_HZ / 2.0**octaves


def shares(pitch_hz: np.ndarray, *, octaves: int = 0) -> Shares:
    """Measures what is out of range.

    Args:
        pitch_hz: Of the audible windows, 0 without a period; shape [n].
        octaves: By which the tracker hears the recording higher.
    """
    if not len(pitch_hz):
        return Shares()
    low, high = limits_hz(octaves)
    below = (pitch_hz > 0.0) & (pitch_hz < low / MARGIN)
    return Shares(float(np.mean(below)), float(np.mean(pitch_hz > high * MARGIN)))


def choose_octaves(pitch_hz: np.ndarray, *, hop_size: int) -> int:
    """Chooses how the pitch tracker is to hear a recording.

    Args:
        pitch_hz: Of the audible windows, 0 without a period; shape [n].
        hop_size: Between frames, samples at 16 kHz.

    Returns:
        -1, an octave lower, if more than `OUT_OF_RANGE_SHARE` lies above the range and
        some of that would not, while no more than that would lie below; 1, an octave
        higher, for what lies below; 0, as it is, otherwise, and where half a hop is no
        whole sample and the recording would have to be played higher.
    """
    now, lower, higher = (shares(pitch_hz, octaves=octaves) for octaves in (0, -1, 1))
    border = OUT_OF_RANGE_SHARE
    if now.above > border and lower.above < now.above and lower.below <= border:
        return -1
    if now.below > border and higher.below < now.below and higher.above <= border:
        return 0 if hop_size % 2 else 1
    return 0


def describe(pitch_hz: np.ndarray, *, octaves: int) -> Iterator[str]:
    """Yields what a person should know of a recording's range.

    Args:
        pitch_hz: Of the audible windows, 0 without a period; shape [n].
        octaves: By which the tracker hears the recording higher.
    """
    now, played = shares(pitch_hz), shares(pitch_hz, octaves=octaves)
    for side, mended_by, end in (("below", 1, 0), ("above", -1, 1)):
        share, left = getattr(now, side), getattr(played, side)
        if share <= OUT_OF_RANGE_SHARE:
            continue
        begin = (
            f"{share:.0%} of what is audible lies {side} CREPE's range, which ends at "
            f"{limits_hz()[end]:g} Hz: "
        )
        wrong = "its pitch is wrong there, by octaves or more"
        if octaves != mended_by:
            yield begin + wrong
            continue
        way = "lower" if octaves < 0 else "higher"
        low, high = limits_hz(octaves)
        begin += (
            f"tracked an octave {way}, which reaches from {low:.0f} to {high:.0f} Hz"
        )
        yield begin + (
            f"; {left:.0%} lies {side} that too: {wrong}"
            if left > OUT_OF_RANGE_SHARE
            else ""
        )


def median_hz(pitch_hz: np.ndarray) -> float | None:
    """Median of the windows with a period, Hz; None where there is none."""
    pitch_hz = pitch_hz[pitch_hz > 0.0]
    return float(np.median(pitch_hz)) if len(pitch_hz) else None


def measure(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Pitch of a signal's audible windows, as `Watch.audible_hz`.

    Args:
        audio: Mono, shape [n_samples].
        sample_rate: Samples/s.
    """
    watch = Watch(sample_rate)
    watch.add(np.asarray(audio, np.float32))
    return watch.audible_hz()


class _Tables:
    """What depends on the sample rate alone: lengths, window, weighting."""

    def __init__(self, sample_rate: int):
        self.size = max(16, round(WINDOW_SECS * sample_rate))
        self.hop = round(HOP_SECS * sample_rate)
        self.window = np.hanning(self.size)
        # Zeros up to twice the length keep the ends from meeting in the correlation.
        self.n_fft = 2 * self.size
        self.n_lags = round(self.n_fft * LAG_RATE / sample_rate)
        frequencies = np.arange(1, 1 + min(self.n_fft, self.n_lags) // 2) * (
            sample_rate / self.n_fft
        )
        self.weighting = np.concatenate(
            [[0.0], 10.0 ** (librosa.A_weighting(frequencies) / 10.0)]
        )
        of_window = np.abs(scipy.fft.rfft(self.window, self.n_fft)) ** 2
        self.of_window = self.correlate(of_window[: len(self.weighting)])

    def correlate(self, power: np.ndarray) -> np.ndarray:
        """Power spectrum -> correlation at lags of 1 / `LAG_RATE` s, 1 at lag 0."""
        correlation = scipy.fft.irfft(power, self.n_lags)
        correlation = correlation[: 1 + round(LAG_RATE / MIN_HZ)]
        return correlation / max(correlation[0], np.finfo(float).tiny)


# Recordings come by the thousand, and their rates are few.
_tables = functools.lru_cache(maxsize=8)(_Tables)


class Watch:
    """Measures the period of a stream, twice a second."""

    def __init__(self, sample_rate: int):
        """Begins without a sample.

        Args:
            sample_rate: Samples/s.
        """
        self._tables = _tables(sample_rate)
        self._pending = np.zeros(0, np.float32)
        self._skip = 0  # samples to come that lie between two windows
        self._found: list[tuple[float, float]] = []  # power; Hz, 0 without a period

    def add(self, block: np.ndarray) -> None:
        """Takes the next samples, mono, shape [n]."""
        pending = np.concatenate([self._pending, block[self._skip :]])
        self._skip = max(0, self._skip - len(block))
        start = 0
        size, hop = self._tables.size, self._tables.hop
        while start + size <= len(pending):
            self._found.append(self._measure(pending[start : start + size]))
            start += hop
        self._pending = pending[start:]
        self._skip += max(0, start - len(pending))

    def audible_hz(self) -> np.ndarray:
        """Pitch of what is audible so far, Hz, 0 without a period; shape [n]."""
        if not self._found:  # shorter than a window: what there is, and silence
            missing = max(0, self._tables.size - len(self._pending))
            samples = np.pad(self._pending, (missing // 2, missing - missing // 2))
            self._found.append(self._measure(samples))
        power, pitch_hz = np.array(self._found).T
        return pitch_hz[power > power.max() * 10 ** (-AUDIBLE_DB / 10)]

    def _measure(self, samples: np.ndarray) -> tuple[float, float]:
        """Power of a window and its pitch, Hz; 0 where no period is clear."""
        tables = self._tables
        centred = samples.astype(np.float64) - samples.mean(dtype=np.float64)
        spectrum = scipy.fft.rfft(tables.window * centred, tables.n_fft)
        power = np.abs(spectrum[: len(tables.weighting)]) ** 2 * tables.weighting
        total = float(power.sum())
        if not total > 0.0:
            return 0.0, 0.0
        correlation = tables.correlate(power) / np.maximum(tables.of_window, 0.01)
        # The maxima begin where the correlation has been below zero once.
        negative = np.flatnonzero(correlation < 0.0)
        first = negative[0] if len(negative) else len(correlation)
        first = max(first, round(LAG_RATE / MAX_HZ))
        rises = np.diff(correlation[first - 1 :]) > 0.0
        peaks = first + np.flatnonzero(rises[:-1] & ~rises[1:])
        if not len(peaks) or correlation[peaks].max() < CLARITY:
            return total, 0.0
        near = correlation[peaks] >= NEAR_HIGHEST * correlation[peaks].max()
        return total, LAG_RATE / float(peaks[near][0])
