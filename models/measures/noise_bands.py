"""Spectrum of the noise in a recording, in the bands of the model's noise filter.

The bins of a pitched frame that lie between its harmonics, and all bins of a frame
without pitch, hold noise. One bin's power is a chance value (its standard deviation is
as large as its mean), so it is averaged as a gain that changes from frame to frame
times a spectrum that changes slowly: all bands together say how loud the noise is now,
all frames nearby what colour it has.

Noise more than about 50 dB below a strongly modulated tone is measured too high, since
the tone's own modulation reaches the bins between its harmonics.

Source: own. The alternation is the maximum-likelihood fit of a product of gain and
spectrum to exponentially distributed powers (Itakura-Saito distance).
"""

import dataclasses

import numpy as np
import scipy.ndimage
from scipy import fft

from models.measures import levels
from models.measures import warped_spectrum

FREE_BINS = 2  # from a harmonic's bin on: a Hann window's main lobe ends there
TAPERED_PERIODS = 8  # of a window, from which a steeper one fits between harmonics
TAPERED_POWER = (35 / 128) / (3 / 8)  # mean of hann^4 over that of hann^2
COLOUR_SECS = 0.6  # length of the triangular window that averages the noise's spectrum
BAND_WEIGHTS = (0.25, 0.5, 0.25)  # over which it is averaged too
GAIN_FRAMES_SECS = 0.012  # over which the gain is averaged, half a window
N_ROUNDS = 4  # of the alternation; further ones change less than 0.1 dB
_TINY = 1e-20  # power a Hz, far below that of 24-bit silence


@dataclasses.dataclass
class BandPowers:
    """Sums over the free bins near each band.

    Attributes:
        power: Sum of power densities a Hz, [n_frames, n_bands].
        count: Weight of the bins in it, [n_frames, n_bands].
    """

    power: np.ndarray
    count: np.ndarray

    @classmethod
    def empty(cls, n_frames: int, n_bands: int) -> "BandPowers":
        """Sums of nothing."""
        return cls(np.zeros((n_frames, n_bands)), np.zeros((n_frames, n_bands)))

    def add(
        self,
        frames: np.ndarray,
        frequency: np.ndarray,
        density: np.ndarray,
        *,
        sample_rate: int,
    ) -> None:
        """Shares bins out between the two bands that they lie between.

        Args:
            frames: Rows, [n].
            frequency: Hz, [n, n_bins] or [1, n_bins].
            density: Power a Hz, [n, n_bins].
            sample_rate: Hz.
        """
        n_bands = self.power.shape[1]
        place = frequency * (2.0 * (n_bands - 1) / sample_rate)
        lower = np.minimum(np.floor(place), n_bands - 2)  # Nyquist is the last band's
        upper_share = np.broadcast_to(place - lower, density.shape)
        inside = np.broadcast_to(place <= n_bands - 1, density.shape)
        lower = lower.astype(np.intp)
        flat = (np.arange(frames.size) * n_bands)[:, np.newaxis] + lower
        size = frames.size * n_bands
        for step, share in ((0, 1.0 - upper_share), (1, upper_share)):
            weight = np.where(inside, share, 0.0)
            index = (flat + step).ravel()
            count = np.bincount(index, weight.ravel(), size)
            power = np.bincount(index, (weight * density).ravel(), size)
            self.count[frames] += count.reshape(frames.size, n_bands)
            self.power[frames] += power.reshape(frames.size, n_bands)

    def add_between(
        self, windows: warped_spectrum.Windows, *, sample_rate: int
    ) -> None:
        """Adds the bins between the harmonics of pitched frames."""
        n_periods, spectrum = windows.n_periods, windows.spectrum
        reach, per_density = FREE_BINS, density_to_power(windows.f0_hz, n_periods)
        if n_periods >= TAPERED_PERIODS:
            # A second Hann window, applied to the bins: a tone's modulation falls off
            # much faster, and room is left for the wider main lobe.
            sides = spectrum[:, :-2] + spectrum[:, 2:]
            spectrum = np.pad(0.5 * spectrum[:, 1:-1] - 0.25 * sides, ((0, 0), (1, 1)))
            reach, per_density = FREE_BINS + 1, TAPERED_POWER * per_density
        bins = np.arange(spectrum.shape[1] - 1)
        place = bins % n_periods
        free = bins[(place >= reach) & (place <= n_periods - reach)]
        frequency = windows.f0_hz[:, np.newaxis] * (free / n_periods)
        density = np.square(np.abs(spectrum[:, free])) / per_density[:, np.newaxis]
        self.add(windows.frames, frequency, density, sample_rate=sample_rate)

    def filled(self, f0_hz: np.ndarray, *, frame_rate: float) -> "BandPowers":
        """The same with the pitched frames that were not analysed filled in."""
        return BandPowers(
            *(
                warped_spectrum.between_analysed(rows, f0_hz, frame_rate=frame_rate)
                for rows in (self.power, self.count)
            )
        )

    def add_unpitched(
        self, audio: np.ndarray, frames: np.ndarray, *, sample_rate: int, hop_size: int
    ) -> None:
        """Adds all bins of frames without pitch."""
        size = fft.next_fast_len(
            round(warped_spectrum.MIN_WINDOW_SECS * sample_rate), real=True
        )
        hann = np.hanning(size + 1)[:-1].astype(np.float32)
        padded = np.pad(audio.astype(np.float32), (size // 2, size))
        n_chunks = max(1, -(-frames.size * size // warped_spectrum.CHUNK_SAMPLES))
        for chunk in np.array_split(frames, n_chunks):
            samples = chunk[:, np.newaxis] * hop_size + np.arange(size)
            spectrum = fft.rfft(padded[samples] * hann, axis=1)[:, FREE_BINS:]
            density = 2 * np.square(np.abs(spectrum)) / (sample_rate * np.sum(hann**2))
            frequency = np.arange(FREE_BINS, size // 2 + 1) * (sample_rate / size)
            self.add(chunk, frequency[np.newaxis], density, sample_rate=sample_rate)


def density_to_power(f0_hz: np.ndarray, n_periods: int) -> np.ndarray:
    """Mean square of a bin's amplitude in noise of one unit of power a Hz.

    A Hann window of T seconds passes 1.5 / T Hz; the amplitude of a sine squared is
    twice its power.
    """
    return 3.0 * f0_hz / n_periods


def smooth(raw: BandPowers, *, frame_rate: float) -> np.ndarray:
    """Averages chance powers into the noise's power density.

    Args:
        raw: Sums over free bins.
        frame_rate: Frames a second.

    Returns:
        Power a Hz, [n_frames, n_bands].
    """
    width = max(2, round(0.5 * COLOUR_SECS * frame_rate))
    gain_width = max(1, round(GAIN_FRAMES_SECS * frame_rate))
    average = lambda rows: _moving_mean(_moving_mean(rows, width), width)
    across = lambda rows: scipy.ndimage.convolve1d(
        rows, BAND_WEIGHTS, axis=1, mode="constant"
    )
    count = across(average(raw.count))
    gain = np.full((len(raw.power), 1), _TINY)
    gain += raw.power.sum(1, keepdims=True) / np.maximum(
        raw.count.sum(1, keepdims=True), 1.0
    )
    for _ in range(N_ROUNDS):
        colour = _fill(across(average(raw.power / gain)), count)
        ratio = (raw.power / colour).sum(1, keepdims=True)
        gain = ratio / np.maximum(raw.count.sum(1, keepdims=True), _TINY)
        gain = scipy.ndimage.uniform_filter1d(gain, gain_width, axis=0)
        gain = np.maximum(gain, 0.0) + _TINY
    return gain * colour


def _moving_mean(rows: np.ndarray, width: int) -> np.ndarray:
    """Mean over `width` frames; twice over, the weights are a triangle."""
    mean = scipy.ndimage.uniform_filter1d(rows, width, axis=0, mode="constant")
    return np.maximum(mean, 0.0)  # a running sum leaves a rest below 0 after sound


def _fill(power: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Quotient of the sums; bands without a bin take from their neighbours."""
    for _ in range(power.shape[1]):
        thin = count < 1e-6 * count.max()
        if not thin.any() or thin.all():
            break
        spread = lambda rows: scipy.ndimage.convolve1d(
            rows, np.ones(3), axis=1, mode="constant"
        )
        power = np.where(thin, spread(power), power)
        count = np.where(thin, spread(count), count)
    return power / np.maximum(count, _TINY) + _TINY


def magnitudes(density: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Magnitudes of ddsp's noise filter that play a power density.

    Args:
        density: Power a Hz, [..., n_bands].
        sample_rate: Hz.

    Returns:
        Linear gain of uniform noise in [-1, 1], same shape.
    """
    return np.sqrt(density * (0.5 * sample_rate / levels.UNIFORM_NOISE_POWER))
