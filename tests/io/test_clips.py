import pytest
import torch
from PIL import Image

from ieast.errors import DataError, ImageError
from ieast.io.clips import list_clips, read_frames


def make_clip(folder, frames, size=(40, 20)):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(frames):
        Image.new("RGB", size, (number, 0, 0)).save(folder / f"{number:03}.png")
    return folder


def test_clips_are_subfolders_with_at_least_two_frames(tmp_path):
    make_clip(tmp_path / "b", 2)
    make_clip(tmp_path / "a", 3)
    make_clip(tmp_path / "single", 1)
    make_clip(tmp_path / ".hidden", 2)
    (tmp_path / "readme.txt").touch()
    assert list_clips(tmp_path) == [tmp_path / "a", tmp_path / "b"]


def test_what_is_no_clip_is_named(tmp_path, caplog):
    make_clip(tmp_path / "a", 3)
    make_clip(tmp_path / "single", 1)
    (tmp_path / "readme.txt").touch()
    list_clips(tmp_path)
    assert caplog.messages == [f"{tmp_path}: 2 entries passed over, because they are no clips: readme.txt, single"]


def test_a_clip_whose_frames_would_be_taken_in_part_is_refused(tmp_path):
    clip = make_clip(tmp_path / "clips" / "a", 3)
    make_clip(tmp_path / "elsewhere", 2)
    (clip / "linked").symlink_to(tmp_path / "elsewhere")
    message = r"a: holds frames, and so does the folder linked in it \(000\.png, for one\)\. Put all frames of a clip into"
    with pytest.raises(ImageError, match=message):
        list_clips(tmp_path / "clips")


def test_a_folder_of_frames_is_one_clip(tmp_path):
    assert list_clips(make_clip(tmp_path / "clip", 2)) == [tmp_path / "clip"]


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="none: there is no such folder of clips"):
        list_clips(tmp_path / "none")


def test_frames_come_in_order_of_name_and_scaled(tmp_path):
    clip = make_clip(tmp_path / "clip", 3)
    (clip / "notes.txt").touch()
    (clip / ".hidden.png").touch()
    frames = list(read_frames(clip, 10))
    assert [tuple(frame.shape) for frame in frames] == [(3, 10, 20)] * 3
    assert [round(frame[0, 0, 0].item() * 255) for frame in frames] == [0, 1, 2]
    assert frames[0].dtype == torch.float32


def test_limit(tmp_path):
    assert len(list(read_frames(make_clip(tmp_path / "clip", 5), 10, limit=2))) == 2


def test_reading_is_lazy(tmp_path):
    clip = make_clip(tmp_path / "clip", 3)
    (clip / "001.png").write_bytes(b"broken")
    frames = read_frames(clip, 10)
    next(frames)
    with pytest.raises(ImageError, match=r"001\.png: is not an image"):
        next(frames)


def test_frames_of_different_sizes(tmp_path):
    clip = make_clip(tmp_path / "clip", 3)
    Image.new("RGB", (60, 20)).save(clip / "001.png")
    with pytest.raises(DataError, match=r"001\.png: this frame becomes 30x10 pixels, but .* 000\.png becomes 20x10"):
        list(read_frames(clip, 10))


def test_not_a_clip(tmp_path):
    with pytest.raises(DataError, match="is not a clip, because it holds 1 frames"):
        list(read_frames(make_clip(tmp_path / "clip", 1), 10))
