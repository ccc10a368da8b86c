"""The README's stylization commands and code, run as they stand, by the shipped models."""

import io
import re
import shlex
from pathlib import Path

import mlflow
import numpy as np
import pytest
from helpers.datasets import draw_picture
from PIL import Image
from typer.testing import CliRunner

from ieast.cli.main import app
from ieast.io.video import probe, stylize_clip
from ieast.models.pretrained import MODELS
from ieast.registry.register import register

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
SECTION = README[README.index("### Stylize") : README.index("### Train")]
PLAIN = "ieast stylize photo.jpg painting.jpg -o out.png"
OPTIONS = re.findall(r"`(--[a-z-]+ [\w.-]+)`", SECTION)
COMMANDS = [PLAIN, *(f"{PLAIN} {option}" for option in OPTIONS), *re.findall(r"`(ieast stylize [^`<A-Z]+)`", SECTION)]
STREAM = re.search(r"`ieast (stylize - [^`]+) <photo.jpg >out.png`", SECTION)[1]
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Everything that the section names."""
    for number, name in enumerate(("photo", "painting", "a", "b")):
        draw_picture(number, 72 + 8 * (name != "photo"), 56).save(tmp_path / f"{name}.jpg")
    logo = draw_picture(7, 72, 56)
    logo.putalpha(Image.linear_gradient("L").resize(logo.size))
    logo.save(tmp_path / "logo.png")
    left = np.zeros((56, 72), np.uint8)
    left[:, :36] = 255
    Image.fromarray(left).save(tmp_path / "sky.png")
    Image.fromarray(255 - left).save(tmp_path / "ground.png")
    for name in ("photos", "paintings", "frames"):
        (tmp_path / name).mkdir()
        for number in range(2):
            draw_picture(number, 64, 48).save(tmp_path / name / f"{number}.png")
    stylize_clip(tmp_path / "frames", tmp_path / "clip.mp4", lambda frame: frame, identity="plain", progress=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_stylization_in_the_readme_works(folder, command):
    words = shlex.split(command)
    output = folder / words[words.index("-o") + 1]
    several = "--processes" in words
    if several:  # fewer pictures, because there are no more processes than pictures
        (folder / "paintings" / "1.png").unlink()
    result = CliRunner().invoke(app, words[1:])
    assert result.exception is None, result.output
    assert str(output.name) in result.output
    if output.suffix == ".mp4":
        assert probe(output).frames == 2
    elif output.is_dir():
        assert len(list(output.rglob("*.png"))) == (2 if "--frames" in command or several else 4)
    else:
        assert Image.open(output).size == (72, 56)
        assert np.asarray(Image.open(output)).std() > 5
    if several:  # the same as by one
        where = words.index("--processes")
        alone = [*words[1:where], *words[where + 2 :]]
        alone[alone.index("-o") + 1] = "alone"
        assert CliRunner().invoke(app, alone).exception is None
        made, expected = ({path.name: path.read_bytes() for path in Path(place).rglob("*.png")} for place in (output, "alone"))
        assert made == expected


def test_the_options_shown_are_there():
    shown = {"--alpha", "--content-noise", "--preserve-colour", "--precision", "--style-size", "--model", "--engine"}
    assert {option.split()[0] for option in OPTIONS} == shown
    assert len(COMMANDS) > 8


def test_the_stream_of_the_readme_is_the_picture(folder):
    result = CliRunner().invoke(app, shlex.split(STREAM), input=(folder / "photo.jpg").read_bytes())
    assert Image.open(io.BytesIO(result.stdout_bytes)).size == (72, 56)


def test_the_python_of_the_readme_works(folder):
    exec(BLOCKS[0], {})
    assert Image.open(folder / "out.png").size == (72, 56)


def test_the_served_model_of_the_readme_works(folder):
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("readme", f"file://{folder}/artifacts"))
    try:
        with mlflow.start_run():
            number = register(MODELS["ieast"], "ieast", {})
        mlflow.MlflowClient().set_registered_model_alias("ieast", "champion", number)
        names: dict = {}
        exec(BLOCKS[1], names)
    finally:
        mlflow.set_tracking_uri(None)
    (folder / "served.png").write_bytes(names["png"])
    assert Image.open(folder / "served.png").size == (72, 56)
