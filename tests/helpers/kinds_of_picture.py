"""Pictures of all kinds that people have, and what is to be seen of each, or said."""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from helpers.profiles import DISPLAY_P3, SRGB, rgb_profile, seen
from PIL import Image, features

HEIGHT, WIDTH = 36, 48
ORIENTATION = 0x0112


def _draw() -> np.ndarray:
    """Smooth, so that lossy formats keep it, and another in each corner."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH] / [[[HEIGHT]], [[WIDTH]]]
    return np.stack([40 + 180 * across, 30 + 190 * down, 220 - 150 * across * down], axis=-1).astype(np.uint8)


DRAWN = _draw()
GREY = DRAWN[..., 1]
ALPHA = np.where(np.arange(WIDTH) < WIDTH // 2, 255, 51).astype(np.uint8)[None].repeat(HEIGHT, axis=0)
LAID = DRAWN * (ALPHA[..., None] / 255) + 255 * (1 - ALPHA[..., None] / 255)
EXACT, ROUNDED, LOSSY = 0, 1, 12


@dataclass(frozen=True)
class Kind:
    """A file, and either what is to be seen, with how far a level may be off, or a regular expression of what is to be said."""

    name: str
    data: bytes
    seen: np.ndarray | None = None
    tolerance: float = EXACT
    says: str | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height, of those that can be seen."""
        return None if self.seen is None else (self.seen.shape[1], self.seen.shape[0])

    def write(self, folder: Path) -> Path:
        """The file in `folder`."""
        path = folder / self.name
        path.write_bytes(self.data)
        return path


def encoded(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def with_text(data: bytes) -> bytes:
    return data[:33] + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000))) + data[33:]


def sixteen_bit_png() -> bytes:
    wide = (DRAWN.astype(np.uint16) << 8 | 0x80).astype(">u2")
    return png(WIDTH, HEIGHT, 16, 2, b"".join(b"\0" + row.tobytes() for row in wide))


def transparent_level_png() -> bytes:
    wide = (GREY.astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    return png(WIDTH, HEIGHT, 16, 0, rows, chunk(b"tRNS", wide[0, 0].tobytes()))


def without_marker(data: bytes) -> bytes:
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 16 :]


def rle_bitmap() -> bytes:
    """8-bit RLE: rows from the bottom, each a run of two colours."""
    palette = bytes([0, 0, 255, 0, 255, 0, 0, 0]) + bytes(254 * 4)  # red, blue
    half = WIDTH // 2
    rows = bytes([half, 0, WIDTH - half, 1, 0, 0]) * HEIGHT + bytes([0, 1])
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(rows), 2835, 2835, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(rows), 0, 0, 54 + 1024) + header + palette + rows


def red_and_blue() -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, : WIDTH // 2] = 255, 0, 0
    picture[:, WIDTH // 2 :] = 0, 0, 255
    return picture


def oriented(number: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = number
    return encoded(DRAWN, "PNG", exif=exif)


UPRIGHT = {
    1: DRAWN,
    2: DRAWN[:, ::-1],
    3: DRAWN[::-1, ::-1],
    4: DRAWN[::-1],
    5: DRAWN.swapaxes(0, 1),
    6: np.rot90(DRAWN, -1),
    7: DRAWN[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(DRAWN),
}


def moving(kind: str, **options: object) -> bytes:
    first, second = Image.fromarray(DRAWN), Image.new("RGB", (WIDTH, HEIGHT), "blue")
    return encoded(first, kind, save_all=True, append_images=[second], **options)


def four_bytes_bitmap(samples: np.ndarray, *, alpha: bool) -> bytes:
    """A BMP of four bytes a pixel, the last of which is the alpha or, as in older ones, says nothing."""
    height, width, _ = samples.shape
    body = samples[::-1, :, [2, 1, 0, 3]].tobytes()
    info = struct.pack("<IiiHHIIiiII", 108 if alpha else 40, width, height, 1, 32, 3 if alpha else 0, len(body), 0, 0, 0, 0)
    if alpha:
        info += struct.pack("<4I4s", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs") + bytes(48)
    start = 14 + len(info)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + body


def interlaced_png(samples: np.ndarray) -> bytes:
    """Adam7: seven pictures, each of some of the rows and columns."""
    height, width, _ = samples.shape
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [row for y, x, down, right in passes for row in samples[y::down, x::right]]
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def white_is_zero_tiff() -> bytes:
    data = encoded(255 - GREY, "TIFF")
    meaning = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert data.count(meaning) == 1
    return data.replace(meaning, struct.pack("<HHIHH", 262, 3, 1, 0, 0))


def palette_image() -> Image.Image:
    image = Image.fromarray((red_and_blue()[..., 2] > 0).astype(np.uint8), mode="P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    return image


RGBA = np.dstack([DRAWN, ALPHA])
INKS = Image.fromarray(np.dstack([255 - DRAWN, np.zeros_like(GREY)]), mode="CMYK")  # no black: just red, green and blue
RED_HALF = np.where(np.arange(WIDTH)[None, :, None] < WIDTH // 2, red_and_blue(), 255)
JPEG = encoded(DRAWN, "JPEG", quality=95, progressive=True)
FINE = {"quality": 95, "subsampling": 0}

KINDS = [
    Kind("rgb.png", encoded(DRAWN, "PNG"), DRAWN),
    Kind("grey.png", encoded(GREY, "PNG"), np.dstack([GREY] * 3)),
    Kind("one-bit.png", encoded(GREY > 127, "PNG"), np.dstack([255 * (GREY > 127)] * 3)),
    Kind("palette.png", encoded(palette_image(), "PNG"), red_and_blue()),
    Kind("palette-transparent.png", encoded(palette_image(), "PNG", transparency=1), RED_HALF),
    Kind("grey-alpha.png", encoded(np.dstack([GREY, ALPHA]), "PNG"), np.dstack([LAID[..., 1]] * 3), ROUNDED),
    Kind("rgba.png", encoded(RGBA, "PNG"), LAID, ROUNDED),
    Kind("grey-16.png", encoded(GREY.astype("<u2") * 257, "PNG"), np.dstack([GREY] * 3)),
    Kind("rgb-16.png", sixteen_bit_png(), DRAWN),
    Kind("grey-16-transparent.png", transparent_level_png(), np.dstack([np.where(GREY[0, 0] == GREY, 255, GREY)] * 3)),
    Kind("much-text.png", with_text(encoded(DRAWN, "PNG")), DRAWN),
    Kind(
        "display-p3.png",
        encoded(DRAWN, "PNG", icc_profile=rgb_profile(DISPLAY_P3, 2.2)),
        seen(DRAWN / 255, 563 / 256, DISPLAY_P3),
        2,
    ),
    Kind("linear-srgb.png", encoded(DRAWN, "PNG", icc_profile=rgb_profile(SRGB, 1, "sRGB linear")), seen(DRAWN / 255, 1), 1),
    Kind("broken-profile.png", encoded(DRAWN, "PNG", icc_profile=b"nonsense"), DRAWN),
    *(Kind(f"turned-{number}.png", oriented(number), upright) for number, upright in UPRIGHT.items()),
    Kind("moving.apng", moving("PNG"), DRAWN),
    Kind("baseline.jpg", encoded(DRAWN, "JPEG", **FINE), DRAWN, LOSSY),
    Kind("progressive.JPEG", encoded(DRAWN, "JPEG", progressive=True, **FINE), DRAWN, LOSSY),
    Kind("grey.jpe", encoded(GREY, "JPEG", quality=95), np.dstack([GREY] * 3), LOSSY),
    Kind("camera.jfif", encoded(DRAWN, "JPEG", **FINE), DRAWN, LOSSY),
    Kind("inks-adobe.jpg", encoded(INKS, "JPEG", quality=95), DRAWN, LOSSY),
    Kind(
        "inks.jpg",
        without_marker(encoded(Image.fromarray(255 - np.asarray(INKS), mode="CMYK"), "JPEG", quality=95)),
        DRAWN,
        LOSSY,
    ),
    Kind("several.mpo", moving("MPO", **FINE), DRAWN, LOSSY),
    Kind("still.gif", encoded(palette_image(), "GIF"), red_and_blue()),
    Kind("transparent.gif", encoded(palette_image(), "GIF", transparency=1), RED_HALF),
    Kind(
        "moving.gif",
        encoded(palette_image(), "GIF", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))]),
        red_and_blue(),
    ),
    Kind("lossy.webp", encoded(DRAWN, "WEBP", quality=95), DRAWN, LOSSY),
    Kind("alpha.webp", encoded(RGBA, "WEBP", lossless=True, exact=True), LAID, ROUNDED),
    Kind("moving.webp", moving("WEBP", lossless=True), DRAWN),
    Kind("lossless.jp2", encoded(DRAWN, "JPEG2000"), DRAWN),
    Kind("packed.tif", encoded(DRAWN, "TIFF", compression="tiff_lzw"), DRAWN),
    Kind("pages.tiff", moving("TIFF"), DRAWN),
    Kind("alpha.tif", encoded(RGBA, "TIFF"), LAID, ROUNDED),
    Kind("inks.tif", encoded(INKS, "TIFF"), DRAWN),
    Kind("grey-16.tif", encoded((GREY.astype(np.uint16) * 257).astype(">u2"), "TIFF"), np.dstack([GREY] * 3)),
    Kind("runs.bmp", rle_bitmap(), red_and_blue()),
    Kind("plain.bmp", encoded(DRAWN, "BMP"), DRAWN),
    Kind("alpha.bmp", four_bytes_bitmap(RGBA, alpha=True), LAID, ROUNDED),
    Kind("padded.bmp", four_bytes_bitmap(np.dstack([DRAWN, np.zeros_like(GREY)]), alpha=False), DRAWN),
    Kind("interlaced.png", interlaced_png(DRAWN), DRAWN),
    Kind("white-is-zero.tif", white_is_zero_tiff(), np.dstack([GREY] * 3)),
    Kind("portable.ppm", encoded(DRAWN, "PPM"), DRAWN),
    Kind("portable-16.pgm", b"P5 48 36 65535\n" + (GREY.astype(">u2") * 257).astype(">u2").tobytes(), np.dstack([GREY] * 3)),
    Kind("no suffix", encoded(DRAWN, "PNG"), DRAWN),
    Kind("another's suffix.gif", encoded(DRAWN, "PNG"), DRAWN),
    Kind("thin.png", encoded(DRAWN[:, :1], "PNG"), DRAWN[:, :1]),
    Kind("flat.png", encoded(DRAWN[:1], "PNG"), DRAWN[:1]),
    Kind("truncated.jpg", JPEG[: len(JPEG) // 2], says=r"is damaged or truncated \(.*\)\. Fetch it again from where it came"),
    Kind(
        "truncated-packed.tif", encoded(DRAWN, "TIFF", compression="tiff_lzw")[:-200], says=r"has the signature of TIFF, but is"
    ),
    Kind(
        "truncated-header.gif",
        encoded(GREY, "GIF")[:20],
        says=r"has the signature of GIF, but is damaged or truncated, or of a",
    ),
    Kind("empty.png", b"", says=r"is not an image in a known format \(JPEG, PNG.*Save it as PNG or JPEG, or remove it"),
    Kind("text.png", b"this is text\n", says=r"is not an image in a known format"),
    Kind("floating.tif", encoded(GREY.astype(np.float32), "TIFF"), says=r"holds floating-point samples.*Convert it to 8 or 16"),
    Kind("wide.tif", encoded(GREY.astype(np.int32) * 1000, "TIFF"), says=r"holds 32-bit samples.*Convert it to 8 or 16 bits"),
    Kind("camera.tif", encoded(DRAWN, "TIFF", tiffinfo={254: 1}), says=r"is a camera's raw file.*Develop it, and save it as"),
    Kind("bomb.png", png(100_000, 100_000, 8, 2, bytes(1000)), says=r"has too many pixels.*Make it smaller, or remove it"),
    Kind("large.png", png(15_001, 10_000, 8, 2, bytes(1000)), says=r"has too many pixels: 15001x10000 is more than"),
    Kind("short.png", png(WIDTH, HEIGHT, 8, 2, bytes(1000)), says=r"is damaged or truncated"),
]

if features.check("avif"):
    KINDS.append(Kind("modern.avif", encoded(DRAWN, "AVIF", quality=95), DRAWN, LOSSY))
try:
    import pillow_heif
except ModuleNotFoundError:
    pass
else:
    _heic = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(DRAWN)).save(_heic, quality=95)
    KINDS.append(Kind("telephone.HEIC", _heic.getvalue(), DRAWN, LOSSY))
