import errno
import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.profiles import DISPLAY_P3, SRGB, description, grey_profile, profile, rgb_profile
from helpers.profiles import seen as as_seen
from PIL import Image, ImageCms

from ieast.errors import ImageError
from ieast.io.files import DiskFullError
from ieast.io.images import (
    MAX_SIDE,
    check_writable_image_path,
    decode_bytes,
    encode_png,
    read_image,
    read_mask,
    read_size,
    resize_smallest_side,
    resize_square,
    to_image,
    to_tensor,
    write_image,
)

ORIENTATION = 0x0112


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(width: int, height: int) -> Image.Image:
    """A picture that survives JPEG almost unchanged."""
    return Image.fromarray(noise(6, 8)).resize((width, height), Image.Resampling.BICUBIC)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def blue_green_red_profile() -> bytes:
    """Pillow's sRGB profile with the primaries of red and blue exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = struct.unpack(">I", profile[128:132])[0]
    table = profile[132 : 132 + 12 * tags]
    swapped = table.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
    name, other = "sRGB".encode("utf-16-be"), "BGR!".encode("utf-16-be")
    return (profile[:132] + swapped + profile[132 + 12 * tags :]).replace(name, other)


def cyan_is_red_profile() -> bytes:
    """A CMYK profile in which no ink is white, full cyan is red and every other corner is black."""
    colours = np.tile(np.array([0, 128, 128], np.uint8), (2, 2, 2, 2, 1))  # 8-bit Lab of each corner
    colours[0, 0, 0, 0] = 255, 128, 128
    colours[1, 0, 0, 0] = 138, 209, 198
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(0x10000 * i for i in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + 4 * ramp + colours.tobytes() + 3 * ramp
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    tags = {b"desc": description("test"), b"wtpt": white, b"A2B0": lut}
    return profile(b"CMYK", tags, kind=b"prtr", connection=b"Lab ")


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(image: Image.Image, *chunks: bytes, at_the_end: bool = False) -> bytes:
    """A PNG of `image` with more chunks behind its header, or before its end."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    place = len(data) - 12 if at_the_end else 33
    return data[:place] + b"".join(chunks) + data[place:]


class TestModes:
    def test_rgb_is_unchanged_and_without_metadata(self, tmp_path):
        Image.fromarray(noise(5, 7)).save(tmp_path / "a.png", dpi=(72, 72))
        image = read_image(tmp_path / "a.png")
        assert (pixels(image) == noise(5, 7)).all()
        assert image.info == {}

    def test_grey(self, tmp_path):
        grey = noise(5, 7, 1)[..., 0]
        Image.fromarray(grey).save(tmp_path / "a.png")
        assert (pixels(read_image(tmp_path / "a.png")) == grey[..., None]).all()

    def test_one_bit(self, tmp_path):
        bits = noise(5, 7, 1)[..., 0] > 127
        Image.fromarray(bits).save(tmp_path / "a.png")
        assert (pixels(read_image(tmp_path / "a.png")) == 255 * bits[..., None]).all()

    @pytest.mark.parametrize("mode", ["LA", "RGBA"])
    def test_alpha_is_laid_on_white(self, tmp_path, mode):
        samples = noise(9, 9, len(mode))
        Image.fromarray(samples, mode=mode).save(tmp_path / "a.png")
        alpha = samples[..., -1:] / 255
        expected = samples[..., :-1] * alpha + 255 * (1 - alpha)
        assert abs(pixels(read_image(tmp_path / "a.png")) - expected).max() <= 1

    @pytest.mark.parametrize("mode", ["LA", "RGBA"])
    def test_a_mask_does_not_apply_where_it_is_transparent(self, tmp_path, mode):
        samples = noise(9, 9, len(mode))
        Image.fromarray(samples, mode=mode).save(tmp_path / "a.png")
        expected = samples[..., :-1] * (samples[..., -1:] / 255)
        assert abs(pixels(read_mask(tmp_path / "a.png")) - expected).max() <= 1

    def test_one_transparent_level_of_sixteen_bits(self, tmp_path):
        samples = np.array([[0, 128, 65535, 32768]], dtype="<u2")
        image = Image.fromarray(samples)
        (tmp_path / "a.png").write_bytes(png_with(image, chunk(b"tRNS", struct.pack(">H", 128))))
        assert pixels(read_image(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 255, 255, 128]
        assert pixels(read_mask(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 0, 255, 128]

    def test_one_transparent_colour_of_sixteen_bits(self, tmp_path):
        header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
        row = struct.pack(">B6H", 0, 65535, 0, 0, 0, 0, 257)
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">3H", 65535, 0, 0))
        (tmp_path / "a.png").write_bytes(data + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b""))
        assert pixels(read_image(tmp_path / "a.png")).tolist() == [[[255, 255, 255], [0, 0, 1]]]

    def test_palette(self, tmp_path):
        image = Image.new("P", (3, 1))
        image.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
        image.putdata([0, 1, 2])
        image.save(tmp_path / "a.png")
        assert pixels(read_image(tmp_path / "a.png")).tolist() == [[[255, 0, 0], [0, 255, 0], [10, 20, 30]]]

    def test_palette_with_transparent_entry(self, tmp_path):
        image = Image.new("P", (3, 1))
        image.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
        image.putdata([0, 1, 2])
        image.save(tmp_path / "a.png", transparency=1)
        assert pixels(read_image(tmp_path / "a.png")).tolist() == [[[255, 0, 0], [255, 255, 255], [10, 20, 30]]]

    def test_palette_with_alpha_for_each_entry(self, tmp_path):
        image = Image.new("P", (2, 1))
        image.putpalette([255, 0, 0, 0, 0, 0])
        image.putdata([0, 1])
        image.save(tmp_path / "a.png", transparency=bytes([0, 51]))
        assert pixels(read_image(tmp_path / "a.png")).tolist() == [[[255, 255, 255], [204, 204, 204]]]

    @pytest.mark.parametrize(("kind", "name"), [("<u2", "a.png"), ("<u2", "a.tif"), (">u2", "a.tif"), ("<i4", "a.tif")])
    def test_sixteen_bit_grey_is_scaled(self, tmp_path, kind, name):
        samples = np.array([[0, 128, 129, 257, 32768, 65278, 65535]], dtype=kind)
        Image.fromarray(samples).save(tmp_path / name)
        assert pixels(read_image(tmp_path / name))[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255]

    def test_sixteen_bit_pgm_is_scaled(self, tmp_path):
        (tmp_path / "a.pgm").write_bytes(b"P5 3 1 65535\n" + struct.pack(">3H", 0, 32768, 65535))
        assert pixels(read_image(tmp_path / "a.pgm"))[0, :, 0].tolist() == [0, 128, 255]

    def test_samples_without_range_are_refused(self, tmp_path):
        Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
        with pytest.raises(ImageError, match=r"float\.tif: holds floating-point samples.* Convert it to 8 or 16 bits"):
            read_image(tmp_path / "float.tif")
        Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "wide.tif")
        with pytest.raises(ImageError, match=r"wide\.tif: holds 32-bit samples"):
            read_image(tmp_path / "wide.tif")

    def test_animation_gives_first_frame(self, tmp_path):
        frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
        for name in ("a.gif", "a.png", "a.webp"):
            options = {"lossless": True} if name == "a.webp" else {}
            frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
            assert (pixels(read_image(tmp_path / name)) == (255, 0, 0)).all()


class TestColour:
    INKS = (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 0, 255), (0, 0, 0, 0)
    SEEN = (0, 255, 255), (255, 0, 255), (0, 0, 0), (255, 255, 255)

    @pytest.mark.parametrize(("ink", "seen"), list(zip(INKS, SEEN, strict=True)))
    def test_cmyk(self, tmp_path, ink, seen):
        image = Image.new("CMYK", (16, 16), ink)
        image.save(tmp_path / "a.tif")
        image.save(tmp_path / "adobe.jpg", quality=100)  # Pillow writes Adobe's marker and inverts
        # Without the marker, what Pillow inverts on writing has to be inverted beforehand.
        plain = Image.new("CMYK", (16, 16), tuple(255 - value for value in ink))
        buffer = io.BytesIO()
        plain.save(buffer, "JPEG", quality=100)
        data = buffer.getvalue()
        marker = data.index(b"\xff\xee")
        (tmp_path / "plain.jpg").write_bytes(data[:marker] + data[marker + 16 :])
        for name in ("a.tif", "adobe.jpg", "plain.jpg"):
            assert abs(pixels(read_image(tmp_path / name)) - seen).max() <= 2, name

    def test_cmyk_profile_is_applied(self, tmp_path):
        for name in ("a.jpg", "a.tif"):
            for ink, seen in (((255, 0, 0, 0), (255, 0, 0)), ((0, 0, 0, 0), (255, 255, 255)), ((0, 255, 0, 0), (0,) * 3)):
                Image.new("CMYK", (16, 16), ink).save(tmp_path / name, icc_profile=cyan_is_red_profile())
                assert abs(pixels(read_image(tmp_path / name)) - seen).max() <= 6, (name, ink)

    def test_rgb_profile_is_applied_and_not_passed_on(self, tmp_path):
        Image.new("RGB", (4, 4), (200, 100, 0)).save(tmp_path / "a.png", icc_profile=blue_green_red_profile())
        image = read_image(tmp_path / "a.png")
        assert abs(pixels(image) - (0, 100, 200)).max() <= 2
        write_image(image, tmp_path / "b.png")
        with Image.open(tmp_path / "b.png") as written:
            assert "icc_profile" not in written.info

    def test_srgb_profile_changes_nothing(self, tmp_path):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        Image.fromarray(noise(9, 9)).save(tmp_path / "a.png", icc_profile=profile)
        assert (pixels(read_image(tmp_path / "a.png")) == noise(9, 9)).all()

    @pytest.mark.parametrize("profile", [b"broken", cyan_is_red_profile(), blue_green_red_profile()[:300]])
    def test_broken_or_unfit_profile_is_ignored(self, tmp_path, profile):
        Image.fromarray(noise(9, 9)).save(tmp_path / "a.png", icc_profile=profile)
        assert (pixels(read_image(tmp_path / "a.png")) == noise(9, 9)).all()

    def test_a_profile_is_not_judged_by_its_name(self, tmp_path):
        linear = rgb_profile(SRGB, 1, "sRGB-elle-V2-g10.icc")
        Image.fromarray(noise(32, 32)).save(tmp_path / "a.png", icc_profile=linear)
        expected = as_seen(noise(32, 32) / 255, 1)
        assert abs(expected - noise(32, 32)).max() > 70
        assert abs(pixels(read_image(tmp_path / "a.png")) - expected).max() <= 1

    @pytest.mark.parametrize("gamma", [1, 1.8, 2.2])
    def test_profiles_by_their_primaries_and_curves(self, tmp_path, gamma):
        Image.fromarray(noise(32, 32)).save(tmp_path / "a.png", icc_profile=rgb_profile(DISPLAY_P3, gamma))
        expected = as_seen(noise(32, 32) / 255, round(gamma * 256) / 256, DISPLAY_P3)
        assert abs(pixels(read_image(tmp_path / "a.png")) - expected).max() <= 1.5

    @pytest.mark.parametrize("gamma", [1, 1.8, 2.2])
    @pytest.mark.parametrize("kind", ["L", "LA", "RGBA", "P", "1", "I;16", "I;16B"])
    def test_every_mode_has_its_profile_applied(self, tmp_path, kind, gamma):
        levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
        alpha = np.full_like(levels, 102)
        share, grey = 1.0, levels / 255
        if kind in ("LA", "RGBA"):
            image = Image.fromarray(np.dstack([levels] * (len(kind) - 1) + [alpha]))
            share = 0.4
        elif kind == "P":
            image = Image.fromarray(levels).convert("P")
            image.putpalette([level for level in range(256) for _ in range(3)])
        elif kind == "1":
            image = Image.fromarray(levels > 127)
            grey = (levels > 127).astype(float)
        elif kind.startswith("I"):
            wide = levels.astype(np.uint16) * 256 + 10
            image, grey = Image.fromarray(wide.astype(">u2" if kind == "I;16B" else "<u2")), wide / 65535
        else:
            image = Image.fromarray(levels)
        icc = rgb_profile(SRGB, gamma) if kind in ("RGBA", "P") else grey_profile(gamma)
        path = tmp_path / ("a.tif" if kind == "I;16B" else "a.png")
        image.save(path, icc_profile=icc)
        expected = share * as_seen(grey, round(gamma * 256) / 256) + (1 - share) * 255
        assert abs(pixels(read_image(path))[..., 0] - expected).max() <= 1.1

    def test_grey_with_the_profile_of_a_screen(self, tmp_path):
        levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
        Image.fromarray(levels).save(tmp_path / "a.jpg", quality=100, icc_profile=rgb_profile(DISPLAY_P3, 1))
        with Image.open(tmp_path / "a.jpg") as stored:
            expected = as_seen(np.asarray(stored) / 255, 1)
        assert abs(pixels(read_image(tmp_path / "a.jpg"))[..., 1] - expected).max() <= 1

    def test_lab(self, tmp_path):
        Image.new("LAB", (4, 4), (138, 209, 198)).save(tmp_path / "a.tif")
        assert abs(pixels(read_image(tmp_path / "a.tif")) - (255, 0, 0)).max() <= 6  # L 54, a 81, b 70


class TestOrientation:
    UPRIGHT = {  # noqa: RUF012
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a),
        9: lambda a: a,  # not an orientation
    }

    @pytest.mark.parametrize("orientation", UPRIGHT)
    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
    def test_is_applied(self, tmp_path, name, orientation):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        Image.fromarray(noise(16, 32)).save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as image:
            image.load()
            stored = noise(16, 32) if name == "a.tif" else np.asarray(image)  # Pillow itself turns TIFFs
        assert (pixels(read_image(tmp_path / name)) == self.UPRIGHT[orientation](stored)).all()

    @pytest.mark.filterwarnings("error")
    def test_broken_exif_is_ignored(self, tmp_path):
        Image.fromarray(noise(8, 8)).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0broken")
        assert (pixels(read_image(tmp_path / "a.png")) == noise(8, 8)).all()


class TestWhatPngsHoldBesides:
    """Sound pictures that Pillow alone refuses."""

    PICTURE = Image.fromarray(noise(9, 9))
    LONG = zlib.compress(b"x" * 3_000_000)

    @pytest.mark.parametrize("at_the_end", [False, True])
    @pytest.mark.parametrize(
        "chunks",
        [
            [chunk(b"zTXt", b"Comment\0\0" + LONG)],
            [chunk(b"iTXt", b"Comment\0\1\0\0\0" + LONG)],
            [chunk(b"tEXt", b"Comment\0" + b"x" * 20_000_000)],
            [chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 1_000_000))] * 80,
            [chunk(b"tEXt", b"Comment\0hello")[:-1] + b"?"],
        ],
        ids=["compressed", "international", "plain", "many", "wrong checksum"],
    )
    def test_text_is_no_reason_to_refuse_a_picture(self, tmp_path, chunks, at_the_end):
        (tmp_path / "a.png").write_bytes(png_with(self.PICTURE, *chunks, at_the_end=at_the_end))
        assert (pixels(read_image(tmp_path / "a.png")) == noise(9, 9)).all()
        assert read_size(tmp_path / "a.png") == (9, 9)

    def test_orientation_among_much_text_is_kept(self, tmp_path):
        exif = Image.Exif()
        exif[ORIENTATION] = 3
        exif_chunk = chunk(b"eXIf", exif.tobytes()[6:])
        (tmp_path / "a.png").write_bytes(png_with(self.PICTURE, chunk(b"zTXt", b"Comment\0\0" + self.LONG), exif_chunk))
        assert (pixels(read_image(tmp_path / "a.png")) == noise(9, 9)[::-1, ::-1]).all()

    def test_a_large_profile_is_applied(self, tmp_path):
        table = rgb_profile(SRGB, 1, "x" * 2_000_000)
        data = png_with(self.PICTURE, chunk(b"iCCP", b"name\0\0" + zlib.compress(table)))
        (tmp_path / "a.png").write_bytes(data)
        assert abs(pixels(read_image(tmp_path / "a.png")) - as_seen(noise(9, 9) / 255, 1)).max() <= 1

    def test_of_several_profiles_the_first_is_applied(self, tmp_path):
        tables = [rgb_profile(primaries, 1, "x" * length) for primaries in (SRGB, DISPLAY_P3) for length in (2_000_000, 9)]
        profiles = [chunk(b"iCCP", b"name\0\0" + zlib.compress(table)) for table in tables]
        for first in profiles[:2]:
            (tmp_path / "a.png").write_bytes(png_with(self.PICTURE, first, *profiles[2:]))
            assert abs(pixels(read_image(tmp_path / "a.png")) - as_seen(noise(9, 9) / 255, 1)).max() <= 1

    @pytest.mark.parametrize(
        ("repeated", "most"),
        [
            (chunk(b"iCCP", b"name\0\0" + LONG), 5_000_000),
            (chunk(b"zTXt", b"Comment\0\0" + LONG), 70_000_000),
            (chunk(b"iTXt", b"Comment\0\1\0\0\0" + LONG), 70_000_000),
        ],
        ids=["profiles", "compressed", "international"],
    )
    def test_repeats_are_not_unpacked_without_end(self, tmp_path, monkeypatch, repeated, most):
        (tmp_path / "a.png").write_bytes(png_with(self.PICTURE, *[repeated] * 200))
        unpacked = []
        real = zlib.decompressobj

        class Counting:
            def __init__(self):
                self.real = real()

            def decompress(self, *arguments):
                unpacked.append(self.real.decompress(*arguments))
                return unpacked[-1]

        monkeypatch.setattr(zlib, "decompressobj", Counting)
        assert (pixels(read_image(tmp_path / "a.png")) == noise(9, 9)).all()
        assert 0 < sum(map(len, unpacked)) <= most

    def test_what_is_in_parts_without_end_is_refused_before_it_is_read(self, tmp_path):
        (tmp_path / "a.png").write_bytes(png_with(self.PICTURE, *[chunk(b"juNk", b"")] * 200_001))
        with pytest.raises(ImageError, match=r"a\.png: is in more than 200,000 parts.* save it anew"):
            read_image(tmp_path / "a.png")

    def test_a_profile_that_fills_memory_is_refused(self, tmp_path):
        (tmp_path / "a.png").write_bytes(png_with(self.PICTURE, chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(30_000_000)))))
        with pytest.raises(ImageError, match=r"a\.png: holds a colour profile of more than 16 MB\. Save it with another"):
            read_image(tmp_path / "a.png")


class TestErrors:
    def test_missing(self, tmp_path):
        with pytest.raises(ImageError, match=r"none\.png: there is no such file"):
            read_image(tmp_path / "none.png")

    def test_dangling_link(self, tmp_path):
        (tmp_path / "a.png").symlink_to("nowhere.png")
        with pytest.raises(ImageError, match=r"a\.png: is a link to nowhere\.png, which is not there\. Mend or remove it"):
            read_image(tmp_path / "a.png")

    def test_folder(self, tmp_path):
        with pytest.raises(ImageError, match="cannot be read"):
            read_image(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"this is text\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
    def test_not_an_image(self, tmp_path, content):
        (tmp_path / "a.jpg").write_bytes(content)
        for read in (read_image, read_size):
            with pytest.raises(ImageError, match=r"a\.jpg: is not an image in a known format \(JPEG, PNG.*remove it"):
                read(tmp_path / "a.jpg")

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".gif", ".webp", ".bmp"])
    def test_truncated(self, tmp_path, suffix):
        path = tmp_path / f"a{suffix}"
        Image.fromarray(noise(64, 64)).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ImageError, match=r"is damaged or truncated .*Fetch it again"):
            read_image(path)

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".gif", ".webp", ".bmp", ".avif", ".jp2"])
    def test_damaged_data_never_raises_anything_else(self, suffix):
        buffer = io.BytesIO()
        Image.fromarray(noise(32, 32)).save(buffer, Image.registered_extensions()[suffix])
        rng = np.random.default_rng(1)
        for _ in range(60):
            data = np.frombuffer(buffer.getvalue(), np.uint8).copy()
            places = rng.integers(12, len(data) if rng.random() < 0.5 else min(200, len(data)), 4)
            data[places] = rng.integers(0, 256, 4)
            with suppress(ImageError):
                decode_bytes(data.tobytes(), max_pixels=1_000_000)

    def test_too_small(self, tmp_path):
        Image.new("RGB", (300, 63)).save(tmp_path / "a.png")
        assert read_image(tmp_path / "a.png", min_side=63).size == (300, 63)
        with pytest.raises(ImageError, match=r"a\.png: is too small: 300x63 pixels.* at least 64"):
            read_image(tmp_path / "a.png", min_side=64)

    def test_too_many_pixels(self, tmp_path):
        Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
        assert read_image(tmp_path / "a.png", max_pixels=10_000).size == (100, 100)
        with pytest.raises(ImageError, match=r"a\.png: has too many pixels: 100x100 is more than 9,999 in all"):
            read_image(tmp_path / "a.png", max_pixels=9_999)

    def test_large_header_is_refused_undecoded(self, tmp_path, monkeypatch):
        def fail(*args):
            raise AssertionError("the picture was decoded")

        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
        (tmp_path / "a.png").write_bytes(png_header(13_000, 12_000))
        with pytest.raises(ImageError, match=r"has too many pixels: 13000x12000 is more than 150,000,000"):
            read_image(tmp_path / "a.png")

    def test_decompression_bomb(self, tmp_path):
        (tmp_path / "a.png").write_bytes(png_header(100_000, 100_000))
        with pytest.raises(ImageError, match=r"a\.png: has too many pixels for Pillow.*decompression bomb"):
            read_image(tmp_path / "a.png", max_pixels=10**12)
        with pytest.raises(ImageError, match="decompression bomb"):
            read_size(tmp_path / "a.png")

    @pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
    def test_a_size_that_is_allowed_is_not_warned_of(self, tmp_path):
        (tmp_path / "a.png").write_bytes(png_header(10_000, 10_000))
        assert read_size(tmp_path / "a.png") == (10_000, 10_000)


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("large") / "a.jpg"
    smooth(4000, 3000).save(path)
    return path


class TestDraft:
    def test_decodes_at_smallest_sufficient_scale(self, large):
        assert read_image(large, smallest_side=512).size == (1000, 750)
        assert read_image(large, smallest_side=375).size == (500, 375)
        assert read_image(large, smallest_side=1501).size == (4000, 3000)
        assert read_size(large) == (4000, 3000)

    def test_is_close_to_full_decode(self, large):
        fast = pixels(resize_smallest_side(read_image(large, smallest_side=512), 512))
        full = pixels(resize_smallest_side(read_image(large), 512))
        assert fast.shape == full.shape
        assert abs(fast - full).mean() < 1

    def test_limits_hold_for_the_stored_size(self, large):
        with pytest.raises(ImageError, match="4000x3000"):
            read_image(large, smallest_side=256, max_pixels=11_000_000)
        assert read_image(large, smallest_side=256, min_side=3000).size == (500, 375)


class TestResize:
    @pytest.mark.parametrize(
        ("before", "after"), [((100, 50), (64, 32)), ((50, 100), (32, 64)), ((16, 24), (32, 48)), ((20, 20), (32, 32))]
    )
    def test_smallest_side(self, before, after):
        assert resize_smallest_side(Image.new("RGB", before), 32).size == after

    def test_equal_is_left_alone(self):
        image = Image.new("RGB", (32, 40))
        assert resize_smallest_side(image, 32) is image
        square = Image.new("RGB", (32, 32))
        assert resize_square(square, 32) is square

    def test_square(self):
        assert resize_square(Image.new("RGB", (100, 50)), 32).size == (32, 32)

    def test_elongated_is_refused(self):
        with pytest.raises(ImageError, match=rf"64x9000 pixels would become 512x72000.* at most {MAX_SIDE}"):
            resize_smallest_side(Image.new("RGB", (64, 9000)), 512)


class TestTensors:
    def test_round_trip_is_exact(self):
        values = np.arange(256, dtype=np.uint8)
        image = Image.fromarray(np.stack([values, values[::-1], values ^ 85], -1).reshape(8, 32, 3))
        tensor = to_tensor(image)
        assert tensor.shape == (1, 3, 8, 32)
        assert tensor.dtype == torch.float32
        assert tensor.is_contiguous()
        assert tensor[0, :, 0, 1].tolist() == pytest.approx([1 / 255, 254 / 255, 84 / 255])
        for back in (to_image(tensor), to_image(tensor[0])):
            assert (pixels(back) == pixels(image)).all()

    def test_values_are_clamped_and_rounded(self):
        tensor = torch.tensor([-1.0, 2.0, 100.6 / 255], requires_grad=True).reshape(3, 1, 1)
        assert pixels(to_image(tensor)).tolist() == [[[0, 255, 101]]]

    @pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 4, 4), (4, 4)])
    def test_other_shapes_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"not \("):
            to_image(torch.zeros(shape))


class TestWriting:
    @pytest.mark.parametrize("name", ["a.png", "a.TIF", "a.tiff", "a.bmp"])
    def test_lossless(self, tmp_path, name):
        path = tmp_path / "new" / "folder" / name
        write_image(Image.fromarray(noise(9, 7)), path)
        assert (pixels(read_image(path)) == noise(9, 7)).all()
        assert list(path.parent.iterdir()) == [path]

    @pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.webp"])
    def test_lossy(self, tmp_path, name):
        write_image(smooth(64, 48), tmp_path / name)
        assert abs(pixels(read_image(tmp_path / name)) - pixels(smooth(64, 48))).mean() < 4

    def test_jpeg_keeps_colour_resolution_and_quality(self, tmp_path):
        write_image(Image.fromarray(noise(64, 64)), tmp_path / "a.jpg", quality=95)
        write_image(Image.fromarray(noise(64, 64)), tmp_path / "b.jpg", quality=30)
        with Image.open(tmp_path / "a.jpg") as image:
            assert [component[1:3] for component in image.layer] == [(1, 1)] * 3
        assert (tmp_path / "a.jpg").stat().st_size > 2 * (tmp_path / "b.jpg").stat().st_size

    def test_unknown_suffix(self, tmp_path):
        for path in (tmp_path / "a.xyz", tmp_path / "folder" / "a"):
            for check in (check_writable_image_path, lambda path: write_image(Image.new("RGB", (4, 4)), path)):
                with pytest.raises(ImageError, match=r"can be written: \.bmp, \.jpeg, \.jpg, \.png, \.tif, \.tiff, \.webp"):
                    check(path)
        assert list(tmp_path.iterdir()) == []

    def test_check_writable(self, tmp_path):
        check_writable_image_path(tmp_path / "new" / "folder" / "a.png")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "folder.png").mkdir()
        with pytest.raises(ImageError, match="is a folder"):
            check_writable_image_path(tmp_path / "folder.png")
        (tmp_path / "file").touch()
        with pytest.raises(ImageError, match="is not a folder you may write to"):
            check_writable_image_path(tmp_path / "file" / "a.png")

    def test_too_large_for_format(self, tmp_path):
        with pytest.raises(ImageError, match=r"a\.jpg: JPEG cannot hold this picture of 66000x1 pixels"):
            write_image(Image.new("RGB", (66_000, 1)), tmp_path / "a.jpg")
        assert list(tmp_path.iterdir()) == []

    def test_full_disk_leaves_the_earlier_file(self, tmp_path, monkeypatch):
        write_image(Image.fromarray(noise(9, 7)), tmp_path / "a.png")
        before = (tmp_path / "a.png").read_bytes()

        def full(*args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        for owner, name in ((os, "fsync"), (Path, "write_bytes")):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, full)
                with pytest.raises(DiskFullError, match=r"the disk is full: .*a\.png was not written"):
                    write_image(Image.new("RGB", (64, 64)), tmp_path / "a.png")
            assert (tmp_path / "a.png").read_bytes() == before
            assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]


class TestInMemory:
    def test_round_trip(self):
        assert (pixels(decode_bytes(encode_png(Image.fromarray(noise(9, 7))))) == noise(9, 7)).all()

    def test_errors_name_the_picture(self):
        with pytest.raises(ImageError, match=r"^upload 3: is not an image"):
            decode_bytes(b"nothing", name="upload 3")
        with pytest.raises(ImageError, match=r"^the picture: is too small: 9x9"):
            decode_bytes(encode_png(Image.new("RGB", (9, 9))), min_side=16)
        with pytest.raises(ImageError, match=r"^the picture: has too many pixels"):
            decode_bytes(encode_png(Image.new("RGB", (9, 9))), max_pixels=80)

    def test_large_jpeg_is_decoded_small(self):
        buffer = io.BytesIO()
        smooth(800, 600).save(buffer, "JPEG")
        assert decode_bytes(buffer.getvalue(), smallest_side=128).size == (200, 150)
