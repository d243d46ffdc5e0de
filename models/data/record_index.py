"""Random access to TFRecord files: where each record lies, and its bytes on demand.

`tf.data.TFRecordDataset` only reads forwards, so a run that goes on at batch 90000
would have to read 90000 batches first, and a shuffle is only as good as its buffer. An
index of offsets costs 12 bytes of reading a record and 8 bytes of memory, and gives
exact shuffling and exact resumption at any position, for datasets larger than memory
too: the operating system's page cache is the only copy.

Training reads records through TensorFlow alone, which checks each record's checksum: a
Python function that waits for a disk would hold up the end of the program. The files
are held open, so a dataset that is replaced while training runs does not reach it; one
that is written over is noticed by `check_unchanged`.
"""

import mmap
import os
import pathlib
import resource
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from prep import errors
from prep.dataset import tfrecords

VERIFIED_SIZE = 1 << 30  # bytes of a dataset that are all read when it is opened
_READ_SIZE = 1 << 18  # bytes that TensorFlow reads at once
_DESCRIPTORS = pathlib.Path("/proc/self/fd")  # of Linux: a name for each open file
SPARE_DESCRIPTORS = 256  # for everything else that a training opens


class DatasetChangedError(errors.InputError, ValueError):
    """A dataset that was damaged or written over after it was opened."""


class TooManyFilesError(errors.InputError, ValueError):
    """A dataset of more files than this account may hold open."""


def allow_open_files(n_files: int) -> None:
    """Raises this process's limit of open files to what so many more need.

    A limit of 1024, as most systems begin with, is that of a dataset of 25 GB.

    Raises:
        TooManyFilesError: If the system does not allow it.
    """
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = len(os.listdir(_DESCRIPTORS)) if _DESCRIPTORS.is_dir() else 0
    needed = n_open + n_files + SPARE_DESCRIPTORS
    if needed <= limit or limit == resource.RLIM_INFINITY:
        return
    if most != resource.RLIM_INFINITY and needed > most:
        raise TooManyFilesError(
            f"the dataset has {n_files} files, and this account may hold {most} open "
            f"where {needed} are needed; raise `ulimit -Hn`, or prepare the dataset "
            "again with fewer --n_shards."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))


class RecordIndex:
    """The records of some TFRecord files, in file order, readable in any order."""

    def __init__(self, paths: Sequence[pathlib.Path]):
        """Indexes uncompressed TFRecord files.

        Args:
            paths: The files; their order is the order of the records.

        Raises:
            FileNotFoundError: If a file is missing.
            TooManyFilesError: If the system does not allow so many open files.
            ValueError: If a file is not a whole, uncompressed TFRecord file, or, in
                datasets up to `VERIFIED_SIZE`, if a record's data is damaged.
        """
        self.paths = list(paths)
        allow_open_files(len(self.paths))
        self._files = [open(path, "rb") for path in self.paths]
        self._states = [_state(file) for file in self._files]
        found = [
            _find_offsets(file, path)
            for file, path in zip(self._files, self.paths, strict=True)
        ]
        # Where each record begins in its file, and the number of each file's first.
        self._offsets = np.concatenate([np.zeros(0, np.int64), *found])
        self._first = np.cumsum([0, *(len(offsets) for offsets in found)])

        if sum(size for size, _ in self._states) <= VERIFIED_SIZE:
            for index in range(len(self)):
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
        # Made outside of the graph, which then holds no copy of its own.
        with tf.init_scope():
            offsets, names = tf.constant(self._offsets), tf.constant(self._names())
            first = tf.constant(self._first)
        file_index = tf.searchsorted(first, index[tf.newaxis], side="right") - 1
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.gather(names, file_index),
            compression_type="",
            buffer_size=tf.constant(_READ_SIZE, tf.int64),
            byte_offsets=tf.gather(offsets, index[tf.newaxis]),
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
        return len(self._offsets)

    def read(self, index: int) -> bytes:
        """The data of one record, its checksum verified.

        Raises:
            ValueError: If the data on disk does not match its checksum.
        """
        file_index = int(np.searchsorted(self._first, index, side="right")) - 1
        begin, end = int(self._offsets[index]), self._states[file_index][0]
        if index + 1 < self._first[file_index + 1]:
            end = int(self._offsets[index + 1])
        # Not from a map: where a file has been cut off, a map kills the process.
        content = os.pread(self._files[file_index].fileno(), end - begin, begin)
        return tfrecords.check_record(
            content, path=self.paths[file_index], offset=begin, number=index
        )


def _state(file: BinaryIO) -> tuple[int, int]:
    """Size and time of the last change, of an open file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _find_offsets(file: BinaryIO, path: pathlib.Path) -> np.ndarray:
    """Where each record of a file begins; an empty file, which has no map, has none."""
    if os.fstat(file.fileno()).st_size == 0:
        return np.zeros(0, np.int64)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return np.asarray(tfrecords.find_offsets(content, path), np.int64)
