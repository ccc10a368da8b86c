"""Thirty kinds of requests that the service must refuse, and its answers: for its tests and for `benchmarks.serving`."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

Part = tuple[str, bytes | str]
"""A field's name, and a file's content or a text."""


@dataclass(frozen=True)
class BadRequest:
    """A request, the status with which it is refused, and words of the sentence that says why.

    Attributes:
        kind: Its name.
        status: Expected.
        says: Expected in the answer's `detail`.
        parts: Of its form.
        body: In the place of a form.
        content_type: Of `body`.
        method: HTTP's.
        path: Asked for.
    """

    kind: str
    status: int
    says: str
    parts: tuple[Part, ...] = ()
    body: bytes | None = None
    content_type: str = ""
    method: str = "POST"
    path: str = "/v1/stylize"
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[bytes, dict[str, str]]:
        """Body and headers as they are sent."""
        if self.body is not None:
            return self.body, {"Content-Type": self.content_type} | self.headers
        return encode_form(self.parts, self.headers)


def encode_form(parts: tuple[Part, ...], headers: dict[str, str] | None = None) -> tuple[bytes, dict[str, str]]:
    """A multipart body of `parts`, and the headers that go with it."""
    boundary = "between-parts-of-a-form"
    body = io.BytesIO()
    for name, value in parts:
        file = '; filename="picture"\r\nContent-Type: application/octet-stream' if isinstance(value, bytes) else ""
        body.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode())
        body.write(value if isinstance(value, bytes) else value.encode())
        body.write(b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue(), {"Content-Type": f"multipart/form-data; boundary={boundary}", **(headers or {})}


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    """A grey picture's file."""
    buffer = io.BytesIO()
    Image.new(mode, (width, height), 128 if mode in ("L", "F", "I") else (128, 90, 60)).save(buffer, kind)
    return buffer.getvalue()


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few hundred bytes whose header announces billions of pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def bad_requests(body_bytes: int, stylized_pixels: int) -> Iterator[BadRequest]:
    """Thirty kinds, for a service with these limits.

    Args:
        body_bytes: That it takes of a request.
        stylized_pixels: That it stylizes.
    """
    small, noise = picture(48, 40), np.random.default_rng(0).bytes(3000)
    good = (("content", small), ("style", small))
    wide = picture(stylized_pixels // 32 + 1, 32)

    def form(kind: str, status: int, says: str, *parts: Part) -> BadRequest:
        return BadRequest(kind, status, says, parts)

    def with_text(kind: str, says: str, name: str, text: str) -> BadRequest:
        return form(kind, 422, says, *good, (name, text))

    yield BadRequest("no form", 422, "multipart/form-data", body=b"", content_type="text/plain")
    yield BadRequest("JSON", 422, "multipart/form-data", body=b'{"content": 1}', content_type="application/json")
    yield BadRequest("no boundary", 422, "multipart/form-data", body=b"--x--", content_type="multipart/form-data")
    yield BadRequest("broken form", 422, "The form cannot be read", body=noise, content_type="multipart/form-data; boundary=x")
    yield BadRequest("cut form", 422, "there is no", body=b"--x\r\n", content_type="multipart/form-data; boundary=x")
    yield form("no content", 422, "there is no content", ("style", small))
    yield form("no style", 422, "there is no style", ("content", small))
    yield form("two contents", 422, "content is given 2 times", *good, ("content", small))
    yield form("content as text", 422, "content must be a picture's file", ("content", "photo.jpg"), ("style", small))
    yield form("alpha as a file", 422, "alpha must be text", *good, ("alpha", b"1"))
    yield form("unknown field", 422, "there is no field 'strength'", *good, ("strength", "1"))
    yield form("unknown style", 422, "no shipped style 'mona_lisa'", ("content", small), ("style_name", "mona_lisa"))
    yield form("too many styles", 422, "at most 8", ("content", small), *[("style_name", "swirls")] * 9)
    yield form("far too many fields", 422, "cannot be read", *good, *[("weight", "1")] * 99)
    yield with_text("alpha above 1", "between 0 and 1", "alpha", "1.5")
    yield with_text("alpha not a number", "must be a number", "alpha", "much")
    yield with_text("alpha NaN", "between 0 and 1", "alpha", "nan")
    yield with_text("weights without styles", "2 weights for 1 styles", "weight", "1,2")
    yield with_text("negative weight", "at least 0", "weight", "-1")
    yield with_text("infinite weight", "finite", "weight", "inf")
    yield with_text("huge style size", "at most", "style_size", "99999")
    yield with_text("style size not a number", "whole number", "style_size", "9" * 4000)
    yield with_text("unknown colours", "must be one of", "preserve_colour", "sepia")
    yield with_text("unknown format", "must be one of", "format", "gif")
    yield form("not a picture", 422, "not an image", ("content", noise), ("style", small))
    yield form("cut picture", 422, "damaged or truncated", ("content", picture(300, 200)[:-400]), ("style", small))
    yield form("mask of another size", 422, "a mask must have exactly", *good, ("mask", picture(20, 20)))
    yield form("bomb", 413, "too many pixels", ("content", bomb()), ("style", small))
    yield form("more pixels than are stylized", 413, "longest_side", ("content", wide), ("style", small))
    yield form("more bytes than are taken", 413, "Send smaller files", ("content", bytes(body_bytes)), ("style", small))
