"""The distillation pipeline by ZenML's command line, on the repository's own dataset and a drawn teacher."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from helpers.zenml_projects import Project
from mlflow import MlflowClient
from safetensors.torch import load_file, save_file

from ieast.config import EncoderConfig
from ieast.models.encoder_weights import build_encoder
from ieast.models.teacher import FULL_WIDTHS
from ieast.models.vgg19 import STYLE_TAPS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("project"))
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"))
    state = {name.replace("_", "", 1): value for name, value in encoder.state_dict().items()}
    for level, (narrow, full) in enumerate(zip(encoder.widths, FULL_WIDTHS, strict=True), 1):
        state |= {f"conv{level}1_aux.weight": torch.randn(full, narrow, 1, 1), f"conv{level}1_aux.bias": torch.zeros(full)}
    save_file(state, project.folder / "teacher.safetensors")
    return project


def distil(project, check=True, **changes):
    document = yaml.safe_load((ROOT / "configs" / "distillation.yaml").read_text())
    document["parameters"]["config"] |= {
        "data": {"repository": str(ROOT)},
        "prepare": {"size": 64, "held_out": 0.1},
        "teacher": {"name": "vgg19-compact", "weights": "teacher.safetensors"},
        "training": {"iterations": 3, "batch_size": 2, "crop": 32, "loader_workers": 0, "log_every": 1},
        **changes,
    }
    path = project.folder / "distillation.yaml"
    path.write_text(yaml.safe_dump(document))
    return project.run("zenml", "pipeline", "run", "pipelines.distillation.distillation_pipeline", "-c", str(path), check=check)


def test_the_run_holds_curves_agreement_and_the_encoder(project):
    distil(project)
    client = MlflowClient(project.store)
    experiment = client.get_experiment_by_name("distillation_pipeline")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    for tap in STYLE_TAPS:
        assert [m.step for m in client.get_metric_history(run.info.run_id, f"train/{tap}")] == [1, 2, 3]
        assert run.data.metrics[f"relative_error_{tap}"] > 0
    assert run.data.tags["teacher"] == "vgg19-compact"
    assert run.data.params["iterations"] == "3"
    artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"vgg19-compact.safetensors", "vgg19-compact.json"} <= artifacts
    folder = project.folder / ".work" / "trained" / run.info.run_id
    assert load_file(folder / "vgg19-compact.safetensors")["conv1_1.weight"].dtype == torch.float16
    card = json.loads((folder / "vgg19-compact.json").read_text())
    assert card["provenance"]["data"]["md5"] == yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teecher": {"name": "vgg19"}}, "teecher: unknown key"),
        ({"teacher": {"name": "vgg19-compact", "weights": "nowhere.safetensors"}}, "nowhere.safetensors"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(project, change, message):
    result = distil(project, check=False, **change)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert "has started" not in result.stdout + result.stderr
