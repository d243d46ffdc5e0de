"""Finds what lies outside the pitch tracker's range, by the sound's own period.

CREPE answers every frame with a pitch of its range. A piccolo above it or a contrabass
below it comes out an octave or more off, and looks sure of itself. The period of the
sound, where it has a clear one, tells them apart without CREPE. It also puts recordings
in order of pitch, roughly, so that both splits reach over the instrument's compass.

Source: P. Boersma, "Accurate short-term analysis of the fundamental frequency", IFA
Proceedings 17, 1993: the autocorrelation of a windowed signal divided by the window's.
P. McLeod and G. Wyvill, "A smarter way to find pitch", ICMC 2005: of the maxima, the
first that comes near the highest. Differs: the spectrum is A-weighted, so that rumble
below the music is not taken for a note.
"""

import dataclasses
import functools

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


@dataclasses.dataclass(frozen=True)
class Shares:
    """Parts of a recording's audible length whose pitch is out of range.

    Attributes:
        below: Under `LOWEST_HZ`.
        above: Over `HIGHEST_HZ`.
    """

    below: float = 0.0
    above: float = 0.0


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

    def shares(self) -> Shares:
        """Returns what is out of range of all that is audible so far."""
        pitch_hz = self._audible_hz()
        if not len(pitch_hz):
            return Shares()
        low, high = LOWEST_HZ / MARGIN, HIGHEST_HZ * MARGIN
        return Shares(
            below=float(np.mean((pitch_hz > 0.0) & (pitch_hz < low))),
            above=float(np.mean(pitch_hz > high)),
        )

    def median_hz(self) -> float | None:
        """Returns the median pitch so far, Hz; None where there is none."""
        pitch_hz = self._audible_hz()
        pitch_hz = pitch_hz[pitch_hz > 0.0]
        return float(np.median(pitch_hz)) if len(pitch_hz) else None

    def _audible_hz(self) -> np.ndarray:
        """Pitch of the audible windows, Hz, 0 without a period; shape [n]."""
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
