"""The record schema: one example of a dataset as bytes.

A record is a `tf.train.Example` with the float32 lists that
`ddsp.training.data.TFRecordProvider` reads, and three keys that ride along.
"""

from collections.abc import Mapping

import numpy as np

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
