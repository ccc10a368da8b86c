"""Pictures of which only a part arrived: said to be damaged at every length, and never shown half grey."""

import io

import numpy as np
import pytest
from helpers.datasets import draw_picture
from helpers.hunting import trials
from typer.testing import CliRunner

from ieast.cli.main import app
from ieast.errors import ImageError
from ieast.io.images import decode_bytes, read_image, read_mask

KINDS = {
    "baseline.jpg": ("JPEG", {}),
    "progressive.jpg": ("JPEG", {"progressive": True}),
    "optimized.jpg": ("JPEG", {"optimize": True}),
    "restarts.jpg": ("JPEG", {"restart_marker_blocks": 4}),
    "print.jpg": ("JPEG", {}),
    "drawn.png": ("PNG", {}),
    "palette.png": ("PNG", {}),
    "photo.webp": ("WEBP", {}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "plain.tif": ("TIFF", {}),
    "packed.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "drawn.gif": ("GIF", {}),
    "drawn.bmp": ("BMP", {}),
    "photo.avif": ("AVIF", {}),
    "photo.jp2": ("JPEG2000", {}),
}
MODES = {"print.jpg": "CMYK", "palette.png": "P", "drawn.gif": "P"}


def encoded(name: str) -> bytes:
    buffer = io.BytesIO()
    kind, options = KINDS[name]
    draw_picture(3, 96, 80).convert(MODES.get(name, "RGB")).save(buffer, kind, **options)
    return buffer.getvalue()


def lengths(data: bytes) -> list[int]:
    """Spread over the whole, and each of the last."""
    return sorted({*np.linspace(0, len(data) - 1, trials(12) * 2).astype(int).tolist(), *range(len(data) - 12, len(data))})


def check(data: bytes, whole: np.ndarray) -> None:
    """The picture is refused as damaged, or all of it is there."""
    said, picture = "", None
    try:
        picture = decode_bytes(data, name="a picture")
    except ImageError as error:
        said = str(error)
    if picture is None:
        assert "damaged or truncated" in said or "is not an image in a known format" in said
    else:
        assert np.array_equal(np.asarray(picture), whole)


@pytest.mark.parametrize("name", KINDS)
def test_cut_at_any_length(name):
    data = encoded(name)
    whole = np.asarray(decode_bytes(data, name=name))
    for length in lengths(data):
        check(data[:length], whole)
    with pytest.raises(ImageError, match="damaged or truncated"):
        decode_bytes(data[: len(data) * 2 // 3], name=name)


@pytest.mark.parametrize("name", ["baseline.jpg", "progressive.jpg", "restarts.jpg", "print.jpg", "drawn.png", "palette.png"])
def test_with_zeros_for_what_did_not_arrive(name):
    """As downloads leave files whose place on disk is taken beforehand."""
    data = encoded(name)
    whole = np.asarray(decode_bytes(data, name=name))
    for length in lengths(data):
        check(data[:length] + bytes(len(data) - length), whole)


@pytest.mark.parametrize("name", ["drawn.png", "palette.png"])
def test_a_png_with_a_changed_byte(name):
    data = encoded(name)
    whole = np.asarray(decode_bytes(data, name=name))
    for place in lengths(data):
        check(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :], whole)


def test_a_png_with_a_wrong_checksum_says_which_part():
    data = encoded("drawn.png")
    place = data.index(b"IDAT") + 60
    with pytest.raises(ImageError, match=r"a: is damaged or truncated \(the checksum of its part IDAT is wrong\)\. Fetch it"):
        decode_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :], name="a")


def test_what_stands_behind_the_end_of_a_jpeg_is_no_matter():
    data = encoded("baseline.jpg")
    whole = np.asarray(decode_bytes(data, name="whole"))
    for behind in (bytes(100_000), b"PK archive" * 20_000, data):
        check(data + behind, whole)
        assert np.array_equal(np.asarray(decode_bytes(data + behind, name="longer")), whole)


def test_the_end_of_a_thumbnail_is_not_that_of_the_picture():
    data = encoded("baseline.jpg")
    thumbnail = b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data
    picture = data[:2] + thumbnail + data[2:]
    whole = np.asarray(decode_bytes(picture, name="whole"))
    for length in lengths(data):
        check(picture[: length + len(thumbnail)] + bytes(len(data) - length), whole)


@pytest.mark.parametrize("name", ["progressive.jpg", "drawn.png"])
def test_by_every_way_in(name, tmp_path):
    """As content, style, mask, one of a folder, one frame of a clip; `test_kinds_of_picture` has the others' ways."""
    data = encoded(name)
    cut, whole, output = tmp_path / name, tmp_path / f"whole-{name}", tmp_path / "out.png"
    cut.write_bytes(data[: len(data) * 3 // 4])
    whole.write_bytes(data)
    for read in (read_image, read_mask, lambda path: read_image(path, smallest_side=20)):
        with pytest.raises(ImageError, match="damaged or truncated"):
            read(cut)
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in (1, 2, 3):
        (frames / f"{number}{whole.suffix}").write_bytes((cut if number == 2 else whole).read_bytes())
    for arguments in ([cut, whole], [whole, cut], [whole, whole, "--mask", cut], [frames, whole, "--frames"]):
        target = tmp_path / "video" if "--frames" in arguments else output
        result = CliRunner().invoke(app, ["stylize", *map(str, arguments), "-o", str(target)])
        assert "is damaged or truncated" in str(result.exception)
        assert not output.exists()
    result = CliRunner().invoke(app, ["stylize", str(frames), str(whole), "-o", str(tmp_path / "folder")])
    assert result.exit_code != 0
    assert f"2{whole.suffix}: is damaged or truncated" in str(result.exception)
    assert sorted(path.stem for path in (tmp_path / "folder").glob("*/*.png")) == ["1", "3"]
