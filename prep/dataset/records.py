"""The record schema: one example of a dataset as bytes.

A record is a `tf.train.Example` with the float32 lists that
`ddsp.training.data.TFRecordProvider` reads, `power_db` as ddsp's preprocessors of power
read it (records of earlier versions lack it), and keys that ride along: `recording_id`,
`start_secs`, `transpose_cents`, and in an example of several recordings `source_ids`,
`source_begin_secs` and `source_end_secs`, a value a recording.
"""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from prep import loudness
from prep import settings as settings_lib

POWER_FRAME = loudness.POWER_FRAME  # samples at 16 kHz whose RMS is `power_db`
AUDIO_16K_RATE = settings_lib.CREPE_RATE  # samples a second of `audio_16k`
MIN_DB = loudness.MIN_DB  # dB, floor of `loudness_db` and `power_db`
FLOAT_KEYS = (
    *("audio", "audio_16k"),
    *("f0_hz", "f0_confidence", "loudness_db", "power_db"),
)


@dataclasses.dataclass(frozen=True)
class SourceSpan:
    """A recording in an example, and where it begins and ends there, s."""

    recording_id: str
    begin_secs: float
    end_secs: float


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


def _feature(key: str, value: np.ndarray | Sequence[bytes]) -> bytes:
    """One entry of a `tf.train.Features` map; a list of floats, or of bytes."""
    if not isinstance(value, np.ndarray):
        listed = b"".join(_field(1, one) for one in value)
        feature = _field(1, listed)  # bytes_list.value
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
    sources: Sequence[SourceSpan] = (),
) -> bytes:
    """Serialises a `tf.train.Example`; the same values give the same bytes.

    Written out here because TensorFlow takes seconds to import in every worker, and its
    Python objects take a float at a time; a test reads the bytes with TensorFlow.

    Args:
        arrays: One float32 array of shape [n] for each of `FLOAT_KEYS`.
        recording_id: Hash of the recording's content, or the id of a pack.
        start_secs: Where the example begins in the recording or pack.
        transpose_cents: 0 for the recording as it is.
        sources: Recordings that stand in an example of a pack; none for an example of
            one recording.
    """
    values: dict[str, np.ndarray | Sequence[bytes]] = {
        key: arrays[key] for key in FLOAT_KEYS
    }
    values["recording_id"] = [recording_id.encode()]
    values["start_secs"] = np.array([start_secs])
    values["transpose_cents"] = np.array([transpose_cents])
    if sources:
        values["source_ids"] = [one.recording_id.encode() for one in sources]
        values["source_begin_secs"] = np.array([one.begin_secs for one in sources])
        values["source_end_secs"] = np.array([one.end_secs for one in sources])
    features = b"".join(_feature(key, values[key]) for key in sorted(values))
    return _field(1, features)
