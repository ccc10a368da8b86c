import os
import sys

import numpy as np
import pytest
from PIL import Image

from ieast.errors import ImageError
from ieast.io.images import read_image, read_size
from ieast.io.listing import IMAGE_SUFFIXES, find_frames, find_pictures, is_picture, list_files, list_frames


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


def picture(path, kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "red").save(path, kind)
    return path


def test_files_are_sorted_and_hidden_ones_skipped(tmp_path):
    for name in ("b.JPG", "a.png", "sub/c.TiFF", "note.txt", ".hidden.png", ".cache/x.png", "sub/noext"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    assert names(list_files(tmp_path), tmp_path) == ["a.png", "b.JPG", "gone.png", "note.txt", "sub/c.TiFF", "sub/noext"]
    actual = find_pictures(tmp_path)
    assert names(actual.pictures, tmp_path) == ["a.png", "b.JPG", "gone.png", "sub/c.TiFF"]
    assert names(actual.others, tmp_path) == ["note.txt", "sub/noext"]


def test_suffixes_are_lower_case_with_dot():
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000", "PPM"])
@pytest.mark.parametrize("name", ["picture", "picture.dat", "v1.2"])
def test_a_picture_is_known_by_its_content(tmp_path, kind, name):
    assert is_picture(picture(tmp_path / name, kind))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("kept", [16, 0.5])
def test_a_picture_of_which_little_is_left_is_taken_so_that_reading_names_it(tmp_path, kind, kept):
    whole = picture(tmp_path / "whole", kind).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: kept if kept > 1 else int(len(whole) * kept)])
    assert is_picture(tmp_path / "cut")
    with pytest.raises(ImageError, match=r"cut: (is|has the signature of \w+, but is) damaged or truncated"):
        read_image(tmp_path / "cut")


@pytest.mark.parametrize("content", [b"", b"text", b"BMW", b"%PDF-1.7", b"\0\0\0\x18ftypisom\0\0\0\0isommp42", b"PK\3\4"])
def test_what_has_another_content_is_none(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert not is_picture(tmp_path / "file")


def test_what_cannot_be_looked_into_is_taken_so_that_reading_names_it(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "round").symlink_to("round")
    assert names(find_pictures(tmp_path).pictures, tmp_path) == ["link", "round"]
    with pytest.raises(ImageError, match=r"round: cannot be read \(.*[Ss]ymbolic links"):
        read_image(tmp_path / "round")


def test_links_to_folders_are_followed_but_not_in_a_circle(tmp_path):
    picture(tmp_path / "elsewhere" / "deep" / "b.png")
    picture(tmp_path / "folder" / "a.png")
    (tmp_path / "folder" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "folder")
    (tmp_path / "folder" / "self").symlink_to(tmp_path / "folder")
    expected = ["folder/a.png", "folder/linked/deep/b.png"]
    assert names(list_files(tmp_path / "folder"), tmp_path) == expected
    assert names(find_pictures(tmp_path / "folder").pictures, tmp_path) == expected


def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    (tmp_path / "closed").mkdir()
    listed = type(tmp_path).iterdir

    def refuses(self):
        if self.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(self)

    monkeypatch.setattr(type(tmp_path), "iterdir", refuses)
    assert names(list_files(tmp_path), tmp_path) == ["a.png", "closed"]
    assert names(find_pictures(tmp_path).pictures, tmp_path) == ["a.png", "closed"]
    with pytest.raises(ImageError, match=r"closed: may not be looked into, and could hold frames\. Check its permissions"):
        list_frames(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("pipe.png")
    assert list_files(tmp_path) == []
    assert names(find_pictures(tmp_path).others, tmp_path) == ["link.png", "pipe.png"]


def test_frames_come_in_counting_order_whatever_they_are_called(tmp_path):
    for name in ("f10.jfif", "f2.png", "f1", ".hidden.png"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("?")
    assert names(list_frames(tmp_path), tmp_path) == ["f1", "f2.png", "f10.jfif"]
    picture(tmp_path / "more" / "f3.png")
    assert names(find_frames(tmp_path).others, tmp_path) == ["more", "notes.txt"]


def heic(path):
    pytest.importorskip("pillow_heif").from_pillow(Image.new("RGB", (64, 48), (200, 60, 90))).save(path, quality=90)
    return path


@pytest.mark.parametrize("name", ["a.HEIC", "a.heif", "a"])
def test_heic_is_read_where_it_can_be(tmp_path, name):
    path = heic(tmp_path / name)
    assert is_picture(path)
    assert read_size(path) == (64, 48)
    assert np.abs(np.asarray(read_image(path)).astype(int) - (200, 60, 90)).max() <= 3


def test_heic_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    path = heic(tmp_path / "a.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"a\.heic: is a HEIC picture, .* missing: `pip install pillow-heif`"):
        read_image(path)


@pytest.mark.parametrize("tag", [{254: 1}, {50706: b"\1\4\0\0"}])
def test_a_cameras_raw_file_is_not_taken_for_its_preview(tmp_path, tag):
    Image.new("RGB", (16, 12)).save(tmp_path / "a.dng", "TIFF", tiffinfo=tag)
    assert is_picture(tmp_path / "a.dng")
    with pytest.raises(ImageError, match=r"a\.dng: is a camera's raw file, of which only a small preview could be read"):
        read_image(tmp_path / "a.dng")
