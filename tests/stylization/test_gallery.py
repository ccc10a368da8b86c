import sys

import numpy as np
import pytest
from helpers.datasets import draw_picture
from PIL import Image

import ieast.stylization.gallery as gallery
from ieast.errors import ConfigError, DataError
from ieast.io.contact_sheet import CAPTION, CELL, GAP, Cell, sheet
from ieast.stylization.gallery import make_gallery, photographs


def test_the_photographs_come_from_the_package_without_a_network(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    pictures = photographs()
    assert len(pictures) == len(gallery.PHOTOGRAPHS)
    assert all(picture.mode == "RGB" and min(picture.size) >= 300 for picture in pictures)


def test_without_scikit_image_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(DataError, match=r"pip install .*\[gallery\]'"):
        photographs()


def test_a_table_has_its_cells_where_they_belong():
    red, blue = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (30, 40), "blue")
    page = sheet([[Cell(None), Cell(red)], [Cell(blue, "a caption"), Cell(None)]])
    assert page.size == (2 * (CELL + GAP) + GAP, 2 * (CELL + GAP) + GAP + CAPTION)
    assert page.getpixel((GAP + CELL // 2, GAP + CELL // 2)) == (255, 255, 255)
    assert page.getpixel((2 * GAP + CELL + CELL // 2, GAP + CELL // 2)) == (255, 0, 0)
    assert page.getpixel((GAP + CELL // 2, 2 * GAP + CELL + CELL // 2)) == (0, 0, 255)
    caption = np.asarray(page.crop((0, 2 * (CELL + GAP) + GAP, CELL, page.height)))
    assert caption.min() < 100


def test_the_gallery_shows_every_model_and_option(stylizer, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "SIZE", 48)
    monkeypatch.setattr(gallery, "STYLE_SIZES", (32, 64))
    monkeypatch.setattr(gallery, "draw_artwork", lambda number, seed: np.asarray(draw_picture(number, 64, 64)))
    monkeypatch.setattr(gallery, "photographs", lambda: [draw_picture(k, 70, 50) for k in range(2)])
    monkeypatch.setattr(gallery, "DRAWN", ())
    paths = make_gallery({"one": stylizer, "two": stylizer}, tmp_path)
    assert [path.name for path in paths] == ["gallery.jpg", "controls.jpg"]
    rows = 2 * 2
    assert Image.open(paths[0]).size == (7 * (CELL + GAP) + GAP, (CELL + GAP) * (rows + 1) + rows * CAPTION + GAP)
    assert Image.open(paths[1]).width == 6 * (CELL + GAP) + GAP


def test_a_model_that_has_not_all_is_refused_at_once(stylizer, tmp_path, monkeypatch):
    monkeypatch.setattr(type(stylizer), "has_masks", False)
    with pytest.raises(ConfigError, match=r"which one has not all: ieast takes no masks"):
        make_gallery({"one": stylizer}, tmp_path)
    assert list(tmp_path.iterdir()) == []
