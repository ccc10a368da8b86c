"""Both sides scored on the same pictures by the same encoder, with real models from a real MLflow."""

import json
import math

import mlflow
import pytest
import torch
from helpers.registries import Registry

from ieast.checkpoint import load_model, save_model
from ieast.config import EncoderConfig
from ieast.evaluation.evaluate import evaluate
from ieast.models.encoder_weights import build_encoder
from ieast.models.pretrained import MODELS
from ieast.registry import gate

STYLE = {"thresholds": [{"metric": "style_distance", "relative_to_champion": 1.0}]}
ABSOLUTE = {"thresholds": [{"metric": "style_distance", "at_most": 1e9}]}


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    before = mlflow.get_tracking_uri()
    yield Registry(tmp_path_factory.mktemp("registry"))
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory, stylizer):
    """On an encoder of its own."""
    folder = tmp_path_factory.mktemp("random") / "model"
    save_model(stylizer, folder, method="ieast", encoder_source="untrained", provenance={})
    return folder


@pytest.fixture(scope="module")
def sources(registry, random_model):
    return {"shipped": registry.log(MODELS["ieast"], "shipped"), "random": registry.log(random_model, "random")}


def compare(name, model, prepared, config, own_scores=None):
    return gate.compare(name, "2", model, prepared, config, "a-run", own_scores)


def crowned(registry, name, source):
    registry.add(name, source, source)
    registry.client.set_registered_model_alias(name, "champion", "1")
    return name


def test_both_sides_are_scored_by_the_declared_encoder(registry, sources, random_model, prepared, make_config):
    config = make_config(promotion=STYLE)
    name = crowned(registry, "both sides", sources["shipped"])
    verdict = compare(name, random_model, prepared, config, own_scores={"style_distance": -1.0})  # not by that encoder
    judge = build_encoder(EncoderConfig(name="vgg19-compact"))
    for scores, folder in ((verdict.scores, random_model), (verdict.champion_scores, MODELS["ieast"])):
        assert scores == evaluate(load_model(folder)[0], prepared, config.evaluation, judge).metrics
    own = evaluate(load_model(random_model)[0], prepared, config.evaluation).metrics
    assert own["style_distance"] != verdict.scores["style_distance"]
    assert verdict.encoder == f"vgg19-compact {judge.digest()[:12]}"
    assert verdict.decision.promote == (verdict.scores["style_distance"] < verdict.champion_scores["style_distance"])
    assert (verdict.champion, verdict.data_md5, verdict.data_revision) == ("1", "drawn", config.data.revision)


def test_another_encoder_can_be_declared(registry, sources, prepared, make_config, encoder):
    config = make_config(promotion=STYLE | {"encoder": {"name": "vgg19-compact", "weights": "untrained"}})
    name = crowned(registry, "another encoder", sources["random"])
    verdict = compare(name, MODELS["ieast"], prepared, config)
    assert verdict.encoder == f"vgg19-compact {encoder.digest()[:12]}"
    assert verdict.scores == evaluate(load_model(MODELS["ieast"])[0], prepared, config.evaluation, encoder).metrics


def test_scores_that_the_same_encoder_has_given_are_not_computed_again(registry, sources, prepared, make_config):
    registry.add("given", sources["shipped"])
    own = {"style_distance": 123.0}
    verdict = compare("given", MODELS["ieast"], prepared, make_config(promotion=STYLE), own)
    assert verdict.scores == own
    assert verdict.champion is verdict.champion_scores is None
    assert verdict.decision.promote


def test_a_model_ties_with_itself(registry, sources, prepared, make_config):
    name = crowned(registry, "tie", sources["shipped"])
    verdict = compare(name, MODELS["ieast"], prepared, make_config(promotion=STYLE))
    assert verdict.scores == verdict.champion_scores
    assert verdict.decision.reasons[-1] == "no compared metric is better than the champion's, so the champion stays"


@pytest.mark.parametrize(
    ("held_out", "digest", "is_refused"), [(0.1, "drawn", True), (0.3, "drawn", False), (0.1, "other data", False)]
)
def test_a_candidate_is_not_scored_on_pictures_that_it_has_learnt_from(
    tmp_path, registry, stylizer, prepared, make_config, held_out, digest, is_refused
):
    trained = {"prepared": {"data_digest": digest, "held_out": held_out}}
    folder = tmp_path / "model"
    save_model(stylizer, folder, method="ieast", encoder_source="untrained", provenance=trained)
    scored = prepared.model_copy(update={"held_out": 0.2})
    verdict = compare("never registered", folder, scored, make_config(promotion=ABSOLUTE))
    assert verdict.decision.promote != is_refused
    said = "version 2 was trained on pictures that it would be scored on (prepare.held_out was 0.1, here it is 0.2)"
    assert any(reason.startswith(said) for reason in verdict.decision.reasons) == is_refused


def candidate(tmp_path, stylizer, prepared, held_out, *earlier):
    """A model trained with this share held out, from others with those shares, the last of them first."""
    learnt = [{"data_digest": prepared.data_digest, "held_out": share} for share in (held_out, *earlier)]
    facts = {"prepared": learnt[0]} | ({"started_from": learnt[1:]} if earlier else {})
    save_model(stylizer, tmp_path / "model", method="ieast", encoder_source="untrained", provenance=facts)
    return tmp_path / "model"


@pytest.mark.parametrize(("held_out", "start", "is_refused"), [(0.2, 0.0, True), (0.2, 0.2, False), (0.3, 0.1, True)])
def test_what_the_model_that_a_candidate_started_from_has_learnt_counts(
    tmp_path, registry, stylizer, prepared, make_config, held_out, start, is_refused
):
    folder = candidate(tmp_path, stylizer, prepared, held_out, start)
    scored = prepared.model_copy(update={"held_out": 0.2})
    assert compare("never registered", folder, scored, make_config(promotion=ABSOLUTE)).decision.promote != is_refused


@pytest.mark.parametrize(
    ("held_out", "way_out"),
    [(0.1, "Set prepare.held_out to 0.1, or promote"), (0.0, "Train it anew with prepare.held_out at 0.2, or promote")],
)
def test_the_refusal_never_advises_to_score_on_what_was_learnt(
    tmp_path, registry, stylizer, prepared, make_config, held_out, way_out
):
    folder = candidate(tmp_path, stylizer, prepared, held_out)
    scored = prepared.model_copy(update={"held_out": 0.2})
    verdict = compare("never registered", folder, scored, make_config(promotion=ABSOLUTE))
    assert any(f"so its scores say nothing. {way_out} it with --force" in reason for reason in verdict.decision.reasons)


def spoil(registry, random_model, name):
    """A logged model whose file was changed afterwards."""
    source = registry.log(random_model, name)
    path = registry.folder / name / "artifacts" / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    return source


@pytest.mark.parametrize("promotion", [STYLE, ABSOLUTE, {"thresholds": []}], ids=["relative", "absolute", "none"])
def test_a_champion_that_cannot_be_loaded_stays_and_the_reason_says_how_to_go_on(
    registry, random_model, prepared, make_config, promotion, request
):
    name = request.node.callspec.id
    crowned(registry, name, spoil(registry, random_model, f"spoilt-{name}"))
    verdict = compare(name, MODELS["ieast"], prepared, make_config(promotion=promotion))
    assert not verdict.decision.promote
    reason = verdict.decision.reasons[-1]
    assert reason.startswith("the champion, version 1, cannot be scored, so it stays: ")
    assert "model.safetensors is not the file that was saved" in reason
    assert f"`ieast promote {name} 2 -c CONFIG`" in reason
    assert f"`ieast promote {name} 2 --force --reason TEXT`" in reason


def test_a_champion_whose_files_are_gone_stays(registry, prepared, make_config):
    name = crowned(registry, "gone", (registry.folder / "gone").as_uri())
    verdict = compare(name, MODELS["ieast"], prepared, make_config(promotion=ABSOLUTE))
    assert not verdict.decision.promote
    assert "model models:/gone/1 cannot be fetched" in verdict.decision.reasons[-1]


def test_a_champion_whose_scoring_fails_stays(registry, sources, random_model, prepared, make_config, monkeypatch):
    name = crowned(registry, "fails", sources["random"])
    real, calls = evaluate, []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise RuntimeError("CUDA out of memory")
        return real(*arguments)

    monkeypatch.setattr(gate, "evaluate", failing)
    verdict = compare(name, random_model, prepared, make_config(promotion=ABSOLUTE))
    assert len(calls) == 2
    assert not verdict.decision.promote
    assert "so it stays: CUDA out of memory. " in verdict.decision.reasons[-1]


@pytest.fixture(scope="module")
def broken_model(tmp_path_factory):
    """It gives NaN for every picture."""
    stylizer, _ = load_model(MODELS["ieast"])
    with torch.no_grad():
        stylizer.decoder.conv1_1.bias.fill_(math.nan)
    folder = tmp_path_factory.mktemp("broken") / "model"
    save_model(stylizer, folder, method="ieast", encoder_source="shipped", provenance={})
    return folder


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_a_model_that_gives_nan_is_not_promoted_even_as_the_first(registry, broken_model, prepared, make_config):
    registry.add("nan", registry.log(broken_model, "broken"))
    verdict = compare("nan", broken_model, prepared, make_config(promotion=ABSOLUTE))
    assert not verdict.decision.promote
    assert verdict.decision.reasons[0] == "style_distance: the candidate's value is nan, not a finite number"
    assert verdict.tags()["gate.score.style_distance"] == verdict.metadata()["scores"]["style_distance"] == "nan"


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_a_champion_that_gives_nan_is_no_measure(registry, broken_model, prepared, make_config):
    name = crowned(registry, "nan champion", registry.log(broken_model, "broken champion"))
    verdict = compare(name, MODELS["ieast"], prepared, make_config(promotion=STYLE))
    (reason,) = verdict.decision.reasons
    assert reason.startswith("style_distance: the champion's value is nan, not a finite number; to go on without")
    assert not verdict.decision.promote


def test_a_user_without_a_name_is_unknown(monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    monkeypatch.setattr("socket.gethostname", lambda: "container")
    assert gate.whoami() == "unknown@container"


def test_scores_without_end_are_words_that_json_knows():
    scores = {"a": math.inf, "b": -math.inf, "c": math.nan, "d": 0.5}
    assert json.loads(json.dumps(gate.plain(scores), allow_nan=False)) == {"a": "inf", "b": "-inf", "c": "nan", "d": 0.5}
