"""Random access to TFRecord files: where each record lies, and its bytes on demand.

`tf.data.TFRecordDataset` only reads forwards, so a run that goes on at batch 90000
would have to read 90000 batches first, and a shuffle is only as good as its buffer. An
index of offsets costs 12 bytes of reading a record and gives exact shuffling and exact
resumption at any position, for datasets larger than memory too: the operating system's
page cache is the only copy.

Training reads through TensorFlow alone, which checks each record's checksum: a Python
function in its pipeline would hold up the end of the program, waiting for an
interpreter that is gone. The files are held open, so a dataset that is replaced while
training runs does not reach it; one that is written over is noticed by
`check_unchanged`.
"""

import mmap
import os
import pathlib
import struct
from collections.abc import Sequence
from typing import BinaryIO

import tensorflow as tf

from prep import errors
from prep.dataset import tfrecords

VERIFIED_SIZE = 1 << 30  # bytes of a dataset that are all read when it is opened
_READ_SIZE = 1 << 18  # bytes that TensorFlow reads at once
_DESCRIPTORS = pathlib.Path("/proc/self/fd")  # of Linux: a name for each open file


class DatasetChangedError(errors.InputError, ValueError):
    """A dataset that was damaged or written over after it was opened."""


class RecordIndex:
    """The records of some TFRecord files, in file order, readable in any order."""

    def __init__(self, paths: Sequence[pathlib.Path]):
        """Indexes uncompressed TFRecord files.

        Args:
            paths: The files; their order is the order of the records.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is not a whole, uncompressed TFRecord file, or, in
                datasets up to `VERIFIED_SIZE`, if a record's data is damaged.
        """
        self.paths = list(paths)
        self._files = [open(path, "rb") for path in self.paths]
        self._states = [_state(file) for file in self._files]
        self._maps = [_map_file(file) for file in self._files]
        self.spans = [
            span
            for file_index, path in enumerate(self.paths)
            for span in tfrecords.find_spans(
                self._maps[file_index], path, file_index=file_index
            )
        ]

        if sum(len(content) for content in self._maps) <= VERIFIED_SIZE:
            for index in range(len(self.spans)):
                self.read(index)

    def _names(self) -> list[str]:
        """Names by which TensorFlow opens the very files that were indexed."""
        if not _DESCRIPTORS.is_dir():
            return [str(path) for path in self.paths]
        return [str(_DESCRIPTORS / str(file.fileno())) for file in self._files]

    def dataset_of(self, index: tf.Tensor) -> tf.data.Dataset:
        """The data of one record as a dataset of one element, for `flat_map`.

        Iterating raises `tf.errors.DataLossError` if it does not match its checksum.
        """
        places = [
            (span.file_index, span.offset - tfrecords.HEADER_SIZE)
            for span in self.spans
        ]
        file_index, offset = tf.unstack(tf.constant(places, tf.int64)[index])
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.constant(self._names())[file_index][tf.newaxis],
            compression_type="",
            buffer_size=tf.constant(_READ_SIZE, tf.int64),
            byte_offsets=offset[tf.newaxis],
        )
        element = tf.TensorSpec([], tf.string)
        return tf.data.experimental.from_variant(records, element).take(1)

    def check_unchanged(self) -> None:
        """Checks that nobody has written into the files since they were opened.

        Raises:
            DatasetChangedError: If somebody has.
        """
        for path, file, before in zip(
            self.paths, self._files, self._states, strict=True
        ):
            if _state(file) != before:
                raise DatasetChangedError(
                    f"{path} was changed while it was in use; prepare the dataset "
                    "again, into another --output, and train anew."
                )

    def __len__(self) -> int:
        return len(self.spans)

    def read(self, index: int) -> bytes:
        """The data of one record, its checksum verified.

        Raises:
            ValueError: If the data on disk does not match its checksum.
        """
        span = self.spans[index]
        content = self._maps[span.file_index]
        end = span.offset + span.length
        data = bytes(content[span.offset : end])
        (stored,) = struct.unpack("<I", content[end : end + tfrecords.FOOTER_SIZE])
        if tfrecords.masked_crc(data) != stored:
            raise ValueError(
                f"record {index} at byte {span.offset} of "
                f"{self.paths[span.file_index]} does not match its checksum: the file "
                "is damaged; prepare the dataset again."
            )
        return data


def _state(file: BinaryIO) -> tuple[int, int]:
    """Size and time of the last change, of an open file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _map_file(file: BinaryIO) -> mmap.mmap | bytes:
    """The content of a file, mapped; an empty file cannot be mapped."""
    if os.fstat(file.fileno()).st_size == 0:
        return b""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
