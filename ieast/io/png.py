"""PNG files without what a picture does not need.

Pillow refuses a picture for a comment: text or a colour profile that unpacks to more than a megabyte, or a wrong checksum in a
part that only says more about the picture. Every viewer shows such files.
"""

import io
import struct
import zlib
from typing import BinaryIO

from PIL import PngImagePlugin

from ieast.errors import ImageError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PROFILE = b"iCCP"
_PICTURE = (b"IHDR", b"PLTE", b"IDAT")
_PIECE = 1 << 20
_MAX_TEXT, _MAX_TEXTS = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY

_MAX_PROFILE = 16 << 20
"""Bytes of a colour profile; those of printing presses have one to three million."""

_MAX_CHUNK = 16 << 20
"""Bytes of a packed chunk that is looked into; longer ones hold no text that is needed, nor a profile."""

_MOST_CHUNKS = 200_000
"""Parts of a file; those of the largest pictures that are read, in pieces of 8 KB, as they are usual, are fewer."""


def is_png(file: BinaryIO) -> bool:
    """Whether `file` begins like a PNG; leaves it at its beginning."""
    head = file.read(len(_SIGNATURE))
    file.seek(0)
    return head == _SIGNATURE


def sifted(file: BinaryIO) -> tuple[bytes | None, BinaryIO]:
    """What Pillow can read of the PNG `file`, and its colour profile where Pillow would not take that.

    Returns:
        The profile or None, and `file` itself where nothing stands in the way, else a copy in memory of the rest of it.

    Raises:
        ImageError: A part that holds the picture itself is damaged, there are too many parts, or the profile is too large to be
            meant; the message does not begin with the picture's name.
    """
    profile, drop, texts = None, set(), 0
    places = list(_chunks(file))
    first_profile = next((start for start, kind, _ in places if kind == _PROFILE), None)  # there may be one only
    for start, kind, length in places:
        if kind in _PICTURE:
            _check_sound(file, start, kind, length)
        if not kind[0] & 0x20:
            continue
        is_surplus = texts > _MAX_TEXTS if kind in _TEXTS else kind == _PROFILE and start != first_profile
        if length > _MAX_CHUNK or is_surplus:  # unread, so that a small file cannot make much work
            drop.add(start)
            continue
        file.seek(start + 8)
        data, checksum = file.read(length), file.read(4)
        if len(checksum) == 4 and zlib.crc32(kind + data).to_bytes(4, "big") != checksum:
            drop.add(start)
        elif kind == _PROFILE and _unpacks_to_more(_packed(kind, data), _MAX_TEXT):
            profile = _unpacked_profile(data)
            drop.add(start)
        elif kind in _TEXTS:
            packed = _packed(kind, data)
            texts += _MAX_TEXT if packed else length  # what is dropped was unpacked, too
            if texts > _MAX_TEXTS or _unpacks_to_more(packed, _MAX_TEXT):
                drop.add(start)
    file.seek(0)
    return profile, _without(file, places, drop) if drop else file


def _chunks(file: BinaryIO) -> list[tuple[int, bytes, int]]:
    """Where each chunk starts, its name, and how many bytes of data it has, as far as the file is well-formed.

    Raises:
        ImageError: There are too many.
    """
    chunks: list[tuple[int, bytes, int]] = []
    start = len(_SIGNATURE)
    while True:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return chunks
        length, kind = struct.unpack(">I4s", head)
        chunks.append((start, kind, length))
        if len(chunks) > _MOST_CHUNKS:
            raise ImageError(
                f"is in more than {_MOST_CHUNKS:,} parts, which takes long to read. Open it in a viewer and save it anew"
            )
        if kind == b"IEND" or not kind.isalpha():
            return chunks
        start += length + 12


def _check_sound(file: BinaryIO, start: int, kind: bytes, length: int) -> None:
    """Raise if the chunk's checksum is wrong; Pillow passes over that of IDAT, and of a hole in it makes a picture."""
    file.seek(start + 8)
    actual = zlib.crc32(kind)
    while length and (data := file.read(min(length, _PIECE))):
        actual = zlib.crc32(data, actual)
        length -= len(data)
    checksum = file.read(4)
    if not length and len(checksum) == 4 and actual.to_bytes(4, "big") != checksum:  # what is cut off, Pillow misses itself
        raise ImageError(
            f"is damaged or truncated (the checksum of its part {kind.decode()} is wrong). Fetch it again from where it came, "
            "or remove it"
        )


def _packed(kind: bytes, data: bytes) -> bytes:
    """What of a chunk's data is compressed."""
    _, _, rest = data.partition(b"\0")
    if kind == b"tEXt":
        return b""
    if kind != b"iTXt":
        return rest[1:]
    if rest[:1] != b"\1":
        return b""
    return rest[2:].split(b"\0", 2)[-1]  # after the language and the translated keyword


def _unpacks_to_more(packed: bytes, limit: int) -> bool:
    try:
        return len(zlib.decompressobj().decompress(packed, limit + 1)) > limit
    except zlib.error:
        return False  # Pillow passes over what cannot be unpacked


def _unpacked_profile(data: bytes) -> bytes:
    profile = zlib.decompressobj().decompress(_packed(_PROFILE, data), _MAX_PROFILE + 1)
    if len(profile) > _MAX_PROFILE:
        raise ImageError(
            f"holds a colour profile of more than {_MAX_PROFILE >> 20} MB. Save it with another one, such as sRGB, or remove it"
        )
    return profile


def _without(file: BinaryIO, places: list[tuple[int, bytes, int]], drop: set[int]) -> io.BytesIO:
    kept = io.BytesIO()
    kept.write(_SIGNATURE)
    for start, _, length in places:
        if start not in drop:
            file.seek(start)
            kept.write(file.read(length + 12))
    kept.seek(0)
    return kept
