"""Spectra of windows that are laid in the phase of a fundamental, not in time.

Read at equal steps of the fundamental's phase, vibrato and glides become constant
pitch: over an even number of periods under a Hann window, harmonic k is bin k * P of a
Fourier transform of P periods, and bins that are two or more away from every harmonic
hold noise alone.

Times follow the data contract: frame i is centred on sample i * hop_size. Frames closer
to an edge than half a window take the nearest full window.

Source: own. The pitch-synchronous analysis of Abe, Kobayashi and Imai, "Harmonics
tracking and pitch extraction based on instantaneous frequency", ICASSP 1995, as one
fast transform a frame.
"""

import collections.abc
import dataclasses

import numpy as np
from scipy import fft
from scipy import interpolate

MIN_PERIODS = 4  # of a window; even, so that bins half-way between harmonics are free
MIN_WINDOW_SECS = 0.024  # shorter windows only pass more noise
OVERSAMPLING = 4  # before cubic interpolation, which then loses 0.07 dB at Nyquist
MARGIN = 1.1  # of samples a period over twice the harmonics, for glides in a window
MAX_OVERLAP = 6  # windows over one point; more are straight lines between these
CHUNK_SAMPLES = 1 << 17  # window samples computed at a time, bounds the memory
# Samples a period: few different ones, so that many frames share a transform's size.
PERIOD_SIZES = np.sort(np.outer([8, 10, 12], 2 ** np.arange(9)).ravel())


class Signal:
    """Audio that can be read between its samples."""

    def __init__(self, audio: np.ndarray, *, bandwidth: float = 1.0):
        """Oversamples the audio and fits a cubic to each step.

        Args:
            audio: Mono, [n_samples].
            bandwidth: Share of the spectrum to keep, from 0 Hz on; less is quicker.
        """
        self.n_samples = audio.size
        self.bandwidth = min(bandwidth, 1.0)
        padding = 64  # samples; the circle's seam lies in silence
        size = fft.next_fast_len(audio.size + padding, real=True)
        n_fine = fft.next_fast_len(
            int(OVERSAMPLING * self.bandwidth * size) + 1, real=True
        )
        self._fine_per_sample = n_fine / size
        spectrum = fft.rfft(np.asarray(audio, np.float32), size)
        spectrum = spectrum[: 1 + int(self.bandwidth * (size // 2))]
        fine = fft.irfft(spectrum, n_fine) * np.float32(self._fine_per_sample)
        n_kept = min(n_fine, int(audio.size * self._fine_per_sample) + 1)
        before, here, after, beyond = (
            np.roll(fine, -shift)[:n_kept] for shift in range(-1, 3)
        )
        # Lagrange's cubic through four samples, between the second and the third.
        self._cubics = np.stack(
            [
                here,
                -before / 3 - here / 2 + after - beyond / 6,
                (before + after) / 2 - here,
                (beyond - before) / 6 + (here - after) / 2,
            ],
            axis=1,
        )

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Values at positions in samples, 0 outside the signal; same shape."""
        fine = positions * self._fine_per_sample
        index = np.floor(fine)
        rest = (fine - index).astype(np.float32)
        index = np.clip(index, 0, len(self._cubics) - 1).astype(np.intp)
        constant, linear, square, cube = np.moveaxis(self._cubics[index], -1, 0)
        return ((cube * rest + square) * rest + linear) * rest + constant


@dataclasses.dataclass(frozen=True)
class Windows:
    """Spectra of some frames whose windows have the same size.

    Attributes:
        frames: Which frames these are, [n].
        f0_hz: Their fundamental in Hz, [n].
        n_periods: Periods of every window; harmonic k is bin k * n_periods.
        spectrum: Amplitudes of sines, complex64, [n, n_bins].
        slope: The same under the window's derivative by phase, for the frequency of a
            component; None unless asked for.
    """

    frames: np.ndarray
    f0_hz: np.ndarray
    n_periods: int
    spectrum: np.ndarray
    slope: np.ndarray | None

    def harmonics(self, n_harmonics: int) -> np.ndarray:
        """Complex amplitudes of the first harmonics, 0 beyond the last bin."""
        found = self.spectrum[:, self.n_periods :: self.n_periods][:, :n_harmonics]
        return np.pad(found, ((0, 0), (0, n_harmonics - found.shape[1])))


def analyse(
    signal: Signal,
    f0_hz: np.ndarray,
    *,
    sample_rate: int,
    hop_size: int,
    with_slope: bool = False,
) -> collections.abc.Iterator[Windows]:
    """Computes the spectrum of every frame that has a pitch.

    Args:
        signal: The recording.
        f0_hz: Fundamental in Hz, NaN without pitch. Shape [n_frames].
        sample_rate: Hz.
        hop_size: Samples between frames.
        with_slope: Whether to compute `Windows.slope`.

    Yields:
        Frames of one window size at a time, in no particular order.
    """
    if not np.isfinite(f0_hz).any():
        return
    track = sample_track(f0_hz, n_samples=signal.n_samples, hop_size=hop_size)
    cycles = np.concatenate([[0.0], np.cumsum(track[:-1])]) / sample_rate
    pitched = analysed_frames(f0_hz, frame_rate=sample_rate / hop_size)
    # A window holds whole periods, so its size depends on the pitch.
    periods, period_sizes = _window_sizes(
        f0_hz[pitched],
        sample_rate=signal.bandwidth * sample_rate,
        n_cycles=cycles[-1],
    )
    sizes = np.stack([periods, period_sizes])
    # Frames of one size are transformed together, in chunks that bound the memory.
    for n_periods, period_size in np.unique(sizes, axis=1).T:
        is_of_size = (periods == n_periods) & (period_sizes == period_size)
        group = pitched[is_of_size]
        n_chunks = -(-group.size * n_periods * period_size // CHUNK_SAMPLES)
        for frames in np.array_split(group, n_chunks):
            spectrum, slope = _transform(
                signal,
                cycles,
                cycles[frames * hop_size],
                n_periods=int(n_periods),
                period_size=int(period_size),
                with_slope=with_slope,
            )
            yield Windows(frames, f0_hz[frames], int(n_periods), spectrum, slope)


def analysed_frames(f0_hz: np.ndarray, *, frame_rate: float) -> np.ndarray:
    """Picks the frames whose windows are computed; the others lie between them.

    Windows that overlap by more than `MAX_OVERLAP` tell nothing new: a Hann window's
    output has no frequencies above 2 / T. First and last frame of a pitched stretch
    are always computed.

    Args:
        f0_hz: Fundamental in Hz, NaN without pitch. Shape [n_frames].
        frame_rate: Frames a second.

    Returns:
        Indices in rising order.
    """
    pitched = np.isfinite(f0_hz)
    window_secs = np.maximum(MIN_WINDOW_SECS, MIN_PERIODS / np.where(pitched, f0_hz, 1))
    stride = np.maximum(1.0, window_secs * frame_rate / MAX_OVERLAP)
    stride = 2 ** np.floor(np.log2(stride)).astype(int)  # so that grids share frames
    is_due = np.arange(f0_hz.size) % stride == 0
    before = np.concatenate([[False], pitched[:-1]])
    after = np.concatenate([pitched[1:], [False]])
    return np.flatnonzero(pitched & (is_due | ~before | ~after))


def between_analysed(
    rows: np.ndarray, f0_hz: np.ndarray, *, frame_rate: float
) -> np.ndarray:
    """Fills the frames that `analysed_frames` leaves out, with straight lines.

    Args:
        rows: Values of every frame, right at the analysed ones. Shape [n_frames, ...].
        f0_hz: Fundamental in Hz, NaN without pitch. Shape [n_frames].
        frame_rate: Frames a second.

    Returns:
        The same with the gaps filled; frames without pitch as they were.
    """
    known = analysed_frames(f0_hz, frame_rate=frame_rate)
    gaps = np.isfinite(f0_hz)
    gaps[known] = False
    missing = np.flatnonzero(gaps)
    if not missing.size:
        return rows
    place = np.searchsorted(known, missing)
    left, right = known[place - 1], known[place]
    share = (missing - left) / (right - left)
    share = share.reshape(-1, *[1] * (rows.ndim - 1))
    filled = rows.copy()
    filled[missing] = (1 - share) * rows[left] + share * rows[right]
    return filled


def _window_sizes(
    f0_hz: np.ndarray, *, sample_rate: float, n_cycles: float
) -> tuple[np.ndarray, np.ndarray]:
    """Periods of each frame's window, and samples of each period."""
    periods = np.maximum(MIN_PERIODS, 2 * np.ceil(f0_hz * MIN_WINDOW_SECS / 2))
    # A signal shorter than the window gets fewer periods, but never less than two.
    periods = np.minimum(periods, max(2, 2 * int(n_cycles / 2))).astype(int)
    needed = MARGIN * sample_rate / f0_hz
    place = np.searchsorted(PERIOD_SIZES, needed)
    return periods, PERIOD_SIZES[np.minimum(place, PERIOD_SIZES.size - 1)]


def _transform(
    signal: Signal,
    cycles: np.ndarray,
    centres: np.ndarray,
    *,
    n_periods: int,
    period_size: int,
    with_slope: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Spectra of windows of equal size around phases `centres` (cycles)."""
    size = n_periods * period_size
    half = 0.5 * n_periods
    middle = np.clip(centres, half, max(cycles[-1] - half, half))
    steps = np.arange(size) / period_size  # cycles from the window's first sample
    phases = (middle - half)[:, np.newaxis] + steps
    positions = np.interp(phases, cycles, np.arange(cycles.size, dtype=np.float64))
    values = signal.read(positions)
    # Beyond the end of a short signal there is nothing, not its last sample held.
    if cycles[-1] < n_periods:
        values = np.where(phases <= cycles[-1], values, np.float32(0.0))
    turn = 2 * np.pi * steps / n_periods
    hann = (0.5 - 0.5 * np.cos(turn)).astype(np.float32)
    scale = np.float32(2.0 / hann.sum())  # amplitude of a sine
    spectrum = fft.rfft(values * (hann * scale), axis=1)
    if not with_slope:
        return spectrum, None
    # d hann / d phase, in cycles of the fundamental.
    derivative = (np.pi / n_periods * np.sin(turn)).astype(np.float32)
    return spectrum, fft.rfft(values * (derivative * scale), axis=1)


def sample_track(f0_hz: np.ndarray, *, n_samples: int, hop_size: int) -> np.ndarray:
    """f0 at every sample: curves through the frames, also across those without pitch.

    At 50 frames/s straight lines would cut the corners of a vibrato by 6 cents. Akima's
    curves do so by less than 1, and do not overshoot where the pitch jumps.
    """
    frames = np.flatnonzero(np.isfinite(f0_hz))
    samples = np.clip(np.arange(n_samples), frames[0] * hop_size, frames[-1] * hop_size)
    if frames.size < 3:
        return np.interp(samples, frames * hop_size, f0_hz[frames])
    curve = interpolate.Akima1DInterpolator(
        frames * hop_size, f0_hz[frames], method="makima"
    )
    return np.clip(curve(samples), np.nanmin(f0_hz), np.nanmax(f0_hz))
