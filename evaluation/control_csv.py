"""Control curves as CSV, so that another program can draw them.

One row a frame. Columns of a performance: `secs`, `f0_hz`, `loudness_db`,
`f0_confidence`. With synthesiser controls, what the model made of it follows: `amps`,
`harmonic_1` ... `harmonic_K` (shares that sum to 1), `noise_1` ... `noise_N` (linear,
from 0 Hz to half the sample rate). A file with these columns is played as it is,
without the model's decoder; delete them to have the decoder play an edited performance.
"""

import csv
import pathlib
from collections.abc import Iterator

import numpy as np

from evaluation import decoding
from evaluation import inference
from evaluation import performance
from prep import loudness as loudness_lib

PERFORMANCE_COLUMNS = ("f0_hz", "loudness_db", "f0_confidence")
DIGITS = 7  # float32 comes back as it was, to 1e-6 of itself
BLOCK_ROWS = 1000
MAX_F0_HZ = 8192.0  # what the synthesiser's phase is made for


class Writer:
    """Writes a CSV row by row, in flat memory.

    Args:
        path: Of the file.
        played: The performance, as the model plays it.
    """

    def __init__(self, path: pathlib.Path, played: performance.Performance):
        self._file = open(path, "w", newline="", encoding="utf-8")  # closed in close()
        self._writer = csv.writer(self._file)
        self._played = played
        self._n_rows = 0

    def write(self, controls: decoding.Controls | None, n_frames: int) -> None:
        """Writes the next frames.

        Args:
            controls: Synthesiser controls of these frames, or None.
            n_frames: How many.
        """
        if not self._n_rows:
            self._writer.writerow(self._header(controls))
        for frame in range(n_frames):
            self._writer.writerow(self._row(controls, frame))
            self._n_rows += 1

    def _header(self, controls: decoding.Controls | None) -> list[str]:
        names = ["secs", *PERFORMANCE_COLUMNS]
        if controls is not None:
            names.append("amps")
            for word, key in (
                ("harmonic", "harmonic_distribution"),
                ("noise", "noise_magnitudes"),
            ):
                names += [f"{word}_{k + 1}" for k in range(controls[key].shape[1])]
        return names

    def _row(self, controls: decoding.Controls | None, frame: int) -> list[str]:
        row = [f"{self._n_rows / self._played.frame_rate:.4f}"]
        values = [getattr(self._played, k)[self._n_rows] for k in PERFORMANCE_COLUMNS]
        if controls is not None:
            for key in ("amps", "harmonic_distribution", "noise_magnitudes"):
                values.extend(controls[key][frame])
        return row + [f"{value:.{DIGITS}g}" for value in values]

    def close(self) -> None:
        """Ends the file."""
        self._file.close()


def write_performance(path: pathlib.Path, played: performance.Performance) -> None:
    """Writes a performance alone."""
    writer = Writer(path, played)
    writer.write(None, played.n_frames)
    writer.close()


class Table:
    """A CSV of controls, checked.

    Args:
        path: Of the file.
        frame_rate: Frames per second that the model plays.

    Raises:
        inference.InputError: If a column is missing, a number is none, or the rows do
            not stand `1 / frame_rate` apart.
    """

    def __init__(self, path: pathlib.Path, *, frame_rate: int):
        self._path = path
        try:
            with open(path, newline="", encoding="utf-8") as file:
                rows = csv.reader(file)
                self._names = [name.strip() for name in next(rows, [])]
                self._values = self._numbers(rows)
        except (OSError, UnicodeDecodeError) as error:
            raise inference.InputError(f"{path} cannot be read: {error}.") from error
        self._frame_rate = frame_rate
        self._check()

    def _numbers(self, rows: Iterator[list[str]]) -> np.ndarray:
        numbers = []
        for place, row in enumerate(rows, start=2):
            if not row:
                continue
            if len(row) != len(self._names):
                raise inference.InputError(
                    f"{self._path}, line {place}: {len(row)} values for "
                    f"{len(self._names)} columns."
                )
            try:
                numbers.append([float(value) for value in row])
            except ValueError as error:
                raise inference.InputError(
                    f"{self._path}, line {place}: {error}."
                ) from error
        if not numbers:
            return np.zeros((0, len(self._names)), np.float32)
        return np.array(numbers, np.float32)

    def _check(self) -> None:
        for name in ("f0_hz", "loudness_db"):
            if name not in self._names:
                raise inference.InputError(
                    f"{self._path} has no column {name!r}; it has "
                    f"{', '.join(self._names[:8]) or 'none'}."
                )
        if not len(self._values) or not np.isfinite(self._values).all():
            raise inference.InputError(
                f"{self._path} has no rows, or numbers that are not finite."
            )
        pitches = self._column("f0_hz")
        if pitches.min() <= 0.0 or pitches.max() > MAX_F0_HZ:
            raise inference.InputError(
                f"{self._path}: f0_hz goes from {pitches.min():g} to {pitches.max():g} "
                f"Hz; give values above 0 and up to {MAX_F0_HZ:g}, in rests too."
            )
        if "secs" in self._names and len(self._values) > 1:
            steps = np.diff(self._column("secs"))
            if np.abs(np.median(steps) * self._frame_rate - 1.0) > 0.01:
                raise inference.InputError(
                    f"{self._path} has a row every {np.median(steps):.4f} s, the model "
                    f"plays one every {1 / self._frame_rate:.4f} s; draw it at "
                    f"{self._frame_rate} rows a second."
                )

    def _column(self, name: str) -> np.ndarray:
        return self._values[:, self._names.index(name)]

    def _columns(self, word: str) -> np.ndarray:
        """Columns word_1, word_2, ..., [n_frames, n]."""
        places: list[int] = []
        while f"{word}_{len(places) + 1}" in self._names:
            places.append(self._names.index(f"{word}_{len(places) + 1}"))
        return self._values[:, places]

    def performance(self) -> performance.Performance:
        """The performance; a frame without confidence counts as pitched."""
        confidence = np.ones(len(self._values), np.float32)
        if "f0_confidence" in self._names:
            confidence = np.clip(self._column("f0_confidence"), 0.0, 1.0)
        return performance.Performance(
            frame_rate=self._frame_rate,
            f0_hz=self._column("f0_hz").copy(),
            f0_confidence=confidence,
            loudness_db=np.maximum(self._column("loudness_db"), loudness_lib.MIN_DB),
        )

    @property
    def has_controls(self) -> bool:
        """Whether there are synthesiser controls."""
        return "amps" in self._names

    def controls(
        self, *, n_harmonics: int, n_noise_bands: int
    ) -> Iterator[decoding.Controls]:
        """Synthesiser controls as they stand.

        Args:
            n_harmonics: Of the model's synthesiser.
            n_noise_bands: Of the model's noise filter.

        Yields:
            Stretches of controls.

        Raises:
            inference.InputError: If the file has another number of columns, or
                amplitudes below 0.
        """
        harmonics, noise = self._columns("harmonic"), self._columns("noise")
        found = (harmonics.shape[1], noise.shape[1])
        if found != (n_harmonics, n_noise_bands):
            raise inference.InputError(
                f"{self._path} has {found[0]} harmonics and {found[1]} noise bands; "
                f"this model plays {n_harmonics} and {n_noise_bands}."
            )
        everything = {
            "f0_hz": self._column("f0_hz")[:, np.newaxis],
            "amps": self._column("amps")[:, np.newaxis],
            "harmonic_distribution": harmonics,
            "noise_magnitudes": noise,
        }
        if min(float(value.min()) for value in everything.values()) < 0.0:
            raise inference.InputError(f"{self._path} has amplitudes below 0.")
        for start in range(0, len(self._values), BLOCK_ROWS):
            yield decoding.cut(everything, start, start + BLOCK_ROWS)
