"""`ieast adapt`, `ieast texture`, `ieast measure-styles` and `ieast stylize --verbose`."""

import json
import re
import shutil

import numpy as np
import pytest
from helpers.datasets import draw_picture
from PIL import Image
from typer.testing import CliRunner

import ieast.training.adaptation
from ieast.checkpoint import load_model, read_card, save_model
from ieast.cli.main import app
from ieast.errors import ConfigError, ImageError, OutputError
from ieast.evaluation.textures import repetition, seam_ratio
from ieast.io.images import read_image, to_tensor
from ieast.models.pretrained import MODELS
from ieast.styles import shipped_styles
from ieast.stylization.inputs import read_style
from ieast.stylizer.novelty import StyleRange, style_vector
from ieast.training.adaptation import Adaptation
from ieast.training.guard import Look

SWIRLS = shipped_styles()["swirls"]


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words):
    result = run(*words)
    assert result.exception is None, result.output
    return result.output


def refused(error, message, *words):
    result = run(*words)
    assert isinstance(result.exception, error), result.output
    assert re.search(message, str(result.exception)), result.exception


@pytest.fixture
def small(tmp_path):
    """A small artwork."""
    read_style(SWIRLS, 96).save(tmp_path / "art.png")
    return tmp_path / "art.png"


@pytest.mark.parametrize("options", [(), ("--tileable",), ("--start", "noise"), ("--seed", "7")], ids=str)
def test_a_texture_has_its_size_and_is_described(small, tmp_path, options):
    said = done("texture", small, "-o", tmp_path / "out.png", "--size", "144x112", *options)
    picture = to_tensor(read_image(tmp_path / "out.png"))
    assert picture.shape[-2:] == (112, 144)
    assert picture.std() > 0.05
    numbers = [float(number) for number in re.findall(r"\d\.\d\d", said.split(": ", 1)[1])]
    assert numbers[0] == pytest.approx(repetition(picture), abs=0.011)  # rounded to 8 bits on the way
    assert numbers[1] == pytest.approx(repetition(to_tensor(read_image(small))), abs=0.006)
    assert numbers[2] == pytest.approx(seam_ratio(picture), rel=0.02)
    assert (numbers[2] < 1.6) == ("--tileable" in options)


def test_the_reference_makes_one_too(small, tmp_path, monkeypatch):
    monkeypatch.setattr("ieast.stylization.texture.OPTIMIZED", 3)
    assert ", gatys: " in done("texture", small, "-o", tmp_path / "out.png", "--size", "64x80", "--method", "gatys")
    assert Image.open(tmp_path / "out.png").size == (64, 80)


@pytest.mark.parametrize(
    ("error", "message", "words"),
    [
        (ConfigError, "--size is '64'; give width and height as 2048x1024", ("--size", "64")),
        (ConfigError, "--size is 64x99999; each side must have 64 to 16384 pixels", ("--size", "64x99999")),
        (ConfigError, "100x64 is not. Try 96x64", ("--size", "100x64", "--tileable")),
        (ConfigError, "takes neither --tileable nor --start", ("--size", "64x64", "--method", "gatys", "--tileable")),
        (ConfigError, "takes neither --tileable nor --start", ("--size", "64x64", "--method", "gatys", "--start", "noise")),
    ],
)
def test_textures_that_cannot_be_are_refused(small, tmp_path, error, message, words):
    refused(error, message, "texture", small, "-o", tmp_path / "out.png", *words)
    assert not (tmp_path / "out.png").exists()


def test_styles_without_a_texture_are_refused(small, tmp_path):
    Image.new("RGB", (90, 90), "teal").save(tmp_path / "flat.png")
    refused(ImageError, "flat.png: is of one colour", "texture", tmp_path / "flat.png", "-o", tmp_path / "out.png")
    refused(ImageError, "missing.png", "texture", tmp_path / "missing.png", "-o", tmp_path / "out.png")
    refused(ImageError, "would be overwritten", "texture", small, "-o", small)


@pytest.mark.parametrize("size", [(9, 7), (1, 200)])
def test_a_tiny_style_makes_a_texture(tmp_path, size):
    draw_picture(3, *size).save(tmp_path / "tiny.png")
    done("texture", tmp_path / "tiny.png", "-o", tmp_path / "out.png", "--size", "64x64")
    assert np.asarray(Image.open(tmp_path / "out.png")).shape == (64, 64, 3)


def test_adapting_writes_a_model_that_stylizes(tmp_path, monkeypatch):
    training = ieast.training.adaptation.SETTINGS["training"] | {"crop": 64}
    monkeypatch.setattr(ieast.training.adaptation, "SETTINGS", ieast.training.adaptation.SETTINGS | {"training": training})
    (tmp_path / "photos").mkdir()
    for number in range(7):
        draw_picture(number, 160, 144).save(tmp_path / "photos" / f"{number}.jpg")
    stripes = np.zeros((160, 160, 3), np.uint8)
    stripes[::8] = 255
    Image.fromarray(stripes).save(tmp_path / "print.png")
    words = ("adapt", "ieast", tmp_path / "print.png", "-o", tmp_path / "model", "--content", tmp_path / "photos")
    said = done(*words, "--iterations", 4)
    assert re.search(
        r"style distance to 1 artworks 0\.\d\d of what it was, content distance \d\.\d\d, after 4 iterations", said
    )
    assert f"ieast register {tmp_path / 'model'} NAME" in said
    done(
        "stylize",
        tmp_path / "photos" / "0.jpg",
        tmp_path / "print.png",
        "--model",
        tmp_path / "model",
        "-o",
        tmp_path / "o.png",
    )
    assert Image.open(tmp_path / "o.png").size == (160, 144)
    refused(OutputError, "holds 0.jpg, which would be lost", *words[:3], "-o", tmp_path / "photos")
    refused(ConfigError, "learning_rate", *words, "--learning-rate", "0")


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """A model folder, and adapting that only copies it."""

    def copied(model, artworks, output, settings, contents):
        stylizer, card = load_model(model)
        card = save_model(stylizer, output, method=card.method, encoder_source="", provenance={})
        look = Look(1, (1.0,), 1.0)
        return Adaptation(card, (look,), look, lost=False)

    monkeypatch.setattr(ieast.training.adaptation, "adapt", copied)
    return shutil.copytree(MODELS["sanet"], tmp_path / "model", ignore=shutil.ignore_patterns("onnx"))


def test_adapting_follows_a_link_and_replaces_an_earlier_model(small, untrained, tmp_path):
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to("place")
    for _ in range(2):
        done("adapt", untrained, small, "-o", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert read_card(tmp_path / "place").method == "sanet"


def test_a_model_of_others_is_not_replaced_though_its_files_have_the_same_names(untrained, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "config.json").write_text('{"architectures": ["BertModel"]}')
    (theirs / "model.safetensors").write_bytes(b"precious")
    refused(
        OutputError,
        r"theirs: holds files of a model's names that are none of this project's",
        "export",
        untrained,
        "-o",
        theirs,
    )
    assert (theirs / "model.safetensors").read_bytes() == b"precious"


def test_what_file_managers_leave_keeps_no_model_from_being_replaced(untrained, tmp_path):
    done("export", untrained, "-o", tmp_path / "place")
    (tmp_path / "place" / ".DS_Store").touch()
    done("export", untrained, "-o", tmp_path / "place")
    assert read_card(tmp_path / "place").method == "sanet"


def test_adapting_replaces_neither_other_files_nor_its_own_model(small, untrained, tmp_path):
    mine = shutil.copytree(untrained, tmp_path / "mine")
    (mine / "diary.txt").write_text("precious")
    refused(OutputError, r"mine: holds diary\.txt, which would be lost", "adapt", untrained, small, "-o", mine)
    assert (mine / "diary.txt").read_text() == "precious"
    (tmp_path / "link").symlink_to("model")
    before = {path.name: path.read_bytes() for path in untrained.iterdir()}
    for output in (untrained, tmp_path / "link"):
        refused(ImageError, "is one of the inputs and would be overwritten", "adapt", untrained, small, "-o", output)
    assert {path.name: path.read_bytes() for path in untrained.iterdir()} == before


def test_styles_are_measured_and_noted(tmp_path):
    shutil.copytree(MODELS["sanet"], tmp_path / "model")
    (tmp_path / "styles").mkdir()
    for number in range(3):
        draw_picture(number, 64, 70).save(tmp_path / "styles" / f"{number}.png")
    assert "3 styles" in done("measure-styles", tmp_path / "model", tmp_path / "styles")
    encoder = load_model(tmp_path / "model")[0].encoder
    vectors = [style_vector(encoder, to_tensor(read_image(path))) for path in sorted((tmp_path / "styles").iterdir())]
    assert read_card(tmp_path / "model").styles == StyleRange.of(vectors)
    refused(ImageError, "there is no such folder", "measure-styles", tmp_path / "model", tmp_path / "nothing")


def test_verbose_says_how_new_styles_are_and_what_helps(small, tmp_path):
    draw_picture(0, 64, 48).save(tmp_path / "photo.png")
    Image.fromarray(np.kron(np.eye(12, dtype=np.uint8) * 255, np.ones((8, 8), np.uint8))).save(tmp_path / "far.png")
    words = ("stylize", tmp_path / "photo.png", small, tmp_path / "far.png", "-o", tmp_path / "out.png", "--verbose")
    known, encoder = read_card(MODELS["ieast"]).styles, load_model(MODELS["ieast"])[0].encoder
    new = {path: known.novelty(style_vector(encoder, to_tensor(read_image(path)))) for path in (small, tmp_path / "far.png")}
    said = done(*words)
    for path, novelty in new.items():
        assert f"novelty   {path}: {novelty}" in said
    assert ("ieast adapt" in said) == any(novelty.share >= 0.95 for novelty in new.values())
    facts = json.loads(done(*words, "--json").splitlines()[-1])["novelty"]
    assert facts == {str(path): {"distance": novelty.distance, "share": novelty.share} for path, novelty in new.items()}


def test_verbose_without_what_it_takes_says_so(small, tmp_path):
    draw_picture(0, 64, 48).save(tmp_path / "photo.png")
    shutil.copytree(MODELS["sanet"], tmp_path / "old")
    values = json.loads((tmp_path / "old" / "config.json").read_text())
    del values["styles"]
    (tmp_path / "old" / "config.json").write_text(json.dumps(values | {"format": 2}))
    words = ("stylize", tmp_path / "photo.png", small, "-o", tmp_path / "out.png", "--verbose")
    assert "unknown" in done(*words, "--model", tmp_path / "old")
    refused(ConfigError, "--verbose looks at styles by PyTorch", *words, "--engine", "onnx")
