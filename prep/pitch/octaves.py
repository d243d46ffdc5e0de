"""Plays recordings an octave lower or higher to the pitch tracker.

CREPE hears 32.7 to 1975.5 Hz. With twice as many samples at the same rate a recording
sounds an octave lower and takes twice as long; tracked at half the frame rate it has as
many frames, each around the same moment, and its pitch is twice the answer. With half
as many samples it sounds an octave higher. `octaves` is -1 for lower, 1 for higher and
0 for a recording as it is.

A sample is the same sum of the same neighbours wherever reading begins: so features do
not depend on how a recording is cut into segments, which a stream of soxr's, with its
blocks, does not promise to the last bit.

Source: own; the filter is J. F. Kaiser's window over a sinc.
"""

import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy import signal

from prep.pitch import weights as crepe_weights

SAMPLE_RATE = crepe_weights.SAMPLE_RATE
FRAME_SIZE = crepe_weights.FRAME_SIZE
# Of the filter between two rates: what is beyond the lower one's Nyquist frequency is
# gone, and up to nine tenths of it nothing is changed.
STOP_DB = 80.0
PASS_BAND = 0.9  # of the lower Nyquist frequency

# Audio from sample `start` to `stop` at 16 kHz, zeros outside the recording.
ReadSpan = Callable[[int, int], np.ndarray]


class Tracker(Protocol):
    """Measures pitch."""

    def __call__(
        self, audio_16k: np.ndarray, frame_rate: float, *, center: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pitch and confidence of frames of 1024 samples.

        Args:
            audio_16k: float32, shape [n_samples].
            frame_rate: Frames/s, divides 16000.
            center: Whether frame `i` stands at `i * hop` (zeros around the signal), or
                begins there and lies wholly inside.

        Returns:
            f0_hz and f0_confidence, shape [n_frames] each; without `center`, n_frames
            is `1 + (n_samples - 1024) // hop`.
        """
        ...


def track_span(
    read_16k: ReadSpan,
    *,
    center: int,
    n_frames: int,
    frame_rate: int,
    tracker: Tracker,
    octaves: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Tracks the frames around samples `center`, `center + hop` and so on.

    Args:
        read_16k: Gives the recording at 16 kHz.
        center: Sample in the middle of the first frame.
        n_frames: How many, at least 1.
        frame_rate: Frames/s, divides 16000.
        tracker: Measures pitch.
        octaves: By which the recording is played higher; see the module.

    Returns:
        f0_hz of the recording as it is, and f0_confidence.

    Raises:
        ValueError: If the hop or `center` is odd and `octaves` above 0: there is no
            sample in the middle of a frame.
    """
    hop_size = SAMPLE_RATE // frame_rate
    if octaves > 0 and (hop_size % 2 or center % 2):
        raise ValueError(
            f"frame_rate={frame_rate} has a hop of {hop_size} samples around sample "
            f"{center}; an octave higher, both must be even."
        )
    # In samples of what is played; whole numbers, because of the guard.
    ratio = 2.0**octaves
    hop_size, center = round(hop_size / ratio), round(center / ratio)
    start = center - FRAME_SIZE // 2
    heard = replay(read_16k, octaves)(
        start, start + (n_frames - 1) * hop_size + FRAME_SIZE
    )
    f0_hz, f0_confidence = tracker(heard, frame_rate * ratio, center=False)
    return f0_hz / np.float32(ratio), f0_confidence


def replay(read: ReadSpan, octaves: int) -> ReadSpan:
    """Returns what reads a recording as it sounds `octaves` higher.

    Args:
        read: Gives the recording.
        octaves: -1, 0 or 1.

    Returns:
        A reader; its sample `i` stands at sample `i * 2**octaves` of the recording.
    """
    return functools.partial(_read_replayed, read, octaves) if octaves else read


def _read_replayed(read: ReadSpan, octaves: int, start: int, stop: int) -> np.ndarray:
    """Samples `start` to `stop` of a recording at half or double speed."""
    up, down = (1, 2) if octaves > 0 else (2, 1)
    taps = _taps()
    reach = len(taps) // 2  # samples at the higher of both rates
    # The samples of the recording from which the first and the last are made.
    first = (start * down - reach) // up
    last = -(-((stop - 1) * down + reach) // up)
    made = signal.upfirdn(up * taps, read(first, last + 1), up, down)
    begin = (start * down + reach - first * up) // down
    return made[begin : begin + stop - start].astype(np.float32)


@functools.cache
def _taps() -> np.ndarray:
    """Low-pass at half of the Nyquist frequency, of odd length, with a sum of 1."""
    half = 0.5
    n_taps, beta = signal.kaiserord(STOP_DB, half * (1.0 - PASS_BAND))
    middle = half * (1.0 + PASS_BAND) / 2.0
    return signal.firwin(n_taps | 1, middle, window=("kaiser", beta))
