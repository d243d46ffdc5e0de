"""Power of new and old datasets, and datasets read with fewer frames a second."""

import numpy as np
import pytest
import tensorflow as tf

from models.data import provider as data_provider
from prep.dataset import info
from prep.dataset import tfrecords
from tests.helpers import prep_helpers
from tests.helpers import training_helpers

POWER_ERROR = 1e-3  # dB, of float32 logarithms
EDGE_ERROR = 1.0  # dB, for a tone whose level drifts


@pytest.fixture(scope="module", params=[16000, 44100], ids=["16k", "44k"])
def datasets(request, tmp_path_factory):
    """A dataset of ours, and the same without power, as earlier versions wrote it."""
    folder = tmp_path_factory.mktemp("power")
    prep_helpers.write_tones(folder / "in", [5.0, 3.0], rate=request.param)
    for name in ("new", "old"):
        prep_helpers.prepare(
            folder / "in", folder / name, sample_rate=request.param, frame_rate=100
        )
    for path in (folder / "old").glob("*.tfrecord-*"):
        kept = []
        for record in tf.data.TFRecordDataset(str(path)):
            example = tf.train.Example.FromString(record.numpy())
            del example.features.feature["power_db"]
            kept.append(example.SerializeToString())
        tfrecords.write_records(path, kept)
    return folder / "new", folder / "old"


@pytest.mark.long
def test_a_dataset_without_power_gives_it_all_the_same(datasets):
    new, old = (data_provider.PreparedDataset(folder) for folder in datasets)
    written, derived = (x.examples(range(x.n_examples)) for x in (new, old))
    assert written.keys() == derived.keys()
    assert "audio_16k" not in derived
    difference = np.abs(written["power_db"] - derived["power_db"])[..., 0]
    edge = -(-512 // 160)
    assert difference[:, edge:-edge].max() < POWER_ERROR
    assert np.median(difference[:, :edge]) < EDGE_ERROR
    assert written["power_db"].std() > 0.1


def test_fewer_frames_are_every_nth(tmp_path):
    folder = training_helpers.write_dataset(tmp_path / "data")
    all_frames = data_provider.PreparedDataset(folder)
    some = data_provider.PreparedDataset(folder, frame_rate=50)
    assert (some.info.frame_rate, some.info.n_frames, some.every) == (50, 25, 5)
    assert some.info.macros()["HOP_SIZE"] == 320
    every, few = (x.examples([2, 0]) for x in (all_frames, some))
    for key in data_provider.FRAME_KEYS:
        np.testing.assert_array_equal(few[key], every[key][:, ::5])
    np.testing.assert_array_equal(few["audio"], every["audio"])

    held_out = some.other_split("eval")
    assert held_out.info.n_frames == 25
    ending = data_provider.PreparedDataset(folder, frame_rate=50, with_end_frame=True)
    longer = ending.examples([2])["f0_hz"]
    np.testing.assert_array_equal(longer[:, :-1], few["f0_hz"][:1])
    np.testing.assert_array_equal(longer[:, -1], few["f0_hz"][:1, -1])


@pytest.mark.parametrize("frame_rate", [60, 500])
def test_frames_that_are_not_there_are_refused(tmp_path, frame_rate):
    folder = training_helpers.write_dataset(tmp_path / "data")
    with pytest.raises(ValueError, match=f"--frame_rate={frame_rate}"):
        info.read_dataset_info(folder).at_frame_rate(frame_rate)
