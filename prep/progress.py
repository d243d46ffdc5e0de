"""Progress with the time left: a bar on a terminal, now and then a line in a log.

Where work is spread over processes and machines, they share nothing with this process
but the disk: so `watching` counts finished files. That works for every runner and after
a restart alike.
"""

import contextlib
import os
import pathlib
import sys
import threading
import time
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Protocol
from typing import Self
from typing import TextIO

import tqdm

POLL_SECS = 0.5  # between two looks at the disk
LOOK_SHARE = 0.02  # of the time, at most, is spent looking, however many the files
SCREEN = (80, 24)  # columns and rows of a terminal that does not say
LOG_SECS = 30.0  # between two lines where the output is no terminal
_COUNTS = "{n:.0f}/{total:.0f} {unit} [{elapsed}, {remaining} left]"
_FORMAT = "{desc}: {percentage:3.0f}%|{bar:30}| " + _COUNTS
_LINE_FORMAT = "{desc}: {percentage:3.0f}%, " + _COUNTS


class Bar(Protocol):
    """What shows progress; a context that closes it."""

    def update(self, n: float = 1) -> object:
        """`n` more are done."""

    def tick(self) -> None:
        """Nothing more is done, but the clock goes on."""

    def set_description(self, desc: str) -> None:
        """Changes the label."""

    def close(self) -> None:
        """Leaves the last state standing."""

    def __enter__(self) -> Self:
        """Returns itself."""

    def __exit__(self, *error: object) -> None:
        """Closes."""


class _Drawn(tqdm.tqdm):
    """A bar on a terminal, or none at all."""

    def tick(self) -> None:
        self.refresh()

    def set_description(self, desc: str) -> None:
        self.set_description_str(desc)  # tqdm's own adds a colon, and so does _FORMAT


class _Lines:
    """Lines in a log, at least LOG_SECS apart but for the last."""

    def __init__(
        self, total: float, *, unit: str, label: str, initial: float, file: TextIO
    ):
        self._meter = {"total": total, "unit": unit, "initial": initial}
        self._label, self._file = label, file
        self._n = initial
        self._began = self._written = time.monotonic()

    def update(self, n: float = 1) -> None:
        self._n += n
        self.tick()

    def tick(self) -> None:
        if time.monotonic() - self._written >= LOG_SECS:
            self._write()

    def set_description(self, desc: str) -> None:
        self._label = desc

    def close(self) -> None:
        self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _write(self) -> None:
        self._written = time.monotonic()
        line = tqdm.tqdm.format_meter(
            n=self._n,
            elapsed=self._written - self._began,
            prefix=self._label,
            bar_format=_LINE_FORMAT,
            **self._meter,
        )
        self._file.write(line + "\n")
        self._file.flush()


def bar(
    total: float,
    *,
    unit: str,
    label: str,
    quiet: bool = False,
    initial: float = 0.0,
    file: TextIO | None = None,
) -> Bar:
    """Progress with the time left; none if `quiet`.

    Args:
        total: What 100 % is.
        unit: Of `total`.
        label: Before the bar.
        quiet: Whether nothing is shown.
        initial: What is done already.
        file: Where to draw, None for stderr.
    """
    file = file or sys.stderr
    if not quiet and not file.isatty():
        return _Lines(total, unit=unit, label=label, initial=initial, file=file)
    return _Drawn(
        total=total,
        initial=initial,
        unit=unit,
        desc=label,
        file=file,
        disable=quiet,
        **_screen(file),
        smoothing=0.05,
        mininterval=0.2,
        bar_format=_FORMAT,
    )


def _screen(file: TextIO) -> dict[str, int]:
    """A size for terminals that report none, on which tqdm would draw nothing."""
    try:
        known = os.get_terminal_size(file.fileno())
    except (OSError, ValueError):  # no terminal after all: tqdm's own choice
        return {}
    return {} if all(known) else {"ncols": SCREEN[0], "nrows": SCREEN[1]}


class _Watch(threading.Thread):
    """Looks for files and moves a bar by the weight of each that has appeared."""

    def __init__(self, weights: Mapping[pathlib.Path, float], shown: Bar):
        super().__init__(daemon=True)
        self._left = dict(weights)
        self._bar = shown
        self._stop_now = threading.Event()

    def run(self) -> None:
        pause = POLL_SECS
        while not self._stop_now.wait(pause):
            began = time.perf_counter()
            self.look()
            pause = max(POLL_SECS, (time.perf_counter() - began) / LOOK_SHARE)

    def look(self) -> None:
        found = [path for path in self._left if path.exists()]
        moved = sum(self._left.pop(path) for path in found)
        if moved:
            self._bar.update(moved)
        else:
            self._bar.tick()

    def stop(self) -> None:
        self._stop_now.set()
        self.join()
        self.look()


@contextlib.contextmanager
def watching(
    weights: Mapping[pathlib.Path, float],
    *,
    unit: str,
    label: str,
    quiet: bool,
    file: TextIO | None = None,
) -> Iterator[None]:
    """Shows how much of `weights` is on disk while the body runs.

    Args:
        weights: What each file counts for.
        unit: Of the weights.
        label: Before the bar.
        quiet: Whether nothing is shown.
        file: Where to draw, None for stderr.
    """
    if quiet:
        yield
        return
    # What lies there from an earlier run counts as done.
    done = sum(weight for path, weight in weights.items() if path.exists())
    left = {path: weight for path, weight in weights.items() if not path.exists()}
    shown = bar(
        sum(weights.values()),
        unit=unit,
        label=label,
        quiet=quiet,
        initial=done,
        file=file,
    )
    watch = _Watch(left, shown)
    watch.start()
    try:
        yield
    finally:
        watch.stop()
        shown.close()


@contextlib.contextmanager
def noise_to(log: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Sends what this process and its children write to stderr to a file.

    TensorFlow and Beam's workers report at length there, some of it before anything
    can be configured, and decoders do; between the steps of a progress bar nobody can
    read it.

    Args:
        log: Appended to.

    Yields:
        The real stderr, to draw on.
    """
    sys.stderr.flush()
    real = os.dup(2)
    with open(log, "ab") as file, open(real, "w", closefd=True) as screen:
        os.dup2(file.fileno(), 2)
        try:
            yield screen
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
