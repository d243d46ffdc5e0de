"""Weights as one block of bytes with a table of contents, in 32 or 8 bits.

Matrices of a decoder are stored as the page multiplies them: [n_out, n_in], a row an
output. In 8 bits each row has a scale of its own, its largest weight over 127; vectors
(biases, norms) stay in 32 bits.
"""

from __future__ import annotations

import dataclasses

import numpy as np

ALIGNMENT = 16  # bytes; a typed array must begin at a multiple of its item
MAX_I8 = 127


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a tensor lies.

    Attributes:
        name: What operations call it.
        dtype: "f32" or "i8".
        shape: As the page reads it.
        offset: Of its first byte.
        scales_offset: Of its rows' scales, float32; 0 for 32 bits.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    scales_offset: int = 0


class Packer:
    """Collects tensors.

    Args:
        eight_bits: Whether matrices are stored in 8 bits.
    """

    def __init__(self, *, eight_bits: bool = False):
        self._eight_bits = eight_bits
        self._content = bytearray()
        self.entries: list[Entry] = []

    @property
    def content(self) -> bytes:
        """All bytes so far."""
        return bytes(self._content)

    def add(self, name: str, values: np.ndarray) -> str:
        """Adds a tensor in 32 bits; returns its name."""
        numbers = np.asarray(values, "<f4")
        offset = self._append(numbers)
        self.entries.append(Entry(name, "f32", numbers.shape, offset))
        return name

    def add_matrix(self, name: str, kernel: np.ndarray) -> str:
        """Adds a kernel [n_in, n_out] of a product, transposed; returns its name."""
        rows = np.ascontiguousarray(np.asarray(kernel, np.float32).T)
        if not self._eight_bits:
            return self.add(name, rows)
        whole, scales = quantize_rows(rows)
        offset = self._append(whole)
        scales_offset = self._append(scales.astype("<f4"))
        self.entries.append(Entry(name, "i8", rows.shape, offset, scales_offset))
        return name

    def _append(self, values: np.ndarray) -> int:
        """Appends an array; returns where it begins."""
        self._content.extend(bytes(-len(self._content) % ALIGNMENT))
        offset = len(self._content)
        self._content.extend(values.tobytes())
        return offset


def quantize_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounds each row to 8 bits.

    Args:
        rows: [n_rows, n_columns].

    Returns:
        int8 of the same shape, and float32 scales [n_rows]; their product is within
        half a scale of the rows. A row of zeros has scale 1.
    """
    largest = np.abs(rows).max(axis=1)
    scales = np.where(largest > 0.0, largest / MAX_I8, 1.0).astype(np.float32)
    whole = np.rint(rows / scales[:, np.newaxis]).astype(np.int8)
    return whole, scales
