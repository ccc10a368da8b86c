"""Runs of a comparison as a kill may leave them."""

import os
import platform
from dataclasses import replace
from types import SimpleNamespace
from uuid import uuid4

import pytest
from filelock import FileLock
from mlflow import MlflowClient

from ieast.registry.comparing import COMPARED_BY, runs_below
from steps.support import dead_runs, variant_runs
from steps.support.variant_runs import CELL, FILES, MODEL_URI, Cell, files_digest, finished_run, run_cell


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
    cell = Cell("a", "files", "full", 0, data=None, prepared=None, data_path="data")
    taken = finished_run(parent, cell)
    assert (taken is not None) == is_taken
    assert finished_run(parent, replace(cell, key="b")) is None


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


@pytest.fixture
def pipeline(client, tmp_path, monkeypatch):
    """Starts the run of a pipeline, in which cells are run from then on."""
    experiment = client.create_experiment("comparison", (tmp_path / "files").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)

    def start():
        run = client.create_run(experiment)
        monkeypatch.setattr(variant_runs, "active_run", lambda: run)
        return run

    monkeypatch.setattr(variant_runs, "record_data", lambda *_: None)
    monkeypatch.setattr(variant_runs, "log_metadata", lambda **_: None)
    return start


@pytest.fixture
def cell(tmp_path):
    prepared = SimpleNamespace(folder=str(tmp_path / "prepared" / "key"), key="key")
    return Cell("a", "files", "full", 0, data=None, prepared=prepared, data_path="data")


def finish(_):
    import mlflow

    mlflow.set_tag(MODEL_URI, "models:/m-1")


def below(parent):
    return [(run.data.tags["variant"], run.info.status, run.data.tags.get("error")) for run in runs_below(parent)]


def test_a_cell_that_another_pipeline_is_at_is_left_to_it_and_the_report_says_so(client, tmp_path, pipeline, cell):
    first = pipeline()
    tags = {CELL: "a", "mlflow.parentRunId": first.info.run_id}
    begun = client.create_run(first.info.experiment_id, tags=tags)
    second = pipeline()
    (tmp_path / ".locks").mkdir()
    with FileLock(tmp_path / ".locks" / "cell-a.lock"):
        outcome = run_cell(cell, work=pytest.fail)
    assert outcome.error == "another pipeline is at work on it; run this one again when that has ended"
    assert below(second) == [("full", "FAILED", outcome.error)]
    after = client.get_run(begun.info.run_id)
    assert (after.info.status, after.data.tags["mlflow.parentRunId"]) == ("RUNNING", first.info.run_id)
    assert [run.info.run_id for run in runs_of(client, "a")] == [begun.info.run_id]  # what failed is taken up by nobody


def runs_of(client, key):
    return client.search_runs(["1"], f"tags.`{CELL}` = '{key}'")


def test_a_finished_cell_is_reported_on_by_every_pipeline_that_compares_it_and_lies_below_the_last(client, pipeline, cell):
    first = pipeline()
    run_cell(cell, work=finish)
    second = pipeline()
    outcome = run_cell(replace(cell, variant="renamed"), work=pytest.fail)
    assert outcome.error is None
    assert below(first) == [("full", "FINISHED", "")]
    assert below(second) == [("renamed", "FINISHED", "")]
    run = client.get_run(outcome.run_id)
    assert run.data.tags["mlflow.parentRunId"] == second.info.run_id
    assert run.info.run_name == "renamed seed 0"


def test_a_failed_cell_that_another_pipeline_mends_is_still_reported_on_by_the_first(pipeline, cell):
    first = pipeline()
    run_cell(cell, work=lambda _: 1 / 0)
    assert below(first) == [("full", "FAILED", "ZeroDivisionError: division by zero")]
    second = pipeline()
    run_cell(cell, work=finish)
    assert below(first) == below(second) == [("full", "FINISHED", "")]


def test_a_cell_by_other_files_is_made_anew_and_one_of_a_version_that_did_not_note_them_is_taken(client, pipeline, cell):
    pipeline()
    first = run_cell(cell, work=finish)
    again = run_cell(replace(cell, files="others"), work=finish)
    assert again.run_id != first.run_id
    client.delete_tag(first.run_id, FILES)
    client.delete_run(again.run_id)
    assert run_cell(replace(cell, files="others"), work=pytest.fail).run_id == first.run_id
    # From then on it stands for the files that it was taken for.
    assert run_cell(replace(cell, files="still others"), work=finish).run_id != first.run_id


def test_a_pipeline_of_a_version_that_left_no_tag_keeps_its_cells_when_another_takes_them(client, pipeline, cell):
    first = pipeline()
    made = run_cell(cell, work=finish)
    client.delete_tag(made.run_id, f"{COMPARED_BY}{first.info.run_id}")
    assert below(first) == [("full", "FINISHED", "")]
    second = pipeline()
    run_cell(replace(cell, variant="renamed"), work=pytest.fail)
    assert below(first) == [("full", "FINISHED", "")]
    assert below(second) == [("renamed", "FINISHED", "")]


@pytest.mark.parametrize(
    ("section", "setting"), [("evaluation", "preference"), ("encoder", "weights"), ("objective", "loss_network")]
)
def test_a_file_that_was_replaced_is_another_file(tmp_path, make_config, section, setting):
    file = tmp_path / "weights"
    value = {"name": "vgg19-compact", "weights": str(file)} if setting == "loss_network" else str(file)
    config = make_config(**{section: {setting: value}}, model={"start": None})
    missing = files_digest(config)
    file.write_bytes(b"before")
    before = files_digest(config)
    file.write_bytes(b"after")
    assert len({missing, before, files_digest(config)}) == 3


def test_a_start_that_was_replaced_is_another_one(tmp_path, make_config):
    config = make_config(model={"start": str(tmp_path / "model")}, encoder={"weights": None})
    missing = files_digest(config)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert files_digest(config) != missing


def test_a_dead_run_that_another_pipeline_closes_at_the_same_time_is_passed_over(tmp_path, monkeypatch):
    notes = tmp_path / "runs"
    notes.mkdir()
    present = {"host": platform.node(), "process": os.getpid(), "started": 0.0}  # another process that had this number
    for name in ("a", "b"):
        dead = dead_runs.Running(**present, mlflow_run=name, zenml_run=uuid4())
        (notes / f"{name}.json").write_text(dead.model_dump_json())
    closed = []

    def close(run_id):
        closed.append(run_id)
        (notes / "b.json").unlink()  # as the other pipeline does meanwhile

    run = SimpleNamespace(info=SimpleNamespace(run_id="mine"))
    context = SimpleNamespace(pipeline_run=SimpleNamespace(id=uuid4()))
    for name, stand_in in {
        "active_run": lambda: run,
        "get_step_context": lambda: context,
        "_close_in_mlflow": close,
        "_close_in_zenml": lambda _: None,
        "_close_unbegun_in_zenml": lambda: None,
    }.items():
        monkeypatch.setattr(dead_runs, name, stand_in)
    dead_runs.close_dead_runs(tmp_path)
    assert closed == ["a"]
    assert [path.name for path in notes.iterdir()] == ["mine.json"]
