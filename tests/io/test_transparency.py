"""Transparency is kept, and what it hides shows nowhere."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from ieast.errors import ImageError
from ieast.io.images import decode_bytes, encode_image, read_image, write_image
from ieast.io.transparency import check_keeps_alpha, filled, keeping_alpha


@pytest.fixture
def disc():
    """A red disc with a soft edge on transparent green."""
    alpha = Image.new("L", (75, 61))
    ImageDraw.Draw(alpha).ellipse((15, 10, 60, 50), fill=255)
    alpha = alpha.filter(ImageFilter.GaussianBlur(2))
    picture = Image.new("RGBA", alpha.size, (200, 30, 40, 0))
    picture.paste((0, 255, 0, 0), mask=alpha.point(lambda value: 255 * (value == 0)))
    picture.putalpha(alpha)
    return picture


def test_transparent_parts_take_the_colour_of_what_is_near(disc):
    colours = np.asarray(filled(disc)).astype(int)
    assert abs(colours - (200, 30, 40)).max() <= 16  # neither the hidden green nor white; 8 bits of almost nothing are coarse


def test_opaque_parts_stay_as_they_are_and_each_side_gets_its_own_colour():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 64, 4), dtype=np.uint8)
    pixels[:, :, 3] = 0
    pixels[:, :8], pixels[:, -8:] = (10, 20, 250, 255), (250, 20, 10, 255)
    colours = np.asarray(filled(Image.fromarray(pixels))).astype(int)
    np.testing.assert_array_equal(colours[:, :8], pixels[:, :8, :3])
    assert colours[:, 10, 2].min() > 180 > 80 > colours[:, -11, 2].max()
    opaque = Image.fromarray(random.integers(0, 256, (7, 5, 3), dtype=np.uint8))
    np.testing.assert_array_equal(filled(opaque.convert("RGBA")), opaque)


def test_a_picture_that_shows_nothing_is_white():
    assert filled(Image.new("RGBA", (5, 9), (9, 9, 9, 0))).getextrema() == ((255, 255),) * 3


def test_what_stylizes_gets_colours_alone_and_the_transparency_is_put_back(disc):
    seen = []

    def invert(picture):
        seen.append(picture.mode)
        return picture.point(lambda value: 255 - value)

    result = keeping_alpha(invert, disc)
    np.testing.assert_array_equal(result.getchannel("A"), disc.getchannel("A"))
    np.testing.assert_array_equal(np.asarray(result)[..., :3], 255 - np.asarray(filled(disc)))
    assert keeping_alpha(invert, disc.convert("RGB")).mode == "RGB"
    assert seen == ["RGB", "RGB"]


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_files_keep_it_to_the_bit(disc, tmp_path, suffix):
    write_image(disc, tmp_path / f"disc{suffix}")
    read = read_image(tmp_path / f"disc{suffix}", behind=None)
    assert read.mode == "RGBA"
    np.testing.assert_array_equal(read.getchannel("A"), disc.getchannel("A"))
    assert read_image(tmp_path / f"disc{suffix}").mode == "RGB"


def test_a_picture_that_is_nowhere_transparent_is_read_without(disc):
    opaque = Image.new("RGBA", (6, 4), (1, 2, 3, 255))
    assert decode_bytes(encode_image(opaque, ".png"), behind=None).mode == "RGB"


@pytest.mark.parametrize("name", ["x.jpg", "x.bmp", "x.tif", "x"])
def test_formats_that_do_not_keep_it_are_refused(tmp_path, name):
    with pytest.raises(ImageError, match=r"does not keep transparency here. Write .png or .webp"):
        check_keeps_alpha(tmp_path / name)
    check_keeps_alpha(tmp_path / "x.WEBP")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_grey_that_is_transparent_is_found_at_every_depth(bits, tmp_path):
    """Written by hand, since Pillow writes no greys of 2 and 4 bits."""
    width, most = 8, 2**bits - 1
    row = bytes(np.packbits([[value >> bit & 1 for bit in reversed(range(bits))] for value in [0, most] * (width // 2)]))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, 1, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"tRNS", struct.pack(">H", most)), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    (tmp_path / "grey.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    alpha = np.asarray(read_image(tmp_path / "grey.png", behind=None).getchannel("A"))
    assert alpha.tolist() == [[255, 0] * (width // 2)]


def test_what_a_format_cannot_hold_is_an_error_of_the_picture():
    with pytest.raises(ImageError, match=r"^WEBP cannot hold this picture of 16400x1 pixels"):
        encode_image(Image.new("RGB", (16400, 1)), ".webp")
