"""Trainings with the terms that make clips steadier."""

import pytest
import torch
from helpers.trainings import Training, checkpoint, curves, small_config

from ieast.errors import ConfigError
from ieast.experiment import ExperimentConfig
from ieast.methods import find, names
from ieast.training.fit import fit
from ieast.training.module import StyleTransferModule

WEIGHTS = {"weights": {"coherence": 5.0, "temporal": 50.0}}
STAGES = {"reconstruction_iterations": 1, "iterations": 4, "checkpoint_every": 2}


def config(method="adain", **sections):
    return small_config(method, objective=WEIGHTS, training=STAGES, **sections)


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("steady-terms")
    return Training(config(), prepared, folder), folder


def test_terms_are_logged_where_they_have_weight(trained):
    training, _ = trained
    assert training.terms[1] == {"reconstruction", "reconstruction_pixels", "reconstruction_taps"}
    assert training.terms[2] == training.terms[5] == {"style", "content", "coherence", "temporal", "total"}


def test_the_projection_learns_with_the_generator_and_stands_in_the_checkpoint_alone(trained):
    training, folder = trained
    state = {name: value for name, value in checkpoint(folder)["state_dict"].items() if name.startswith("coherence_heads.")}
    assert [state[f"coherence_heads.mlps.{k}.0.weight"].shape for k in range(3)] == [(32, 32), (64, 64), (128, 128)]
    assert [state[f"coherence_heads.mlps.{k}.2.weight"].shape for k in range(3)] == [(8, 32), (16, 64), (32, 128)]
    assert {("train_learning_rate/heads", k) for k in range(2, 6)} <= curves(folder).keys()
    assert not any("heads" in name for name in training.model.state_dict())


def test_an_interrupted_training_goes_on_to_the_same_bits(trained, prepared, tmp_path, monkeypatch):
    stylize = StyleTransferModule._stylize

    def stop(module, *batch):
        if module.finished == 3:
            raise RuntimeError("a power cut")
        return stylize(module, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(StyleTransferModule, "_stylize", stop)
        with pytest.raises(RuntimeError, match="a power cut"):
            fit(config(), prepared, tmp_path)
    result = fit(config(), prepared, tmp_path)
    assert result.started_at == 2
    assert curves(tmp_path) == curves(trained[1])
    straight, resumed = (checkpoint(folder)["state_dict"] for folder in (trained[1], tmp_path))
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())


@pytest.mark.parametrize("method", ["johnson", "sanet"])  # without the encoder, and by two of its taps
def test_methods_of_all_kinds_learn_by_them(method, prepared, tmp_path):
    over = {"objective": WEIGHTS, "training": {"reconstruction_iterations": 0, "iterations": 1}}
    if method == "johnson":
        over["model"] = {"options": {"styles": 3, "width": 4}}
    terms = Training(small_config(method, **over), prepared, tmp_path).terms[1]
    assert {"coherence", "temporal"} <= terms


@pytest.mark.parametrize("term", ["coherence", "temporal"])
@pytest.mark.parametrize("method", [name for name in names() if find(name).learns != "stylization"])
def test_others_refuse_them(method, term):
    with pytest.raises(ConfigError, match=f"does not learn to stylize, so the term {term} has nothing to teach it"):
        ExperimentConfig.parse({"method": method, "objective": {"weights": {term: 1}}})


@pytest.mark.parametrize("preset", ["paper", "official", "compact"])
def test_they_are_off_in_the_presets(preset):
    for method in ("ieast", "sanet"):
        weights = ExperimentConfig.parse({"preset": preset, "method": method}).objective.weights
        assert (weights.coherence, weights.temporal) == (0, 0)
