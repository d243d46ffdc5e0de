"""Decodes with FFmpeg what libsndfile does not read: m4a, webm, wma, a video's sound.

FFmpeg is told which containers it may open, because some of its formats (playlists, for
instance) name other files and addresses. A damaged packet is left out and counted.

Source: FFmpeg's libraries, inside the wheel of PyAV.
"""

import itertools
import struct
from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
import soxr

from prep.recordings import resample

CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,"
    "3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,ogg,rm,tak,tta,voc,w64,wav,wv,xwma"
)
# Containers without a length in their header; FFmpeg guesses it from the bit rate.
WITHOUT_LENGTH = frozenset("aac ac3 amr eac3 mp3 mpeg mpegts".split())
_XING_BYTES = 1 << 12  # of the first frame, in which the length may stand


class FfmpegError(Exception):
    """FFmpeg cannot read a file; the message is its reason."""


class Stream:
    """The first audio stream of a file, as float32 at one rate.

    Attributes:
        rate: Samples/s.
        channels: Number.
        n_declared: Samples by the header; None where it says nothing.
        codec: FFmpeg's names of container and codec, such as "MOV AAC".
        n_damaged: Packets that could not be decoded so far.
    """

    def __init__(
        self, handle: BinaryIO, *, rate: int | None = None, channels: int | None = None
    ):
        """Opens the file and decodes its first frame.

        Args:
            handle: The file, open for reading; it is read from its beginning.
            rate: Samples/s to come out; None takes that of the first frame.
            channels: Number to come out; None takes that of the first frame.

        Raises:
            FfmpegError: If there is no sound in it that FFmpeg reads.
        """
        handle.seek(0)
        self.n_damaged = 0
        self._handle = handle
        self._container = _open(handle)
        try:
            self._frames = self._decode()
            first = next(self._frames, None)
            if first is None:
                raise FfmpegError(self._without_sound())
        except BaseException:
            self._container.close()
            raise
        self._frames = itertools.chain([first], self._frames)
        self.rate = rate or first.sample_rate
        self.channels = channels or first.layout.nb_channels
        self.codec, self.n_declared = self._describe()

    def close(self) -> None:
        """Ends reading; the handle stays open."""
        self._container.close()

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields the samples, float32 [n, channels], until the file ends."""
        changed: tuple[int, soxr.ResampleStream] | None = None
        for frame in self._frames:
            block = self._fit_channels(_to_float(frame))
            # A stream that was joined from several may go on at another rate.
            if changed is not None and changed[0] != frame.sample_rate:
                yield changed[1].resample_chunk(block[:0], last=True)
                changed = None
            if frame.sample_rate != self.rate:
                if changed is None:
                    changed = frame.sample_rate, self._resampler(frame.sample_rate)
                block = changed[1].resample_chunk(block)
            yield block
        if changed is not None:
            nothing = np.zeros((0, self.channels), np.float32)
            yield changed[1].resample_chunk(nothing, last=True)

    def _resampler(self, in_rate: int) -> soxr.ResampleStream:
        return soxr.ResampleStream(
            in_rate, self.rate, self.channels, "float32", quality=resample.QUALITY
        )

    def _fit_channels(self, block: np.ndarray) -> np.ndarray:
        """Gives every channel the mean where their number has changed on the way."""
        if block.shape[1] == self.channels:
            return block
        mean = block.mean(axis=1, keepdims=True, dtype=np.float32)
        return np.repeat(mean, self.channels, axis=1)

    def _decode(self) -> Iterator[av.AudioFrame]:
        """Frames of the first audio stream; damaged packets are counted."""
        streams = self._container.streams.audio
        if not streams:
            return
        if streams[0].codec_context is None:
            raise FfmpegError("it holds sound of an unknown coding")
        streams[0].codec_context.thread_count = 1  # same result on every machine
        self._keep_short_last_frame(streams[0])
        packets = self._container.demux(streams[0])
        while True:
            try:
                packet = next(packets, None)
                frames = packet.decode() if packet is not None else []
            except EOFError:
                return
            except (av.error.FFmpegError, ValueError, MemoryError):
                self.n_damaged += 1
                continue
            if packet is None:
                return
            yield from (frame for frame in frames if frame.samples)

    def _keep_short_last_frame(self, stream: av.AudioStream) -> None:
        """Keeps FFmpeg from cutting the last frame of ALAC in CAF a second time.

        Its frames have 4,096 samples but the last one, which is as short as the audio
        needs. FFmpeg's reader of CAF takes it for a full one and has what exceeds the
        stated length cut off: of 2,184 samples, 1,912. Where the encoder filled the
        last frame, that is in the stated length too.
        """
        is_caf = self._container.format.name.split(",")[0] == "caf"
        if is_caf and stream.codec_context.codec.canonical_name == "alac":
            stream.codec_context.options = {"flags2": "+skip_manual"}

    def _without_sound(self) -> str:
        if not self._container.streams.audio:
            return "there is no sound in it"
        return f"none of its {self.n_damaged} packets can be decoded"

    def _describe(self) -> tuple[str, int | None]:
        """Names of container and codec; the header's length in samples."""
        stream = self._container.streams.audio[0]
        container = self._container.format.name.split(",")[0]
        codec = f"{container} {stream.codec_context.codec.canonical_name}".upper()
        if container == "mp3":
            return codec, read_xing_length(self._handle)
        if container in WITHOUT_LENGTH:
            return codec, None
        if stream.duration is not None and stream.time_base is not None:
            return codec, round(stream.duration * stream.time_base * self.rate)
        # The container's length is that of its longest stream.
        if self._container.duration is None or len(self._container.streams) > 1:
            return codec, None
        return codec, round(self._container.duration * self.rate / av.time_base)


def _open(handle: BinaryIO) -> av.container.InputContainer:
    try:
        return av.open(
            handle,
            mode="r",
            options={"format_whitelist": CONTAINERS, "protocol_whitelist": ""},
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError, OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FfmpegError(reason) from error


def _to_float(frame: av.AudioFrame) -> np.ndarray:
    """Samples of a frame as float32 [n, channels], integers divided by full scale."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return ((samples.T.astype(np.float32)) - 128.0) / np.float32(128.0)
    if samples.dtype.kind == "i":
        full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
        return (samples.T / full_scale).astype(np.float32)
    return np.ascontiguousarray(samples.T, np.float32)


def read_xing_length(handle: BinaryIO) -> int | None:
    """Length of an mp3 by the Xing header in its first frame, in samples.

    The encoder's delay and padding count, about 0.05 s. The reading position is kept.
    """
    position = handle.tell()
    handle.seek(skip_id3(handle))
    head = handle.read(_XING_BYTES)
    handle.seek(position)
    where = max(head.find(b"Xing"), head.find(b"Info"))
    if where < 4 or len(head) < where + 12 or head[0] != 0xFF:
        return None
    flags, n_frames = struct.unpack(">II", head[where + 4 : where + 12])
    is_mpeg1 = head[1] & 0x08
    return n_frames * (1152 if is_mpeg1 else 576) if flags & 1 else None


def skip_id3(handle: BinaryIO) -> int:
    """Bytes of the ID3 tag with which a file begins; 0 where there is none."""
    handle.seek(0)
    tag = handle.read(10)
    if tag[:3] != b"ID3" or len(tag) < 10:
        return 0
    # Seven bits a byte, so that no size looks like the start of a frame.
    return 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(tag[6:]))
