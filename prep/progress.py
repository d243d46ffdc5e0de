"""A progress bar over all workers, wherever they run.

Workers share nothing with this process but the disk: so finished files are counted.
That works for every runner and after a restart alike.
"""

import contextlib
import os
import pathlib
import sys
import threading
from collections.abc import Iterator
from collections.abc import Mapping
from typing import TextIO

import tqdm

POLL_SECS = 0.5  # between two looks at the disk
_LOG_SECS = 30.0  # between two lines where the output is no terminal


def bar(
    total: float,
    *,
    unit: str,
    label: str,
    quiet: bool,
    initial: float = 0.0,
    file: TextIO | None = None,
) -> tqdm.tqdm:
    """A bar with the time left; none if `quiet`.

    Args:
        total: What 100 % is.
        unit: Of `total`.
        label: Before the bar.
        quiet: Whether nothing is shown.
        initial: What is done already.
        file: Where to draw, None for stderr.
    """
    file = file or sys.stderr
    return tqdm.tqdm(
        total=total,
        initial=initial,
        unit=unit,
        desc=label,
        file=file,
        disable=quiet,
        smoothing=0.05,
        mininterval=0.2 if file.isatty() else _LOG_SECS,
        bar_format="{desc}: {percentage:3.0f}%|{bar:30}| {n:.0f}/{total:.0f} {unit} "
        "[{elapsed}, {remaining} left]",
    )


class _Watch(threading.Thread):
    """Looks for files and moves a bar by the weight of each that has appeared."""

    def __init__(self, weights: Mapping[pathlib.Path, float], shown: tqdm.tqdm):
        super().__init__(daemon=True)
        self._left = dict(weights)
        self._bar = shown
        self._stop_now = threading.Event()

    def run(self) -> None:
        while not self._stop_now.wait(POLL_SECS):
            self.look()

    def look(self) -> None:
        found = [path for path in self._left if path.exists()]
        moved = sum(self._left.pop(path) for path in found)
        if moved:
            self._bar.update(moved)
        elif self._bar.mininterval < POLL_SECS:
            self._bar.refresh()  # the clock goes on

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
def noise_to(log: pathlib.Path) -> Iterator[TextIO]:
    """Sends what this process and its children write to stderr to a file.

    TensorFlow and Beam's workers report at length there, some of it before anything
    can be configured; between the steps of a progress bar nobody can read it.

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
