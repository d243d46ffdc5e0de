"""The provider of prepared datasets: shapes, order, resumption, refusals."""

import itertools
import json
import os
import resource
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from ddsp.training import data as ddsp_data

from models.data import provider as data_provider
from models.data import record_index
from prep.dataset import info
from prep.dataset import tfrecords
from tests.helpers import training_helpers

N_TRAIN = 6


@pytest.fixture(scope="module")
def dataset_dir(tmp_path_factory):
    return training_helpers.write_dataset(tmp_path_factory.mktemp("set") / "data")


def _order(dataset, n_batches):
    indices = [batch["example_index"].numpy() for batch in dataset.take(n_batches)]
    return np.concatenate(indices).tolist()


def test_batches_have_the_documented_shapes(dataset_dir):
    provider = data_provider.PreparedDataset(dataset_dir)
    batch = next(iter(provider.batches(2)))
    shapes = {key: tuple(value.shape) for key, value in batch.items()}
    assert shapes == {
        "audio": (2, 8000),
        "f0_hz": (2, 125, 1),
        "f0_confidence": (2, 125, 1),
        "loudness_db": (2, 125, 1),
        "power_db": (2, 125, 1),
        "example_index": (2,),
    }


def test_examples_are_what_ddsps_provider_reads(tmp_path):
    """Parity with TFRecordProvider, which only takes whole seconds."""
    dataset_dir = training_helpers.write_dataset(tmp_path / "data", example_secs=1.0)
    stock = ddsp_data.TFRecordProvider(
        str(dataset_dir / "train.tfrecord-*"), example_secs=1
    )
    stock_audio = {
        example["audio"].numpy().tobytes(): example["loudness_db"].numpy()
        for example in stock.get_dataset(shuffle=False)
    }
    ours = data_provider.PreparedDataset(dataset_dir).examples(range(N_TRAIN))
    assert len(stock_audio) == N_TRAIN
    for audio, loudness in zip(ours["audio"], ours["loudness_db"], strict=True):
        np.testing.assert_array_equal(stock_audio[audio.tobytes()], loudness[:, 0])


def test_each_epoch_holds_every_example_once_in_its_own_order(dataset_dir):
    order = _order(data_provider.PreparedDataset(dataset_dir, seed=3).batches(2), 9)
    epochs = [order[i : i + N_TRAIN] for i in range(0, len(order), N_TRAIN)]
    assert all(sorted(epoch) == list(range(N_TRAIN)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_order_follows_from_the_seed(dataset_dir):
    first, again, other = (
        _order(data_provider.PreparedDataset(dataset_dir, seed=seed).batches(2), 6)
        for seed in (3, 3, 4)
    )
    assert first == again != other


@pytest.mark.parametrize("start", [1, 4, 7, 3000])
def test_starting_later_gives_what_would_have_come(dataset_dir, start):
    """Batches of 4 run across the ends of epochs of 6."""
    provider = data_provider.PreparedDataset(dataset_dir, seed=1)
    begun = provider.batches(4, start_batch=start)
    if start < 100:
        whole = _order(provider.batches(4), start + 3)[4 * start :]
        assert _order(begun, 3) == whole
    else:
        epoch = 4 * start // N_TRAIN
        own = list(provider._epoch(epoch, shuffle=True).as_numpy_iterator())
        assert _order(begun, 1) == own[4 * start % N_TRAIN :][:4]


def test_workers_rows_make_up_the_joint_batch(dataset_dir):
    provider = data_provider.PreparedDataset(dataset_dir, seed=5)
    joint = _order(provider.batches(4), 3)
    left = _order(provider.batches(4, rows=(0, 2)), 3)
    right = _order(provider.batches(4, rows=(2, 4)), 3)
    rows = [left[i : i + 2] + right[i : i + 2] for i in range(0, len(left), 2)]
    assert list(itertools.chain(*rows)) == joint


def test_ids_name_the_recording(dataset_dir):
    provider = data_provider.PreparedDataset(dataset_dir, "eval")
    ids = provider.example_ids([0, 1])
    assert ids[0] == data_provider.ExampleId("tone-6", 3.0)
    assert ids[1].recording_id == "tone-7"


def test_get_batch_keeps_the_last_batch_when_asked(dataset_dir):
    provider = data_provider.PreparedDataset(dataset_dir)
    batches = provider.get_batch(4, shuffle=False, repeats=1, drop_remainder=False)
    assert [len(batch["audio"]) for batch in batches] == [4, 2]


def test_spread_indices_cover_the_split(dataset_dir):
    provider = data_provider.PreparedDataset(dataset_dir)
    assert provider.spread_indices(3) == [1, 3, 5]
    assert provider.spread_indices(100) == list(range(N_TRAIN))


def test_max_examples_limits_what_is_read(dataset_dir):
    provider = data_provider.PreparedDataset(dataset_dir, max_examples=1)
    assert set(_order(provider.batches(1), 4)) == {0}


def _edit_info(directory, **changes):
    path = directory / "dataset_info.json"
    fields = json.loads(path.read_text())
    fields.update(changes)
    path.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("break_it", "error", "message"),
    [
        (lambda d: (d / "COMPLETED").unlink(), FileNotFoundError, "not finished"),
        (lambda d: (d / "dataset_info.json").unlink(), FileNotFoundError, "ddsp_prep"),
        (lambda d: (d / "dataset_info.json").write_text("{"), ValueError, "not valid"),
        (lambda d: _edit_info(d, n_samples=7999), ValueError, "contradicts itself"),
        (lambda d: _edit_info(d, splits={}), ValueError, "split 'train' is not in"),
        (
            lambda d: [path.unlink() for path in d.glob("train.*")],
            FileNotFoundError,
            "not whole",
        ),
        (
            lambda d: next(d.glob("train.*")).write_bytes(b"x" * 40),
            ValueError,
            "not a whole",
        ),
        (lambda d: next(d.glob("train.*")).unlink(), ValueError, "says 6"),
    ],
    ids=["unfinished", "none", "json", "lengths", "split", "files", "damage", "count"],
)
def test_broken_datasets_are_refused_with_a_reason(tmp_path, break_it, error, message):
    directory = training_helpers.write_dataset(tmp_path / "data")
    break_it(directory)
    with pytest.raises(error, match=message):
        data_provider.PreparedDataset(directory)


def test_empty_eval_split_is_refused(tmp_path):
    directory = training_helpers.write_dataset(tmp_path / "data", n_eval=0)
    with pytest.raises(ValueError, match=r"'eval' split .* is empty"):
        data_provider.PreparedDataset(directory, "eval")


def test_batch_larger_than_the_split_is_refused(dataset_dir):
    with pytest.raises(ValueError, match=r"batch_size=7 is larger .* has 6 examples"):
        data_provider.PreparedDataset(dataset_dir).batches(7)


def test_info_gives_the_macros_of_training(dataset_dir):
    macros = info.read_dataset_info(dataset_dir).macros()
    assert macros["N_SAMPLES"] == 8000
    assert macros["TIME_STEPS"] == 125
    assert macros["EXAMPLE_SECS"] == 0.5
    assert macros["N_SAMPLES"] * macros["FRAME_RATE"] == 125 * macros["SAMPLE_RATE"]


def test_a_changed_byte_in_a_record_is_found(tmp_path, monkeypatch):
    path = tmp_path / "a.tfrecord"
    content = bytearray(
        tfrecords.frame_record(b"first") + tfrecords.frame_record(b"2nd")
    )
    content[tfrecords.HEADER_SIZE] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"record 0 .* does not match its checksum"):
        record_index.RecordIndex([path])
    monkeypatch.setattr(record_index, "VERIFIED_SIZE", 10)  # a large dataset: when read
    index = record_index.RecordIndex([path])
    assert index.read(1) == b"2nd"
    with pytest.raises(ValueError, match=r"record 0 .* does not match its checksum"):
        index.read(0)


def test_records_of_several_files_are_found_by_number(tmp_path):
    paths = [tmp_path / f"{name}.tfrecord" for name in "abcd"]
    for path, words in zip(paths, ([], [b"0", b"one"], [], [b"2"]), strict=True):
        path.write_bytes(b"".join(map(tfrecords.frame_record, words)))
    index = record_index.RecordIndex(paths)
    assert [index.read(i) for i in range(len(index))] == [b"0", b"one", b"2"]
    order = tf.data.Dataset.from_tensor_slices(np.array([2, 0, 1], np.int64))
    read = [one.numpy() for one in order.flat_map(index.dataset_of)]
    assert read == [b"2", b"0", b"one"]


@pytest.mark.slow
def test_an_index_holds_a_few_bytes_a_record(tmp_path):
    path, n_records = tmp_path / "a.tfrecord", 50_000
    path.write_bytes(tfrecords.frame_record(b"x") * n_records)
    tracemalloc.start()
    index = record_index.RecordIndex([path])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index) == n_records
    assert held < 10 * n_records  # eight bytes each; a Python object would be 100


@pytest.fixture
def open_files(monkeypatch):
    """A limit of open files that is only written down; [limit, most]."""
    limits = [100, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(
        resource, "setrlimit", lambda _, new: limits.__setitem__(0, new[0])
    )
    return limits


def test_limit_of_open_files_is_raised_for_many_files(open_files):
    record_index.allow_open_files(1000)
    spare = record_index.SPARE_DESCRIPTORS
    assert 1000 + spare <= open_files[0] < 2000  # one each
    before = list(open_files)
    record_index.allow_open_files(10)
    assert open_files == before


def test_more_files_than_may_be_open_are_one_sentence(open_files):
    with pytest.raises(record_index.TooManyFilesError, match=r"4000 files.* 4096 open"):
        record_index.allow_open_files(4000)


def test_our_frames_are_tensorflows(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(tfrecords.frame_record(b"one") + tfrecords.frame_record(b""))
    read = [item.numpy() for item in tf.data.TFRecordDataset(str(path))]
    assert read == [b"one", b""]


def _damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    with open(path, "r+b") as file:  # in place: the same file
        file.write(content)


def test_single_examples_are_those_of_the_batches(tmp_path):
    directory = training_helpers.write_dataset(tmp_path / "data", n_train=5, n_shards=2)
    dataset = data_provider.PreparedDataset(directory, with_end_frame=True)
    dataset.add_companions({"more": np.arange(10.0).reshape(5, 2)})
    (batch,) = dataset.get_batch(5, shuffle=False, repeats=1)
    found = dataset.examples([4, 0])
    assert list(found) == list(batch)
    for key, values in batch.items():
        assert found[key].dtype == values.numpy().dtype
        np.testing.assert_array_equal(found[key], values.numpy()[[4, 0]], key)


def test_a_dataset_that_is_replaced_while_open_is_read_as_it_was(tmp_path):
    directory = training_helpers.write_dataset(tmp_path / "data", n_train=4)
    dataset = data_provider.PreparedDataset(directory)
    before = dataset.examples([0, 3])
    for path in directory.glob("train.tfrecord-*"):
        path.unlink()
        path.write_bytes(b"another dataset")
    after = dataset.examples([0, 3])
    np.testing.assert_array_equal(before["audio"], after["audio"])
    dataset.check_unchanged()


def _cut(path):
    """In place: a map of it would take the process down."""
    os.truncate(path, 100)


@pytest.mark.parametrize("spoil", [_damage, _cut])
def test_a_dataset_that_is_damaged_while_open_is_refused(tmp_path, monkeypatch, spoil):
    """Also one that is too large to be verified when it is opened."""
    monkeypatch.setattr(record_index, "VERIFIED_SIZE", 0)
    directory = training_helpers.write_dataset(tmp_path / "data", n_train=2, n_shards=1)
    dataset = data_provider.PreparedDataset(directory)
    spoil(next(directory.glob("train.tfrecord-*")))
    with pytest.raises(record_index.DatasetChangedError, match="prepare the dataset"):
        dataset.examples([0, 1])
    with pytest.raises(record_index.DatasetChangedError, match="was changed while"):
        dataset.check_unchanged()
