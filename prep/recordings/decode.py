"""Recordings as streams of blocks of samples, whatever their format.

Nothing here holds a whole recording: an hour passes through in blocks of a few seconds.
Samples are float32; integer formats arrive in [-1, 1), float files as they are, even
beyond full scale.

libsndfile decodes what it reads. FFmpeg takes over where libsndfile cannot open a file,
where it fails on the way and where it stops before the file ends (a flac that does not
know its length, the second of two joined ogg streams). MPEG audio goes to FFmpeg at
once: mpg123, which libsndfile uses, stops at the joint of joined files and writes its
doubts to the caller's stderr. Where both read, both give the same samples (tested).

Source: libsndfile (through soundfile) and FFmpeg (through PyAV).
"""

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile
from absl import logging

from prep import errors
from prep.recordings import channels as channels_lib
from prep.recordings import excerpt
from prep.recordings import ffmpeg
from prep.recordings import ogg_pages
from prep.recordings import resample
from prep.recordings import wav_header

BLOCK_FRAMES = 1 << 17  # about 3 s at 44.1 kHz
MAX_RATE = 1_000_000  # samples/s; twice what converters offer
MAX_CHANNELS = 64  # of a recording; large field recorders have 32
UNKNOWN_LENGTH = 1 << 62  # samples, from which libsndfile means "unknown"
READ_AHEAD = 1 << 12  # bytes behind the audio that pass for tags
MPEG_TAGS = frozenset((0x0050, 0x0055))  # of wav files that hold mp2 or mp3


class UnreadableError(errors.InputError):
    """A file that cannot be used as a recording; the message is the reason."""


class Decoder:
    """Reads one recording from its beginning to its true end.

    Attributes:
        sample_rate: Samples/s.
        channels: Number.
        n_declared: Samples by the header; None where it does not say.
        codec: Container and coding, such as "WAV PCM_16" or "MOV AAC (FFmpeg)".
        header: Of a wav file; None for others.
        remarks: What a person should know of the reading; complete when it is done.
    """

    def __init__(self, handle: BinaryIO, *, name: str):
        """Opens the recording with the first decoder that reads it.

        Args:
            handle: The file, open for reading; it stays open.
            name: Of the file, for the log.

        Raises:
            UnreadableError: If no decoder reads it, or if it is beyond the limits.
        """
        self._handle, self._name = handle, name
        self._file: soundfile.SoundFile | None = None
        self._stream: ffmpeg.Stream | None = None
        self.remarks: list[str] = []
        self.sample_rate: int
        self.channels: int
        self.n_declared: int | None
        self.codec: str
        self.header = wav_header.read_header(handle)
        if self.header is not None:
            _check_limits(self.header.sample_rate, self.header.channels)
        # FFmpeg is asked only where libsndfile refuses.
        refusal = self._open_libsndfile()
        if self._file is not None:
            self.sample_rate, self.channels = self._file.samplerate, self._file.channels
            known = self._file.frames < UNKNOWN_LENGTH
            self.n_declared = self._file.frames if known else None
            self.codec = f"{self._file.format} {self._file.subtype}"
        else:
            self._stream = self._open_ffmpeg(refusal)
            self.sample_rate, self.channels = self._stream.rate, self._stream.channels
            self.n_declared = self._stream.n_declared
            self.codec = f"{self._stream.codec} (FFmpeg)"
        with contextlib.ExitStack() as closing:
            closing.callback(self.close)
            _check_limits(self.sample_rate, self.channels)
            closing.pop_all()

    def close(self) -> None:
        """Closes the decoders; the handle stays open."""
        if self._file is not None:
            self._file.close()
        if self._stream is not None:
            self._stream.close()

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields the recording, once, from its beginning to its true end.

        The header's length is not believed: reading goes on until nothing comes.

        Yields:
            float32, shape [n, channels], n up to `BLOCK_FRAMES`; a copy each.

        Raises:
            UnreadableError: If decoding fails before the first sample.
        """
        if self._file is None:
            yield from self._read_stream(skip=0)
            return
        n_read, failure = 0, ""
        while True:
            block = np.empty((BLOCK_FRAMES, self.channels), np.float32)
            try:
                block = self._file.read(out=block)
            except soundfile.LibsndfileError as error:
                failure = _reason(error)
                break
            if not len(block):
                break
            n_read += len(block)
            yield block
        if failure or self._stops_early():
            yield from self._read_on(n_read, failure)

    def _open_libsndfile(self) -> str:
        """Opens the file with libsndfile; returns why not, if not."""
        if _is_mpeg(self._handle, self.header):
            return "MPEG audio is left to FFmpeg"
        size = self._handle.seek(0, os.SEEK_END)
        try:
            self._part = excerpt.Excerpt(self._handle, n_bytes=size)
            self._file = soundfile.SoundFile(self._part)
            if not (self.header and self.header.unfinished and not self._file.frames):
                return ""
            self._file.close()
            self._file = None
            refusal = "its header says 0 bytes of audio"
        except (soundfile.LibsndfileError, OSError, ValueError) as error:
            refusal = _reason(error)
        # A wav file of plain samples is shown again, without what was refused.
        if self.header is None or self.header.tag not in wav_header.PLAIN_TAGS:
            return refusal
        try:
            self._part = wav_header.repaired(self._handle, self.header)
            self._file = soundfile.SoundFile(self._part)
        except (soundfile.LibsndfileError, OSError, ValueError):
            return refusal
        logging.info("%s: libsndfile, past %s", self._name, refusal)
        self.remarks += _repairs(self.header)
        return ""

    def _open_ffmpeg(self, refusal: str) -> ffmpeg.Stream:
        """Opens the file with FFmpeg."""
        try:
            stream = ffmpeg.Stream(self._handle)
        except ffmpeg.FfmpegError as error:
            raise UnreadableError(
                f"not audio that libsndfile reads ({refusal}), nor FFmpeg ({error})"
            ) from error
        logging.info("%s: FFmpeg (%s)", self._name, refusal)
        return stream

    def _stops_early(self) -> bool:
        """Tells if libsndfile was content before the file had ended."""
        assert self._file is not None
        if self._file.format == "OGG":
            return ogg_pages.is_chained(self._handle)
        if self._file.format != "FLAC":
            return False
        position = self._part.tell()
        return self._handle.seek(0, os.SEEK_END) - position > READ_AHEAD

    def _read_on(self, n_read: int, failure: str) -> Iterator[np.ndarray]:
        """Yields what FFmpeg finds behind the `n_read` samples of libsndfile."""
        secs = n_read / self.sample_rate
        n_more = 0
        try:
            self._stream = ffmpeg.Stream(
                self._handle, rate=self.sample_rate, channels=self.channels
            )
            why = failure or "the file goes on"
            logging.info("%s: FFmpeg from %.2f s on (%s)", self._name, secs, why)
            for block in self._read_stream(skip=n_read):
                n_more += len(block)
                yield block
        except ffmpeg.FfmpegError as error:
            logging.info("%s: FFmpeg reads nothing of it: %s", self._name, error)
        if failure and not n_read + n_more:
            raise UnreadableError(f"damaged or cut off: decoding fails ({failure})")
        if failure and not n_more:
            self.remarks.append(f"damaged or cut off after {secs:.2f} s ({failure})")
        elif not n_more:
            self.remarks.append(f"what follows its {secs:.2f} s is no audio")

    def _read_stream(self, *, skip: int) -> Iterator[np.ndarray]:
        """Yields FFmpeg's samples from sample `skip` on, in blocks of full size."""
        stream = self._stream
        assert stream is not None
        pending: list[np.ndarray] = []
        for block in stream.blocks():
            pending.append(block[skip:])
            skip = max(0, skip - len(block))
            if sum(map(len, pending)) >= BLOCK_FRAMES:
                yield from _split(np.concatenate(pending))
                pending = []
        if pending:
            yield from _split(np.concatenate(pending))
        if stream.n_damaged:
            self.remarks.append(f"{stream.n_damaged} packets are damaged and left out")


def _split(samples: np.ndarray) -> Iterator[np.ndarray]:
    """Yields float32 [n, channels] in parts of up to `BLOCK_FRAMES`."""
    for start in range(0, len(samples), BLOCK_FRAMES):
        yield samples[start : start + BLOCK_FRAMES]


def _reason(error: Exception) -> str:
    """An error of libsndfile's in words."""
    text = getattr(error, "error_string", None) or str(error)
    return text.strip().rstrip(".")


def _check_limits(sample_rate: int, channels: int) -> None:
    """Refuses what no recorder writes, before memory is taken for it."""
    if not 0 < sample_rate <= MAX_RATE:
        raise UnreadableError(
            f"its header says {sample_rate} samples a second; 1 to {MAX_RATE} are read"
        )
    if not 0 < channels <= MAX_CHANNELS:
        raise UnreadableError(
            f"its header says {channels} channels; 1 to {MAX_CHANNELS} are read"
        )


def _is_mpeg(handle: BinaryIO, header: wav_header.Header | None) -> bool:
    """Tells MPEG audio by the first bytes of a file."""
    if header is not None:
        return header.tag in MPEG_TAGS
    handle.seek(ffmpeg.skip_id3(handle))
    head = handle.read(2)
    return len(head) == 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0


def _repairs(header: wav_header.Header) -> list[str]:
    """Names what was put right in the header of a wav file."""
    if header.unfinished:
        return [
            f"its header says {header.declared} bytes of audio, the file has "
            f"{header.available} (a recorder that was stopped hard?): all are used"
        ]
    return []


@contextlib.contextmanager
def open_recording(path: str | pathlib.Path) -> Iterator[Decoder]:
    """Opens an audio file.

    Raises:
        UnreadableError: If it is no audio that a decoder reads, or not permitted.
    """
    try:
        handle = open(path, "rb")  # closed below
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except OSError as error:
        raise UnreadableError(f"cannot be opened: {error.strerror}") from error
    with handle, contextlib.closing(Decoder(handle, name=str(path))) as decoder:
        yield decoder


def load_audio(path: str | pathlib.Path, sample_rate: int) -> np.ndarray:
    """A whole recording, mono, at `sample_rate`; for clips that fit into memory.

    Returns:
        float32, shape [n_samples].

    Raises:
        UnreadableError: If the file cannot be used.
    """
    audio, in_rate = load_start(path)
    return resample.resample_audio(audio, in_rate, out_rate=sample_rate)


def load_start(
    path: str | pathlib.Path, *, max_secs: float = math.inf
) -> tuple[np.ndarray, int]:
    """The beginning of a recording, mono.

    Returns:
        float32, shape [n_samples], up to `max_secs` of them; samples/s.

    Raises:
        UnreadableError: If the file cannot be used.
    """
    with open_recording(path) as file:
        parts, missing = [np.zeros((0, file.channels), np.float32)], math.inf
        if math.isfinite(max_secs):
            missing = round(max_secs * file.sample_rate)
        for block in file.blocks():
            parts.append(block[: int(min(missing, len(block)))])
            missing -= len(parts[-1])
            if missing <= 0:
                break
        samples = np.concatenate(parts)
        levels = channels_lib.Levels()
        levels.add(samples)
        return channels_lib.downmix(samples, levels.choose().used), file.sample_rate


def choose_channels(path: str | pathlib.Path) -> channels_lib.ChannelChoice:
    """Decides which channels of a recording are averaged; decodes it once for that.

    Raises:
        UnreadableError: If the file cannot be used.
    """
    levels = channels_lib.Levels()
    with open_recording(path) as file:
        if file.channels > 1:
            for block in file.blocks():
                levels.add(np.nan_to_num(block))
    return levels.choose()
