"""The TFRecord framing: how records are written, and where each lies in a file.

Needs no TensorFlow, which takes seconds to import in every worker.

Source: the record format is described in TensorFlow's tensorflow/core/lib/io: length,
    masked CRC-32C of the length, data, masked CRC-32C of the data; little endian.
"""

import array
import mmap
import os
import pathlib
import struct
from collections.abc import Iterable

import google_crc32c

HEADER_SIZE = 12  # bytes: uint64 length, uint32 checksum of the length
FOOTER_SIZE = 4  # bytes: uint32 checksum of the data
_MASK_DELTA = 0xA282EAD8  # added to a rotated checksum by the format


def masked_crc(data: bytes) -> int:
    """Returns the CRC-32C of `data`, rotated and offset as the record format asks."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame_record(data: bytes) -> bytes:
    """Returns the bytes that a TFRecord file holds for one record."""
    length = struct.pack("<Q", len(data))
    return b"".join(
        (
            length,
            struct.pack("<I", masked_crc(length)),
            data,
            struct.pack("<I", masked_crc(data)),
        )
    )


def write_records(path: str | os.PathLike[str], records: Iterable[bytes]) -> None:
    """Writes a TFRecord file.

    Raises:
        OSError: If the disk is full or the file cannot be written.
    """
    with open(path, "wb") as file:
        for record in records:
            file.write(frame_record(record))


def find_offsets(content: mmap.mmap | bytes, path: pathlib.Path) -> "array.array[int]":
    """Finds the records of one file by walking its headers.

    Args:
        content: All bytes of the file.
        path: Its name, for messages.

    Returns:
        The byte at which each record's header begins, eight bytes a record.

    Raises:
        ValueError: If it is not a whole, uncompressed TFRecord file.
    """
    offsets = array.array("q")
    position = 0
    while position < len(content):
        # The header: a length, and a checksum that tells it from other bytes.
        header = content[position : position + HEADER_SIZE]
        if len(header) < HEADER_SIZE:
            raise _broken(path, position)
        length_bytes = header[:8]
        (length,) = struct.unpack("<Q", length_bytes)
        (stored,) = struct.unpack("<I", header[8:])
        # The record must end inside the file.
        end = position + HEADER_SIZE + length + FOOTER_SIZE
        if masked_crc(length_bytes) != stored or end > len(content):
            raise _broken(path, position)
        offsets.append(position)
        position = end
    return offsets


def check_record(
    content: bytes, *, path: pathlib.Path, offset: int, number: int
) -> bytes:
    """Takes the data of one record out of its frame.

    Args:
        content: The record with its header and footer, as it was read.
        path: The file's name, for messages.
        offset: Where in the file it lies, for messages.
        number: Of the record, for messages.

    Raises:
        ValueError: If the data does not match its checksum, or is not all there.
    """
    data = content[HEADER_SIZE:-FOOTER_SIZE]
    if frame_record(data) != content:
        raise ValueError(
            f"record {number} at byte {offset} of {path} does not match its checksum: "
            "the file is damaged; prepare the dataset again with --overwrite."
        )
    return data


def _broken(path: pathlib.Path, position: int) -> ValueError:
    return ValueError(
        f"{path} is not a whole, uncompressed TFRecord file: no record begins at byte "
        f"{position}; prepare the dataset again with --overwrite."
    )
