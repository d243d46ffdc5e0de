"""The record schema, and what tells readers about it: dataset_info.json, dataset.gin.

A record is a `tf.train.Example` with the float32 lists that
`ddsp.training.data.TFRecordProvider` reads, and three keys that ride along.
"""

import os
import pathlib
import struct
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import google_crc32c
import numpy as np

from prep import features
from prep import loudness
from prep import plan as plan_lib
from prep import splits

FLOAT_KEYS = ("audio", "audio_16k", "f0_hz", "f0_confidence", "loudness_db")


def _varint(value: int) -> bytes:
    """Protocol buffers' integers: seven bits a byte, the lowest first."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _field(number: int, payload: bytes) -> bytes:
    """A protocol buffer field that carries bytes."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _feature(key: str, value: np.ndarray | bytes) -> bytes:
    """One entry of a `tf.train.Features` map; a float list, or one string of bytes."""
    if isinstance(value, bytes):
        feature = _field(1, _field(1, value))  # bytes_list.value
    else:
        packed = np.ascontiguousarray(value, "<f4").tobytes()
        feature = _field(2, _field(1, packed))  # float_list.value
    return _field(1, _field(1, key.encode()) + _field(2, feature))


def encode_example(
    arrays: Mapping[str, np.ndarray],
    *,
    recording_id: str,
    start_secs: float,
    transpose_cents: float,
) -> bytes:
    """Serialises a `tf.train.Example`; the same values give the same bytes.

    Written out here because TensorFlow takes seconds to import in every worker, and its
    Python objects take a float at a time; a test reads the bytes with TensorFlow.

    Args:
        arrays: One float32 array of shape [n] for each of `FLOAT_KEYS`.
        recording_id: Hash of the recording's content.
        start_secs: Where the example begins in the recording.
        transpose_cents: 0 for the recording as it is.
    """
    values: dict[str, np.ndarray | bytes] = {key: arrays[key] for key in FLOAT_KEYS}
    values["recording_id"] = recording_id.encode()
    values["start_secs"] = np.array([start_secs])
    values["transpose_cents"] = np.array([transpose_cents])
    features = b"".join(_feature(key, values[key]) for key in sorted(values))
    return _field(1, features)


def _masked_crc(data: bytes) -> bytes:
    """TFRecord's checksum: CRC32C, rotated by 15 bits and offset, little endian."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def write_records(path: str | os.PathLike[str], records: Iterable[bytes]) -> None:
    """Writes a TFRecord file.

    Raises:
        OSError: If the disk is full or the file cannot be written.
    """
    with open(path, "wb") as file:
        for record in records:
            length = struct.pack("<Q", len(record))
            file.write(length + _masked_crc(length) + record + _masked_crc(record))


def dataset_info(plan: plan_lib.Plan) -> dict[str, Any]:
    """What a reader needs to know, for dataset_info.json; no absolute path."""
    settings = plan.settings
    return {
        "schema_version": plan_lib.SCHEMA_VERSION,
        "sample_rate": settings.sample_rate,
        "frame_rate": settings.frame_rate,
        "hop_size": settings.hop_size,
        "example_secs": settings.example_secs,
        "hop_secs": settings.hop_secs,
        "n_samples": settings.n_samples,
        "n_samples_16k": settings.n_samples_16k,
        "n_frames": settings.feature_frames,
        "framing": settings.framing,
        "centered": settings.framing == "ddsp_center",
        "tracker": plan.tracker_id,
        "crepe_capacity": settings.crepe_capacity,
        "f0_decoder": settings.f0_decoder,
        "segment_secs": features.SEGMENT_SECS,
        "loudness_n_fft": loudness.REFERENCE_FFT,
        "loudness_sample_rate": features.CREPE_RATE,
        "voiced_confidence": settings.voiced_confidence,
        "voiced_loudness_db": settings.voiced_loudness_db,
        "min_loudness_db": settings.min_loudness_db,
        "trim_silence": settings.trim_silence,
        "normalize": settings.normalize,
        "transpose_cents": list(settings.transpose_cents),
        "eval_split_fraction": settings.eval_split_fraction,
        "plan_hash": plan.hash,
        "versions": plan.versions,
        "splits": {split: _split_info(plan, split) for split in plan.split_names()},
    }


def _split_info(plan: plan_lib.Plan, split: str) -> dict[str, Any]:
    shards = [shard for shard in plan.shards if shard.split == split]
    used = {plan.sources[source].recording for s in shards for source, _ in s.examples}
    recordings = [plan.recordings[index] for index in sorted(used)]
    return {
        "file_pattern": f"{split}.tfrecord-*-of-{len(shards):05d}",
        "n_shards": len(shards),
        "n_examples": plan.n_examples(split),
        "seconds": plan.seconds[split],
        "recordings": [
            {
                "recording_id": recording.recording_id,
                "name": recording.name.encode("utf-8", "backslashreplace").decode(),
                "seconds": round(recording.secs, 3),
            }
            for recording in recordings
        ],
    }


def dataset_gin(plan: plan_lib.Plan, output: pathlib.Path) -> str:
    """Gin macros and the stock provider's arguments, for dataset.gin.

    ddsp_run reads dataset_info.json instead and needs none of this; the file is for
    ddsp's own programs, and it names this folder: it does not move with the dataset.
    """
    settings = plan.settings
    secs = settings.example_secs
    macros = {
        "DATA_DIR": os.fspath(output),
        "SAMPLE_RATE": settings.sample_rate,
        "FRAME_RATE": settings.frame_rate,
        "HOP_SIZE": settings.hop_size,
        "N_SAMPLES": settings.n_samples,
        "TIME_STEPS": settings.feature_frames,
    }
    provider = {
        "file_pattern": os.fspath(output / f"{splits.TRAIN}.tfrecord-*"),
        "example_secs": int(secs) if float(secs).is_integer() else secs,
        "sample_rate": settings.sample_rate,
        "frame_rate": settings.frame_rate,
        "centered": settings.framing == "ddsp_center",
    }
    lines = [
        "# Rates, lengths and place of one dataset; written by prep/run_beam.py.",
        "# Required: nothing.",
        "# Commonly overridden: TFRecordProvider.file_pattern (eval.tfrecord-*).",
        "",
        *(f"{key} = {value!r}" for key, value in macros.items()),
        "",
        "import ddsp.training",
        "",
        *(f"TFRecordProvider.{key} = {value!r}" for key, value in provider.items()),
    ]
    return "\n".join(lines) + "\n"
