"""The ablation in small on servers; and storage that stops, or fills up, in the middle of a run: named in seconds."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.doors import Door, answering, door
from helpers.servers import (
    MLFLOW_BUCKET,
    PASSWORD,
    ZENML_BUCKET,
    bucket_names,
    mlflow_server,
    postgres,
    s3,
    s3_client,
    s3_environment,
    why_not,
)
from helpers.zenml_projects import SMALL_ABLATION, AblationProject, TrainingProject
from mlflow import MlflowClient

from ieast.training.folders import CHECKPOINT

pytestmark = [
    pytest.mark.skipif("HUNT_TRIALS" not in os.environ, reason="takes minutes: make hunt"),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.timeout(1800),
]

LIMIT = 30
QUICK = {"iterations": 1, "reconstruction_iterations": 1, "checkpoint_every": 1, "picture_every": 2, "crop": 64}


@pytest.fixture(scope="module")
def storage() -> Iterator[tuple[Door, int, str]]:
    """The way to S3, its own port, and the address of an MLflow server whose files lie there, too."""
    with s3() as endpoint, postgres() as database:
        port = int(endpoint.rsplit(":", 1)[1])
        for bucket in (MLFLOW_BUCKET, ZENML_BUCKET):
            s3_client(endpoint).create_bucket(Bucket=bucket)
        with door(port) as way, mlflow_server(database, s3_environment(f"http://127.0.0.1:{way.port}")) as mlflow:
            yield way, port, mlflow


@contextmanager
def stopped(way: Door) -> Iterator[None]:
    way.shut()
    yield


@contextmanager
def full(way: Door) -> Iterator[None]:
    with answering(507, "XMinioStorageFull") as address:
        way.lead_to(int(address.rsplit(":", 1)[1]))
        yield


def project_on_servers(kind, folder, way, mlflow):
    project = kind(folder)
    project.environment |= s3_environment(f"http://127.0.0.1:{way.port}")
    servers = ["--mlflow", mlflow, "--artifacts", f"s3://{ZENML_BUCKET}/{folder.name}"]
    project.run(sys.executable, "-m", "pipelines.stack", *servers)
    return project


def test_the_ablation_in_small(storage, tmp_path):
    way, port, mlflow = storage
    project = project_on_servers(AblationProject, tmp_path / "ablation", way, mlflow)
    project.run(*project.command("first", SMALL_ABLATION))
    client = MlflowClient(mlflow)
    runs = client.search_runs([client.get_experiment_by_name("ablation_pipeline").experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    children = {run.data.tags["variant"]: run for run in runs if run is not parent}
    assert set(children) == {"full", "neither"}
    for run in children.values():
        assert run.info.status == "FINISHED"
        assert run.data.metrics["style_distance"] > 0
        assert client.get_metric_history(run.info.run_id, "train/total")
    keys = bucket_names(f"http://127.0.0.1:{port}", MLFLOW_BUCKET)
    assert any(key.endswith(f"{parent.info.run_id}/artifacts/report.html") for key in keys)
    assert not list(project.folder.rglob("mlflow.db"))
    again = project.run(*project.command("second", SMALL_ABLATION))
    assert (again.stdout + again.stderr).count("was finished by an earlier run") == 2


SAID = {
    stopped: "the S3 endpoint http://127.0.0.1:{port} of the artifact store s3://team-zenml/{name} does not answer "
    "([Errno 111] Connection refused): start it, or correct the address. What was done before is kept",
    full: "the artifact store s3://team-zenml/{name} takes no files: it is full: make room, and run the same command again",
}


@pytest.mark.parametrize("fail", SAID)
def test_storage_that_fails_in_the_middle_of_a_run(storage, tmp_path, fail):
    way, port, mlflow = storage
    way.lead_to(port)
    project = project_on_servers(TrainingProject, tmp_path / fail.__name__, way, mlflow)
    ended = threading.Event()
    failed: list[float] = []

    def models() -> list[Path]:
        return list(project.folder.glob(".work/training/*/model/config.json"))

    def spoil() -> None:
        """Have the storage fail once a model is trained, until the run has ended."""
        while not models() and not ended.wait(0.05):
            pass
        with fail(way):
            failed.append(time.monotonic())
            ended.wait()

    spoiling = threading.Thread(target=spoil)
    spoiling.start()
    try:
        result = project.train("run", check=False, training=QUICK)
        assert failed, result.stderr[-3000:]
        seconds = time.monotonic() - failed[0]
    finally:
        ended.set()
        spoiling.join()
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(SAID[fail].format(port=way.port, name=fail.__name__)), result.stderr[-3000:]
    assert last.endswith("the same command goes on from there")
    assert PASSWORD not in result.stdout + result.stderr
    assert seconds < LIMIT * max(1, os.getloadavg()[0] / (os.cpu_count() or 1))  # its share of a machine that others use
    (model,) = models()
    trained = (model.parents[1] / CHECKPOINT).stat().st_mtime_ns

    way.lead_to(port)
    project.train("again", training=QUICK)
    client = MlflowClient(mlflow)
    version = max(client.search_model_versions("name = 'ieast'"), key=lambda version: int(version.version))
    (noted,) = project.folder.glob(".work/trained/*/run.json")
    assert version.run_id in noted.read_text()
    assert client.get_run(version.run_id).info.status == "FINISHED"
    (kept,) = project.folder.glob(f".work/trained/*/{CHECKPOINT}")
    assert kept.stat().st_mtime_ns == trained  # nothing was trained twice
