"""Looks at an ogg file's pages for streams that were joined one behind the other.

Source: RFC 3533, "The Ogg Encapsulation Format Version 0", section 6.
"""

import struct
from typing import BinaryIO

_PAGE = struct.Struct("<4sBBqIIIB")  # up to the number of segments
_FIRST_PAGE = 2  # bit of the header type


def is_chained(file: BinaryIO) -> bool:
    """Tells if a stream begins behind another one; False if it is no ogg file.

    The reading position is kept. Streams that run side by side, as sound and picture
    do, all begin before the first of them goes on.
    """
    before = file.tell()
    try:
        return _begins_again(file)
    finally:
        file.seek(before)


def _begins_again(file: BinaryIO) -> bool:
    position, went_on = 0, False
    while True:
        file.seek(position)
        head = file.read(_PAGE.size)
        if len(head) < _PAGE.size:
            return False
        mark, _, kind, _, _, _, _, n_segments = _PAGE.unpack(head)
        if mark != b"OggS":
            return False
        if kind & _FIRST_PAGE and went_on:
            return True
        went_on = went_on or not kind & _FIRST_PAGE
        position += _PAGE.size + n_segments + sum(file.read(n_segments))
