"""Harmonic distributions as arrays: what the synthesiser plays, entropy, divergence."""

import math

import numpy as np

_TINY = 1e-12  # below the logarithm; a share of 0 adds nothing


def below_nyquist(
    f0_hz: np.ndarray, *, n_harmonics: int, sample_rate: int
) -> np.ndarray:
    """Tells which harmonics can be played.

    Args:
        f0_hz: Fundamental frequency in Hz; NaN or 0 without pitch. Shape [n_frames].
        n_harmonics: Number of harmonics, counted from the fundamental.
        sample_rate: Hz.

    Returns:
        True below Nyquist, False without pitch. Shape [n_frames, n_harmonics].

    Source:
        ddsp.core.remove_above_nyquist, which zeroes at and above the same limit.
    """
    pitched = np.nan_to_num(np.asarray(f0_hz, np.float64), nan=0.0)
    frequencies = pitched[:, np.newaxis] * np.arange(1, n_harmonics + 1)
    return (frequencies < sample_rate / 2) & (frequencies > 0)


def normalise(
    distribution: np.ndarray, *, f0_hz: np.ndarray, sample_rate: int
) -> np.ndarray:
    """Zeroes what lies above Nyquist and makes every frame sum to one.

    Args:
        distribution: Non-negative shares. Shape [n_frames, n_harmonics].
        f0_hz: Fundamental frequency in Hz. Shape [n_frames].
        sample_rate: Hz.

    Returns:
        Shares as the synthesiser plays them; a frame with nothing left is all zero.
        Shape [n_frames, n_harmonics].
    """
    shares = np.asarray(distribution, np.float64)
    valid = below_nyquist(f0_hz, n_harmonics=shares.shape[1], sample_rate=sample_rate)
    shares = np.where(valid, np.maximum(shares, 0.0), 0.0)
    total = shares.sum(axis=1, keepdims=True)
    return np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)


def entropy_nats(shares: np.ndarray) -> np.ndarray:
    """Shannon entropy of each row in nats; 0 for a single harmonic.

    Args:
        shares: Rows that sum to one. Shape [..., n_harmonics].

    Returns:
        Entropy between 0 and log(n_harmonics). Shape [...].
    """
    return -np.sum(shares * np.log(np.maximum(shares, _TINY)), axis=-1)


def normalized_entropy(shares: np.ndarray, n_valid: np.ndarray) -> np.ndarray:
    """Entropy of each row over the largest that it could have.

    High notes have few harmonics below Nyquist and would look collapsed otherwise.

    Args:
        shares: Rows that sum to one. Shape [n_frames, n_harmonics].
        n_valid: Harmonics that fit below Nyquist. Shape [n_frames].

    Returns:
        0 for one harmonic, 1 for equal shares of all that fit; NaN where only one
        fits. Shape [n_frames].
    """
    largest = np.log(np.maximum(n_valid, 1))
    unknown = np.full(largest.shape, np.nan)
    return np.divide(entropy_nats(shares), largest, out=unknown, where=largest > 0)


def jensen_shannon(shares: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence row by row, in bits: 0 equal, 1 without overlap.

    Args:
        shares: Rows that sum to one. Shape [..., n_harmonics].
        others: The same, or one row for all.

    Returns:
        Divergence in [0, 1]. Shape [...].
    """
    middle = 0.5 * (shares + others)
    divergence = entropy_nats(middle) - 0.5 * (
        entropy_nats(shares) + entropy_nats(others)
    )
    return np.clip(divergence / math.log(2.0), 0.0, 1.0)
