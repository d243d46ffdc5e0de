"""Degraded controls made audible: sines, filtered noise, a room.

The control index sees a degradation as it was made. What is measured from audio sees it
through noise that lies over the harmonics and through a room; how well, is measured on
what this module plays (`benchmarks/bench_heard_index.py`).

Source: own.
"""

import numpy as np
import scipy.signal

from models.measures import control_arrays

ROOM_SECS = 0.5  # until the room's sound has fallen by 60 dB
ROOM_DB = 0.0  # energy of the room's sound against the direct one
ROOM_DELAY_SECS = 0.005  # until its first reflection
_TINY = 1e-12


def play(
    clip: control_arrays.ControlArrays,
    noise_magnitudes: np.ndarray,
    *,
    rng: np.random.Generator,
) -> np.ndarray:
    """Plays controls as sines and filtered noise.

    Args:
        clip: The controls; harmonics start with phase 0, as a synthesiser's do.
        noise_magnitudes: Colour of the noise, whose power the controls say; linear
            gains of bands from 0 Hz to Nyquist. Shape [n_frames, n_bands].
        rng: Draws the noise.

    Returns:
        Audio. Shape [n_frames * hop_size].
    """
    hop_size = clip.sample_rate // clip.frame_rate
    n_samples = clip.n_frames * hop_size
    samples = np.arange(n_samples)
    frames = np.arange(clip.n_frames) * hop_size
    at_samples = lambda curve: np.interp(samples, frames, curve)
    # Sines: the phase runs on where there is no pitch, unheard.
    pitched = np.isfinite(clip.f0_hz)
    tone = np.zeros(n_samples)
    if pitched.any():
        track = np.interp(samples, frames[pitched], clip.f0_hz[pitched])
        phase = 2.0 * np.pi * np.cumsum(track) / clip.sample_rate
        amplitudes = clip.amps[:, np.newaxis] * clip.harmonic_distribution
        for harmonic in np.flatnonzero(amplitudes.max(axis=0) > 0):
            tone += at_samples(amplitudes[:, harmonic]) * np.sin((harmonic + 1) * phase)
    return tone + _filtered_noise(
        clip, noise_magnitudes, n_samples=n_samples, hop_size=hop_size, rng=rng
    )


def _filtered_noise(
    clip: control_arrays.ControlArrays,
    noise_magnitudes: np.ndarray,
    *,
    n_samples: int,
    hop_size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Noise of the controls' power in the colour of the magnitudes."""
    size = 4 * hop_size
    noise = rng.uniform(-1.0, 1.0, max(n_samples, size))  # a frame at least
    # Continued at both ends: zeros beside them would take from the ends' colour.
    _, _, spectrum = scipy.signal.stft(
        noise, nperseg=size, noverlap=size - hop_size, boundary="even"
    )
    bands = np.linspace(0.0, 1.0, noise_magnitudes.shape[1])
    bins = np.linspace(0.0, 1.0, size // 2 + 1)
    scale = np.sqrt(
        clip.noise_power
        / np.maximum(control_arrays.noise_power(noise_magnitudes), _TINY)
    )
    gains = scale[:, np.newaxis] * [
        np.interp(bins, bands, frame) for frame in noise_magnitudes
    ]
    # Windows around each frame's first sample, and some after the last frame.
    spectrum[:, : len(gains)] *= gains.T
    spectrum[:, len(gains) :] *= gains[-1][:, np.newaxis]
    _, played = scipy.signal.istft(spectrum, noverlap=size - hop_size)
    return played[:n_samples]


def add_room(
    audio: np.ndarray,
    *,
    sample_rate: int,
    rng: np.random.Generator,
    room_secs: float = ROOM_SECS,
    room_db: float = ROOM_DB,
) -> np.ndarray:
    """Adds a room: noise that falls exponentially, beside the direct sound.

    Args:
        audio: Shape [n_samples].
        sample_rate: Hz.
        rng: Draws the room.
        room_secs: Until its sound has fallen by 60 dB.
        room_db: Energy of its sound against the direct one.

    Returns:
        Same shape; what sounds after the end is cut.
    """
    seconds = np.arange(round(1.2 * room_secs * sample_rate)) / sample_rate
    response = rng.standard_normal(seconds.size) * 10.0 ** (-3.0 * seconds / room_secs)
    response[: round(ROOM_DELAY_SECS * sample_rate)] = 0.0
    response *= np.sqrt(10.0 ** (room_db / 10.0) / np.sum(response**2))
    response[0] = 1.0
    return scipy.signal.fftconvolve(audio, response)[: audio.size]
