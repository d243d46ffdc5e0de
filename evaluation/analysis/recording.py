"""Synthesiser controls measured from a recording: what the instrument itself does.

A clarinet has few harmonics and a steady note hardly moves; whether a model's controls
have collapsed can only be said against the instrument's own. This module measures
them: the amplitude of every harmonic by `evaluation.analysis.phase_spectrum`, around an
f0 that the harmonics' own phases correct first. The noise found half-way between the
harmonics is taken off their power and summed into the noise level.

NaN or 0 Hz means no pitch there: the result has NaN f0, zero amplitudes, and all of the
power is noise. Noise more
than about 50 dB below a strongly modulated tone is measured too high, because the
tone's own modulation reaches the half-way points.

Source: own.
"""

import numpy as np
import scipy.ndimage

from evaluation.analysis import masks
from evaluation.analysis import phase_spectrum

REFINE_HARMONICS = (2, 8)  # harmonics whose phases correct f0, pass by pass
MAX_REFINE_CENTS = 60.0  # cents; a tracker further off than that is lost, not rough
SMOOTH_FRAMES = 9  # frames, odd; 20 ms to the half height, takes jitter off the track
REFINE_SMOOTH_FRAMES = 7  # frames of the median that steadies the correction


def measure_controls(
    audio: np.ndarray,
    f0_hz: np.ndarray,
    *,
    sample_rate: int,
    frame_rate: int,
    n_harmonics: int,
    refine_f0: bool = True,
) -> masks.Controls:
    """Measures a recording's controls.

    Args:
        audio: Mono signal in [-1, 1]. Shape [n_samples].
        f0_hz: Tracked fundamental in Hz; NaN or 0 without pitch. Shape [n_frames].
        sample_rate: Hz; a multiple of `frame_rate`.
        frame_rate: Frames per second.
        n_harmonics: Harmonics to measure; those above Nyquist are zero.
        refine_f0: Whether phases of the harmonics correct the tracked f0 first. The
            60th harmonic is off by 60 times the tracker's error.

    Returns:
        The measured controls, `f0_hz` refined; amplitudes have the noise's power
        taken off.

    Raises:
        ValueError: If the rates do not divide or f0 has more frames than the audio.
    """
    audio = np.asarray(audio, np.float64)
    f0_hz = _clean_f0(f0_hz, sample_rate=sample_rate)
    hop_size = _hop_size(audio, f0_hz, sample_rate=sample_rate, frame_rate=frame_rate)
    everything = local_power(
        audio, n_frames=f0_hz.size, sample_rate=sample_rate, hop_size=hop_size
    )
    if not np.any(np.isfinite(f0_hz)):
        return masks.Controls(
            f0_hz=f0_hz,
            amps=np.zeros_like(f0_hz),
            harmonic_distribution=np.zeros((f0_hz.size, n_harmonics)),
            noise_power=everything,
            sample_rate=sample_rate,
            frame_rate=frame_rate,
        )
    if refine_f0:
        f0_hz = refine_pitch(audio, f0_hz, sample_rate=sample_rate, hop_size=hop_size)
    spectrum = phase_spectrum.analyse(
        audio, f0_hz, sample_rate=sample_rate, hop_size=hop_size, n_bands=n_harmonics
    )
    valid = masks.below_nyquist(f0_hz, n_harmonics=n_harmonics, sample_rate=sample_rate)
    between = np.square(spectrum.between)
    floor = 0.5 * (between[:, :-1] + between[:, 1:])
    squares = np.maximum(np.square(np.abs(spectrum.harmonics)) - floor, 0.0)
    amplitudes = np.where(valid, np.sqrt(squares), 0.0)
    noise = _noise_power(spectrum, f0_hz, sample_rate=sample_rate)
    return masks.Controls(
        f0_hz=f0_hz,
        amps=amplitudes.sum(axis=1),
        harmonic_distribution=masks.normalise_distribution(
            amplitudes, f0_hz=f0_hz, sample_rate=sample_rate
        ),
        noise_power=np.where(np.isfinite(f0_hz), noise, everything),
        sample_rate=sample_rate,
        frame_rate=frame_rate,
    )


def refine_pitch(
    audio: np.ndarray, f0_hz: np.ndarray, *, sample_rate: int, hop_size: int
) -> np.ndarray:
    """Corrects a tracked f0 by how fast the phases of its harmonics run away.

    Args:
        audio: Mono signal. Shape [n_samples].
        f0_hz: Tracked fundamental in Hz, NaN without pitch. Shape [n_frames].
        sample_rate: Hz.
        hop_size: Samples between frames.

    Returns:
        f0 in Hz, at most `MAX_REFINE_CENTS` from the tracked one. Shape [n_frames].
    """
    limit = 2.0 ** (MAX_REFINE_CENTS / 1200.0)
    refined = _smooth_track(f0_hz)
    if f0_hz.size < 2:  # a phase cannot run away from itself
        return refined
    for n_bands in REFINE_HARMONICS:
        spectrum = phase_spectrum.analyse(
            audio, refined, sample_rate=sample_rate, hop_size=hop_size, n_bands=n_bands
        )
        track = phase_spectrum.sample_track(
            refined, n_samples=audio.size, hop_size=hop_size
        )
        cycles = np.concatenate([[0.0], np.cumsum(track[:-1])]) / sample_rate
        advance = np.diff(cycles[np.arange(f0_hz.size) * hop_size])
        correction = _phase_drift_hz(
            spectrum, advance, f0_hz=refined, sample_rate=sample_rate, hop_size=hop_size
        )
        refined = np.clip(refined + correction, f0_hz / limit, f0_hz * limit)
    return refined


def _smooth_track(f0_hz: np.ndarray) -> np.ndarray:
    """f0 without the tracker's jitter, on a log scale, each pitched stretch by itself.

    The phases correct a slow error of the track, not one that changes every frame.
    """
    kernel = np.hanning(SMOOTH_FRAMES + 2)[1:-1]
    pitched = np.isfinite(f0_hz)
    stretches, n_stretches = scipy.ndimage.label(pitched)
    smooth = np.array(f0_hz, np.float64)
    for stretch in range(1, n_stretches + 1):
        inside = stretches == stretch
        logs = np.pad(np.log(smooth[inside]), SMOOTH_FRAMES // 2, mode="edge")
        smooth[inside] = np.exp(np.convolve(logs, kernel / kernel.sum(), "valid"))
    return smooth


def _phase_drift_hz(
    spectrum: phase_spectrum.Spectrum,
    advance: np.ndarray,
    *,
    f0_hz: np.ndarray,
    sample_rate: int,
    hop_size: int,
) -> np.ndarray:
    """Error of f0 that the harmonics' phases show. Shape [n_frames]."""
    values = spectrum.harmonics
    index = np.arange(1, values.shape[1] + 1)
    expected = np.exp(-2j * np.pi * advance[:, np.newaxis] * index)
    turned = values[1:] * np.conj(values[:-1]) * expected
    drift = np.angle(turned) / (2 * np.pi * index) * sample_rate / hop_size
    valid = masks.below_nyquist(f0_hz, n_harmonics=index.size, sample_rate=sample_rate)
    noise = np.square(spectrum.between[:, :-1]) + np.square(spectrum.between[:, 1:])
    clear = valid & (np.square(np.abs(values)) > 4 * noise)  # 6 dB
    weights = np.where(clear[1:] & clear[:-1], np.abs(turned) * index**2, 0.0)
    total = weights.sum(axis=1)
    mean = np.divide(
        (weights * drift).sum(axis=1), total, out=np.zeros_like(total), where=total > 0
    )
    # Between frames -> at frames; the median drops single wild values.
    padded = np.concatenate([mean[:1], mean, mean[-1:]])
    at_frames = 0.5 * (padded[1:] + padded[:-1])
    return scipy.ndimage.median_filter(
        at_frames, size=REFINE_SMOOTH_FRAMES, mode="nearest"
    )


def _noise_power(
    spectrum: phase_spectrum.Spectrum, f0_hz: np.ndarray, *, sample_rate: int
) -> np.ndarray:
    """Power between the harmonics, carried on to Nyquist. Shape [n_frames]."""
    n_between = spectrum.between.shape[1]
    position = np.arange(n_between) + 0.5
    below = np.nan_to_num(f0_hz)[:, np.newaxis] * position < sample_rate / 2
    n_below = below.sum(axis=1)
    bands = np.square(spectrum.between) * spectrum.density[:, np.newaxis]
    total = np.where(below, bands, 0.0).sum(axis=1)
    # Half-way points are f0 apart, so each stands for one band; when the harmonics end
    # below Nyquist the last eighth of the points stands for what follows.
    n_bands = np.nan_to_num(sample_rate / 2 / f0_hz)
    tail = max(1, n_between // 8)
    tail_mean = bands[:, -tail:].mean(axis=1)
    missing = np.where(n_below == n_between, np.maximum(n_bands - n_between, 0), 0)
    return total + missing * tail_mean


def local_power(
    audio: np.ndarray, *, n_frames: int, sample_rate: int, hop_size: int
) -> np.ndarray:
    """Mean square of a signal around each frame.

    Args:
        audio: Mono signal. Shape [n_samples].
        n_frames: Frames, at most as many as the signal has.
        sample_rate: Hz.
        hop_size: Samples between frames.

    Returns:
        Power over a window of `phase_analysis.MIN_WINDOW_SECS`. Shape [n_frames].
    """
    width = max(1, int(phase_spectrum.MIN_WINDOW_SECS * sample_rate))
    power = scipy.ndimage.uniform_filter1d(np.square(audio), width, mode="nearest")
    return power[np.arange(n_frames) * hop_size]


def _clean_f0(f0_hz: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """f0 with NaN where there is none or where it cannot be one."""
    f0_hz = np.asarray(f0_hz, np.float64).reshape(-1)
    possible = np.isfinite(f0_hz) & (f0_hz > 0) & (f0_hz < sample_rate / 2)
    return np.where(possible, f0_hz, np.nan)


def _hop_size(
    audio: np.ndarray, f0_hz: np.ndarray, *, sample_rate: int, frame_rate: int
) -> int:
    """Samples between frames, after checking that frames and audio belong together."""
    if sample_rate % frame_rate:
        raise ValueError(
            f"frame_rate={frame_rate} does not divide sample_rate={sample_rate}; "
            "use the rates of dataset_info.json"
        )
    hop_size = sample_rate // frame_rate
    if f0_hz.size == 0 or (f0_hz.size - 1) * hop_size >= audio.size:
        raise ValueError(
            f"{f0_hz.size} frames of f0 do not fit {audio.size} samples at hop_size="
            f"{hop_size}; expected 1 to {-(-audio.size // hop_size)} frames"
        )
    return hop_size
