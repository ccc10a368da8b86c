"""What `ieast compare` takes for scored alike, in a real store."""

import mlflow
import pandas as pd
import pytest
import yaml
from helpers.registries import Registry
from PIL import Image

from ieast.checkpoint import read_card
from ieast.errors import DataError
from ieast.evaluation.evaluate import Evaluation
from ieast.models.pretrained import MODELS
from ieast.registry.comparing import SCORED_BY, SCORER, compare_runs
from steps.support import scoring

COMPACT, DISTILLED, VGG19 = f"vgg19-compact {'a' * 64}", f"vgg19-compact {'b' * 64}", f"vgg19 {'c' * 64}"
APART = "Scored by features of different encoders, so that distances are not comparable: "


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    before = mlflow.get_tracking_uri()
    yield Registry(tmp_path_factory.mktemp("registry"))
    mlflow.set_tracking_uri(before)


@pytest.fixture
def score(registry, tmp_path):
    """Makes a run that scored a model, of which tags, settings of the evaluation, and scores can be given."""
    experiment = registry.client.create_experiment(str(tmp_path), (tmp_path / "files").as_uri())
    log = registry.client.log_text

    def score(name, tags, scores=("style_distance",), **evaluation):
        facts = {"data.md5": "f00", "seed": "0", "prepared.key": "k", **tags}
        run = registry.client.create_run(experiment, tags=facts, run_name=name).info.run_id
        pairs = pd.DataFrame({"content": ["a", "b"], "style": ["c", "d"]}).assign(**{name: [1.0, 2.0] for name in scores})
        log(run, yaml.safe_dump({"evaluation": {"pairs": 2, **evaluation}}), "config.yaml")
        log(run, pairs.to_csv(index=False), "evaluation/pairs.csv")
        log(run, "", "evaluation/clips.csv")
        log(run, "", "evaluation/references.csv")
        registry.client.set_terminated(run, "FINISHED")
        return run

    return score


def warnings(score, *tags):
    return list(compare_runs([score(f"run {number}", each) for number, each in enumerate(tags)]).warnings)


def test_encoders_of_one_name_and_other_weights_are_told_apart(score):
    own = {"encoder": "vgg19-compact"}
    expected = [f"{APART}vgg19-compact {'a' * 12}, vgg19-compact {'b' * 12}"]
    assert warnings(score, own | {SCORED_BY: COMPACT}, own | {SCORED_BY: DISTILLED}) == expected
    assert warnings(score, own | {SCORED_BY: COMPACT}, own | {SCORED_BY: COMPACT}) == []


def test_who_scored_decides_and_not_whom_the_model_was_trained_on(score):
    on_compact, on_vgg19 = {"encoder": "vgg19-compact"}, {"encoder": "vgg19"}
    assert warnings(score, on_compact | {SCORED_BY: COMPACT}, on_vgg19 | {SCORED_BY: COMPACT}) == []
    expected = [f"{APART}vgg19 {'c' * 12}, vgg19-compact {'a' * 12}"]
    assert warnings(score, on_vgg19 | {SCORED_BY: COMPACT}, on_vgg19 | {SCORED_BY: VGG19}) == expected


def test_runs_from_before_it_was_noted_who_scored_are_compared_by_name(score):
    on_compact, on_vgg19 = {"encoder": "vgg19-compact"}, {"encoder": "vgg19"}
    assert warnings(score, on_compact, on_vgg19) == [f"{APART}vgg19, vgg19-compact"]
    assert warnings(score, on_vgg19, on_vgg19) == []
    assert warnings(score, on_compact, on_vgg19 | {SCORED_BY: COMPACT}) == []
    assert warnings(score, on_vgg19, on_vgg19 | {SCORED_BY: COMPACT}) == [f"{APART}vgg19, vgg19-compact"]


def test_pictures_that_were_prepared_differently_are_warned_of(score):
    scored, square = {SCORED_BY: COMPACT}, {SCORED_BY: COMPACT, "prepared.key": "square"}
    assert warnings(score, scored, square) == [
        "Scored on pictures that were prepared differently, so that scores are not comparable: prepared.key k, square; "
        "`prepare` in each run's config.yaml says how"
    ]


def test_steady_and_single_frames_are_not_scored_alike(score):
    each, steady, older = score("each", {}, steady=False), score("steady", {}, steady=True), score("older", {})
    with pytest.raises(DataError, match=r"^steady was scored with evaluation.steady True, each with False: only scores made"):
        compare_runs([each, steady])
    with pytest.raises(DataError, match=r"^steady was scored with evaluation.steady True, older with False"):
        compare_runs([older, steady])  # from before there was the setting
    assert compare_runs([each, older]).warnings == []


def test_preferences_of_two_scorers_are_not_compared_and_what_only_one_has_is_left_out(score):
    both = ("style_distance", "preference")

    def scored_by(name, tags, **evaluation):
        return score(name, {SCORED_BY: COMPACT, **tags}, both, **evaluation)

    first = scored_by("first", {SCORER: "1" * 64}, preference="scorer.safetensors")
    elsewhere = scored_by("elsewhere", {SCORER: "1" * 64}, preference="votes/scorer.safetensors")
    refitted = scored_by("refitted", {SCORER: "2" * 64}, preference="scorer.safetensors")
    misfit = score("misfit", {SCORED_BY: COMPACT}, preference="scorer.safetensors")
    same = compare_runs([first, elsewhere])
    assert set(same.comparison.scores["metric"]) == set(both)
    assert same.warnings == []
    other = compare_runs([first, refitted])
    assert set(other.comparison.scores["metric"]) == {"style_distance"}
    assert other.warnings == ["Preference is left out, because 2 different scorers gave it."]
    assert set(compare_runs([first, misfit]).comparison.scores["metric"]) == {"style_distance"}


def test_scorers_of_runs_from_before_they_were_noted_are_told_apart_by_their_paths(score):
    both = ("style_distance", "preference")
    a, b = (score(name, {}, both, preference=f"{name}.safetensors") for name in "ab")
    assert set(compare_runs([a, b]).comparison.scores["metric"]) == {"style_distance"}
    assert set(compare_runs([a, score("again", {}, both, preference="a.safetensors")]).comparison.scores["metric"]) == set(both)


def test_a_scorer_that_is_noted_and_one_that_is_not_are_not_called_two(score):
    both = ("style_distance", "preference")
    older = score("older", {"encoder": "vgg19-compact"}, both, preference="scorer.safetensors")
    noted = score("noted", {SCORED_BY: COMPACT, SCORER: "1" * 64}, both, preference="scorer.safetensors")
    report = compare_runs([older, noted])
    assert set(report.comparison.scores["metric"]) == {"style_distance"}
    assert report.warnings == [
        "Preference is left out: that of older runs is on record without its scorer, which may have been another."
    ]
    unjudged = score("unjudged", {"encoder": "vgg19-compact"}, ("style_distance",), preference="other.safetensors")
    assert compare_runs([older, unjudged]).warnings == []


def test_an_evaluation_leaves_in_its_run_who_scored(score, registry, monkeypatch):
    monkeypatch.setattr(scoring, "_log_scores", lambda *arguments: None)
    pairs = pd.DataFrame({"content": ["a"], "style": ["b"], "style_distance": [1.0]})
    evaluation = Evaluation(
        metrics={"style_distance": 1.0}, pairs=pairs, clips=pd.DataFrame(), grid=Image.new("RGB", (8, 8)), skipped=None,
        encoder=VGG19, scorer="1" * 64,
    )  # fmt: skip
    with mlflow.start_run(run_id=score("scored", {})) as run:
        scoring.log_evaluation(evaluation, read_card(MODELS["ieast"]), model=None, dataset=None)
    tags = registry.client.get_run(run.info.run_id).data.tags
    assert (tags[SCORED_BY], tags[SCORER]) == (VGG19, "1" * 64)
