"""Distillation on drawn pictures: it learns, resumes exactly, and exports what it measured."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import ieast.training.distillation as distillation
from ieast.config import DistillationConfig, EncoderConfig
from ieast.errors import ConfigError, InterruptedTrainingError
from ieast.models.encoder import weights_digest
from ieast.models.encoder_weights import build_encoder
from ieast.models.teacher import FULL_WIDTHS
from ieast.models.vgg19 import CONVOLUTIONS, STYLE_TAPS
from ieast.training.distillation import AGREEMENT, CARD, ENCODER, distill


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    torch.manual_seed(1)
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"))
    state = {}
    for key, value in encoder.state_dict().items():
        name, kind = key.split(".")
        state[f"{name.replace('_', '')}.{kind}"] = value
    for level, (narrow, full) in enumerate(zip(encoder.widths, FULL_WIDTHS, strict=True), 1):
        state[f"conv{level}1_aux.weight"] = torch.randn(full, narrow, 1, 1) / narrow**0.5
        state[f"conv{level}1_aux.bias"] = torch.zeros(full)
    path = tmp_path_factory.mktemp("teacher") / "encoder5.safetensors"
    save_file(state, path)
    return path


@pytest.fixture(scope="module")
def settings(teacher_file):
    def make(**training):
        values = {"batch_size": 4, "crop": 32, "zoom": 1.5, "accelerator": "cpu", "loader_workers": 0, "log_every": 1}
        return DistillationConfig(
            prepare={"size": 48, "min_side": 16, "held_out": 0.2},
            teacher={"name": "vgg19-compact", "weights": str(teacher_file)},
            training=values | training,
        )

    return make


@pytest.fixture(scope="module")
def split(prepared):
    return prepared.model_copy(update={"held_out": 0.2})


@pytest.fixture(scope="module")
def finished(split, settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("distilled")
    return folder, distill(settings(iterations=60), split, folder, facts={"data": "drawn"})


def test_the_student_learns_every_tap(finished):
    folder, result = finished
    curves = pd.read_csv(next(folder.glob("curves/*/metrics.csv")))
    for tap in STYLE_TAPS:
        values = curves[f"train/{tap}"].dropna()
        assert values.iloc[-5:].mean() < 0.8 * values.iloc[:3].mean(), tap
    for tap, agreement in result.agreement.items():
        assert 0 < agreement["relative_error"] < 1, tap
    assert result.agreement["relu1_1"]["correlation"] > 0.5
    assert result.iterations == 60


def test_the_file_is_half_precision_has_unit_means_and_matches_its_card(finished, split):
    folder, result = finished
    state = load_file(folder / ENCODER)
    assert {value.dtype for value in state.values()} == {torch.float16}
    assert set(state) == {f"conv{layer}.{kind}" for layer in ("0", *CONVOLUTIONS) for kind in ("weight", "bias")}
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights=result.encoder))
    card = json.loads((folder / CARD).read_text())
    assert card["digest"] == weights_digest(encoder.state_dict()) == encoder.digest()
    assert card["provenance"]["data"] == "drawn"
    assert card["provenance"]["iterations"] == 60
    pictures = distillation._calibration_pictures(
        DistillationConfig.parse(card["provenance"]["config"]), split
    )  # the ones it was scaled by
    taps = [encoder(picture) for picture in pictures]
    for tap in STYLE_TAPS:
        assert torch.stack([t[tap].mean() for t in taps]).mean() == pytest.approx(1, rel=0.02)
    table = pd.read_csv(folder / AGREEMENT).set_index("tap")
    for tap in STYLE_TAPS:
        assert table.loc[tap].to_dict() == pytest.approx(result.agreement[tap])


def test_an_interrupted_distillation_continues_exactly(finished, split, settings, tmp_path, monkeypatch):
    folder, _ = finished

    class Stop(distillation.OrderlyStop):
        def on_train_batch_end(self, trainer, module, *_):
            if module.finished == 25:
                self._asked = True
            super().on_train_batch_end(trainer, module)

    with monkeypatch.context() as patch:
        patch.setattr(distillation, "OrderlyStop", Stop)
        with pytest.raises(InterruptedTrainingError, match="after 25 of 60"):
            distill(settings(iterations=60), split, tmp_path)
    assert not (tmp_path / ENCODER).exists()
    distill(settings(iterations=60), split, tmp_path)
    once, twice = load_file(folder / ENCODER), load_file(tmp_path / ENCODER)
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_a_checkpoint_of_other_settings_is_refused(finished, split, settings):
    with pytest.raises(ConfigError, match=r"training\.learning_rate = 0\.1, now it is 0\.2"):
        distill(settings(iterations=60, learning_rate=0.2), split, finished[0])


def test_only_pictures_that_are_not_held_out_are_seen(split, settings, tmp_path, monkeypatch):
    seen = set()
    original = distillation.PairBatches.paths_of

    def paths_of(self, side, iteration):
        paths = original(self, side, iteration)
        seen.update(paths)
        return paths

    monkeypatch.setattr(distillation.PairBatches, "paths_of", paths_of)
    distill(settings(iterations=12), split, tmp_path)
    for side in ("content", "style"):
        assert seen.isdisjoint(split.scoring_paths(side))
        assert set(split.training_paths(side)) <= seen


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"training": {"batch_size": 5}}, "batch_size is 5; it must be even"),
        ({"training": {"crop": 40}}, "crop is 40; it must be a multiple of 16"),
        ({"training": {"crop": 640}}, "training.crop is 640, larger than prepare.size 320"),
        ({"prepare": {"held_out": 0}}, "prepare.held_out is 0; the student must be measured"),
        ({"teacher": {"name": "vgg19-compact"}}, "teacher vgg19-compact needs `weights`"),
    ],
)
def test_settings_that_cannot_work_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        DistillationConfig.parse(values)
