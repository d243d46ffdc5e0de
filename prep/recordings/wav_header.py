"""What a wav file's header says of its length, beside how long the file is.

libsndfile puts a header right that promises too much, and says nothing. A person wants
to know: such a file was cut off on its way. A header that promises too little, as one
of a recorder that crashed, hides audio, and libsndfile believes it.
"""

import dataclasses
import os
import struct

# Programs that write to a pipe put a size here, or beyond, that means "unknown".
UNKNOWN_SIZE = 0x7FF00000  # bytes
SLACK = 1 << 16  # bytes of other chunks that may follow the audio without a note


@dataclasses.dataclass(frozen=True)
class DataChunk:
    """The audio of a wav file.

    Attributes:
        declared: Bytes, by the header.
        available: Bytes, from where it begins to the end of the file.
    """

    declared: int
    available: int

    @property
    def cut_off(self) -> bool:
        """Whether the file ends before its audio does."""
        return self.available < self.declared < UNKNOWN_SIZE

    @property
    def hides(self) -> bool:
        """Whether more than the audio again follows it."""
        return self.available > 2 * self.declared + SLACK


def read_data_chunk(path: str) -> DataChunk | None:
    """Looks for the audio in a wav file.

    Returns:
        None if it is no wav file (RF64, which is made for long ones, is not looked at).
    """
    with open(path, "rb") as file:
        n_bytes = os.fstat(file.fileno()).st_size
        riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12))
        if (riff, wave) != (b"RIFF", b"WAVE"):
            return None
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"data":
                return DataChunk(size, n_bytes - file.tell())
            file.seek(size + size % 2, os.SEEK_CUR)
    return None
