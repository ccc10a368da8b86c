"""An adaptation of the shipped model, as short as can be, and what it refuses."""

import hashlib
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.datasets import draw_picture
from PIL import Image

import ieast.training.adaptation
from ieast.checkpoint import load_model, read_card
from ieast.config import AdaptationConfig
from ieast.errors import ConfigError, DataError, ImageError, TrainingError
from ieast.evaluation.distances import style_distance
from ieast.io.images import read_image, to_tensor
from ieast.models.pretrained import MODELS
from ieast.styles import shipped_styles
from ieast.training.adaptation import adapt
from ieast.training.guard import ContentGuard

SHORT = AdaptationConfig(iterations=6, check_every=3, probes=1, size=256)


@pytest.fixture(autouse=True)
def _small_crops(monkeypatch):
    training = ieast.training.adaptation.SETTINGS["training"] | {"crop": 64}
    monkeypatch.setattr(ieast.training.adaptation, "SETTINGS", ieast.training.adaptation.SETTINGS | {"training": training})


@pytest.fixture(scope="module")
def contents(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("contents")
    for number in range(4):
        draw_picture(number, 160, 144).save(folder / f"{number}.jpg")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def artwork(tmp_path) -> Path:
    path = tmp_path / "art" / "print.png"
    path.parent.mkdir()
    stripes = np.zeros((160, 160, 3), np.uint8)
    stripes[::8], stripes[1::8], stripes[:, :, 2] = 255, 255, 90
    Image.fromarray(stripes).save(path)
    return path


def test_the_model_comes_nearer_and_says_what_was_done(contents, artwork, tmp_path):
    before = {path: path.read_bytes() for path in MODELS["ieast"].glob("*.*")}
    done = adapt(MODELS["ieast"], [artwork], tmp_path / "out" / "model", SHORT, contents)
    model, card = load_model(tmp_path / "out" / "model")
    shipped, old = load_model(MODELS["ieast"])
    assert {path: path.read_bytes() for path in before} == before
    assert (card.method, card.encoder.digest, card.styles) == ("ieast", old.encoder.digest, old.styles)
    facts = card.provenance["adaptation"]
    assert facts["artworks"] == {"print.png": hashlib.sha256(artwork.read_bytes()).hexdigest()}
    assert facts["model"] == old.files["model.safetensors"]
    assert facts["iterations"] == done.best.iteration > 0
    # As the guard says it, by the model that was written.
    content, style = to_tensor(read_image(contents / "0.jpg")), to_tensor(read_image(artwork))
    distances = [float(style_distance(m.encoder, m.stylize(content, style), style)) for m in (shipped, model)]
    assert distances[1] < 0.97 * distances[0]
    assert facts["style_ratio"] == pytest.approx(distances[1] / distances[0], rel=1e-3)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]


def test_a_dozen_artworks_are_learnt_whole_and_contents_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(ieast.training.adaptation, "DRAWN", 3)
    seen = {}
    ours = ieast.training.adaptation.fit

    def watch(config, prepared, folder, **rest):
        seen["style"] = [Image.open(path).size for path in prepared.training_paths("style")]
        seen["content"] = len(prepared.training_paths("content"))
        seen["objective"] = config.objective
        return ours(config, prepared, folder, **rest)

    monkeypatch.setattr(ieast.training.adaptation, "fit", watch)
    artworks = list(shipped_styles().values())[:4]
    short = AdaptationConfig(iterations=3, check_every=3, probes=1, size=128, learning_rate=2e-4)
    done = adapt(MODELS["sanet"], artworks, tmp_path / "model", short)
    assert len(done.best.style) == 4
    assert seen["content"] == 3
    assert len(seen["style"]) == 4
    assert all(min(size) == 128 for size in seen["style"])
    assert seen["objective"].contrastive_learning
    assert seen["objective"].external_learning
    assert read_card(tmp_path / "model").method == "ieast"  # SANet with EL and CL


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (draw_picture(0, 300, 100), r"bad.png: is 300x100 pixels, too small to adapt to: its smallest side must have 128"),
        (Image.new("RGB", (200, 200), "teal"), "bad.png: is of one colour"),
        (None, "bad.png"),
    ],
    ids=["small", "one colour", "no picture"],
)
def test_artworks_that_teach_nothing_are_refused_before_anything_is_drawn(contents, tmp_path, picture, message, monkeypatch):
    monkeypatch.setattr(ieast.training.adaptation, "fit", lambda *_, **__: pytest.fail("it was trained"))
    bad = tmp_path / "bad.png"
    picture.save(bad) if picture else bad.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=message):
        adapt(MODELS["ieast"], [bad], tmp_path / "model", SHORT, contents)
    assert not (tmp_path / "model").exists()


def test_too_few_contents_are_refused(artwork, tmp_path):
    draw_picture(0, 160, 144).save(tmp_path / "art" / "second.jpg")
    with pytest.raises(DataError, match=r"holds 2 pictures of 128 pixels a side or more, and an adaptation needs 4"):
        adapt(MODELS["ieast"], [artwork], tmp_path / "model", SHORT, tmp_path / "art")


def test_an_adaptation_that_diverges_says_so_and_leaves_what_was_there(contents, artwork, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    wild = SHORT.model_copy(update={"learning_rate": 1e18})
    with pytest.raises(TrainingError, match=r"not finite|nothing was better"):
        adapt(MODELS["ieast"], [artwork], tmp_path / "model", wild, contents)
    assert (tmp_path / "model" / "config.json").read_text() == "{}"
    assert {path.name for path in tmp_path.iterdir()} == {"art", "model"}


def test_when_contents_are_lost_at_once_nothing_is_written(contents, artwork, tmp_path, monkeypatch):
    monkeypatch.setattr(ContentGuard, "_measure", lambda _, module: ((1.0,), 1.0 + module.finished))
    with pytest.raises(TrainingError, match="nothing was written, because nothing was better"):
        adapt(MODELS["ieast"], [artwork], tmp_path / "model", SHORT, contents)
    assert not (tmp_path / "model").exists()


def test_one_that_is_asked_to_stop_writes_nothing(contents, artwork, tmp_path, monkeypatch):
    ours = ContentGuard._look

    def look(self, module):
        ours(self, module)
        if module.finished == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ContentGuard, "_look", look)
    with pytest.raises(TrainingError, match="was asked to stop; nothing was written"):
        adapt(MODELS["ieast"], [artwork], tmp_path / "model", SHORT, contents)
    assert not (tmp_path / "model").exists()


def test_a_model_that_learns_nothing_is_refused(contents, artwork, tmp_path, encoder):
    from ieast.checkpoint import save_model
    from ieast.methods import build

    save_model(build("gatys", encoder), tmp_path / "gatys", method="gatys", encoder_source="untrained", provenance={})
    with pytest.raises(ConfigError, match="does not learn to stylize in any style"):
        adapt(tmp_path / "gatys", [artwork], tmp_path / "model", SHORT, contents)


def test_the_same_seed_gives_the_same_model(contents, artwork, tmp_path):
    short = SHORT.model_copy(update={"iterations": 2, "check_every": 2})
    cards = [adapt(MODELS["ieast"], [artwork], tmp_path / name, short, contents).card for name in ("a", "b")]
    assert cards[0].files == cards[1].files
    assert torch.isfinite(load_model(tmp_path / "a")[0].decoder.conv1_1.weight).all()


def test_a_model_goes_on_with_its_own_options():
    """Not with those that the preset gives to new models."""
    card = read_card(MODELS["ieast"])
    assert card.options["match_statistics"]
    plain = card.model_copy(update={"options": card.options | {"match_statistics": False, "bound_palette": False}})
    for each in (card, plain):
        options = ieast.training.adaptation.experiment(each, MODELS["ieast"], SHORT).model.options
        assert {name: options[name] for name in ("match_statistics", "bound_palette")} == {
            name: each.options[name] for name in ("match_statistics", "bound_palette")
        }


def test_artworks_of_one_name_are_both_noted():
    paths = [Path("a/one.png"), Path("two.png"), Path("b/one.png")]
    assert ieast.training.adaptation._names(paths) == ["one.png (1)", "two.png", "one.png (3)"]
