import logging

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image

from ieast.training import tracking
from ieast.training.tracking import PatientMLFlowLogger


@pytest.fixture
def logger(tmp_path, monkeypatch):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(store)
    run = client.create_run(client.create_experiment("drawn", artifact_location=str(tmp_path / "files")))
    logger = PatientMLFlowLogger(tracking_uri=store, run_id=run.info.run_id)
    logger.experiment  # noqa: B018 - made at the first look
    return logger


def away(monkeypatch, logger, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(logger.experiment, "log_batch", fail)
    monkeypatch.setattr(logger.experiment, "log_image", fail)


def steps(logger):
    return [(point.step, point.value) for point in logger.experiment.get_metric_history(logger.run_id, "loss")]


def test_what_is_logged_while_the_server_is_away_arrives_in_order_once_it_is_back(logger, monkeypatch, caplog):
    logger.log_metrics({"loss": 3.0}, step=1)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        away(patch, logger, MlflowException("API request failed: connection refused"))
        for step in (2, 3):
            logger.log_metrics({"loss": 1.0 / step}, step=step)
        logger.log_picture(Image.new("RGB", (8, 8)), "grid", 3)
    assert [record.getMessage() for record in caplog.records] == [
        "MLflow does not take what training logs (API request failed: connection refused): training goes on, and it is "
        "sent later"
    ]
    assert steps(logger) == [(1, 3.0)]
    monkeypatch.setattr(tracking.time, "monotonic", lambda: 1e12)
    logger.log_metrics({"loss": 0.1}, step=4)
    assert steps(logger) == [(1, 3.0), (2, 0.5), (3, 1 / 3), (4, 0.1)]
    assert logger.experiment.list_artifacts(logger.run_id, "images")


def test_a_server_that_does_not_come_back_ends_no_training(logger, monkeypatch, caplog):
    away(monkeypatch, logger, ConnectionRefusedError("connection refused"))
    logger.log_metrics({"loss": 1.0}, step=1)
    logger.finalize("success")
    assert caplog.messages[-1] == (
        "1 entries of curves and pictures did not reach MLflow; the model and its checkpoint are whole"
    )


def test_the_run_stays_its_openers(logger):
    logger.log_metrics({"loss": 1.0}, step=1)
    for status in ("success", "failed"):
        logger.finalize(status)
        assert logger.experiment.get_run(logger.run_id).info.status == "RUNNING"


def test_what_is_not_of_the_server_is_an_error_at_once(logger, monkeypatch):
    away(monkeypatch, logger, ZeroDivisionError("a mistake"))
    with pytest.raises(ZeroDivisionError):
        logger.log_metrics({"loss": 1.0}, step=1)


def test_what_a_killed_process_has_logged_to_the_run_is_not_logged_twice(logger):
    for step in (1, 2, 3):
        logger.log_metrics({"loss": 1.0 / step, "rate": 0.1}, step=step)
    logger.log_metrics({"late": 1.0}, step=3)
    again = PatientMLFlowLogger(tracking_uri=logger._tracking_uri, run_id=logger.run_id)
    for step in (2, 3, 4, 5):
        again.log_metrics({"loss": 1.0 / step, "late": 2.0}, step=step)
    again.log_metrics({"loss": 0.2}, step=5)  # what one process says twice is two points
    assert steps(again) == [(1, 1.0), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4), (5, 1 / 5), (5, 0.2)]
    history = again.experiment.get_metric_history(again.run_id, "late")
    assert [(point.step, point.value) for point in history] == [(3, 1.0), (4, 2.0), (5, 2.0)]
