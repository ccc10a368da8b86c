"""The shipped encoder and models: what their cards say is true, and their pictures are what the method is for."""

import json
from itertools import product

import pytest
import torch
from PIL import Image

from ieast.checkpoint import export_compact, load_model, read_card
from ieast.config import EncoderConfig, merge
from ieast.data.sample import draw_artwork, draw_photograph
from ieast.evaluation.distances import content_distance, style_distance
from ieast.experiment import ExperimentConfig
from ieast.io.images import resize_smallest_side, to_tensor
from ieast.models.encoder_weights import build_encoder
from ieast.models.pretrained import ENCODER, FOLDER, MODELS
from ieast.models.vgg19 import STYLE_TAPS

SIZE = 192


@pytest.fixture(scope="module")
def pictures():
    def tensor(pixels):
        return to_tensor(resize_smallest_side(Image.fromarray(pixels), SIZE))

    contents = [tensor(draw_photograph(number, seed=7)) for number in (0, 5, 9)]
    styles = [tensor(draw_artwork(number, seed=7)) for number in (0, 5, 8)]
    return contents, styles


@pytest.fixture(scope="module")
def models():
    return {name: load_model(folder)[0] for name, folder in MODELS.items()}


def test_the_encoder_is_small_and_is_the_one_its_card_speaks_of():
    assert ENCODER.stat().st_size <= 4_000_000
    card = json.loads((FOLDER / "vgg19-compact.json").read_text())
    encoder = build_encoder(EncoderConfig(name="vgg19-compact"))
    assert encoder.digest() == card["digest"]
    assert set(card["agreement"]) == set(STYLE_TAPS)


def test_the_encoders_taps_have_about_unit_mean(pictures):
    encoder = build_encoder(EncoderConfig(name="vgg19-compact"))
    taps = [encoder(picture) for side in pictures for picture in side]
    for tap in STYLE_TAPS:
        assert 0.4 < torch.stack([t[tap].mean() for t in taps]).mean() < 2.5, tap


def test_no_unit_of_the_encoder_is_silent_that_could_speak(pictures):
    # Twelve thousand iterations without a leak had left a quarter of relu5_1 so.
    encoder = build_encoder(EncoderConfig(name="vgg19-compact"))
    noise = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    taps = [encoder(picture) for picture in [*pictures[0], *pictures[1], noise]]
    for tap, least in zip(STYLE_TAPS, (16, 26, 56, 60, 80), strict=True):
        alive = torch.stack([t[tap].amax(dim=(0, 2, 3)) for t in taps]).amax(dim=0) > 0
        assert int(alive.sum()) >= least, tap


@pytest.mark.parametrize("name", ["ieast", "sanet"])
def test_the_models_are_small_and_say_how_they_came_to_be(name):
    card = read_card(MODELS[name])
    assert card.method == name
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 8_000_000
    config = ExperimentConfig.parse(card.provenance["config"])
    assert config.objective.external_learning == config.objective.contrastive_learning == (name == "ieast")
    assert config.encoder.source == "shipped"
    assert card.provenance["iterations"] == config.training.iterations + config.training.reconstruction_iterations


def test_both_models_had_the_same_data_and_budget():
    ours, backbone = (ExperimentConfig.parse(read_card(MODELS[name]).provenance["config"]) for name in ("ieast", "sanet"))
    assert ours.objective.external_learning
    assert ours.objective.contrastive_learning
    # What the discriminator is trained by says nothing where there is none.
    of_el = {"objective": {"gradient_penalty": 0, "weights": {"adversarial": 0}, "external_learning": False}}
    of_el["training"] = {"discriminator_learning_rate": None, "gradient_penalty_every": 1}
    of_cl = {"objective": {"contrastive_learning": False}}
    # Each goes on from its own weights, which configs/compact.yaml and compact-sanet.yaml made alike.
    of_start = {"model": {"start": None}}
    first, second = (merge(merge(merge(config.model_dump(), of_el), of_cl), of_start) for config in (ours, backbone))
    assert first == second


@pytest.mark.parametrize("name", ["ieast", "sanet"])
def test_pictures_take_the_style_and_keep_the_content(models, pictures, name):
    stylizer, (contents, styles) = models[name], pictures
    encoder = stylizer.encoder
    before, after, kept, unlike = [], [], [], []
    with torch.inference_mode():
        for content, style in product(contents, styles):
            stylized = stylizer.stylize(content, style)
            before.append(float(style_distance(encoder, content, style)))
            after.append(float(style_distance(encoder, stylized, style)))
            kept.append(float(content_distance(encoder, stylized, content)))
            unlike.append(float(content_distance(encoder, stylizer.stylize(content.flip(-2), style), content)))
    assert sum(after) < 0.5 * sum(before)
    assert sum(kept) < 0.8 * sum(unlike)


@pytest.mark.parametrize("name", ["ieast", "sanet"])
def test_alpha_0_gives_the_content_back(models, pictures, name):
    for content in pictures[0]:
        error = (models[name].stylize(content, pictures[1][0], alpha=0.0) - content).square().mean()
        assert error < 0.02


def test_an_export_leaves_out_the_shipped_encoder_and_loads_alike(models, pictures, tmp_path):
    card = export_compact(MODELS["ieast"], tmp_path / "again")
    assert set(card.files) == {"model.safetensors"}
    again, _ = load_model(tmp_path / "again")
    content, style = pictures[0][0], pictures[1][0]
    assert torch.equal(again.stylize(content, style), models["ieast"].stylize(content, style))
