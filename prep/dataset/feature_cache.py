"""Cached features of a segment: an array and, behind it, a checksum of its bytes.

NumPy reads the array and stops before the checksum. Entries are not flushed to the disk
one by one: the checksum tells what a machine that lost its power has left.
"""

import io
import pathlib
import struct

import google_crc32c
import numpy as np

from prep.dataset import layout as dataset_layout

_MARK = b"crc32c"
_FOOTER = struct.Struct("<6sI")  # mark, checksum of all before


def write(path: pathlib.Path, features: np.ndarray, *, temporary: pathlib.Path) -> None:
    """Writes an entry, whole or not at all.

    Args:
        path: Of the entry.
        features: float32, shape [3, n_frames].
        temporary: Folder for unfinished files.
    """
    buffer = io.BytesIO()
    np.save(buffer, features)
    content = buffer.getvalue()
    with dataset_layout.replacing(path, temporary, flush=False) as unfinished:
        footer = _FOOTER.pack(_MARK, google_crc32c.value(content))
        unfinished.write_bytes(content + footer)


def read(path: pathlib.Path) -> np.ndarray | None:
    """Reads an entry; None if there is none, or if it is damaged.

    Returns:
        float32, shape [3, n_frames].
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    body, footer = content[: -_FOOTER.size], content[-_FOOTER.size :]
    if footer != _FOOTER.pack(_MARK, google_crc32c.value(body)):
        return None
    return np.load(io.BytesIO(body), allow_pickle=False)
