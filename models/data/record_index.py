"""Random access to TFRecord files: where each record lies, and its bytes on demand.

`tf.data.TFRecordDataset` only reads forwards, so a run that goes on at batch 90000
would have to read 90000 batches first, and a shuffle is only as good as its buffer. An
index of offsets costs 12 bytes of reading a record and gives exact shuffling and exact
resumption at any position, for datasets larger than memory too: the operating system's
page cache is the only copy. What training reads goes through TensorFlow alone: a
Python function in its pipeline would hold up the end of the program, waiting for an
interpreter that is gone.
"""

import mmap
import pathlib
import struct
from collections.abc import Sequence

import tensorflow as tf

from prep.dataset import tfrecords

VERIFIED_SIZE = 1 << 30  # bytes of a dataset that are all read when it is opened


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
        self._maps = [_map_file(path) for path in self.paths]
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

    def dataset_of(self, index: tf.Tensor) -> tf.data.Dataset:
        """The data of one record as a dataset of one element, for `flat_map`."""
        spans = [(span.file_index, span.offset, span.length) for span in self.spans]
        sizes = tf.constant([len(content) for content in self._maps], tf.int64)
        file_index, offset, length = tf.unstack(tf.constant(spans, tf.int64)[index])
        return tf.data.FixedLengthRecordDataset(
            tf.constant([str(path) for path in self.paths])[file_index],
            record_bytes=length,
            header_bytes=offset,
            footer_bytes=sizes[file_index] - offset - length,
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


def _map_file(path: pathlib.Path) -> mmap.mmap | bytes:
    """The content of a file, mapped; an empty file cannot be mapped."""
    with open(path, "rb") as handle:
        if path.stat().st_size == 0:
            return b""
        return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
