"""Runs of a comparison as a kill may leave them."""

import pytest
from mlflow import MlflowClient

from steps.support.variant_runs import CELL, MODEL_URI, finished_run


@pytest.fixture
def client(tmp_path, monkeypatch):
    import mlflow

    store = f"sqlite:///{tmp_path}/mlflow.db"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store)
    yield MlflowClient(store)
    mlflow.set_tracking_uri(before)


@pytest.mark.parametrize(
    ("tags", "status", "is_taken"),
    [
        ({MODEL_URI: "models:/m-1"}, "FINISHED", True),
        ({}, "FINISHED", False),  # it was trained, and not scored
        ({MODEL_URI: "models:/m-1"}, None, False),
        ({MODEL_URI: "models:/m-1"}, "FAILED", False),
    ],
)
def test_only_a_run_that_has_all_is_taken_for_finished(client, tags, status, is_taken):
    parent = client.create_run(client.create_experiment("ablation", "unused"))
    run = client.create_run(parent.info.experiment_id, tags={CELL: "a", **tags})
    if status is not None:
        client.set_terminated(run.info.run_id, status)
    taken = finished_run(parent, "a")
    assert (taken is not None) == is_taken
    assert finished_run(parent, "b") is None


def test_what_a_killed_command_has_logged_is_not_logged_twice(client, tmp_path):
    import mlflow
    from mlflow.data.http_dataset_source import HTTPDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    from ieast.models.pretrained import MODELS
    from steps.support.scoring import _log_scores, log_once

    dataset = MetaDataset(HTTPDatasetSource("http://example.org"), name="data", digest="1")
    experiment = client.create_experiment("ablation", (tmp_path / "files").as_uri())
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_metric("train/total", 3.0, step=4)  # which MLflow gives to the model of this step
        first = log_once(MODELS["ieast"], "full seed 0", 4)
        _log_scores({"detail": 1.0}, first, dataset, 4)
    with mlflow.start_run(run_id=run.info.run_id):
        again = log_once(MODELS["ieast"], "full seed 0", 4)
        _log_scores({"detail": 1.0}, again, dataset, 4)
        other = log_once(MODELS["ieast"], "full seed 0", 6)
    assert again.model_id == first.model_id != other.model_id
    assert again.model_uri == first.model_uri
    assert [point.step for point in client.get_metric_history(run.info.run_id, "detail")] == [4]
    known = {metric.key: metric.value for metric in client.get_logged_model(first.model_id).metrics}
    assert known == {"train/total": 3.0, "detail": 1.0}
