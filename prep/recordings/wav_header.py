"""Reads the chunks of a wav file as players do, beside how long the file is.

libsndfile puts a header right that promises too much, and says nothing; a person wants
to know that such a file was cut off. It refuses a file for a chunk that is of no
interest to the audio, and finds no sample where a recorder that was stopped hard left
the length at 0. `repaired` shows it such a file without the offending parts.
"""

import dataclasses
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from prep.recordings import excerpt

# Programs that write to a pipe put a size here, or beyond, that means "unknown".
UNKNOWN_SIZE = 0x7FF00000  # bytes
MAX_SIZE = 0xFFFFFFFF  # bytes of a chunk; in RF64 it stands for a size of 64 bits
SLACK = 1 << 10  # bytes that may follow the audio, in no chunk, without a note
MAX_CHUNKS = 10_000  # of a file; a damaged one could name millions of empty ones
MAX_FORMAT_BYTES = 1 << 12  # of a format chunk; the longest known has about 50
# Samples as they are or as 8-bit logarithms, by the format chunk's tag: their length in
# bytes alone says how many there are.
PLAIN_TAGS = frozenset((0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE))


@dataclasses.dataclass(frozen=True)
class Header:
    """What a wav file says of its audio.

    Attributes:
        tag: Number of the coding, such as 1 for integers.
        sample_rate: Samples/s.
        channels: Number.
        declared: Bytes of audio.
        available: Bytes from where the audio begins to the end of the file.
        trailing: Bytes behind the audio that belong to no chunk.
        begin: Where the audio begins, bytes from the file's beginning.
        format_chunk: Content of the format chunk.
    """

    tag: int
    sample_rate: int
    channels: int
    declared: int
    available: int
    trailing: int
    begin: int
    format_chunk: bytes

    @property
    def cut_off(self) -> bool:
        """True if the file ends before its audio does."""
        return self.available < self.declared < UNKNOWN_SIZE

    @property
    def unfinished(self) -> bool:
        """True if its length was never written, as a killed recorder leaves it."""
        return self.declared == 0 and self.trailing > 0

    @property
    def n_bytes(self) -> int:
        """Bytes of audio that can be read."""
        if self.unfinished:
            return self.available
        return min(self.declared, self.available)


def read_header(file: BinaryIO) -> Header | None:
    """Looks for format and audio in a wav file.

    Returns:
        None if it is no wav file or lacks one of the two (RF64, which is made for long
        files, is not looked at).
    """
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(0)
    riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12))
    if (riff, wave) != (b"RIFF", b"WAVE"):
        return None
    # The format stands before the samples; what else is there is stepped over.
    format_chunk = b""
    for name, begin, declared in _chunks(file, 12):
        if name == b"fmt ":
            file.seek(begin)
            format_chunk = file.read(min(declared, MAX_FORMAT_BYTES))
        elif name == b"data" and len(format_chunk) >= 16:
            tag, channels, sample_rate = struct.unpack("<HHI", format_chunk[:8])
            return Header(
                tag=tag,
                sample_rate=sample_rate,
                channels=channels,
                declared=declared,
                available=size - begin,
                trailing=_count_trailing(file, begin + declared, size),
                begin=begin,
                format_chunk=format_chunk,
            )
    return None


def _chunks(file: BinaryIO, position: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, place of the content and declared size of each chunk.

    A chunk of odd size is followed by a byte that fills it up. Some programs leave that
    out: the next chunk is looked for in both places.
    """
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or not _is_name(head[:4]):
            return
        name, size = struct.unpack("<4sI", head)
        yield name, position + 8, size
        end = position + 8 + size
        position = end
        if size % 2:
            file.seek(end)
            following = file.read(5)
            position = end if _is_name(following[:4]) else end + 1


def _is_name(name: bytes) -> bool:
    """Tells if four bytes can name a chunk: printable, no leading space."""
    return len(name) == 4 and all(32 <= byte < 127 for byte in name) and name[0] != 32


def _count_trailing(file: BinaryIO, position: int, size: int) -> int:
    """Bytes from `position` to the end that are in no chunk."""
    end = position
    for _, begin, n_bytes in _chunks(file, position + position % 2):
        if begin + n_bytes > size + 1:
            break
        end = begin + n_bytes
    return max(0, size - end)


def repaired(file: BinaryIO, header: Header) -> excerpt.Excerpt:
    """The same audio behind a header of nothing but format and length.

    A length that 32 bits cannot say stands in a header of RF64.
    """
    fmt, n_bytes = header.format_chunk, header.n_bytes
    chunks = struct.pack("<4sI", b"fmt ", len(fmt)) + fmt + b"\0" * (len(fmt) % 2)
    name, size = b"RIFF", len(b"WAVE") + len(chunks) + 8 + n_bytes
    said_size, said_bytes = size, n_bytes
    if size > MAX_SIZE:
        # Sizes of the file and of the audio; number of samples, of other long chunks.
        ds64 = struct.pack("<QQQI", size + 36, n_bytes, 0, 0)
        chunks = struct.pack("<4sI", b"ds64", len(ds64)) + ds64 + chunks
        name, said_size, said_bytes = b"RF64", MAX_SIZE, MAX_SIZE
    head = struct.pack("<4sI4s", name, said_size, b"WAVE") + chunks
    head += struct.pack("<4sI", b"data", said_bytes)
    return excerpt.Excerpt(file, begin=header.begin, n_bytes=n_bytes, head=head)
