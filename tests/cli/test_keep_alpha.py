"""`ieast stylize --keep-alpha`, on both engines."""

import io
import json

import numpy as np
import pytest
from helpers.datasets import draw_picture
from PIL import Image
from typer.testing import CliRunner

from ieast.cli.main import app
from ieast.errors import IeastError

runner = CliRunner()


@pytest.fixture
def layer(tmp_path):
    """A photo whose right half is transparent, with a soft edge."""
    photo = draw_picture(1, 72, 56)
    photo.putalpha(Image.fromarray(np.tile(np.clip(np.arange(300, -60, -5), 0, 255).astype(np.uint8), (56, 1))))
    photo.save(tmp_path / "photo.png")
    draw_picture(2, 64, 64).save(tmp_path / "painting.jpg")
    return photo


def stylize(tmp_path, content, output, *more, **options):
    words = ["stylize", str(content), str(tmp_path / "painting.jpg"), "-o", str(output), *more]
    return runner.invoke(app, words, **options)


@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_a_result_is_as_transparent_as_its_content(layer, tmp_path, engine, suffix):
    output = tmp_path / f"out{suffix}"
    result = stylize(tmp_path, tmp_path / "photo.png", output, "--keep-alpha", "--engine", engine)
    assert result.exception is None, result.output
    picture = Image.open(output)
    np.testing.assert_array_equal(picture.getchannel("A"), layer.getchannel("A"))
    assert np.asarray(picture)[:, :40, :3].std() > 10
    stylize(tmp_path, tmp_path / "photo.png", output, "--engine", engine)
    assert Image.open(output).mode == "RGB"


def test_both_engines_make_the_same(layer, tmp_path):
    for engine in ("torch", "onnx"):
        stylize(tmp_path, tmp_path / "photo.png", tmp_path / f"{engine}.png", "--keep-alpha", "--engine", engine)
    ours, theirs = (np.asarray(Image.open(tmp_path / f"{engine}.png")).astype(int) for engine in ("onnx", "torch"))
    assert abs(ours - theirs).max() <= 1


def test_streams_and_folders_keep_it_as_well(layer, tmp_path):
    data = (tmp_path / "photo.png").read_bytes()
    streamed = stylize(tmp_path, "-", "-", "--keep-alpha", input=data).stdout_bytes
    np.testing.assert_array_equal(Image.open(io.BytesIO(streamed)).getchannel("A"), layer.getchannel("A"))
    (tmp_path / "photos").mkdir()
    layer.save(tmp_path / "photos" / "a.png")
    assert stylize(tmp_path, tmp_path / "photos", tmp_path / "out", "--keep-alpha").exception is None
    assert (tmp_path / "out" / "painting" / "a.png").read_bytes() == streamed
    again = stylize(tmp_path, tmp_path / "photos", tmp_path / "out")  # without it
    assert "holds results of another stylization: keep_alpha changed since" in str(again.exception)


def test_older_folders_were_laid_on_white(layer, tmp_path):
    (tmp_path / "photos").mkdir()
    layer.save(tmp_path / "photos" / "a.png")
    stylize(tmp_path, tmp_path / "photos", tmp_path / "out")
    path = tmp_path / "out" / "stylization.json"
    settings = json.loads(path.read_text())
    del settings["options"]["keep_alpha"]
    path.write_text(json.dumps(settings))
    assert "0 pictures made, 1 kept" in stylize(tmp_path, tmp_path / "photos", tmp_path / "out").output


@pytest.mark.parametrize(
    ("content", "output", "message"),
    [
        ("photo.png", "out.jpg", "out.jpg: .jpg does not keep transparency here. Write .png or .webp"),
        ("photo.png", "out.mp4", "--keep-alpha is for pictures; clips are written without transparency"),
    ],
)
def test_what_cannot_keep_it_is_refused(layer, tmp_path, content, output, message):
    result = stylize(tmp_path, tmp_path / content, tmp_path / output, "--keep-alpha")
    assert isinstance(result.exception, IeastError)
    assert message in str(result.exception)
    assert not (tmp_path / output).exists()
