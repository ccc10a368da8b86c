"""Cameras by video files, and videos of which nobody knows the length."""

from fractions import Fraction

import numpy as np
import pytest
from helpers.datasets import draw_picture

from ieast.errors import VideoError
from ieast.io.camera import Camera
from ieast.io.video import probe, read_video_frames
from ieast.io.video.reading import VideoSource
from ieast.io.video.recording import record

FRAMES = [draw_picture(number, 64, 48) for number in range(4)]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_frames_are_shown_when_they_came(tmp_path, suffix):
    path = tmp_path / "deep" / f"out{suffix}"
    times = [0.0, 0.1, 0.1, 0.7]  # two at once are put a tick apart
    assert record(path, zip(times, FRAMES, strict=True), Fraction(10)) == 4
    source = VideoSource(path)
    shown = [float(frame.time * source.time_base) for frame in source.frames()]
    np.testing.assert_allclose(shown, [0, 0.1, 0.101, 0.7], atol=2e-3)
    for before, after in zip(FRAMES, read_video_frames(path), strict=True):
        assert np.abs(np.asarray(before).astype(int) - np.asarray(after)).mean() < 8
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_nothing_is_left_where_nothing_came_or_something_failed(tmp_path):
    with pytest.raises(VideoError, match="there was no picture to record"):
        record(tmp_path / "out.mp4", iter(()), Fraction(10))

    def failing():
        yield 0.0, FRAMES[0]
        raise ValueError("the camera is on fire")

    with pytest.raises(ValueError, match="on fire"):
        record(tmp_path / "out.mp4", failing(), Fraction(10))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(VideoError, match="must be a file named as a video"):
        record(tmp_path / "out.png", iter(()), Fraction(10))


def test_a_video_file_stands_in_for_a_camera(tmp_path):
    record(tmp_path / "clip.mp4", ((number / 5, frame) for number, frame in enumerate(FRAMES)), Fraction(5))
    with Camera(str(tmp_path / "clip.mp4")) as camera:
        assert camera.frame_rate == probe(tmp_path / "clip.mp4").frame_rate
        seen = list(camera.frames())
    assert [seconds for seconds, _ in seen] == pytest.approx([0, 0.2, 0.4, 0.6])
    for (_, frame), expected in zip(seen, read_video_frames(tmp_path / "clip.mp4"), strict=True):
        assert frame.mode == "RGB"
        assert np.abs(np.asarray(frame).astype(int) - np.asarray(expected)).mean() < 6


def test_a_camera_that_is_not_there_is_said_with_what_to_do(tmp_path):
    with pytest.raises(VideoError, match=r"^camera 97 cannot be opened: this machine .* or give --camera another number"):
        Camera("97")
    with pytest.raises(VideoError, match=r"no.mp4: cannot be opened as a camera"):
        Camera(str(tmp_path / "no.mp4"))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match="cannot be opened as a camera"):
        Camera(str(tmp_path / "broken.mp4"))
