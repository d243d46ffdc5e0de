"""Loudness (A-weighted) and power (unweighted) of windows, and loudness of a stream.

Source: `ddsp.spectral_ops.compute_loudness` (Engel et al., "DDSP", ICLR 2020, and
Hantrakul et al., ISMIR 2019) and `compute_power`, in NumPy and without a recording in
memory.
"""

import functools
from collections.abc import Iterable
from collections.abc import Iterator

import librosa
import numpy as np
import scipy.fft

REFERENCE_FFT = 512  # samples at 16 kHz
POWER_FRAME = 1024  # samples at 16 kHz whose RMS is the power
MIN_DB = -80.0  # dB, floor of loudness and power
ENVELOPE_RATE = 50  # values/s, about, of the loudness envelope
ENVELOPE_SECS = 0.032  # s, about, window of the envelope: as REFERENCE_FFT at 16 kHz
_ROWS = 1024  # windows in one FFT call


@functools.cache
def _weights(n_fft: int, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Window [n_fft] and the A-weighting of power, over the bins' number [n_bins]."""
    window = np.hanning(n_fft + 1)[:-1]  # periodic
    frequencies = librosa.fft_frequencies(sr=sample_rate, n_fft=n_fft)
    with np.errstate(divide="ignore"):  # librosa floors what 0 Hz gives
        weighting = 10.0 ** (librosa.A_weighting(frequencies) / 10.0)
    return window.astype(np.float32), (weighting / len(weighting)).astype(np.float32)


def frame_loudness(
    audio: np.ndarray,
    *,
    sample_rate: int,
    hop_size: int,
    n_fft: int,
    without_offset: bool = False,
) -> np.ndarray:
    """Loudness of each window that lies wholly inside a signal.

    Args:
        audio: float32, shape [n_samples].
        sample_rate: Samples/s.
        hop_size: Samples between windows.
        n_fft: Window, samples.
        without_offset: Whether the mean of each window is taken off first.

    Returns:
        dB, floor `MIN_DB`; float32, shape [1 + (n_samples - n_fft) // hop_size].
    """
    window, weighting = _weights(n_fft, sample_rate)
    frames = np.lib.stride_tricks.sliding_window_view(audio, n_fft)[::hop_size]
    power = np.empty(len(frames), np.float32)
    for start in range(0, len(frames), _ROWS):
        rows = slice(start, start + _ROWS)
        heard = frames[rows]
        if without_offset:
            with np.errstate(over="ignore", invalid="ignore"):  # as below
                heard = heard - heard.mean(axis=-1, keepdims=True)
        with np.errstate(over="ignore", invalid="ignore"):  # near the end of float32
            spectrum = scipy.fft.rfft(heard * window, axis=-1)
            magnitude = spectrum.real**2 + spectrum.imag**2  # [rows, n_bins]
            power[rows] = np.sum(magnitude * weighting, axis=-1)
    loudness = 10.0 * np.log10(np.maximum(power, np.float32(10.0 ** (MIN_DB / 10.0))))
    # Again, because some processors' float32 logarithm of the floor lies below it.
    return np.maximum(loudness, np.float32(MIN_DB))


def frame_power(audio: np.ndarray, *, hop_size: int) -> np.ndarray:
    """Power of each window of `POWER_FRAME` samples that lies wholly inside a signal.

    Args:
        audio: float32, shape [n_samples].
        hop_size: Samples between windows.

    Returns:
        dB of the unweighted RMS, 0 at an RMS of 1, floor `MIN_DB`; float32, shape
        [1 + (n_samples - POWER_FRAME) // hop_size].
    """
    squares = np.square(audio, dtype=np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(squares, POWER_FRAME)[::hop_size]
    # Each by itself, not from a running sum, whose last bits depend on where it began.
    power = np.maximum(windows.mean(axis=-1), 10.0 ** (MIN_DB / 10.0))
    return np.maximum(10.0 * np.log10(power), MIN_DB).astype(np.float32)


def envelope_hop(sample_rate: int) -> int:
    """Samples between two values of the loudness envelope."""
    return max(1, round(sample_rate / ENVELOPE_RATE))


def measure_envelope(blocks: Iterable[np.ndarray], sample_rate: int) -> np.ndarray:
    """Coarse loudness of a stream, for finding silence before anything is resampled.

    The same measure as `features.loudness_db`, about 50 times a second and at the
    recording's own sample rate; brought to the scale of a window of 512 samples. A
    constant offset counts for nothing here, whereas there the window leaks some of it;
    for the same reason edges are padded with the first and the last sample.

    Args:
        blocks: Mono, float32, shape [n] each.
        sample_rate: Samples/s of the stream.

    Returns:
        dB; value `i` is centred on sample `i * envelope_hop(sample_rate)`.
    """
    hop_size = envelope_hop(sample_rate)
    n_fft = max(2, 2 ** round(np.log2(ENVELOPE_SECS * sample_rate)))
    parts = []
    pending = np.zeros(0, np.float32)
    # Windows that are whole so far; what they leave over begins the next round.
    for block in _with_ends(blocks, n_fft // 2):
        pending = np.concatenate([pending, block])
        n_frames = (len(pending) - n_fft) // hop_size + 1
        if n_frames <= 0:
            continue
        parts.append(
            frame_loudness(
                pending[: (n_frames - 1) * hop_size + n_fft],
                sample_rate=sample_rate,
                hop_size=hop_size,
                n_fft=n_fft,
                without_offset=True,
            )
        )
        pending = pending[n_frames * hop_size :]
    # A window of n_fft samples sums n_fft / 512 times the power of the reference's.
    loudness = np.concatenate([np.full(0, MIN_DB, np.float32), *parts])
    return np.maximum(loudness - 10.0 * np.log10(n_fft / REFERENCE_FFT), MIN_DB)


def _with_ends(blocks: Iterable[np.ndarray], n_samples: int) -> Iterator[np.ndarray]:
    """The blocks, with the first and last sample repeated before and behind them."""
    last = None
    for block in blocks:
        if not len(block):
            continue
        if last is None:
            yield np.repeat(block[:1], n_samples)
        last = block[-1:]
        yield block
    if last is not None:
        yield np.repeat(last, n_samples)
