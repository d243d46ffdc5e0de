"""A progress bar over all workers, wherever they run.

Workers share nothing with this process but the disk: so finished files are counted.
That works for every runner and after a restart alike.
"""

import contextlib
import pathlib
import sys
import threading
from collections.abc import Iterator
from collections.abc import Mapping

import tqdm

POLL_SECS = 0.5  # between two looks at the disk
_LOG_SECS = 30.0  # between two lines where the output is no terminal


def bar(total: float, *, unit: str, label: str, quiet: bool, initial: float = 0.0):
    """A bar on stderr with the time left; none if `quiet`."""
    return tqdm.tqdm(
        total=total,
        initial=initial,
        unit=unit,
        desc=label,
        disable=quiet,
        smoothing=0.05,
        mininterval=0.2 if sys.stderr.isatty() else _LOG_SECS,
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
        elif sys.stderr.isatty():
            self._bar.refresh()  # the clock goes on

    def stop(self) -> None:
        self._stop_now.set()
        self.join()
        self.look()


@contextlib.contextmanager
def watching(
    weights: Mapping[pathlib.Path, float], *, unit: str, label: str, quiet: bool
) -> Iterator[None]:
    """Shows how much of `weights` is on disk while the body runs.

    Args:
        weights: What each file counts for.
        unit: Of the weights.
        label: Before the bar.
        quiet: Whether nothing is shown.
    """
    done = sum(weight for path, weight in weights.items() if path.exists())
    left = {path: weight for path, weight in weights.items() if not path.exists()}
    shown = bar(
        sum(weights.values()), unit=unit, label=label, quiet=quiet, initial=done
    )
    watch = _Watch(left, shown)
    watch.start()
    try:
        yield
    finally:
        watch.stop()
        shown.close()
