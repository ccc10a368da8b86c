"""`ieast webcam`, with a video file as the camera."""

import os
import shutil
import signal
import subprocess

import numpy as np
import pytest
from helpers.datasets import draw_picture
from PIL import Image, ImageGrab
from typer.testing import CliRunner

from ieast.checkpoint import load_model
from ieast.cli.main import app
from ieast.cli.webcam import _until_told
from ieast.config.stylization import StylizeOptions
from ieast.io.video import read_video_frames, stylize_clip
from ieast.io.window import Window
from ieast.models.pretrained import MODELS
from ieast.stylization.inputs import scaled_down
from ieast.stylization.session import StyleSession

runner = CliRunner()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "frames").mkdir()
    for number in range(3):
        draw_picture(number, 160, 128).save(tmp_path / "frames" / f"{number}.png")
    stylize_clip(tmp_path / "frames", tmp_path / "clip.mp4", lambda frame: frame, identity="plain", progress=False)
    draw_picture(9, 64, 64).save(tmp_path / "painting.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    return tmp_path


def webcam(*words):
    return runner.invoke(app, ["webcam", *words])


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_what_the_camera_sees_becomes_a_stylized_video(folder, engine):
    result = webcam("painting.jpg", "--camera", "clip.mp4", "-o", "out.mp4", "--size", "64", "--engine", engine)
    assert result.exception is None, result.output
    assert result.stdout.startswith("out.mp4  3 frames, ")
    style = Image.open(folder / "painting.jpg").convert("RGB")
    session = StyleSession(load_model(MODELS["ieast"])[0], [style], StylizeOptions())
    for frame, frame_out in zip(read_video_frames(folder / "clip.mp4"), read_video_frames(folder / "out.mp4"), strict=True):
        expected = session.stylize(scaled_down(frame, 64))
        assert frame_out.size == (80, 64)
        assert np.abs(np.asarray(frame_out).astype(int) - np.asarray(expected)).mean() < 12 < np.asarray(expected).std()


def test_the_clip_that_is_the_camera_is_not_overwritten(folder):
    before = (folder / "clip.mp4").read_bytes()
    error = webcam("painting.jpg", "--camera", "clip.mp4", "-o", "clip.mp4").exception
    assert str(error).startswith("clip.mp4: is one of the inputs and would be overwritten")
    assert (folder / "clip.mp4").read_bytes() == before


def test_what_the_camera_sees_holds_still(folder):
    still = draw_picture(3, 160, 128)
    for number in range(3):
        still.save(folder / "frames" / f"{number}.png")
    stylize_clip(folder / "frames", folder / "clip.mp4", lambda frame: frame, identity="still", progress=False)
    result = webcam("painting.jpg", "--camera", "clip.mp4", "-o", "out.mp4", "--size", "64", "--steady")
    assert result.exception is None, result.output
    first, *others = (np.asarray(frame).astype(int) for frame in read_video_frames(folder / "out.mp4"))
    assert len(others) == 2
    assert all(np.abs(frame - first).mean() < 3 for frame in others)


def test_as_many_frames_as_asked_for(folder):
    assert (
        "2 frames" in webcam("painting.jpg", "--camera", "clip.mp4", "-o", "out.webm", "--frames", "2", "--size", "64").stdout
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("painting.jpg", "--camera", "clip.mp4"), "no window can be opened here: .* Give --output FILE to write a video"),
        (("painting.jpg", "--camera", "97"), "camera 97 cannot be opened: this machine .* give --camera another number"),
        (("painting.jpg", "-o", "out.png"), "out.png: must be a file named as a video"),
        (("nothing.jpg", "-o", "out.mp4"), "nothing.jpg: there is no such file"),
        (("painting.jpg", "--alpha", "2", "-o", "out.mp4"), "alpha is 2.0"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_loaded(folder, monkeypatch, words, message):
    monkeypatch.setattr("ieast.cli.webcam.EngineSource", None)
    with pytest.raises(Exception, match=message):
        runner.invoke(app, ["webcam", *words], catch_exceptions=False)
    assert not list(folder.glob("out.*"))


def test_ctrl_c_ends_a_recording_after_the_frame_at_hand():
    def frames():
        for number in range(9):
            if number == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield number

    before = signal.getsignal(signal.SIGINT)
    with _until_told(frames()) as recorded:
        assert list(recorded) == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb, a display without a screen")
def test_the_window_shows_the_picture_until_q_is_pressed(folder, monkeypatch):
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "320x240x24"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        try:
            display = f":{os.read(reading, 16).decode().strip()}"
            monkeypatch.setenv("DISPLAY", display)
            picture = draw_picture(1, 96, 64)
            window = Window("test")
            window.show(picture, "now")
            window.show(picture, "and now")
            assert window.is_open
            screen = ImageGrab.grab(xdisplay=display).convert("RGB")
            np.testing.assert_array_equal(np.asarray(screen)[:64, :96], np.asarray(picture))
            window._root.focus_force()
            window._root.event_generate("q")
            assert not window.is_open
            window.close()
        finally:
            server.terminate()
            os.close(reading)
            os.close(writing)
