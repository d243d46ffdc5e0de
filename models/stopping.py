"""Stopping politely: Ctrl-C or a termination signal ends a run after its step."""

import signal
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

    def __enter__(self) -> "StopOnSignals":
        try:
            self._before = {item: signal.signal(item, self._ask) for item in _SIGNALS}
        except ValueError:  # not the main thread
            self._before = {}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
