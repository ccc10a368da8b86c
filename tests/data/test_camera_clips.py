from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.datasets import draw_dataset, draw_picture
from PIL import Image
from typer.testing import CliRunner

from ieast.cli.main import app
from ieast.data.camera_clips import make_pans, pan_and_zoom, render
from ieast.data.prepare import prepare_dataset
from ieast.errors import DataError
from ieast.io.clips import list_clips, read_frames

SIZE = (300, 200)


@pytest.mark.parametrize("seed", range(5))
def test_the_camera_stays_inside_keeps_the_aspect_and_moves_smoothly(seed):
    path = np.array(pan_and_zoom(SIZE, 25, seed))
    left, top, right, bottom = path.T
    assert (path >= 0).all()
    assert (right <= SIZE[0]).all()
    assert (bottom <= SIZE[1]).all()
    np.testing.assert_allclose((right - left) / (bottom - top), SIZE[0] / SIZE[1])
    widths = (right - left) / SIZE[0]
    assert {round(w, 6) for w in (widths.min(), widths.max())} == {round(w, 6) for w in (widths[0], widths[-1])}
    assert 0.6 <= widths.min() < 0.75 < 0.8 <= widths.max() < 0.95
    speed = np.abs(np.diff(path, axis=0)).sum(1)
    assert speed.argmax() in (11, 12)  # fastest in the middle
    assert speed[0] < 0.2 * speed.max()


def test_frames_show_what_lies_in_the_box():
    # A picture whose colour says where one is: red is the column, green the row.
    columns, rows = np.meshgrid(np.linspace(0, 255, SIZE[0]), np.linspace(0, 255, SIZE[1]))
    picture = Image.fromarray(np.stack([columns, rows, 0 * rows], axis=2).round().astype(np.uint8))
    path = pan_and_zoom(SIZE, 5, seed=3)
    frames = list(render(picture, path))
    assert len({frame.size for frame in frames}) == 1
    assert frames[0].width == round(min(right - left for left, _, right, _ in path))
    for frame, (left, top, right, bottom) in zip(frames, path, strict=True):
        middle = np.asarray(frame)[frame.height // 2, frame.width // 2]
        assert middle[0] == pytest.approx((left + right) / 2 / SIZE[0] * 255, abs=3)
        assert middle[1] == pytest.approx((top + bottom) / 2 / SIZE[1] * 255, abs=3)


def test_clips_are_made_of_contents_the_same_every_time(prepared, tmp_path):
    clips = make_pans(prepared, tmp_path / "a", count=4, frames=3)
    make_pans(prepared, tmp_path / "b", count=4, frames=3)
    assert clips == list_clips(tmp_path / "a")
    assert len({clip.name for clip in clips}) == 4
    for clip in clips:
        frames = list(read_frames(clip, 24))
        assert len(frames) == 3
        assert all(not np.array_equal(a, b) for a, b in pairwise(frames))
        for file in clip.iterdir():
            assert file.read_bytes() == (tmp_path / "b" / clip.name / file.name).read_bytes()


def test_clips_that_are_there_stay_and_half_ones_are_made_again(prepared, tmp_path):
    first, second = make_pans(prepared, tmp_path, count=2, frames=2)
    (first / "0001.jpg").write_bytes(b"changed")
    second.rename(tmp_path / f".{second.name}")
    (tmp_path / f".{second.name}" / "0000.jpg").write_bytes(b"half")
    assert make_pans(prepared, tmp_path, count=2, frames=2) == [first, second]
    assert (first / "0001.jpg").read_bytes() == b"changed"
    assert len(list(read_frames(second, 24))) == 2


def test_frames_of_a_longer_clip_that_was_never_finished_are_none_of_this_one(prepared, tmp_path):
    (clip,) = make_pans(prepared, tmp_path / "whole", count=1, frames=2)
    left = tmp_path / f".{clip.name}"
    left.mkdir()
    for number in range(5):
        (left / f"{number:04d}.jpg").write_bytes(b"left")
    (again,) = make_pans(prepared, tmp_path, count=1, frames=2)
    assert [path.name for path in sorted(again.iterdir())] == ["0000.jpg", "0001.jpg"]


def test_photographs_of_one_name_in_two_folders_become_two_clips(tmp_path, make_config):
    source = draw_dataset(tmp_path / "source", 4, 3)
    for name in ("a", "b"):
        (source / "content" / name).mkdir()
        draw_picture(20 + ord(name), 90, 70).save(source / "content" / name / "same.png")
    prepared = prepare_dataset(source, tmp_path / "work", make_config().prepare, "of one name")
    clips = make_pans(prepared, tmp_path / "clips", count=6, frames=2)
    assert len(set(clips)) == len(list_clips(tmp_path / "clips")) == 6
    assert sum(clip.name.startswith("pan_same") for clip in clips) == 2


def test_clips_of_another_length_are_named_before_any_is_made(prepared, tmp_path):
    (clip,) = make_pans(prepared, tmp_path / "clips", count=1, frames=2)
    message = (
        rf"clips: holds clips of other lengths than the 3 frames that are asked for, {clip.name} \(2\); "
        "delete them, or ask for as many frames as they have$"
    )
    with pytest.raises(DataError, match=message):
        make_pans(prepared, tmp_path / "clips", count=2, frames=3)
    assert list((tmp_path / "clips").iterdir()) == [clip]


def test_more_clips_than_photographs_are_refused_before_any_is_made(prepared, tmp_path):
    with pytest.raises(DataError, match="14 clips are asked for, but only 13 photographs"):
        make_pans(prepared, tmp_path / "clips", count=14, frames=2)
    assert not (tmp_path / "clips").exists()


def test_the_command_adds_clips_to_a_dataset(tmp_path, monkeypatch):
    for side, count in (("content", 5), ("style", 3)):
        (tmp_path / "data" / side).mkdir(parents=True)
        for number in range(count):
            Image.effect_noise((80, 70), 60).convert("RGB").save(tmp_path / "data" / side / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    config = Path("config.yaml")
    config.write_text(
        "parameters: {config: {prepare: {size: 64, min_side: 16, held_out: 0.4}, training: {crop: 64}, "
        "objective: {external_learning: false}}}"
    )
    result = CliRunner().invoke(app, ["data", "pans", "data", "--config", "config.yaml", "--count", "2", "--frames", "2"])
    assert result.exit_code == 0, result.output
    assert "data/clips  2 clips of 2 frames" in result.output
    assert len(list_clips(Path("data/clips"))) == 2
