"""Magnitude spectrograms as arrays, and how far two signals' are apart, size by size.

The differentiable form that training uses is `models.losses.spectral`; both frame as
ddsp does, and a test holds them to each other.
"""

import numpy as np
import scipy.fft

FFT_SIZES = (2048, 1024, 512, 256, 128, 64)  # samples; ddsp.losses.SpectralLoss
OVERLAP = 4  # windows over each sample: 75 %
LOG_FLOOR = 1e-5  # magnitude put for zeros before the logarithm, ddsp.core.safe_log


def magnitudes(audio: np.ndarray, *, fft_size: int) -> np.ndarray:
    """Magnitude spectrogram as ddsp computes it.

    Args:
        audio: Mono signal. Shape [n_samples].
        fft_size: Window and transform length in samples; the hop is a quarter of it.

    Returns:
        Magnitudes. Shape [n_frames, fft_size // 2 + 1].

    Source:
        ddsp.spectral_ops.compute_mag: periodic Hann, zero padded at the end so that
        every hop that starts within the signal has a frame.
    """
    hop_size = fft_size // OVERLAP
    n_frames = -(-audio.size // hop_size)
    padded = np.zeros((n_frames - 1) * hop_size + fft_size, np.float32)
    padded[: audio.size] = audio
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_size)[::hop_size]
    window = np.hanning(fft_size + 1)[:-1].astype(np.float32)
    return np.abs(scipy.fft.rfft(frames * window, axis=1))


def mean_differences(
    ref: np.ndarray, est: np.ndarray, *, fft_size: int
) -> tuple[float, float]:
    """Compares two signals' spectrograms at one size.

    Args:
        ref: The recording. Shape [n_samples].
        est: What is compared with it, same shape.
        fft_size: Window and transform length in samples.

    Returns:
        Mean absolute difference of the magnitudes and of their logarithms.
    """
    ref_mag = magnitudes(ref, fft_size=fft_size)
    est_mag = magnitudes(est, fft_size=fft_size)
    logmag = np.abs(_safe_log(ref_mag) - _safe_log(est_mag))
    return float(np.mean(np.abs(ref_mag - est_mag))), float(np.mean(logmag))


def _safe_log(values: np.ndarray) -> np.ndarray:
    """Logarithm as ddsp.core.safe_log: only zeros are lifted."""
    return np.log(np.where(values <= 0.0, LOG_FLOOR, values))
