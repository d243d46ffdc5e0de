"""Pairs of files -> clips and renderings: decoded, brought to one rate, laid over."""

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence

import numpy as np

from evaluation.pairs import alignment
from evaluation.pairs import pairing
from evaluation.scoring import clips
from prep import errors
from prep.recordings import decode
from prep.recordings import resample

# Rates at which files can be judged, Hz: multiples of FRAME_RATE.
RATES = (8000, 16000, 24000, 32000, 48000)
FRAME_RATE = 250  # control frames a second
CLIP_SECS = 4.0  # files are cut into equal parts of about that
MIN_SECS = 0.1  # of a file; less holds no pitch that could be tracked


@dataclasses.dataclass(frozen=True)
class JudgedClip:
    """A part of a pair.

    Attributes:
        clip: The recording's.
        renderings: Audio of each system, as long.
    """

    clip: clips.Clip
    renderings: dict[str, np.ndarray]


def choose_rate(pairs: Sequence[pairing.FilePair]) -> int:
    """Chooses the rate of judging: the highest that no file lies below.

    Raises:
        InputError: If a file cannot be read or its rate is too low.
    """
    rates = {}
    for pair in pairs:
        for path in (pair.reference, *pair.estimates.values()):
            try:
                with decode.open_recording(path) as file:
                    rates[path] = file.sample_rate
            except decode.UnreadableError as error:
                raise _unreadable(path, error) from error
    lowest = min(rates, key=lambda path: rates[path])
    if rates[lowest] < RATES[0]:
        raise errors.InputError(
            f"{lowest} has {rates[lowest]} samples a second; files are judged from "
            f"{RATES[0]} on."
        )
    return max(rate for rate in RATES if rate <= rates[lowest])


def _unreadable(path: pathlib.Path, error: Exception) -> errors.InputError:
    return errors.InputError(f"{path} cannot be judged: {str(error).rstrip('.')}.")


def read_audio(path: pathlib.Path, sample_rate: int) -> np.ndarray:
    """Reads a file whole, mono.

    Returns:
        float32, shape [n_samples].

    Raises:
        InputError: If it cannot be decoded, is too short, or holds NaN or infinity.
    """
    try:
        audio, in_rate = decode.load_start(path)
    except decode.UnreadableError as error:
        raise _unreadable(path, error) from error
    if not np.all(np.isfinite(audio)):
        raise errors.InputError(f"{path} cannot be judged: it holds NaN or infinity.")
    if audio.size < MIN_SECS * in_rate:
        raise errors.InputError(
            f"{path} cannot be judged: it lasts {audio.size / in_rate:.3f} s, and "
            f"{MIN_SECS} s are needed."
        )
    return resample.resample_audio(audio, in_rate, out_rate=sample_rate)


def read_pair(
    pair: pairing.FilePair, *, sample_rate: int
) -> tuple[list[JudgedClip], dict[str, alignment.Alignment]]:
    """Reads a pair, aligns each system with the recording, and cuts all into clips.

    Args:
        pair: Names of the files.
        sample_rate: At which they are judged, Hz.

    Returns:
        The clips, and how each system's file lay.

    Raises:
        InputError: If a file cannot be used.
    """
    ref = read_audio(pair.reference, sample_rate)
    aligned = {
        name: alignment.align(
            ref, read_audio(path, sample_rate), sample_rate=sample_rate
        )
        for name, path in pair.estimates.items()
    }
    # All systems are judged over the part of the recording that they have in common.
    begin = max(_begin(one, sample_rate) for _, _, one in aligned.values())
    ends = [_begin(one, sample_rate) + part.size for part, _, one in aligned.values()]
    n_frames = (min(ends) - begin) * FRAME_RATE // sample_rate
    if n_frames < MIN_SECS * FRAME_RATE:
        raise errors.InputError(
            f"{pair.reference} and its renderings share less than {MIN_SECS} s."
        )
    hop_size = sample_rate // FRAME_RATE
    n_parts = max(1, round(n_frames / (CLIP_SECS * FRAME_RATE)))
    cuts = begin + hop_size * np.linspace(0, n_frames, n_parts + 1).astype(int)
    found = []
    for start, end in itertools.pairwise(cuts.tolist()):
        name = pair.name
        if n_parts > 1:
            name = f"{name} @ {start / sample_rate:.2f} s"
        clip = clips.Clip(
            name=name,
            recording_id=pair.recording_id,
            start_secs=start / sample_rate,
            audio=ref[start:end],
            sample_rate=sample_rate,
            frame_rate=FRAME_RATE,
        )
        renderings = {}
        for system, (_, est, one) in aligned.items():
            offset = _begin(one, sample_rate)
            renderings[system] = est[start - offset : end - offset]
        found.append(JudgedClip(clip, renderings))
    return found, {name: one for name, (_, _, one) in aligned.items()}


def _begin(one: alignment.Alignment, sample_rate: int) -> int:
    """Sample of the recording at which a system's aligned part begins."""
    shift = round(one.delay_secs * sample_rate) if one.is_removed else 0
    return max(-shift, 0)
