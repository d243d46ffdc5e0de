"""Recordings as streams of mono blocks: decoding, downmix, change of sample rate.

Nothing here holds a whole recording: an hour passes through in blocks of a few seconds.
Mono is the mean of all channels. Samples are float32; integer formats arrive in
[-1, 1), float files as they are, even beyond full scale.

Source: libsndfile (through soundfile) decodes, libsoxr (through soxr) resamples.
"""

import contextlib
import pathlib
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr

from prep import errors

BLOCK_FRAMES = 1 << 17  # about 3 s at 44.1 kHz
QUALITY = "VHQ"  # soxr's name: 28 bits of precision, pass band up to 0.913 of Nyquist


class UnreadableError(errors.InputError):
    """A file that cannot be used as a recording; the message is the reason."""


@contextlib.contextmanager
def open_recording(path: str | pathlib.Path) -> Iterator[soundfile.SoundFile]:
    """Opens an audio file.

    Raises:
        UnreadableError: If it is no audio that libsndfile reads, or not permitted.
    """
    try:
        handle = open(path, "rb")  # closed below
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except OSError as error:
        raise UnreadableError(f"cannot be opened: {error.strerror}") from error
    with handle:
        try:
            file = soundfile.SoundFile(handle)
        except soundfile.LibsndfileError as error:
            raise UnreadableError(
                "not audio that libsndfile reads "
                f"({error.error_string.strip().rstrip('.')})"
            ) from error
        with file:
            yield file


def read_blocks(file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """Yields the recording from its beginning, all channels, to its true end.

    The header's length is not believed: reading goes on until nothing comes.

    Yields:
        float32, shape [n, channels], n up to `BLOCK_FRAMES`; a copy each.

    Raises:
        UnreadableError: If decoding fails on the way.
    """
    while True:
        block = np.empty((BLOCK_FRAMES, file.channels), np.float32)
        try:
            block = file.read(out=block)
        except soundfile.LibsndfileError as error:
            raise UnreadableError(
                "damaged or cut off: decoding fails "
                f"({error.error_string.strip().rstrip('.')})"
            ) from error
        if not len(block):
            return
        yield block


def downmix(block: np.ndarray) -> np.ndarray:
    """Mean of all channels; shape [n, channels] → [n]."""
    if block.shape[1] == 1:
        return block[:, 0]
    return block.mean(axis=1, dtype=np.float32)


class Resampler:
    """Changes the sample rate of a mono stream, block by block.

    Linear phase, no delay: output sample `i` stands at `i / out_rate` seconds. Equal
    rates pass through untouched.
    """

    def __init__(self, in_rate: float, out_rate: float):
        """Opens the stream.

        Args:
            in_rate: Samples/s, need not be whole (transposition by resampling).
            out_rate: Samples/s.
        """
        self._stream = None
        if in_rate != out_rate:
            self._stream = soxr.ResampleStream(
                in_rate, out_rate, 1, "float32", quality=QUALITY
            )

    def push(self, block: np.ndarray) -> np.ndarray:
        """Takes a block, float32 [n]; gives what is ready, float32 [m], maybe none."""
        if self._stream is None:
            return block
        return self._stream.resample_chunk(np.ascontiguousarray(block))

    def finish(self) -> np.ndarray:
        """Ends the stream; gives the rest."""
        nothing = np.zeros(0, np.float32)
        if self._stream is None:
            return nothing
        return self._stream.resample_chunk(nothing, last=True)


def load_audio(path: str | pathlib.Path, sample_rate: int) -> np.ndarray:
    """A whole recording, mono, at `sample_rate`; for clips that fit into memory.

    Returns:
        float32, shape [n_samples].

    Raises:
        UnreadableError: If the file cannot be used.
    """
    with open_recording(path) as file:
        resampler = Resampler(file.samplerate, sample_rate)
        parts = [resampler.push(downmix(block)) for block in read_blocks(file)]
        return np.concatenate([*parts, resampler.finish()])


def resample_audio(audio: np.ndarray, in_rate: int, *, out_rate: int) -> np.ndarray:
    """`audio` at another rate, by the same filter as recordings; shape [n] → [m]."""
    resampler = Resampler(in_rate, out_rate)
    return np.concatenate([resampler.push(audio), resampler.finish()])
