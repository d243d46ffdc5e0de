"""Frames for CREPE: how audio is cut into batches, and what float32 does to each frame.

A span is a stretch of audio that holds the frames of one batch, always of the same
length. The network normalises every frame to mean 0 and deviation 1; where that is done
after the first convolution (`prep.pitch.first_layer`), a mean that is large beside the
deviation costs digits. So mean and deviation are measured here in float64, and a
constant offset of the batch is chosen that leaves the fewest frames in danger.
"""

import math
from collections.abc import Iterable
from collections.abc import Iterator

import numpy as np

from prep.pitch import weights as crepe_weights

FRAME_SIZE = crepe_weights.FRAME_SIZE
MAX_OFFSET = 32.0  # |mean| / deviation up to which float32 loses nothing that shows


def measure_frames(
    span: np.ndarray, hop_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, deviation (1 if constant) and whether it is constant, of each frame.

    In float64 from pieces that frames share, by the rule for joining variances.
    """
    size = math.gcd(hop_size, FRAME_SIZE)
    pieces = span.reshape(-1, size)
    lowest, highest = pieces.min(axis=1), pieces.max(axis=1)
    piece_mean = pieces.mean(axis=1, dtype=np.float64)
    piece_square = np.square(pieces - piece_mean[:, np.newaxis]).sum(axis=1)
    n_pieces, step = FRAME_SIZE // size, hop_size // size

    def framed(values: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(values, n_pieces)
        return windows[::step]

    means = framed(piece_mean)
    mean = means.mean(axis=1)
    between = size * np.square(means - mean[:, np.newaxis]).sum(axis=1)
    variance = (framed(piece_square).sum(axis=1) + between) / FRAME_SIZE
    constant = framed(lowest).min(axis=1) == framed(highest).max(axis=1)
    deviation = np.maximum(np.sqrt(variance), crepe_weights.MIN_DEVIATION)
    return mean, np.where(constant, 1.0, deviation), constant


def choose_offset(
    mean: np.ndarray, *, deviation: np.ndarray, constant: np.ndarray
) -> tuple[float, np.ndarray]:
    """Picks 0 or the common mean, whichever leaves fewer frames with a large mean.

    Returns:
        The offset, and which frames are not to be computed in the shared way.
    """
    candidates = []
    # Rounded to float32, because it is subtracted from float32 samples.
    for offset in (0.0, float(np.float32(np.median(mean[~constant])))):
        far = (np.abs(mean - offset) > MAX_OFFSET * deviation) & ~constant
        candidates.append((offset, far))
    return min(candidates, key=lambda candidate: candidate[1].sum())


def cut_spans(
    chunks: Iterable[np.ndarray],
    *,
    batch_frames: int,
    hop_size: int,
    n_frames: int | None,
    center: bool,
) -> Iterator[tuple[np.ndarray, int]]:
    """Cuts audio into spans of `batch_frames` frames.

    Yields:
        Samples, always of the same length, zero beyond the end, and how many of their
        frames are wanted.
    """
    span_size = hop_size * (batch_frames - 1) + FRAME_SIZE
    step = hop_size * batch_frames
    margin = FRAME_SIZE // 2 if center else 0
    held = np.zeros(margin, np.float32)
    n_samples = n_sent = 0
    for chunk in chunks:
        chunk = _one_row(chunk)
        for first in range(0, len(chunk), span_size):
            piece = _finite(chunk[first : first + span_size], n_samples)
            n_samples += len(piece)
            held = np.concatenate([held, piece])
            while len(held) >= span_size and (n_frames is None or n_sent < n_frames):
                n_wanted = batch_frames
                if n_frames is not None:
                    n_wanted = min(n_wanted, n_frames - n_sent)
                yield held[:span_size], n_wanted
                n_sent += n_wanted
                held = held[step:]
    if n_frames is None:
        n_frames = _natural_n_frames(n_samples, hop_size, center=center)
    while n_sent < n_frames:
        n_wanted = min(batch_frames, n_frames - n_sent)
        span = np.zeros(span_size, np.float32)
        span[: len(held)] = held[:span_size]
        yield span, n_wanted
        n_sent += n_wanted
        held = held[step:]


def _one_row(chunk: np.ndarray) -> np.ndarray:
    chunk = np.asarray(chunk)
    if chunk.ndim != 1:
        raise ValueError(
            f"audio_16k has shape {chunk.shape}; one row [n_samples] is needed: "
            "mix the channels down first."
        )
    return chunk


def _finite(piece: np.ndarray, n_before: int) -> np.ndarray:
    """The samples in float32, checked."""
    piece = piece.astype(np.float32)
    finite = np.isfinite(piece)
    if not finite.all():
        raise ValueError(
            f"audio_16k holds NaN or infinite samples, the first at sample "
            f"{n_before + int(np.argmin(finite))}; repair or drop them."
        )
    return piece


def _natural_n_frames(n_samples: int, hop_size: int, *, center: bool) -> int:
    """Counts the frames that the crepe package would compute."""
    if center:
        return 1 + n_samples // hop_size
    if n_samples < FRAME_SIZE:
        raise ValueError(
            f"The audio has {n_samples} samples at 16 kHz; without centring a frame "
            f"needs {FRAME_SIZE}. Pad it, use center=True, or say n_frames."
        )
    return 1 + (n_samples - FRAME_SIZE) // hop_size
