import json

import gin
import numpy as np
import pytest
import tensorflow as tf
from ddsp.training import data

from prep import features
from prep.dataset import records
from prep.dataset import tfrecords
from tests.helpers import prep_helpers


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    prep_helpers.write_tones(folder / "in", [4.0, 9.0, 6.3], rate=44100, suffix=".flac")
    prep_helpers.prepare(folder / "in", folder / "out", example_secs=2.0)
    return folder / "out"


def test_tensorflow_reads_what_was_encoded(rng):
    arrays = {
        k: rng.standard_normal(300).astype(np.float32) for k in records.FLOAT_KEYS
    }
    ours = records.encode_example(
        arrays, recording_id="0a1b", start_secs=1.25, transpose_cents=-50.0
    )
    example = tf.train.Example.FromString(ours)
    assert len(example.SerializeToString()) == len(ours)  # nothing unknown in it
    assert len(example.features.feature) == 9
    feature = example.features.feature
    assert feature["recording_id"].bytes_list.value[0] == b"0a1b"
    assert feature["start_secs"].float_list.value[0] == 1.25
    assert feature["transpose_cents"].float_list.value[0] == -50.0
    for key, values in arrays.items():
        np.testing.assert_array_equal(feature[key].float_list.value, values)


def test_file_is_what_tensorflow_reads(tmp_path):
    written = [b"", b"x" * 1000, bytes(range(256))]
    tfrecords.write_records(tmp_path / "a", written)
    read = [r.numpy() for r in tf.data.TFRecordDataset(str(tmp_path / "a"))]
    assert read == written
    with tf.io.TFRecordWriter(str(tmp_path / "b")) as writer:
        for record in written:
            writer.write(record)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_ddsp_provider_reads_every_example(dataset):
    info = json.loads((dataset / "dataset_info.json").read_text())
    for split in ("train", "eval"):
        provider = data.TFRecordProvider(
            str(dataset / info["splits"][split]["file_pattern"]),
            example_secs=int(info["example_secs"]),
            sample_rate=info["sample_rate"],
            frame_rate=info["frame_rate"],
        )
        examples = list(provider.get_dataset(shuffle=False))
        assert len(examples) == info["splits"][split]["n_examples"] > 0
        assert examples[0]["f0_hz"].shape == (info["n_frames"],)


def test_generated_gin_configures_the_stock_provider(dataset):
    with gin.unlock_config():
        gin.clear_config()
        gin.parse_config_file(str(dataset / "dataset.gin"))
        provider = gin.get_configurable("TFRecordProvider")()
        assert gin.query_parameter("%N_SAMPLES") == 32000
        assert gin.query_parameter("%TIME_STEPS") == 500
        gin.clear_config()
    assert next(iter(provider.get_dataset()))["audio"].shape == (32000,)


def test_examples_hold_the_recording_and_its_features(dataset):
    """Each example equals the same span of the recording, resampled as a whole."""
    from prep.recordings import decode

    info = json.loads((dataset / "dataset_info.json").read_text())
    whole = {}
    for split in info["splits"].values():
        for recording in split["recordings"]:
            clip = decode.load_audio(dataset.parent / "in" / recording["name"], 16000)
            whole[recording["recording_id"].encode()] = features.compute_features(
                clip, tracker=prep_helpers.StubTracker()
            )
    examples = [
        e for s in ("train", "eval") for e in prep_helpers.read_examples(dataset, s)
    ]
    assert len({(e["recording_id"], float(e["start_secs"][0])) for e in examples}) == (
        len(examples)
    )
    for example in examples:
        wanted = whole[example["recording_id"]]
        start = round(float(example["start_secs"][0]) * 250)
        np.testing.assert_array_equal(
            example["audio"], wanted["audio"][start * 64 : start * 64 + 32000]
        )
        np.testing.assert_array_equal(example["audio"], example["audio_16k"])
        for key in ("f0_hz", "f0_confidence", "loudness_db", "power_db"):
            np.testing.assert_array_equal(
                example[key], wanted[key][start : start + 500]
            )


@pytest.mark.parametrize("sample_rate, frame_rate", [(44100, 100), (48000, 250)])
def test_both_rates_of_an_example_tell_the_same_time(tmp_path, sample_rate, frame_rate):
    prep_helpers.write_tones(tmp_path / "in", [3.0, 5.0], rate=sample_rate)
    prep_helpers.prepare(
        tmp_path / "in",
        tmp_path / "out",
        sample_rate=sample_rate,
        frame_rate=frame_rate,
    )
    from prep.recordings import resample

    for example in prep_helpers.read_examples(tmp_path / "out", "train"):
        assert len(example["audio"]) == sample_rate
        down = resample.resample_audio(example["audio"], sample_rate, out_rate=16000)
        middle = slice(1000, -1000)
        np.testing.assert_allclose(
            down[middle], example["audio_16k"][middle], atol=2e-4
        )


def test_center_framing_has_the_frame_that_ddsp_expects(tmp_path):
    prep_helpers.write_tones(tmp_path / "in", [3.0, 5.0])
    prep_helpers.prepare(tmp_path / "in", tmp_path / "out", framing="ddsp_center")
    provider = data.TFRecordProvider(
        str(tmp_path / "out" / "train.tfrecord-*"), example_secs=1, centered=True
    )
    assert next(iter(provider.get_dataset()))["f0_hz"].shape == (251,)
