"""Control curves as CSV, so that another program can draw them.

One row a frame. Columns of a performance: `secs`, `f0_hz`, `loudness_db`,
`f0_confidence`. With synthesiser controls, what the model made of it follows: `amps`,
`harmonic_1` ... `harmonic_K` (shares that sum to 1), `noise_1` ... `noise_N` (linear,
from 0 Hz to half the sample rate). A file with these columns is played as it is,
without the model's decoder; delete them to have the decoder play an edited performance.

What pitch trackers write (`time`, `frequency`, `confidence`, as CREPE and PESTO do) is
read too, see `tracker_csv`. Spreadsheets may have put semicolons or tabs between the
columns, and commas into the numbers.
"""

import codecs
import contextlib
import csv
import itertools
import math
import pathlib
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from evaluation.render import decoding
from evaluation.render import performance
from evaluation.render import tracker_csv
from evaluation.render import transfer
from prep import errors
from prep import loudness as loudness_lib

PERFORMANCE_COLUMNS = ("f0_hz", "loudness_db", "f0_confidence")
DIGITS = 7  # float32 comes back as it was, to 1e-6 of itself
BLOCK_ROWS = 1000
MAX_NUMBER = float(np.finfo(np.float32).max)  # beyond, models would get infinity


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
    """A CSV of controls, checked from its first row to its last.

    The performance is kept; synthesiser controls, a hundred numbers a frame, are read
    again when they are played, so that an hour of them does not fill the memory.

    Args:
        path: Of the file.
        frame_rate: Frames per second that the model plays.

    Raises:
        errors.InputError: If a column is missing, a number is none, or the rows do
            not stand `1 / frame_rate` apart.
    """

    def __init__(self, path: pathlib.Path, *, frame_rate: int):
        self._path = path
        self._frame_rate = frame_rate
        with self._rows() as rows:
            _, header = next(rows, (0, []))
            self._names = [name.strip().lower() for name in header]
        self.is_tracked = tracker_csv.is_tracked(self._names)
        if self.is_tracked:
            self._curves = self._read_curves(tracker_csv.COLUMNS)
            return
        for name in ("f0_hz", "loudness_db"):
            if name not in self._names:
                raise errors.InputError(
                    f"{path} has no column {name!r}; it has "
                    f"{', '.join(self._names[:8]) or 'none'}."
                )
        self._curves = self._read_curves(("secs", *PERFORMANCE_COLUMNS))
        self._check_curves()

    @contextlib.contextmanager
    def _rows(self) -> Iterator[Iterator[tuple[int, list[str]]]]:
        """The file's rows as text, each with the number of its line; empty ones not."""
        try:
            encoding = _encoding(self._path)
            with open(self._path, newline="", encoding=encoding) as file:
                lines = enumerate(file, start=1)
                place, header = next(lines, (0, ""))
                # Excel's own first line, which names the character between columns.
                if header.lower().startswith("sep="):
                    place, header = next(lines, (0, ""))
                delimiter = next((mark for mark in ";\t" if mark in header), ",")
                reader = csv.reader(
                    itertools.chain([header], (line for _, line in lines)),
                    delimiter=delimiter,
                )
                yield ((place - 1 + reader.line_num, row) for row in reader if row)
        except (OSError, UnicodeError, csv.Error) as error:
            raise errors.InputError(
                f"{self._path} cannot be read as CSV: {error}."
            ) from error

    def _blocks(self) -> Iterator[np.ndarray]:
        """The numbers of some rows at a time, float64 [n_rows, n_columns]."""
        with self._rows() as rows:
            next(rows, None)
            numbers = (self._numbers(row, place) for place, row in rows)
            while block := list(itertools.islice(numbers, BLOCK_ROWS)):
                yield np.array(block)

    def _numbers(self, row: list[str], place: int) -> list[float]:
        """A row's numbers; `place` is its line."""
        if len(row) != len(self._names):
            raise errors.InputError(
                f"{self._path}, line {place}: {len(row)} values for "
                f"{len(self._names)} columns."
            )
        for name, text in zip(self._names, row, strict=True):
            if not abs(_number(text)) <= MAX_NUMBER:
                raise errors.InputError(
                    f"{self._path}, line {place}: {name} is {text!r}, not a finite "
                    "number."
                )
        return [_number(text) for text in row]

    def _read_curves(self, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """Those of the `wanted` columns that the file has, [n_rows] each."""
        names = [name for name in wanted if name in self._names]
        places = [self._names.index(name) for name in names]
        blocks = [block[:, places] for block in self._blocks()]
        if not blocks:
            raise errors.InputError(f"{self._path} has no rows below its header.")
        return dict(zip(names, np.concatenate(blocks).T, strict=True))

    def _check_curves(self) -> None:
        pitches = self._curves["f0_hz"]
        if pitches.min() <= 0.0 or pitches.max() > transfer.MAX_F0_HZ:
            raise errors.InputError(
                f"{self._path}: f0_hz goes from {pitches.min():g} to {pitches.max():g} "
                f"Hz; give values above 0 and up to {transfer.MAX_F0_HZ:g}, in rests "
                "too."
            )
        if "secs" not in self._curves:
            return
        steps = np.diff(self._curves["secs"]) * self._frame_rate
        # Half a frame is more than any rounding, and less than a row left out.
        wrong = np.flatnonzero(np.abs(steps - 1.0) > 0.5)
        if len(wrong):
            raise errors.InputError(
                f"{self._path}: line {wrong[0] + 3} comes "
                f"{steps[wrong[0]] / self._frame_rate:.4f} s after the one before, the "
                f"model plays one every {1 / self._frame_rate:.4f} s; draw it at "
                f"{self._frame_rate} rows a second."
            )

    def performance(
        self, heard: transfer.Heard | None = None
    ) -> performance.Performance:
        """The performance; a frame without confidence counts as pitched.

        Args:
            heard: The training data's quantiles; needed where `is_tracked`, since a
                pitch tracker says nothing of loudness.

        Raises:
            errors.InputError: If a tracker's file makes no performance.
        """
        if self.is_tracked:
            if heard is None:
                raise ValueError("a pitch tracker's file needs `heard`.")
            try:
                return tracker_csv.make_performance(
                    self._curves, frame_rate=self._frame_rate, heard=heard
                )
            except ValueError as error:
                raise errors.InputError(f"{self._path}: {error}.") from error
        curves = {k: v.astype(np.float32) for k, v in self._curves.items()}
        confidence = curves.get("f0_confidence", np.ones_like(curves["f0_hz"]))
        return performance.Performance(
            frame_rate=self._frame_rate,
            f0_hz=curves["f0_hz"],
            f0_confidence=np.clip(confidence, 0.0, 1.0),
            loudness_db=np.maximum(curves["loudness_db"], loudness_lib.MIN_DB),
        )

    @property
    def has_controls(self) -> bool:
        """True if there are synthesiser controls."""
        return "amps" in self._names

    def _places(self, word: str) -> list[int]:
        """Finds the places of the columns word_1, word_2, ..."""
        places: list[int] = []
        while (name := f"{word}_{len(places) + 1}") in self._names:
            places.append(self._names.index(name))
        return places

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
            errors.InputError: If the file has another number of columns, or
                amplitudes below 0.
        """
        places = {
            "f0_hz": [self._names.index("f0_hz")],
            "amps": [self._names.index("amps")],
            "harmonic_distribution": self._places("harmonic"),
            "noise_magnitudes": self._places("noise"),
        }
        found = (len(places["harmonic_distribution"]), len(places["noise_magnitudes"]))
        if found != (n_harmonics, n_noise_bands):
            raise errors.InputError(
                f"{self._path} has {found[0]} harmonics and {found[1]} noise bands; "
                f"this model plays {n_harmonics} and {n_noise_bands}."
            )
        for block in self._blocks():
            stretch = {k: block[:, at].astype(np.float32) for k, at in places.items()}
            if min(float(value.min()) for value in stretch.values()) < 0.0:
                raise errors.InputError(f"{self._path} has amplitudes below 0.")
            yield stretch


def _encoding(path: pathlib.Path) -> str:
    """UTF-8 with or without its mark, or the UTF-16 of "Unicode text"."""
    with open(path, "rb") as file:
        mark = file.read(2)
    return (
        "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    )


def _number(text: str) -> float:
    """A text as a number, with a decimal point or comma; NaN if it is none."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.nan
