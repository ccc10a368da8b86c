"""Pictures as people have them, each with what it is to be read as, or with the sentence that says why it is not.

Their samples are a pattern of few smooth colours, so that lossy formats keep it, and what is expected is computed from the
pattern, not by reading.
"""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from helpers.profiles import DISPLAY_P3, SRGB, rgb_profile, seen
from PIL import Image

WIDTH, HEIGHT = 40, 24
ORIENTATION = 0x0112
NOT_AN_IMAGE = "is not an image in a known format (JPEG, PNG, WEBP, TIFF, GIF, BMP, AVIF, JPEG2000, PPM)"
DAMAGED = "is damaged or truncated ("
SIGNED = "has the signature of {0}, but is damaged or truncated, or of a kind of {0} that is not read"
RAW = "is a camera's raw file, of which only a small preview could be read"

_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH]
COLOUR = np.stack([40 + 4 * _X, 220 - 6 * _Y, 60 + 2 * _X + 3 * _Y], axis=-1).astype(np.uint8)
GREY = (30 + 3 * _X + 4 * _Y).astype(np.uint8)
ALPHA = np.where(_X < WIDTH // 2, 255, 51).astype(np.uint8)
OPAQUE = (ALPHA / 255)[..., None]


@dataclass(frozen=True)
class Kind:
    """A kind of picture.

    Attributes:
        data: The file.
        seen: Levels of red, green and blue, of shape (H, W, 3), that it is to be read as.
        within: Levels by which a lossy format may miss them.
        message: In place of `seen`: how what is said of the file begins.
    """

    data: bytes
    seen: np.ndarray | None = None
    within: float = 0
    message: str = ""


def kinds() -> dict[str, Kind]:
    """All kinds by the names of files."""
    return {**_plain(), **_transparent(), **_deep(), **_coloured(), **_several(), **_turned(), **_shaped(), **_refused()}


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples: np.ndarray, colour_type: int, depth: int, size: tuple[int, int] | None = None, *chunks: bytes) -> bytes:
    """A PNG by hand; `size` (width, height) may be a lie."""
    width, height = size or (samples.shape[1], samples.shape[0])
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in samples.astype(">u2" if depth == 16 else np.uint8))
    parts = [png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def on_white(colour: np.ndarray) -> np.ndarray:
    return colour * OPAQUE + 255 * (1 - OPAQUE)


def grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, axis=-1)


def _picture(samples: np.ndarray = COLOUR) -> Image.Image:
    return Image.fromarray(samples)


def _plain() -> dict[str, Kind]:
    palette = _picture(GREY // 32)
    palette.putpalette([level for entry in range(8) for level in (30 * entry, 255 - 30 * entry, 100)])
    entries = (GREY // 32).astype(int)
    indexed = np.stack([30 * entries, 255 - 30 * entries, np.full_like(entries, 100)], axis=-1)
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 3_000_000))
    return {
        "colour.png": Kind(saved(_picture(), "PNG"), COLOUR),
        "grey.png": Kind(saved(_picture(GREY), "PNG"), grey(GREY)),
        "one-bit.png": Kind(saved(_picture(GREY > 120), "PNG"), grey(255 * (GREY > 120))),
        "palette.png": Kind(saved(palette, "PNG"), indexed),
        "interlaced.png": Kind(_interlaced(COLOUR), COLOUR),
        "much-text.png": Kind(png(COLOUR, 2, 8, None, text), COLOUR),
        "wrong-checksum-of-text.png": Kind(png(COLOUR, 2, 8, None, png_chunk(b"tEXt", b"Comment\0hello")[:-1] + b"?"), COLOUR),
        "named.jpg": Kind(saved(_picture(), "PNG"), COLOUR),
        "baseline.jpg": Kind(saved(_picture(), "JPEG", quality=95, subsampling=0), COLOUR, 6),
        "progressive.jpg": Kind(saved(_picture(), "JPEG", quality=95, subsampling=0, progressive=True), COLOUR, 6),
        "grey.jpg": Kind(saved(_picture(GREY), "JPEG", quality=95), grey(GREY), 4),
        "lossless.webp": Kind(saved(_picture(), "WEBP", lossless=True), COLOUR),
        "lossy.webp": Kind(saved(_picture(), "WEBP", quality=95), COLOUR, 16),
        "picture.avif": Kind(saved(_picture(), "AVIF", quality=95, subsampling="4:4:4"), COLOUR, 8),
        "picture.jp2": Kind(saved(_picture(), "JPEG2000"), COLOUR),
        "picture.ppm": Kind(saved(_picture(), "PPM"), COLOUR),
        "picture.bmp": Kind(saved(_picture(), "BMP"), COLOUR),
        "run-lengths.bmp": Kind(_run_lengths(entries), indexed),
        "still.gif": Kind(saved(palette, "GIF"), indexed),
        "lzw.tif": Kind(saved(_picture(), "TIFF", compression="tiff_lzw"), COLOUR),
        "jpeg.tif": Kind(saved(_picture(), "TIFF", compression="jpeg", quality=95), COLOUR, 16),
        "white-is-zero.tif": Kind(_white_is_zero(), grey(GREY)),
        "padded.bmp": Kind(_four_bytes(np.dstack([COLOUR, np.zeros_like(GREY)]), alpha=False), COLOUR),
    }


def _transparent() -> dict[str, Kind]:
    layer = _picture(np.dstack([COLOUR, ALPHA]))
    palette = _picture((_X >= WIDTH // 2).astype(np.uint8))
    palette.putpalette([200, 30, 40, 10, 20, 250])
    left = np.where((_X < WIDTH // 2)[..., None], (200, 30, 40), (255, 255, 255))
    return {
        "alpha.png": Kind(saved(layer, "PNG"), on_white(COLOUR), 1),
        "grey-alpha.png": Kind(saved(_picture(np.dstack([GREY, ALPHA])), "PNG"), on_white(grey(GREY)), 1),
        "palette-transparent.png": Kind(saved(palette, "PNG", transparency=1), left),
        "transparent.gif": Kind(saved(palette, "GIF", transparency=1), left),
        "alpha.webp": Kind(saved(layer, "WEBP", lossless=True, exact=True), on_white(COLOUR), 1),
        "alpha.tif": Kind(saved(layer, "TIFF"), on_white(COLOUR), 1),
        "alpha.bmp": Kind(_four_bytes(np.dstack([COLOUR, ALPHA]), alpha=True), on_white(COLOUR), 1),
    }


def _deep() -> dict[str, Kind]:
    deep, deep_colour = GREY.astype(np.uint16) * 257, COLOUR.astype(np.uint16) * 257
    return {
        "sixteen-bits-grey.png": Kind(saved(_picture(deep), "PNG"), grey(GREY)),
        "sixteen-bits-grey.tif": Kind(saved(_picture(deep), "TIFF"), grey(GREY)),
        "sixteen-bits-grey.pgm": Kind(b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + deep.astype(">u2").tobytes(), grey(GREY)),
        "sixteen-bits-colour.png": Kind(png(deep_colour, 2, 16), COLOUR),
        "sixteen-bits-alpha.png": Kind(
            png(np.dstack([deep_colour, ALPHA.astype(np.uint16) * 257]), 6, 16), on_white(COLOUR), 1
        ),
    }


def _coloured() -> dict[str, Kind]:
    inks = 255 - np.dstack([COLOUR, np.full_like(GREY, 255)])
    adobe = saved(Image.fromarray(inks, "CMYK"), "JPEG", quality=95, subsampling=0)
    # Without Adobe's marker, what Pillow inverts on writing has to be inverted beforehand.
    plain = saved(Image.fromarray(255 - inks, "CMYK"), "JPEG", quality=95, subsampling=0)
    marker = plain.index(b"\xff\xee")
    linear = seen(COLOUR / 255, 1)
    wide = seen(COLOUR / 255, 2.2, DISPLAY_P3)
    return {
        "inks-adobe.jpg": Kind(adobe, COLOUR, 6),
        "inks-plain.jpg": Kind(plain[:marker] + plain[marker + 16 :], COLOUR, 6),
        "inks.tif": Kind(saved(Image.fromarray(inks, "CMYK"), "TIFF"), COLOUR),
        "display-p3.png": Kind(saved(_picture(), "PNG", icc_profile=rgb_profile(DISPLAY_P3, 2.2)), wide, 2),
        "linear.png": Kind(saved(_picture(), "PNG", icc_profile=rgb_profile(SRGB, 1, "sRGB")), linear, 1),
        "broken-profile.png": Kind(saved(_picture(), "PNG", icc_profile=b"broken"), COLOUR),
    }


def _several() -> dict[str, Kind]:
    def more() -> dict[str, object]:  # a picture of its own each time, because Pillow's writers leave marks on it
        return {"save_all": True, "append_images": [_picture(255 - COLOUR)]}

    still = _picture(GREY)
    return {
        "animated.gif": Kind(saved(still, "GIF", save_all=True, append_images=[_picture(255 - GREY)]), grey(GREY)),
        "animated.webp": Kind(saved(_picture(), "WEBP", lossless=True, **more()), COLOUR),
        "animated.png": Kind(saved(_picture(), "PNG", **more()), COLOUR),
        "animated.avif": Kind(saved(_picture(), "AVIF", quality=95, subsampling="4:4:4", **more()), COLOUR, 8),
        "two.mpo": Kind(saved(_picture(), "MPO", quality=95, subsampling=0, **more()), COLOUR, 6),
        "pages.tif": Kind(saved(_picture(), "TIFF", **more()), COLOUR),
    }


def _turned() -> dict[str, Kind]:
    upright: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a),
    }
    turned = {}
    for orientation, turn in upright.items():
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        data = saved(_picture(), "JPEG", quality=95, subsampling=0, exif=exif)
        turned[f"orientation-{orientation}.jpg"] = Kind(data, turn(COLOUR), 6)
    return turned


def _shaped() -> dict[str, Kind]:
    line = np.linspace(0, 255, 50).astype(np.uint8).reshape(50, 1, 1).repeat(3, axis=2)
    return {
        "one-pixel.png": Kind(saved(Image.new("RGB", (1, 1), (9, 99, 199)), "PNG"), np.array([[[9, 99, 199]]])),
        "one-pixel-wide.png": Kind(saved(_picture(line), "PNG"), line),
        "one-pixel-high.png": Kind(saved(_picture(line.swapaxes(0, 1)), "PNG"), line.swapaxes(0, 1)),
    }


def _refused() -> dict[str, Kind]:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    raw = saved(_picture(), "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    cut = {
        f"cut.{suffix}": saved(_picture(noise), kind, **options)
        for suffix, kind, options in (
            ("jpg", "JPEG", {"progressive": True}),
            ("png", "PNG", {}),
            ("tif", "TIFF", {}),
            ("gif", "GIF", {}),
            ("webp", "WEBP", {}),
            ("bmp", "BMP", {}),
            ("jp2", "JPEG2000", {}),
        )
    }
    packed = saved(_picture(noise), "TIFF", compression="tiff_lzw")  # which has its directory at the end
    avif = saved(_picture(noise), "AVIF")
    messages = {
        "empty.png": (b"", NOT_AN_IMAGE),
        "text.png": (b"this is text\n", NOT_AN_IMAGE),
        "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", NOT_AN_IMAGE),
        "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", NOT_AN_IMAGE),
        "layers.jpg": (b"8BPS\0\1" + bytes(60), NOT_AN_IMAGE),
        "raw.tif": (raw, RAW),
        "bomb.png": (png(GREY[:1], 0, 8, (60_000, 60_000)), "has too many pixels for Pillow"),
        "large.png": (
            png(GREY[:1], 0, 8, (13_000, 12_000)),
            "has too many pixels: 13000x12000 is more than 150,000,000 in all",
        ),
        "floats.tif": (saved(_picture(GREY.astype(np.float32)), "TIFF"), "holds floating-point samples"),
        "thirty-two-bits.tif": (saved(_picture(GREY.astype(np.int32) * 70_000), "TIFF"), "holds 32-bit samples"),
        "wrong-checksum.png": (_wrong_checksum(), DAMAGED),
        **{name: (data[: len(data) // 2], DAMAGED) for name, data in cut.items()},
        "cut-compressed.tif": (packed[: len(packed) // 2], SIGNED.format("TIFF")),
        "cut.avif": (avif[: len(avif) // 2], SIGNED.format("AVIF")),
        "cut-header.gif": (saved(_picture(GREY), "GIF")[:20], SIGNED.format("GIF")),
    }
    return {name: Kind(data, message=message) for name, (data, message) in messages.items()}


def _wrong_checksum() -> bytes:
    data = bytearray(png(COLOUR, 2, 8))
    data[data.index(b"IDAT") + 40] ^= 0xFF
    return bytes(data)


def _white_is_zero() -> bytes:
    data = saved(_picture(255 - GREY), "TIFF")
    meaning = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert data.count(meaning) == 1
    return data.replace(meaning, struct.pack("<HHIHH", 262, 3, 1, 0, 0))


def _four_bytes(samples: np.ndarray, *, alpha: bool) -> bytes:
    """A BMP of four bytes a pixel, the last of which is the alpha or, as in older ones, says nothing."""
    height, width, _ = samples.shape
    body = samples[::-1, :, [2, 1, 0, 3]].tobytes()
    info = struct.pack("<IiiHHIIiiII", 108 if alpha else 40, width, height, 1, 32, 3 if alpha else 0, len(body), 0, 0, 0, 0)
    if alpha:
        info += struct.pack("<4I4s", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs") + bytes(48)
    start = 14 + len(info)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + body


def _interlaced(samples: np.ndarray) -> bytes:
    """Adam7: seven pictures, each of every so manieth row and column."""
    height, width, _ = samples.shape
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [row for y, x, down, right in passes for row in samples[y::down, x::right]]
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    parts = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", data), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _run_lengths(entries: np.ndarray) -> bytes:
    """A BMP of eight colours, its rows from the lowest up as runs of one colour."""
    height, width = entries.shape
    body = b""
    for row in entries[::-1]:
        starts = [0, *(np.flatnonzero(np.diff(row)) + 1), width]
        body += b"".join(bytes((end - start, row[start])) for start, end in pairwise(starts)) + b"\0\0"
    body += b"\0\1"
    palette = b"".join(bytes((100, 255 - 30 * entry, 30 * entry, 0)) for entry in range(8))
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 8, 8)
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + palette + body
