"""TensorBoard's event files, cut back to the step that a run goes on from."""

import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.util import event_pb2


def drop_after(path: pathlib.Path, step: int) -> None:
    """Removes the events of later steps from an event file, in one step.

    A last event that a kill cut short goes too; without an event that counts the file
    is deleted.

    Args:
        path: The file.
        step: The last step that stays; -1 leaves none.
    """
    all_events = list(_whole_events(path))
    kept = [data for data, at in all_events if at <= step]
    if len(kept) == len(all_events):
        return
    if step < 0 or not kept:
        path.unlink()
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # TensorBoard skips it
    with tf.io.TFRecordWriter(str(aside)) as writer:
        for data in kept:
            writer.write(data)
    os.replace(aside, path)


def _whole_events(path: pathlib.Path) -> Iterator[tuple[bytes, int]]:
    """Serialised events and their steps, up to where a file is damaged."""
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            data = record.numpy()
            yield data, event_pb2.Event.FromString(data).step
    except tf.errors.DataLossError:
        return
