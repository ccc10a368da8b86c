"""JPEG files that end before the picture does, where the decoder does not notice."""

import os
from typing import BinaryIO

_START_OF_SCAN, _END = 0xDA, b"\xff\xd9"
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_TAIL = 1 << 16


def ends(file: BinaryIO) -> bool:
    """Whether the JPEG `file` has its end marker, somewhere behind the beginning of its first scan; leaves it at its beginning.

    Zeros, which stand on disk where a download did not come to, are codes like others, of which the decoder makes a picture to
    the last row. In coded data, there is no end marker; ahead of them, thumbnails have their own.
    """
    start = _first_scan(file)
    near = max(start, file.seek(0, os.SEEK_END) - _TAIL)  # where it is, if nothing was put behind it
    ended = any(_END in _from(file, place) for place in (near, start))
    file.seek(0)
    return ended


def _from(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    return file.read()


def _first_scan(file: BinaryIO) -> int:
    """Where the first scan begins, or the end of the file."""
    place = 2
    while True:
        file.seek(place)
        head = file.read(4)
        if len(head) < 4:
            return place
        if head[0] != 0xFF or head[1] == 0xFF:  # decoders pass over what lies between segments, and over fill bytes
            place += 1
        elif head[1] == _START_OF_SCAN:
            return place
        elif head[1] in _WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + int.from_bytes(head[2:], "big")
