"""Stopping politely, after a step: asked by a signal, or because the time is up."""

import contextlib
import signal
from collections.abc import Callable
from collections.abc import Iterator
from types import FrameType
from types import TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopOnSignals:
    """While entered, the first signal asks to stop; the second interrupts at once.

    Outside the main thread signals cannot be caught; then they act as before.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}
        self._is_holding = False
        self._is_due = False

    def __enter__(self) -> "StopOnSignals":
        with contextlib.suppress(ValueError):  # not the main thread
            for item in _SIGNALS:
                # A job in the background ignores what is meant for the foreground.
                if signal.getsignal(item) is not signal.SIG_IGN:
                    self._before[item] = signal.signal(item, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Puts a second signal off until what is inside, e.g. a save, is done."""
        self._is_holding = True
        try:
            yield
        finally:
            self._is_holding = False
        if self._is_due:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and not self._is_holding:
            raise KeyboardInterrupt
        self._is_due = self.asked
        self.asked = True


class TimeBudget:
    """Counts the time since `start`; 0 seconds are no limit."""

    def __init__(self, limit_secs: float, *, clock: Callable[[], float]) -> None:
        self._limit_secs = limit_secs
        self._clock = clock
        self._started = clock()

    def start(self, *, spent_secs: float = 0.0) -> None:
        """Begins anew, with some of the time spent already."""
        self._started = self._clock() - spent_secs

    @property
    def left_secs(self) -> float | None:
        """Seconds until the limit, below 0 after it; None without one."""
        if not self._limit_secs:
            return None
        return self._started + self._limit_secs - self._clock()

    @property
    def is_over(self) -> bool:
        """True once the limit has been passed."""
        return self.left_secs is not None and self.left_secs < 0.0
