"""How values are distributed, without keeping them: sums and a fine histogram.

Values come in pieces of any size; memory is that of the histogram. A quantile is exact
to half a bin.
"""

import dataclasses

import numpy as np

from prep import checked_json

N_QUANTILES = 101  # 0 %, 1 %, ..., 100 %
DIGITS = 4  # after the point, in files


@dataclasses.dataclass(frozen=True)
class Grid:
    """Bins of a histogram: fine for quantiles, every `coarse`-th border for a plot."""

    low: float
    high: float
    n_bins: int
    coarse: int

    @property
    def step(self) -> float:
        """Width of a fine bin."""
        return (self.high - self.low) / self.n_bins


# 2 cents; semitones with the note in the middle
PITCH = Grid(low=-0.5, high=131.5, n_bins=132 * 50, coarse=50)
LOUDNESS = Grid(low=-80.0, high=40.0, n_bins=2400, coarse=40)  # 0.05 dB; 2 dB
CONFIDENCE = Grid(low=0.0, high=1.0, n_bins=1000, coarse=50)  # 0.001; 0.05


class Distribution:
    """Sums, extremes and a fine histogram of values that come in pieces."""

    def __init__(self, grid: Grid):
        """Starts empty.

        Args:
            grid: Bins; values outside count into the outermost.
        """
        self._grid = grid
        self._counts = np.zeros(grid.n_bins, np.int64)
        self._sum = self._sum_squares = 0.0
        self._min, self._max = np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        """Counts finite values, shape [n]."""
        if not len(values):
            return
        values = values.astype(np.float64)
        bins = ((values - self._grid.low) / self._grid.step).astype(np.int64)
        bins = np.clip(bins, 0, self._grid.n_bins - 1)
        self._counts += np.bincount(bins, minlength=self._grid.n_bins)
        self._sum += float(values.sum())
        self._sum_squares += float(np.square(values).sum())
        self._min = min(self._min, float(values.min()))
        self._max = max(self._max, float(values.max()))

    @property
    def n(self) -> int:
        """Number of values that were counted."""
        return int(self._counts.sum())

    def quantile(self, share: np.ndarray | float) -> np.ndarray:
        """Values below which `share` of all lie; within half a bin."""
        grid = self._grid
        filled = np.flatnonzero(self._counts)
        after = np.cumsum(self._counts[filled]) / max(self.n, 1)
        before = np.concatenate([[0.0], after[:-1]])
        # Values lie evenly within a bin; between two bins the quantile jumps.
        reached = np.stack([before, after], axis=1).ravel()
        left = grid.low + grid.step * filled
        borders = np.stack([left, left + grid.step], axis=1).ravel()
        values = np.interp(share, reached, borders)
        return np.clip(values, self._min, self._max)

    def summary(self) -> checked_json.Json | None:
        """For JSON; None if there were no values."""
        if not self.n:
            return None
        mean = self._sum / self.n
        variance = max(0.0, self._sum_squares / self.n - mean**2)
        quantiles = self.quantile(np.linspace(0, 1, N_QUANTILES))
        return {
            "n": self.n,
            "mean": round(mean, DIGITS),
            "std": round(variance**0.5, DIGITS),
            "min": round(self._min, DIGITS),
            "max": round(self._max, DIGITS),
            "quantiles": np.round(quantiles, DIGITS).tolist(),
        }

    def histogram(self) -> checked_json.Json:
        """Counts in coarse bins: `low`, `step`, `counts`."""
        grid = self._grid
        counts = self._counts.reshape(-1, grid.coarse).sum(axis=1)
        return {
            "low": grid.low,
            "step": round(grid.step * grid.coarse, DIGITS),
            "counts": counts.tolist(),
        }
