"""The batch pipeline by ZenML's command line, with a real MLflow store and registry, on the repository's own dataset."""

import sys

import mlflow
import pandas as pd
import pytest
import yaml
from helpers.zenml_projects import Project
from mlflow import MlflowClient
from PIL import Image
from test_ablation_pipeline import ROOT

from ieast.models.pretrained import MODELS
from ieast.registry.register import register

READ = (
    "from zenml.client import Client; "
    "run = Client().list_pipeline_runs(sort_by='desc:created', size=1, hydrate=True).items[0]; "
    "step = run.steps['stylize_contents']; print(step.outputs['manifest'][0].run_metadata['version']); "
    "print(len(step.outputs['report'][0].load()))"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("project"))
    mlflow.set_tracking_uri(project.store)
    artifacts = (project.folder / "artifacts").as_uri()  # else they would lie where the tests are run
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("models", artifacts))
    try:
        with mlflow.start_run():
            number = register(MODELS["sanet"], "ieast", {})
        MlflowClient().set_registered_model_alias("ieast", "champion", number)
    finally:
        mlflow.set_tracking_uri(None)
    return project


def stylize(project, check=True, **changes):
    document = yaml.safe_load((ROOT / "configs" / "stylization.yaml").read_text())
    document["parameters"]["config"] |= {
        "data": {"repository": str(ROOT)},
        "most_contents": 2,
        "most_styles": 1,
        "clips": False,
        "settings": {"style_size": 64},
        **changes,
    }
    path = project.folder / "stylization.yaml"
    path.write_text(yaml.safe_dump(document))
    return project.run("zenml", "pipeline", "run", "pipelines.stylization.stylization_pipeline", "-c", str(path), check=check)


def last_run(project):
    client = MlflowClient(project.store)
    experiment = client.get_experiment_by_name("stylization_pipeline")
    return client, client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])[0]


def test_results_have_a_version_a_manifest_and_their_lineage(project):
    said = stylize(project)
    client, run = last_run(project)
    tags, version = run.data.tags, run.data.tags["results.version"]
    assert tags["model"] == "models:/ieast/1"
    assert tags["model_asked_for"] == "models:/ieast@champion"
    assert tags["data.md5"] in tags["data"]
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.digest == tags["data.md5"]
    assert run.data.metrics["results/made"] == 2
    folder = project.folder / "stylized" / version
    manifest = pd.read_csv(folder / "manifest.csv")
    assert set(manifest["model"]) == {"models:/ieast/1"}
    for result in manifest["result"]:
        Image.open(folder / result).load()
    artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"manifest.csv", "contact_sheet.jpg", "index.html"} <= artifacts
    assert str(folder / "index.html").removeprefix(str(project.folder) + "/") in said.stdout + said.stderr
    in_zenml, page = project.run(sys.executable, "-c", READ).stdout.splitlines()[-2:]
    assert in_zenml == version
    assert int(page) > 5_000


def test_the_same_command_makes_nothing_and_another_style_only_what_is_new(project):
    stylize(project)
    _, run = last_run(project)
    assert (run.data.metrics["results/made"], run.data.metrics["results/kept"]) == (0, 2)
    stylize(project, most_styles=2)
    _, run = last_run(project)
    assert run.data.metrics["results/made"] + run.data.metrics["results/kept"] == 4


def test_a_configuration_that_cannot_work_is_refused_in_one_line(project):
    refused = stylize(project, check=False, contents="nowhere")
    assert refused.returncode != 0
    assert "nowhere: there is no such file or folder" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
