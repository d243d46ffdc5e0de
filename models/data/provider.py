"""The data provider of prepared datasets: exact shapes, exact order, exact resumption.

An epoch's order is a permutation drawn from (seed, epoch) alone, and the n-th batch is
a function of n: a run that goes on at batch n sees what an uninterrupted run sees, at
no cost. Batches run across the end of an epoch, so no example is left out.

Features get their channel axis here, once: `f0_hz`, `f0_confidence`, `loudness_db`,
`power_db` are [batch, n_frames, 1]; `audio` is [batch, n_samples]; `example_index`
[batch] tells which examples a batch holds (`example_ids` names them). Records of
earlier versions have no `power_db`: it is then measured from their audio at 16 kHz.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf
from ddsp.training import data

from models.data import power
from models.data import record_index
from prep.dataset import info
from prep.dataset import records

FRAME_KEYS = ("f0_hz", "f0_confidence", "loudness_db", "power_db")
# Functions of the pipeline are traced as they stand: rewriting their branches and loops
# for tensors takes a second at each start, and they have none over tensors.
_as_written = tf.autograph.experimental.do_not_convert


@dataclasses.dataclass(frozen=True)
class ExampleId:
    """Where an example comes from: the recording, and its start in seconds."""

    recording_id: str
    start_secs: float


@gin.register(module="models.data")
class PreparedDataset(data.DataProvider):
    """Reads a dataset that `ddsp_prep` wrote; rates and lengths come from it.

    Attributes:
        info: Its facts, at the frame rate that is read.
        every: How many of the dataset's frames there are to one that is read.
    """

    def __init__(
        self,
        data_dir: str | pathlib.Path = "data",
        split: str = "train",
        *,
        seed: int = 0,
        max_examples: int | None = None,
        include_audio_16k: bool = False,
        require_completed: bool = True,
        frame_rate: int | None = None,
        with_end_frame: bool = False,
    ):
        """Opens a split.

        Args:
            data_dir: Directory of the dataset.
            split: 'train' or 'eval'.
            seed: Decides the order of the examples; of a run it is the run's own
                (`ddsp_run --seed`), whatever is bound.
            max_examples: Use only the first so many, e.g. 1 to overfit a single
                example; None uses all.
            include_audio_16k: Whether `audio_16k` is in the batches. No model needs it
                and it is as large as `audio`.
            require_completed: Refuse a dataset whose preparation did not finish.
            frame_rate: Frames a second to read, the dataset's over a whole number;
                None reads all.
            with_end_frame: Whether the last frame comes twice, for models of ddsp that
                want a frame at the very end of the audio too.

        Raises:
            FileNotFoundError: If the dataset or its files are missing or unfinished.
            ValueError: If there is no such split, if it is empty or damaged, if
                `max_examples` is below 1, or if the dataset's frames hold no such
                `frame_rate`.
        """
        written = info.read_dataset_info(data_dir, require_completed=require_completed)
        self.info = written.at_frame_rate(frame_rate) if frame_rate else written
        self._n_written = written.n_frames
        self.every = written.frame_rate // self.info.frame_rate
        self.with_end_frame = with_end_frame
        super().__init__(self.info.sample_rate, self.info.frame_rate)
        self.split = split
        self.seed = seed
        self.include_audio_16k = include_audio_16k
        self._require_completed = require_completed
        self._companions: dict[str, np.ndarray] = {}
        self._records = record_index.RecordIndex(self.info.record_paths(split))
        self.n_examples = len(self._records)
        self._check_counts(max_examples)
        if max_examples is not None:
            self.n_examples = min(max_examples, self.n_examples)

    def _check_counts(self, max_examples: int | None) -> None:
        if max_examples is not None and max_examples < 1:
            raise ValueError(
                f"max_examples={max_examples}; at least 1, or None for all."
            )
        stated = self.info.n_examples(self.split)
        if self.n_examples != stated:
            raise ValueError(
                f"the {self.split!r} split of {self.info.data_dir} holds "
                f"{self.n_examples} examples where {info.INFO_NAME} says "
                f"{stated}; prepare it again with --overwrite."
            )
        if not self.n_examples:
            raise ValueError(
                f"the {self.split!r} split of {self.info.data_dir} is empty; prepare "
                "more recordings, or a larger --eval_split_fraction for an empty eval "
                "split."
            )

    def other_split(self, split: str) -> "PreparedDataset":
        """Opens another split of the dataset, read alike."""
        return PreparedDataset(
            self.info.data_dir,
            split,
            include_audio_16k=self.include_audio_16k,
            require_completed=self._require_completed,
            frame_rate=self.info.frame_rate,
            with_end_frame=self.with_end_frame,
        )

    # ---- what ddsp's runner calls ----

    def get_dataset(self, shuffle: bool = True) -> tf.data.Dataset:
        """One pass over the examples, unbatched, as ddsp's providers return it."""
        return self._read(self._epoch(0, shuffle=shuffle))

    def get_batch(
        self,
        batch_size: int,
        shuffle: bool = True,
        repeats: int = -1,
        drop_remainder: bool = True,
    ) -> tf.data.Dataset:
        """Batches in ddsp's manner; each repetition is shuffled anew.

        Raises:
            ValueError: If a batch is larger than what there is to fill it.
        """
        if drop_remainder:
            self.check_batch_size(batch_size, repeats=repeats)
        indices = self._indices(shuffle=shuffle, n_epochs=repeats)
        dataset = self._read(indices)
        return dataset.batch(batch_size, drop_remainder).prefetch(tf.data.AUTOTUNE)

    # ---- what our loop and our evaluation call ----

    def batches(
        self,
        batch_size: int,
        *,
        start_batch: int = 0,
        shuffle: bool = True,
        rows: tuple[int, int] | None = None,
    ) -> tf.data.Dataset:
        """Endless batches, from any position on.

        Args:
            batch_size: Examples in a (joint) batch.
            start_batch: How many batches to pass over, at no cost.
            shuffle: Whether each epoch has its own order.
            rows: Which rows of each joint batch to read, [start, end): a worker's part.

        Returns:
            Dataset of dicts; see the module docstring for keys and shapes.
        """
        self.check_batch_size(batch_size)
        start = start_batch * batch_size
        indices = self._indices(shuffle=shuffle, start=start)
        if rows is not None and rows != (0, batch_size):
            first, last = rows
            own = _as_written(lambda batch: batch[first:last])
            indices = indices.batch(batch_size).map(own).unbatch()
            batch_size = last - first
        dataset = self._read(indices).batch(batch_size, drop_remainder=True)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def examples(self, indices: Sequence[int]) -> dict[str, np.ndarray]:
        """Reads some examples as one batch of arrays.

        Record by record and not through a pipeline, which takes longer to be traced
        than some dozens of records to be read.
        """
        rows = []
        for index in indices:
            try:
                record = self._records.read(int(index))
            except ValueError as error:
                raise self.damage(error) from error
            row = self._parse(tf.constant(record))
            rows.append(
                {key: value.numpy() for key, value in row.items()}
                | {key: np.float32(v[index]) for key, v in self._companions.items()}
                | {"example_index": np.int64(index)}
            )
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

    def check_unchanged(self) -> None:
        """Raises `record_index.DatasetChangedError` if its files have been changed."""
        self._records.check_unchanged()

    def damage(self, error: Exception) -> record_index.DatasetChangedError:
        """The error to raise where TensorFlow met a record that is damaged."""
        said = " ".join(str(error).split())
        return record_index.DatasetChangedError(
            f"a record of the {self.split!r} split of {self.info.data_dir} does not "
            f"match its checksum ({said[:160]}); prepare the dataset again with "
            "--overwrite."
        )

    def add_companions(self, arrays: dict[str, np.ndarray]) -> None:
        """Lets batches hold more than the records do.

        Args:
            arrays: Rows of [n_examples, ...], in the order of the records; memory maps
                are read as they are used.
        """
        self._companions = dict(arrays)

    def _companions_of(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """Rows of the companions, float32."""
        keys = list(self._companions)
        if not keys:
            return {}
        rows = tf.numpy_function(
            lambda i: [np.float32(self._companions[key][i]) for key in keys],
            [index],
            [tf.float32] * len(keys),
        )
        for key, row in zip(keys, rows, strict=True):
            row.set_shape(self._companions[key].shape[1:])
        return dict(zip(keys, rows, strict=True))

    def example_ids(self, indices: Sequence[int]) -> list[ExampleId]:
        """Names the recordings of some examples, and their starts."""
        ids = []
        for index in indices:
            example = tf.train.Example.FromString(self._records.read(int(index)))
            feature = example.features.feature
            names = feature["recording_id"].bytes_list.value
            starts = feature["start_secs"].float_list.value
            ids.append(
                ExampleId(
                    recording_id=names[0].decode("utf-8") if names else f"#{index}",
                    start_secs=float(starts[0]) if starts else float("nan"),
                )
            )
        return ids

    def spread_indices(self, n_wanted: int) -> list[int]:
        """Up to `n_wanted` examples, evenly spaced through the split's recordings."""
        count = min(n_wanted, self.n_examples)
        return [(2 * i + 1) * self.n_examples // (2 * count) for i in range(count)]

    def check_batch_size(self, batch_size: int, *, repeats: int = 1) -> None:
        """Raises ValueError if a batch would hold an example twice."""
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}; at least 1.")
        if batch_size > self.n_examples * max(repeats, 1):
            raise ValueError(
                f"batch_size={batch_size} is larger than the {self.split!r} split of "
                f"{self.info.data_dir}, which has {self.n_examples} examples; say "
                f"--gin_param=batch_size={self.n_examples}, or prepare more recordings."
            )

    # ---- the pipeline ----

    def _epoch(self, epoch: int | tf.Tensor, *, shuffle: bool) -> tf.data.Dataset:
        """The example indices of one epoch, in its order."""
        indices = tf.range(self.n_examples, dtype=tf.int64)
        if shuffle:
            seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(epoch, tf.int64)])
            indices = tf.random.experimental.stateless_shuffle(indices, seed)
        return tf.data.Dataset.from_tensor_slices(indices)

    def _indices(
        self, *, shuffle: bool, n_epochs: int = -1, start: int = 0
    ) -> tf.data.Dataset:
        """Example indices of epoch after epoch, from a position on."""
        first_epoch, skipped = divmod(start, self.n_examples)
        n_epochs = np.iinfo(np.int64).max if n_epochs < 0 else first_epoch + n_epochs
        epochs = tf.data.Dataset.range(first_epoch, n_epochs)
        epoch_of = _as_written(lambda epoch: self._epoch(epoch, shuffle=shuffle))
        return epochs.flat_map(epoch_of).skip(skipped)

    def _parse(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """A serialised record → an example."""
        example = tf.io.parse_single_example(record, self.features_dict)
        audio_16k = example[self._key_16k]
        if not self.include_audio_16k:
            example.pop("audio_16k", None)
        example["power_db"] = power.measured_or(example["power_db"], audio_16k)
        for key in FRAME_KEYS:
            frames = example[key][:: self.every]
            if self.with_end_frame:
                frames = tf.concat([frames, frames[-1:]], axis=0)
            example[key] = frames[:, tf.newaxis]  # [n_frames, 1]
        return example

    def _read(self, indices: tf.data.Dataset) -> tf.data.Dataset:
        """Indices → examples, in the order given."""

        def parse(index: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
            own, more = self._parse(record), self._companions_of(index)
            return {**own, **more, "example_index": index}

        records = indices.flat_map(_as_written(self._records.dataset_of))
        return tf.data.Dataset.zip((indices, records)).map(
            _as_written(parse), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    @property
    def _key_16k(self) -> str:
        """Key of the audio at 16 kHz in a record."""
        is_16k = self.info.sample_rate == records.AUDIO_16K_RATE
        return "audio" if is_16k else "audio_16k"

    @property
    def features_dict(self) -> dict[str, tf.io.FixedLenFeature]:
        """Features of a record, with the lengths that the dataset states."""
        lengths = {"audio": self.info.n_samples}
        lengths.update(dict.fromkeys(FRAME_KEYS, self._n_written))
        if self.include_audio_16k or self._key_16k == "audio_16k":
            lengths["audio_16k"] = round(
                self.info.example_secs * records.AUDIO_16K_RATE
            )
        features = {
            key: tf.io.FixedLenFeature([length], tf.float32)
            for key, length in lengths.items()
        }
        features["power_db"] = power.optional_feature(self._n_written)
        return features
