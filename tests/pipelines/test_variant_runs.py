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
