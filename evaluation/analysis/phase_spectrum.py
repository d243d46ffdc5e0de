"""Fourier integrals over the phase of a fundamental, at its harmonics and between.

In phase, vibrato and glides are constant frequencies. A Hann window over an even number
of periods has zeros at all other harmonics and half-way between any two of them, so a
harmonic's amplitude is not disturbed by its neighbours, and what is found half-way is
noise.

Times follow the data contract: frame i is centred on sample i * hop_size. Frames
closer to an edge than half a window take the nearest full window. NaN means no pitch.

Source: own. The phase-domain window is the pitch-synchronous analysis of
    Abe, Kobayashi and Imai, "Harmonics tracking and pitch extraction based on
    instantaneous frequency", ICASSP 1995, with the window laid in phase, not in time.
"""

import dataclasses

import numpy as np

MIN_PERIODS = 4  # periods in a window; even, or half-way points are not zeros
MIN_WINDOW_SECS = 0.024  # seconds; shorter windows only pass more noise
CHUNK_FRAMES = 250  # frames analysed at a time, bounds the memory


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Amplitudes at the harmonics and half-way between them.

    Attributes:
        harmonics: Complex amplitude of harmonic k in column k - 1; the phase is taken
            at the frame's centre. Shape [n_frames, n_harmonics].
        between: Amplitude at (k - 1/2) * f0 in column k - 1, one column more.
            Shape [n_frames, n_harmonics + 1].
        density: Turns the square of `between` into the noise power of a band one f0
            wide. Shape [n_frames].
    """

    harmonics: np.ndarray
    between: np.ndarray
    density: np.ndarray


def analyse(
    audio: np.ndarray,
    f0_hz: np.ndarray,
    *,
    sample_rate: int,
    hop_size: int,
    n_bands: int,
) -> Spectrum:
    """Integrates the signal against every harmonic over windows in phase.

    Args:
        audio: Mono signal. Shape [n_samples].
        f0_hz: Fundamental in Hz, NaN without pitch, some frame finite.
            Shape [n_frames].
        sample_rate: Hz.
        hop_size: Samples between frames.
        n_bands: Number of harmonics.

    Returns:
        The spectrum; zeros where there is no pitch.
    """
    track = sample_track(f0_hz, n_samples=audio.size, hop_size=hop_size)
    cycles = np.concatenate([[0.0], np.cumsum(track[:-1])]) / sample_rate
    n_frames = f0_hz.size
    harmonics = np.zeros((n_frames, n_bands), np.complex128)
    between = np.zeros((n_frames, n_bands + 1))
    density = np.zeros(n_frames)
    frames = np.flatnonzero(np.isfinite(f0_hz))
    for chunk in np.array_split(frames, max(1, -(-frames.size // CHUNK_FRAMES))):
        windows = _phase_windows(
            cycles,
            track / sample_rate,
            centres=chunk * hop_size,
            f0_hz=f0_hz[chunk],
            sample_rate=sample_rate,
        )
        weighted = np.take(audio, windows.samples) * windows.weights
        harmonics[chunk], between[chunk] = _integrate(
            weighted.astype(np.float32), windows.phases, n_bands=n_bands
        )
        density[chunk] = (
            f0_hz[chunk] / (2 * sample_rate) / np.sum(windows.weights**2, axis=1)
        )
    return Spectrum(harmonics=harmonics, between=between, density=density)


@dataclasses.dataclass(frozen=True)
class _Windows:
    """Samples, weights (sum one) and phases (cycles from the centre) of each window."""

    samples: np.ndarray
    weights: np.ndarray
    phases: np.ndarray


def _phase_windows(
    cycles: np.ndarray,
    increments: np.ndarray,
    *,
    centres: np.ndarray,
    f0_hz: np.ndarray,
    sample_rate: int,
) -> _Windows:
    """Lays a Hann window over an even number of periods around each centre."""
    periods = np.maximum(MIN_PERIODS, np.ceil(f0_hz * MIN_WINDOW_SECS / 2) * 2)
    # A signal shorter than the window gets fewer periods, but never less than two.
    periods = np.minimum(periods, max(2.0, np.floor(cycles[-1] / 2) * 2))
    half = periods / 2
    middle = np.clip(cycles[centres], half, np.maximum(cycles[-1] - half, half))
    first = np.searchsorted(cycles, middle - half)
    last = np.searchsorted(cycles, middle + half)
    width = int(np.max(last - first)) + 1
    samples = first[:, np.newaxis] + np.arange(width)
    inside = samples < cycles.size
    samples = np.minimum(samples, cycles.size - 1)
    offsets = cycles[samples] - middle[:, np.newaxis]
    position = offsets / periods[:, np.newaxis]
    hann = np.where(np.abs(position) < 0.5, 0.5 + 0.5 * np.cos(2 * np.pi * position), 0)
    weights = hann * inside * increments[samples]
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    phases = cycles[samples] - cycles[centres][:, np.newaxis]
    return _Windows(samples=samples, weights=weights, phases=phases)


def _integrate(
    weighted: np.ndarray, phases: np.ndarray, *, n_bands: int
) -> tuple[np.ndarray, np.ndarray]:
    """Integrals at k and, in absolute value, at k - 1/2. Shapes as in `Spectrum`."""
    step = np.exp(-1j * np.pi * phases).astype(np.complex64)  # half a harmonic
    oscillator = np.ones_like(step)
    harmonics = np.empty((phases.shape[0], n_bands), np.complex128)
    between = np.empty((phases.shape[0], n_bands + 1))
    for half_steps in range(1, 2 * n_bands + 2):
        oscillator *= step
        value = 2.0 * np.einsum("tw,tw->t", oscillator, weighted)
        if half_steps % 2:
            between[:, half_steps // 2] = np.abs(value)
        else:
            harmonics[:, half_steps // 2 - 1] = value
    return harmonics, between


def sample_track(f0_hz: np.ndarray, *, n_samples: int, hop_size: int) -> np.ndarray:
    """f0 at every sample, straight lines across frames without pitch."""
    frames = np.flatnonzero(np.isfinite(f0_hz))
    return np.interp(np.arange(n_samples), frames * hop_size, f0_hz[frames])
