"""Small prepared datasets, made by hand, for tests of training."""

import json
import pathlib

import numpy as np
import tensorflow as tf

from prep.dataset import tfrecords

SAMPLE_RATE = 16000
FRAME_RATE = 250


def make_example(
    index: int, *, example_secs: float, sample_rate: int = SAMPLE_RATE
) -> tuple[bytes, dict[str, np.ndarray]]:
    """A harmonic tone with vibrato, its own pitch and level, as a serialised record."""
    n_frames = round(example_secs * FRAME_RATE)
    n_samples = round(example_secs * sample_rate)
    times = np.arange(n_samples) / sample_rate
    pitch = 220.0 * 2 ** ((index % 12) / 12)
    f0 = pitch * (1 + 0.01 * np.sin(2 * np.pi * 5 * times))
    phase = 2 * np.pi * np.cumsum(f0) / sample_rate
    brightness = 0.5 + 0.4 * np.sin(2 * np.pi * 1.5 * times + index)
    audio = sum(brightness ** (k - 1) * np.sin(k * phase) / k for k in range(1, 6))
    rng = np.random.default_rng(index)
    audio = 0.2 * (1 + brightness) * audio + 1e-3 * rng.normal(size=n_samples)
    hop = sample_rate // FRAME_RATE
    features = {
        "audio": audio,
        "audio_16k": np.zeros(round(example_secs * 16000)),
        "f0_hz": f0[::hop],
        "f0_confidence": np.full(n_frames, 0.9),
        "loudness_db": -30 + 10 * np.log10(0.05 + brightness[::hop]),
    }
    arrays = {key: value.astype(np.float32) for key, value in features.items()}
    fields = {
        key: tf.train.Feature(float_list=tf.train.FloatList(value=value))
        for key, value in arrays.items()
    }
    name = f"tone-{index}".encode()
    fields["recording_id"] = tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[name])
    )
    fields["start_secs"] = tf.train.Feature(
        float_list=tf.train.FloatList(value=[0.5 * index])
    )
    example = tf.train.Example(features=tf.train.Features(feature=fields))
    return example.SerializeToString(), arrays


def write_dataset(
    directory: pathlib.Path,
    *,
    n_train: int = 6,
    n_eval: int = 2,
    example_secs: float = 0.5,
    sample_rate: int = SAMPLE_RATE,
    n_shards: int = 2,
    completed: bool = True,
) -> pathlib.Path:
    """Writes a dataset in the form that `ddsp_prep` gives it."""
    directory.mkdir(parents=True, exist_ok=True)
    splits = {}
    first = 0
    for split, count, shards in (("train", n_train, n_shards), ("eval", n_eval, 1)):
        records = [
            make_example(i, example_secs=example_secs, sample_rate=sample_rate)[0]
            for i in range(first, first + count)
        ]
        first += count
        for shard in range(shards):
            path = directory / f"{split}.tfrecord-{shard:05d}-of-{shards:05d}"
            path.write_bytes(
                b"".join(map(tfrecords.frame_record, records[shard::shards]))
            )
        splits[split] = {
            "file_pattern": f"{split}.tfrecord-*",
            "n_shards": shards,
            "n_examples": count,
            "recordings": [f"tone-{i}" for i in range(first - count, first)],
            "seconds": count * example_secs,
        }
    info = {
        "schema_version": 1,
        "sample_rate": sample_rate,
        "frame_rate": FRAME_RATE,
        "hop_size": sample_rate // FRAME_RATE,
        "example_secs": example_secs,
        "n_samples": round(example_secs * sample_rate),
        "n_frames": round(example_secs * FRAME_RATE),
        "framing": "centered",
        "plan_hash": "0123abcd",
        "splits": splits,
    }
    (directory / "dataset_info.json").write_text(json.dumps(info))
    if completed:
        (directory / "COMPLETED").write_text("")
    return directory


TINY_GIN = """
include 'papers/iclr2020/tiny_instrument.gin'
RnnFcDecoder.rnn_channels = 8
RnnFcDecoder.ch = 8
RnnFcDecoder.output_splits = (('amps', 1),
                              ('harmonic_distribution', 10),
                              ('noise_magnitudes', 9))
Harmonic.n_samples = %N_SAMPLES
Harmonic.sample_rate = %SAMPLE_RATE
FilteredNoise.n_samples = %N_SAMPLES
F0LoudnessPreprocessor.time_steps = %TIME_STEPS
F0LoudnessPreprocessor.sample_rate = %SAMPLE_RATE
F0LoudnessPreprocessor.compute_loudness = False
SpectralLoss.fft_sizes = (256, 64)
Reverb.reverb_length = 800
TFRecordProvider.example_secs = %EXAMPLE_SECS
TFRecordProvider.sample_rate = %SAMPLE_RATE
train.data_provider = @models.data.PreparedDataset()
evaluate.data_provider = @eval_data/models.data.PreparedDataset()
sample.data_provider = @eval_data/models.data.PreparedDataset()
train.num_steps = 6
train.steps_per_save = 3
batch_size = 2
learning_rate = 0.003
models.loop.LoopOptions.log_every = 2
models.loop.LoopOptions.held_out_every = 3
"""


def write_tiny_gin(directory: pathlib.Path, *, more: str = "") -> pathlib.Path:
    """ddsp's own tiny instrument, made tinier, as a gin file."""
    path = directory / "tiny.gin"
    path.write_text(TINY_GIN + more)
    return path
