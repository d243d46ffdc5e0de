"""A part of a file as a file of its own."""

import io
import os
from typing import BinaryIO


class Excerpt(io.RawIOBase):
    """Some bytes, and behind them a part of another file.

    libsndfile follows damaged headers to places before a file's beginning. A file says
    no with an exception, which Python prints, since C cannot catch it; here such a
    place is the beginning.
    """

    def __init__(
        self, file: BinaryIO, *, begin: int = 0, n_bytes: int, head: bytes = b""
    ):
        """Joins both.

        Args:
            file: The other file; it stays open.
            begin: Where the part begins in it, bytes.
            n_bytes: Of the part.
            head: What comes before the part.
        """
        super().__init__()
        self._file, self._head, self._begin = file, head, begin
        self._size = len(head) + n_bytes
        self._position = 0

    def readable(self) -> bool:
        """Returns True: it can be read."""
        return True

    def seekable(self) -> bool:
        """Returns True: it can be positioned."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a position; returns it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        self._position = max(0, start[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Returns the position, bytes."""
        return self._position

    def readinto(self, buffer) -> int:  # type: ignore[override]
        """Fills a buffer as far as there are bytes; returns how many."""
        wanted = min(len(buffer), max(0, self._size - self._position))
        part = self._head[self._position : self._position + wanted]
        if len(part) < wanted:
            inside = self._position + len(part) - len(self._head)
            self._file.seek(self._begin + inside)
            part += self._file.read(wanted - len(part))
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)
