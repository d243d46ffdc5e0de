"""Convolution with a long impulse response, block by block, without delay.

`BlockConvolver` cuts the response into parts as long as a block and works on spectra:
good for blocks of thousands of samples. `LiveConvolver` is for blocks of a few samples:
the first part of the response is one small matrix product, the rest a `BlockConvolver`
that runs once in a while, just in time.

States are arrays that a call changes in place: a state belongs to one stream.

Source: Gardner, "Efficient convolution without input-output delay", JAES 1995.
"""

from typing import Any
from typing import Protocol

import numpy as np
import scipy.fft

HEAD_SIZE = 512  # samples, about, of a live convolver's matrix part
MAX_LIVE_BLOCK = 512  # samples; from here on spectra are cheaper for everything

ConvolverState = dict[str, Any]


class Convolver(Protocol):
    """What both convolvers offer."""

    block_size: int

    def initial_state(self) -> ConvolverState:
        """Returns the state before the first block."""
        ...

    def process(self, block: np.ndarray, state: ConvolverState) -> np.ndarray:
        """Convolves a block [block_size]; changes the state."""
        ...


def make_convolver(impulse_response: np.ndarray, block_size: int) -> Convolver:
    """The convolver that suits a block size.

    Args:
        impulse_response: [n_taps].
        block_size: Samples in every block.
    """
    if block_size <= MAX_LIVE_BLOCK:
        return LiveConvolver(impulse_response, block_size)
    return BlockConvolver(impulse_response, block_size)


class BlockConvolver:
    """Overlap-save with a partitioned response.

    Args:
        impulse_response: [n_taps].
        block_size: Samples in every block.
    """

    def __init__(self, impulse_response: np.ndarray, block_size: int):
        self.block_size = block_size
        n_parts = max(1, -(-len(impulse_response) // block_size))
        padded = np.zeros(n_parts * block_size, np.float32)
        padded[: len(impulse_response)] = impulse_response
        parts = padded.reshape(n_parts, block_size)
        self._n_fft = scipy.fft.next_fast_len(2 * block_size, real=True)
        spectra = scipy.fft.rfft(parts, self._n_fft, axis=1)
        # Twice, newest last: any rotation of a ring of inputs is one slice away.
        self._parts = np.concatenate([spectra, spectra])[::-1].copy()
        self._n_parts = n_parts
        self._products = np.empty_like(spectra)

    def initial_state(self) -> ConvolverState:
        """Silence."""
        shape = (self._n_parts, self._parts.shape[1])
        return {
            "previous": np.zeros(self.block_size, np.float32),
            "ring": np.zeros(shape, np.complex64),
            "newest": 0,
        }

    def process(self, block: np.ndarray, state: ConvolverState) -> np.ndarray:
        """Convolves a block.

        Args:
            block: float32, [block_size].
            state: Of this stream; changed.

        Returns:
            float32, [block_size].
        """
        joined = np.concatenate([state["previous"], block])
        state["previous"] = np.array(block)
        slot = state["newest"] = (state["newest"] + 1) % self._n_parts
        state["ring"][slot] = scipy.fft.rfft(joined, self._n_fft)
        # Part p belongs to the input of p blocks ago, in slot newest - p.
        start = self._n_parts - 1 - slot
        parts = self._parts[start : start + self._n_parts]
        # A third of what einsum takes, whose loop over complex numbers is a plain one.
        spectrum = np.multiply(parts, state["ring"], out=self._products).sum(axis=0)
        size = self.block_size
        return scipy.fft.irfft(spectrum, self._n_fft)[size : 2 * size]


class LiveConvolver:
    """A matrix product for the near past, spectra for the rest.

    Args:
        impulse_response: [n_taps].
        block_size: Samples in every block.
    """

    def __init__(self, impulse_response: np.ndarray, block_size: int):
        self.block_size = block_size
        self._head_size = max(1, HEAD_SIZE // block_size) * block_size
        head = np.zeros(self._head_size, np.float32)
        first = impulse_response[: self._head_size]
        head[: len(first)] = first
        rows = [
            np.pad(head[::-1], (row, block_size - 1 - row)) for row in range(block_size)
        ]
        self._matrix = np.stack(rows)  # [block_size, head_size + block_size - 1]
        rest = impulse_response[self._head_size :]
        self._tail = BlockConvolver(rest, self._head_size) if len(rest) else None

    def initial_state(self) -> ConvolverState:
        """Silence."""
        return {
            "recent": np.zeros(self._matrix.shape[1], np.float32),
            "position": 0,
            "ringing": np.zeros(self._head_size, np.float32),
            "tail": self._tail.initial_state() if self._tail else None,
        }

    def process(self, block: np.ndarray, state: ConvolverState) -> np.ndarray:
        """Convolves a block; see `BlockConvolver.process`."""
        recent, size = state["recent"], self.block_size
        recent[:-size] = recent[size:]
        recent[-size:] = block
        output = self._matrix @ recent
        if self._tail is None:
            return output
        position = state["position"]
        output += state["ringing"][position : position + size]
        position += size
        if position == self._head_size:
            position = 0
            newest = recent[-self._head_size :]
            state["ringing"] = self._tail.process(newest, state["tail"])
        state["position"] = position
        return output
