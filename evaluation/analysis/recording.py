"""Synthesiser controls measured from a recording: what the instrument itself does.

A clarinet has few harmonics and a steady note hardly moves; whether a model's controls
have collapsed can only be said against the instrument's own. They are measured as
training measures them (`models.measures.measured_controls`), and handed on as the
controls that metrics read.
"""

import numpy as np

from evaluation.analysis import masks
from models.measures import measured_controls


def measure_controls(
    audio: np.ndarray,
    f0_hz: np.ndarray,
    *,
    sample_rate: int,
    frame_rate: int,
    n_harmonics: int,
) -> masks.Controls:
    """Measures a recording's controls.

    Args:
        audio: Mono signal in [-1, 1]. Shape [n_samples].
        f0_hz: Tracked fundamental in Hz; NaN or 0 without pitch. Shape [n_frames].
        sample_rate: Hz; a multiple of `frame_rate`.
        frame_rate: Frames per second.
        n_harmonics: Harmonics to measure; those above Nyquist are zero.

    Returns:
        The measured controls, `f0_hz` corrected; a frame without pitch is all noise.

    Raises:
        ValueError: If the rates do not divide or f0 has more frames than the audio.
    """
    measured = measured_controls.measure(
        audio,
        f0_hz,
        sample_rate=sample_rate,
        frame_rate=frame_rate,
        n_harmonics=n_harmonics,
    )
    noise = np.where(np.isfinite(measured.f0_hz), measured.noise_power, measured.power)
    return masks.Controls(
        f0_hz=measured.f0_hz,
        amps=measured.amps,
        harmonic_distribution=masks.normalise_distribution(
            measured.amplitudes, f0_hz=measured.f0_hz, sample_rate=sample_rate
        ),
        noise_power=noise,
        sample_rate=sample_rate,
        frame_rate=frame_rate,
    )
