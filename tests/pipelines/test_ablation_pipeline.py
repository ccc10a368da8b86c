"""The ablation as a user runs it: ZenML's command line, a real MLflow store, the repository's own DVC dataset."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from filelock import FileLock
from helpers.zenml_projects import SCORED_ABLATION, AblationProject
from mlflow import MlflowClient

from ieast.config import EncoderConfig
from ieast.evaluation.features import pooled_features
from ieast.evaluation.preference import PreferenceScorer, ScorerCard, save_scorer
from ieast.evaluation.references import REFERENCES
from ieast.models.encoder_weights import build_encoder

ROOT = Path(__file__).resolve().parents[2]
VARIANTS, SEEDS = ("full", "neither"), (0,)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = AblationProject(tmp_path_factory.mktemp("project"))
    encoder = build_encoder(EncoderConfig(name="vgg19-compact"))
    width = 3 * len(pooled_features(encoder, torch.rand(1, 3, 32, 32)))
    card = ScorerCard(encoder.digest(), "vgg19-compact", "votes", 12, 40.0, 0.71, 0.62, 0.81, 9)
    scorer = PreferenceScorer(np.full(width, 0.1), np.zeros(width), np.ones(width), card)
    save_scorer(scorer, project.folder / "scorer.safetensors")
    return project


@pytest.fixture(scope="module")
def client(project):
    return MlflowClient(project.store)


def runs(client, query=""):
    experiment = client.get_experiment_by_name("ablation_pipeline")
    return client.search_runs([experiment.experiment_id], query, order_by=["attributes.start_time ASC"])


def parent_of(client, name):
    (run,) = runs(client, f"attributes.run_name LIKE '{name}-%'")
    return run


def children(client, parent):
    return runs(client, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")


@pytest.fixture(scope="module")
def broken(project, client):
    """The first run, in which one variant cannot train because its folder is in use, and what was said."""
    # Found by letting a run that is refused at once say where it would train.
    from ieast.data.prepare import preparation_key
    from ieast.experiment import AblationConfig
    from ieast.training.folders import training_folder

    document = yaml.safe_load((ROOT / "configs" / "ablation.yaml").read_text())["parameters"]["config"]
    for section, values in SCORED_ABLATION.items():
        document["experiment"].setdefault(section, {}).update(values)
    config = AblationConfig.parse(document)
    md5 = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]
    cell = config.cell("neither", 0)
    folder = training_folder(project.folder / ".work", cell, preparation_key(cell.prepare, md5))
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        result = project.ablate("broken", check=False)
    return result, parent_of(client, "broken")


@pytest.fixture(scope="module")
def mended(project, client, broken):
    before = {run.info.run_id for run in children(client, broken[1])}
    result = project.ablate("mended")
    return result, parent_of(client, "mended"), before


def test_a_variant_that_fails_does_not_lose_the_others_and_the_run_says_so(broken):
    result, _ = broken
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert "1 of 2 variants failed; the others and the report are kept" in said
    assert re.search(r"neither +seed 0 +TrainingError: another process is training in", said)


def test_a_rerun_trains_only_what_is_missing(client, mended):
    result, parent, before = mended
    assert "was finished by an earlier run" in result.stdout + result.stderr
    after = children(client, parent)
    assert {run.info.run_id for run in after} == before  # the failed one went on in its own run
    assert sorted((run.data.tags["variant"], run.data.tags["seed"]) for run in after) == [("full", "0"), ("neither", "0")]
    assert {run.info.status for run in after} == {"FINISHED"}
    assert {run.data.tags["error"] for run in after} == {""}


def test_each_variant_is_one_run_with_curves_scores_pictures_and_model(client, mended):
    _, parent, _ = mended
    steps = set()
    for run in children(client, parent):
        has_el = run.data.tags["variant"] == "full"
        assert (run.data.tags["EL"], run.data.tags["CL"]) == (str(has_el), str(has_el))
        assert (run.data.params["EL"], run.data.params["CL"]) == (str(has_el), str(has_el))
        assert run.info.run_name == f"{run.data.tags['variant']} seed {run.data.tags['seed']}"
        assert [m.step for m in client.get_metric_history(run.info.run_id, "train/total")] == [2, 3, 4]
        assert bool(client.get_metric_history(run.info.run_id, "train/adversarial")) == has_el
        for name in ("style_distance", "content_ssim", "temporal_encoder_tap_distance", "warping_error_1"):
            assert run.data.metrics[name] > 0
        assert run.data.tags["model_uri"].startswith("models:/")
        images = [entry.path for entry in client.list_artifacts(run.info.run_id, "images")]
        shown = (re.search(r"(stylizations|pairs)\Wstep\W(\d+)", path) for path in images)
        steps.add(tuple(sorted({(match[1], int(match[2])) for match in shown if match})))
    iterations = {("stylizations", step) for step in (0, 2, 4)}
    assert [set(each) - iterations for each in steps] == [
        {("pairs", number) for number in range(4)}
    ]  # the same in every variant
    assert iterations <= set(steps.pop())


def test_variants_of_a_seed_see_the_same_batches(client, mended):
    # Without EL and CL the first iteration of all is that of the reconstruction stage, which knows neither.
    found = children(client, mended[1])
    assert len({client.get_metric_history(run.info.run_id, "train/reconstruction")[0].value for run in found}) == 1


def test_the_report_is_self_contained_and_linked_at_the_end(project, client, mended, tmp_path):
    result, parent, _ = mended
    folder = project.folder / ".work" / "reports" / parent.info.run_id
    page = (folder / "report.html").read_text()
    said = result.stdout + result.stderr
    assert str(folder.relative_to(project.folder) / "report.html") in said
    assert "http" not in page
    assert page.count("data:image/jpeg;base64,") == 5
    for text in ("full", "neither", "Compared with full", "warping_error_1", "content_ssim", "every", "Fewer than three seeds"):
        assert text.lower() in page.lower()
    scores = pd.read_csv(folder / "tables" / "scores.csv")
    assert set(scores["variant"]) == {*VARIANTS, "inputs", *REFERENCES}
    assert all(name in page for name in REFERENCES)
    copy = scores[scores["variant"] == "content as it is"].set_index("metric")["mean"]
    assert copy["content_distance"] == 0
    for run in children(client, parent):
        references = pd.read_csv(client.download_artifacts(run.info.run_id, "evaluation/references.csv", str(tmp_path)))
        measured = references[references["reference"] == "content as it is"]
        assert measured["style_mismatch"].mean() == pytest.approx(copy["style_mismatch"])
        assert run.data.metrics["preference_agreement"] == 0.71
    assert "by a scorer that agreed with 71% (95 % interval 62% to 81%) of comparisons it had not seen" in page
    row = scores[(scores["variant"] == "full") & (scores["metric"] == "style_distance")].iloc[0]
    found = [run.data.metrics["style_distance"] for run in children(client, parent) if run.data.tags["variant"] == "full"]
    assert row["mean"] == pytest.approx(sum(found) / len(found))
    assert row["low"] <= row["mean"] <= row["high"]


def test_a_variants_model_becomes_a_version_that_the_gate_can_decide_on(project, client, mended):
    (run,) = (run for run in children(client, mended[1]) if run.data.tags["variant"] == "neither")
    said = project.run("ieast", "register", run.info.run_id, "ablated").stdout
    assert "version 1 of ablated, alias challenger" in said
    assert "ieast promote ablated 1 --config CONFIG" in said
    version = client.get_model_version_by_alias("ablated", "challenger")
    assert str(version.version) == "1"
    assert version.tags["method"] == "sanet"
    assert version.tags["data.md5"] == run.data.tags["data.md5"]
    assert float(version.tags["score.style_distance"]) == pytest.approx(run.data.metrics["style_distance"], rel=1e-5)
    assert not any(tag.endswith(("_low", "_high")) for tag in version.tags)


@pytest.mark.parametrize(("which", "message"), [("parent", "holds no model"), ("none", "there is no run 0000")])
def test_a_run_without_a_model_cannot_be_registered(project, mended, which, message):
    run = mended[1].info.run_id if which == "parent" else "0" * 32
    result = project.run("ieast", "register", run, "ablated-not", check=False)
    assert result.returncode == 2
    assert message in result.stderr
