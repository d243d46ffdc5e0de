"""Chooses which channels of a recording are averaged into mono.

All are, but two kinds: a channel that is silent beside the others (one microphone of a
recorder for two) would only make the recording fainter, and channels that cancel one
another (wired out of phase) would make it silent; then the loudest is used alone.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

SILENT_DB = 40.0  # below the loudest channel, from which a channel is left out
CANCELLED_DB = 20.0  # that the average loses when channels are out of phase


@dataclasses.dataclass(frozen=True)
class ChannelChoice:
    """Channels that are averaged.

    Attributes:
        used: Their places from 0 on; empty for all.
        note: What a person should know of it; empty where all are used.
    """

    used: tuple[int, ...] = ()
    note: str = ""


class Levels:
    """Covariance of the channels, summed while blocks pass; offsets count nothing."""

    def __init__(self) -> None:
        """Begins without a sample."""
        self._n_samples = 0
        self._sums = np.zeros(0)
        self._products = np.zeros((0, 0))

    def add(self, block: np.ndarray) -> None:
        """Counts a block of finite samples, shape [n, channels]."""
        n_channels = block.shape[1]
        if n_channels == 1:
            return
        if not self._n_samples:
            self._sums = np.zeros(n_channels)
            self._products = np.zeros((n_channels, n_channels))
        exact = block.astype(np.float64)
        self._n_samples += len(block)
        self._sums += exact.sum(axis=0)
        self._products += exact.T @ exact

    def choose(self) -> ChannelChoice:
        """Decides from all blocks so far."""
        if not self._n_samples:
            return ChannelChoice()
        means = self._sums / self._n_samples
        covariance = self._products / self._n_samples - np.outer(means, means)
        powers = np.maximum(np.diag(covariance), 0.0)  # [n_channels]
        loudest = int(np.argmax(powers))
        is_loud = powers > powers[loudest] * 10 ** (-SILENT_DB / 10)
        if not is_loud.any():
            return ChannelChoice()
        used = np.flatnonzero(is_loud)
        # The power of an average is the mean of the covariances of what is averaged.
        mixed = covariance[np.ix_(used, used)].mean()
        if mixed < powers[used].mean() * 10 ** (-CANCELLED_DB / 10):
            return ChannelChoice(
                (loudest,),
                "its channels cancel each other in the downmix (out of phase?): "
                f"{_name([loudest])} of {len(powers)} is used alone",
            )
        if is_loud.all():
            return ChannelChoice()
        return ChannelChoice(
            tuple(int(place) for place in used),
            f"{_name(np.flatnonzero(~is_loud))} of {len(powers)} silent beside the "
            "others: not averaged in",
        )


def _name(places: Iterable[int]) -> str:
    """Channels as people count them."""
    numbers = [str(place + 1) for place in places]
    return f"channel{'s' * (len(numbers) > 1)} {', '.join(numbers)}"


def downmix(block: np.ndarray, used: tuple[int, ...] = ()) -> np.ndarray:
    """Averages channels.

    Args:
        block: Shape [n, channels].
        used: Places of the channels; empty for all.

    Returns:
        float32, shape [n].
    """
    if used:
        block = block[:, list(used)]
    if block.shape[1] == 1:
        return block[:, 0]
    return block.mean(axis=1, dtype=np.float32)
