"""Tones whose pitch a tracker follows."""

import numpy as np


def gliding(rng: np.random.Generator, n_samples: int = 8000) -> np.ndarray:
    """Makes a tone from 180 to 420 Hz with overtones and noise, at 16 kHz."""
    phase = 2 * np.pi * np.cumsum(np.linspace(180, 420, n_samples)) / 16000
    tones = sum(np.sin(k * phase) / k for k in range(1, 7))
    return (0.2 * tones + 0.003 * rng.standard_normal(n_samples)).astype(np.float32)
