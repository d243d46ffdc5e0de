"""The scores of all clips as a table: read from scores.jsonl, asked by metric.

`evaluation.scoring.rows` says what a run and a system are.
"""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.collapse_index import sums as index_sums
from evaluation.metrics import catalogue
from evaluation.scoring import rows as rows_lib
from evaluation.summary import paired


class ScoreTable:
    """Scores by run, metric and clip."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]):
        """Keeps the rows.

        Args:
            rows: Of scores.jsonl; every row has the same runs.

        Raises:
            ValueError: If there are no rows or they have different runs.
        """
        if not rows:
            raise ValueError("no clip was scored; the eval split must not be empty")
        self.rows = list(rows)
        self.runs = list(rows[0]["runs"])
        if any(list(row["runs"]) != self.runs for row in rows):
            raise ValueError("the rows of scores.jsonl come from different evaluations")
        self.recordings = [str(row["recording_id"]) for row in rows]
        self.systems: dict[str, list[str]] = {}
        for run in self.runs:
            self.systems.setdefault(rows_lib.system_name(run), []).append(run)

    def values(self, run: str, key: str) -> np.ndarray:
        """A run's scores in one metric, NaN where missing. Shape [n_clips]."""
        return _array(row["runs"][run]["values"].get(key) for row in self.rows)

    def recording_values(self, key: str) -> np.ndarray:
        """The recordings' own scores, NaN where missing. Shape [n_clips]."""
        return _array(row["recording"]["values"].get(key) for row in self.rows)

    def reason(self, run: str, key: str, clip: int) -> str:
        """Why a run's score of a clip is missing; empty where it is not."""
        return str(self.rows[clip]["runs"][run]["reasons"].get(key, ""))

    def badness(self, system: str, key: str) -> np.ndarray:
        """A system's scores, lower is better. Shape [n_seeds, n_clips]."""
        metric = catalogue.BY_KEY[key]
        own = self.recording_values(key)
        return np.stack(
            [
                np.array(
                    [metric.badness(v, r) for v, r in zip(values, own, strict=True)]
                )
                for values in (self.values(run, key) for run in self.systems[system])
            ]
        )

    def mean(self, values: np.ndarray) -> float:
        """Mean over recordings of the mean over their clips, NaN left out."""
        units = paired.pair_units(
            values[np.isfinite(values)],
            [r for r, v in zip(self.recordings, values, strict=True) if np.isfinite(v)],
            unit=paired.unit_of(self.recordings),
        )
        return float(np.mean(units)) if units.size else float("nan")

    def units(self) -> tuple[list[np.ndarray], str]:
        """The clips of each unit of comparison, and what a unit is.

        Returns:
            Indices of clips by unit: recordings, or clips where recordings are few.
        """
        unit = paired.unit_of(self.recordings)
        if unit == "clip":
            return [np.array([index]) for index in range(len(self.rows))], unit
        owner = np.asarray(self.recordings)
        names = sorted(set(self.recordings))
        return [np.flatnonzero(owner == name) for name in names], unit

    def has_sums(self, key: str) -> bool:
        """Returns whether every run has what an index is made of."""
        return all(
            rows_lib.SUMS[key] in row["runs"][run]
            for row in self.rows
            for run in self.runs
        )

    def unit_sums(self, run: str, key: str = "collapse_index") -> index_sums.Sums:
        """An index's sums of a run, an array over units in each field."""
        clips = [row["runs"][run][rows_lib.SUMS[key]] for row in self.rows]
        units, _ = self.units()
        return index_sums.Sums(
            **{
                field.name: np.array(
                    [sum(clips[i].get(field.name, 0.0) for i in unit) for unit in units]
                )
                for field in dataclasses.fields(index_sums.Sums)
            }
        )


def _array(values) -> np.ndarray:
    """Floats with NaN for None."""
    return np.array([np.nan if value is None else value for value in values], float)
