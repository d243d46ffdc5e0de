"""Pitch, loudness and power of a recording on one time grid.

Arrays in, arrays out. Frame `i` describes the signal around sample `i * hop_size`
(framing "aligned"); outside the recording there are zeros. "ddsp_center" has the same
frames and one more; in "ddsp_same" frames begin, not stand, at `i * hop_size`, so pitch
runs 512 and loudness 256 samples (at 16 kHz) ahead: the stock library's default.

All features are measured at 16 kHz, whatever the dataset's sample rate. Pitch is
tracked in segments of a minute, each with a margin of its neighbours' audio on both
sides, on a grid that depends on the recording alone: so the values depend neither on
how many processes worked nor on which examples were cut. On both sides of a border
stand values of two decodings that both heard what surrounds it; within the margin the
most likely paths of both have run into one.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

from prep import loudness as loudness_lib
from prep import settings as settings_lib
from prep.pitch import octaves as octaves_lib
from prep.recordings import resample

CREPE_RATE = settings_lib.CREPE_RATE
CREPE_FRAME = settings_lib.CREPE_FRAME
SEGMENT_SECS = 60  # s of features that are computed at once
MARGIN_SECS = 2  # s of context on both sides, in which Viterbi paths have merged

ReadSpan = octaves_lib.ReadSpan
Tracker = octaves_lib.Tracker


def count_frames(n_samples: int, hop_size: int, *, framing: str = "aligned") -> int:
    """Frames of a whole recording."""
    if framing == "ddsp_center":
        return n_samples // hop_size + 1
    return -(-n_samples // hop_size)


def loudness_db(
    audio: np.ndarray,
    sample_rate: int = CREPE_RATE,
    *,
    frame_rate: int = 250,
    n_fft: int = loudness_lib.REFERENCE_FFT,
    framing: str = "aligned",
) -> np.ndarray:
    """A-weighted loudness; `ddsp.spectral_ops.compute_loudness` in NumPy.

    Args:
        audio: float32, shape [n_samples].
        sample_rate: Samples/s; records hold the loudness of `audio_16k`.
        frame_rate: Frames/s, divides `sample_rate`.
        n_fft: Window, samples, a power of two.
        framing: See the module.

    Returns:
        dB, floor -80, full scale near +20; float32, shape [n_frames].

    Raises:
        ValueError: If `frame_rate` does not divide `sample_rate`, `n_fft` is no power
            of two, `framing` is unknown or `audio` is not [n_samples].
    """
    _check_audio(audio)
    if sample_rate % frame_rate:
        raise ValueError(
            f"frame_rate={frame_rate} does not divide sample_rate={sample_rate}: the "
            f"hop would be {sample_rate / frame_rate:.2f} samples."
        )
    if n_fft < 2 or n_fft & (n_fft - 1):
        raise ValueError(f"n_fft={n_fft} is not a power of two.")
    _check_framing(framing)
    hop_size = sample_rate // frame_rate
    n_frames = count_frames(len(audio), hop_size, framing=framing)
    if n_frames == 0:
        return np.zeros(0, np.float32)
    start = 0 if framing == "ddsp_same" else -(n_fft // 2)
    padded = read_array(audio, start, start + (n_frames - 1) * hop_size + n_fft)
    return loudness_lib.frame_loudness(
        padded, sample_rate=sample_rate, hop_size=hop_size, n_fft=n_fft
    )


def power_db(
    read_16k: ReadSpan,
    *,
    first: int,
    n_frames: int,
    frame_rate: int,
    framing: str = "aligned",
) -> np.ndarray:
    """Unweighted power; `ddsp.spectral_ops.compute_power` of 1024 samples in NumPy.

    Args:
        read_16k: Gives the recording at 16 kHz.
        first: Frame to begin with.
        n_frames: How many, at least 1.
        frame_rate: Frames/s.
        framing: See the module.

    Returns:
        dB of the RMS, floor -80, 0 at an RMS of 1; float32, shape [n_frames].
    """
    hop = CREPE_RATE // frame_rate
    size = loudness_lib.POWER_FRAME
    start = first * hop - (0 if framing == "ddsp_same" else size // 2)
    heard = read_16k(start, start + (n_frames - 1) * hop + size)
    return loudness_lib.frame_power(heard, hop_size=hop)


def read_array(audio: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Samples `start` to `stop` of an array, zeros outside it; a copy."""
    span = np.zeros(stop - start, np.float32)
    inside = slice(max(start, 0), max(min(stop, len(audio)), max(start, 0)))
    part = audio[inside]
    span[inside.start - start : inside.start - start + len(part)] = part
    return span


def count_segments(n_frames: int, frame_rate: int) -> int:
    """Segments in which a recording's features are computed."""
    return -(-n_frames // (SEGMENT_SECS * frame_rate))


def analyse_segment(
    read_16k: ReadSpan,
    segment: int,
    *,
    n_frames: int,
    frame_rate: int,
    framing: str,
    tracker: Tracker,
    octaves: int = 0,
) -> np.ndarray:
    """Features of one segment of a recording.

    Args:
        read_16k: Gives the recording at 16 kHz.
        segment: Number of the segment, from 0.
        n_frames: Of the whole recording, see `count_frames`.
        frame_rate: Frames/s.
        framing: See the module.
        tracker: Measures pitch.
        octaves: By which the tracker hears the recording higher, see
            `prep.pitch.octaves`; the pitch is that of the recording as it is.

    Returns:
        f0_hz, f0_confidence and loudness_db; float32, shape [3, n], `n` being
        `SEGMENT_SECS * frame_rate` except in the last segment.

    Raises:
        ValueError: If the tracker's answer is not finite or not one value a frame.
    """
    # Frames of the segment, and those around it that give the decoder its context.
    hop = CREPE_RATE // frame_rate
    shift = framing == "ddsp_same"
    first = segment * SEGMENT_SECS * frame_rate
    n = min(SEGMENT_SECS * frame_rate, n_frames - first)
    begin = max(0, first - MARGIN_SECS * frame_rate)
    end = min(n_frames, first + n + MARGIN_SECS * frame_rate)
    # Pitch: a frame of CREPE stands around its sample, or begins there.
    f0_hz, f0_confidence = octaves_lib.track_span(
        read_16k,
        center=begin * hop + (CREPE_FRAME // 2 if shift else 0),
        n_frames=end - begin,
        frame_rate=frame_rate,
        tracker=tracker,
        octaves=octaves,
    )
    if f0_hz.shape != (end - begin,) or f0_confidence.shape != (end - begin,):
        raise ValueError(
            f"the pitch tracker gave {f0_hz.shape} pitches and {f0_confidence.shape} "
            f"confidences for {end - begin} frames."
        )
    # Loudness needs no context but its window.
    start = first * hop - (0 if shift else loudness_lib.REFERENCE_FFT // 2)
    heard = read_16k(start, start + (n - 1) * hop + loudness_lib.REFERENCE_FFT)
    loudness = loudness_lib.frame_loudness(
        heard, sample_rate=CREPE_RATE, hop_size=hop, n_fft=loudness_lib.REFERENCE_FFT
    )
    keep = slice(first - begin, first - begin + n)
    features = np.stack([f0_hz[keep], f0_confidence[keep], loudness])
    if not np.isfinite(features).all():
        raise ValueError(
            f"{np.count_nonzero(~np.isfinite(features))} features of segment {segment} "
            "are not finite."
        )
    return features.astype(np.float32)


def track_clip(
    audio_16k: np.ndarray,
    frame_rate: float,
    *,
    tracker: Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]],
    octaves: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Pitch of a clip in memory from a tracker that takes nothing but whole clips.

    Args:
        audio_16k: Shape [n_samples].
        frame_rate: Frames/s.
        tracker: Audio at 16 kHz and a frame rate -> f0_hz and f0_confidence, frame `i`
            around sample `i * hop`.
        octaves: See `analyse_segment`.

    Returns:
        f0_hz of the clip as it is, and f0_confidence; as many frames as `tracker`
        gives.
    """
    if not octaves:
        return tracker(audio_16k, frame_rate)
    ratio = 2.0**octaves
    read = octaves_lib.replay(functools.partial(read_array, audio_16k), octaves)
    heard = read(0, math.ceil(len(audio_16k) / ratio))
    f0_hz, f0_confidence = tracker(heard, frame_rate * ratio)
    return f0_hz / ratio, f0_confidence


def compute_features(
    audio: np.ndarray,
    sample_rate: int = CREPE_RATE,
    *,
    tracker: Tracker,
    frame_rate: int = 250,
    framing: str = "aligned",
    octaves: int = 0,
) -> dict[str, np.ndarray]:
    """Everything that a record holds, of a clip of any length in memory.

    The same numbers as the pipeline writes for the same recording.

    Args:
        audio: Mono, shape [n_samples].
        sample_rate: Samples/s, of which `frame_rate` is a divisor.
        tracker: Measures pitch, for instance `prep.pitch.tracker.CrepeTracker`.
        frame_rate: Frames/s; also divides 16000.
        framing: See the module.
        octaves: See `analyse_segment`.

    Returns:
        float32: `audio` and `audio_16k`, zeros appended up to a whole frame; `f0_hz`,
        `f0_confidence`, `loudness_db`, `power_db`, shape [n_frames].

    Raises:
        ValueError: If a rate does not fit, `audio` is empty, of another shape or not
            finite.
    """
    _check_audio(audio)
    _check_framing(framing)
    settings_lib.Settings(
        sample_rate=sample_rate, frame_rate=frame_rate, example_secs=1.0
    )
    if not len(audio) or not np.isfinite(audio).all():
        raise ValueError("audio is empty or holds NaN or infinite samples.")
    # Lengths: whole frames, the last filled up with zeros.
    hop_size = sample_rate // frame_rate
    n_whole = -(-len(audio) // hop_size)
    n_frames = count_frames(len(audio), hop_size, framing=framing)
    audio_16k = audio.astype(np.float32)
    if sample_rate != CREPE_RATE:
        audio_16k = resample.resample_audio(audio_16k, sample_rate, out_rate=CREPE_RATE)
    # The same segments as the pipeline has, so the same numbers.
    read = functools.partial(read_array, audio_16k)
    values = np.concatenate(
        [
            analyse_segment(
                read,
                segment,
                n_frames=n_frames,
                frame_rate=frame_rate,
                framing=framing,
                tracker=tracker,
                octaves=octaves,
            )
            for segment in range(count_segments(n_frames, frame_rate))
        ],
        axis=1,
    )
    return {
        "audio": read_array(audio, 0, n_whole * hop_size),
        "audio_16k": read(0, n_whole * CREPE_RATE // frame_rate),
        "f0_hz": values[0],
        "f0_confidence": values[1],
        "loudness_db": values[2],
        "power_db": power_db(
            read, first=0, n_frames=n_frames, frame_rate=frame_rate, framing=framing
        ),
    }


def _check_audio(audio: np.ndarray) -> None:
    if audio.ndim != 1:
        raise ValueError(f"audio has shape {audio.shape}; [n_samples] is needed.")


def _check_framing(framing: str) -> None:
    if framing not in settings_lib.FRAMINGS:
        allowed = ", ".join(settings_lib.FRAMINGS)
        raise ValueError(f"framing={framing!r} is not one of {allowed}.")
