"""Opening a dataset of many examples for training.

python -m benchmarks.scale.examples 100000 /tmp/folder
"""

import json
import pathlib

from benchmarks.scale import stopwatch
from models.data import provider as provider_lib
from tests.helpers import training_helpers

BATCH_SIZE = 16
N_FILES = 16  # of the large dataset
EXAMPLE_SECS = 0.02  # the shortest that is a whole number of frames and samples


def measure_examples(n_items: int, folder: pathlib.Path) -> stopwatch.Measured:
    """Opens a dataset for training and takes batches."""
    n_items = _write_large_dataset(folder, n_items)
    # Imports and TensorFlow's own start do not count.
    training_helpers.write_dataset(
        folder / "small", n_train=BATCH_SIZE, example_secs=EXAMPLE_SECS
    )
    _first_batch(provider_lib.PreparedDataset(folder / "small"), start=0)
    watch = stopwatch.Stopwatch()
    before = stopwatch.memory_mb("RssAnon")
    provider = watch.run("open", lambda: provider_lib.PreparedDataset(folder / "data"))
    # Anonymous memory: the files are mapped, and the system drops their pages at will.
    held = stopwatch.memory_mb("RssAnon") - before
    watch.run("first batch", lambda: _first_batch(provider, start=0))
    middle = n_items // BATCH_SIZE // 2
    watch.run("batch amid an epoch", lambda: _first_batch(provider, start=middle))
    return watch.row(n_items, held_mb=round(held, 2))


def _first_batch(provider: provider_lib.PreparedDataset, *, start: int) -> None:
    next(iter(provider.batches(BATCH_SIZE, start_batch=start)))


def _write_large_dataset(folder: pathlib.Path, n_items: int) -> int:
    """Writes a dataset whose files repeat one example each; returns their number."""
    data = training_helpers.write_dataset(
        folder / "data", n_train=N_FILES, n_shards=N_FILES, example_secs=EXAMPLE_SECS
    )
    for path in data.glob("train.tfrecord-*"):
        path.write_bytes(path.read_bytes() * (n_items // N_FILES))
    n_items = n_items // N_FILES * N_FILES
    facts = json.loads((data / "dataset_info.json").read_text())
    facts["splits"]["train"]["n_examples"] = n_items
    (data / "dataset_info.json").write_text(json.dumps(facts))
    return n_items


if __name__ == "__main__":
    stopwatch.print_row(measure_examples)
