"""Every kind of clip through every way in: each is taken as what it shows, or refused with the same sentence everywhere."""

import re

import numpy as np
import pytest
from helpers.kinds_of_clip import kinds
from helpers.videos import audio_packets_of, stamps_of
from PIL import Image

from ieast.errors import DataError, VideoError
from ieast.io.clips import list_clips, read_frames
from ieast.io.listing import list_frames
from ieast.io.video import VIDEO_SUFFIXES, read_video_frames, stylize_clip

KINDS = kinds()
READ = sorted(name for name, kind in KINDS.items() if not kind.message)
REFUSED = sorted(name for name, kind in KINDS.items() if kind.message)
# GIFs in a folder of clips count as pictures, and files of other names as something else.
CLIPS = sorted(name for name in KINDS if f".{name.rpartition('.')[2]}" in VIDEO_SUFFIXES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    for name, kind in KINDS.items():
        kind.write(folder / name)
    assert sorted(path.name for path in folder.iterdir()) == sorted(KINDS)
    return folder


def keep(picture):
    return picture


def assert_drawn(frames, kind):
    assert len(frames) == len(kind.times)
    for index, frame in enumerate(frames):
        drawn = kind.draw(index)
        assert np.shape(frame) == drawn.shape
        assert np.abs(np.asarray(frame).astype(float) - drawn).mean() <= kind.within


def test_there_are_enough_kinds():
    assert len(READ) >= 20
    assert len(REFUSED) >= 5


@pytest.mark.parametrize("name", READ)
def test_frames_are_those_that_were_drawn(folder, name):
    assert_drawn(list(read_video_frames(folder / name)), KINDS[name])


@pytest.mark.parametrize("name", READ)
def test_as_a_video_with_its_times_and_sound(folder, tmp_path, name):
    kind = KINDS[name]
    result = stylize_clip(folder / name, tmp_path / "new.mp4", keep, identity="", progress=False)
    assert [round(1000 * time) for time in stamps_of(result.path)] == [round(1000 * time) for time in kind.times]
    assert (result.audio_copied + result.audio_encoded, len(result.warnings)) == (kind.sound, len(kind.warnings))
    for warning, expected in zip(result.warnings, kind.warnings, strict=True):
        assert warning.startswith(f"{folder / name}: {expected}")
    for track in range(kind.sound):
        assert audio_packets_of(result.path, track)


@pytest.mark.parametrize("name", READ)
def test_as_a_folder_of_frames(folder, tmp_path, name):
    stylize_clip(folder / name, tmp_path / "new", keep, identity="", progress=False)
    assert_drawn([Image.open(path) for path in list_frames(tmp_path / "new")], KINDS[name])


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("target", ["new.mp4", "new"])
def test_is_refused_and_nothing_is_left(folder, tmp_path, name, target):
    with pytest.raises(VideoError, match=re.escape(f"{name}: {KINDS[name].message}")):
        stylize_clip(folder / name, tmp_path / target, keep, identity="", progress=False)
    assert not (tmp_path / target).exists()


def test_which_are_clips_for_the_evaluation(folder):
    assert [path.name for path in list_clips(folder)] == CLIPS


@pytest.mark.parametrize("name", CLIPS)
def test_in_the_evaluation(folder, name):
    kind = KINDS[name]
    if kind.message or len(kind.times) < 2:
        message = kind.message or "is not a clip, because it holds 1 frames and not at least 2"
        with pytest.raises((VideoError, DataError), match=re.escape(f"{name}: {message}")):
            list(read_frames(folder / name, 24))
        return
    frames = list(read_frames(folder / name, min(kind.draw(0).shape[:2])))
    assert_drawn([255 * frame.permute(1, 2, 0).numpy() for frame in frames], kind)
