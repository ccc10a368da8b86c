"""MLflow's database, the first time: whole, or not there."""

import os
import sqlite3
import sys
from pathlib import Path

import pytest
from helpers.warm_processes import run_warm

mlflow = pytest.importorskip("mlflow")

from sqlalchemy.exc import OperationalError  # noqa: E402 - needs mlflow

from ieast.io.files import DiskFullError  # noqa: E402
from ieast.registry.store import make_store  # noqa: E402

# Ends in the middle of what MLflow does with a new database, with its first tables written.
KILLED = """
import os, sys
import mlflow.store.db.utils as tables
from ieast.registry.store import make_store
tables._upgrade_db = lambda engine: os._exit(9)
make_store(sys.argv[1])
"""


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def works(uri: str) -> bool:
    client = mlflow.MlflowClient(uri)
    run = client.create_run(client.create_experiment("one", "unused"))
    client.log_metric(run.info.run_id, "score", 1.0)
    return client.get_run(run.info.run_id).data.metrics == {"score": 1.0}


def test_a_new_one_is_mlflows_own(tmp_path):
    uri = f"sqlite:///{tmp_path / 'new folder' / 'mlflow.db'}"
    make_store(uri)
    assert names(tmp_path / "new folder") == ["mlflow.db"]
    assert works(uri)
    default = mlflow.MlflowClient(uri).get_experiment("0")
    assert default.artifact_location == (tmp_path / "new folder" / "mlflow_artifacts" / "0").as_uri()
    make_store(uri)  # what is there stays
    assert mlflow.MlflowClient(uri).get_experiment_by_name("one") is not None


def test_nothing_is_made_of_a_servers_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for uri in ("http://127.0.0.1:5000", "postgresql://a@b/c"):
        make_store(uri)
    assert names(tmp_path) == []


def test_without_room_there_is_none(tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"

    def full(engine):
        raise OperationalError("CREATE TABLE", {}, sqlite3.OperationalError("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.db.utils._upgrade_db", full)
        with pytest.raises(DiskFullError, match=r"the disk is full: .*mlflow\.db was not written"):
            make_store(f"sqlite:///{path}")
    assert names(tmp_path) == []
    make_store(f"sqlite:///{path}")
    assert works(f"sqlite:///{path}")


def test_one_whose_making_was_killed_is_made_anew(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    killed = run_warm([sys.executable, "-c", KILLED, uri], tmp_path.parent, os.environ)
    assert killed.returncode == 9
    assert not (tmp_path / "mlflow.db").exists()
    assert len(names(tmp_path)) >= 1
    again = "import sys; from ieast.registry.store import make_store; make_store(sys.argv[1])"
    assert run_warm([sys.executable, "-c", again, uri], tmp_path.parent, os.environ).returncode == 0
    assert names(tmp_path) == ["mlflow.db"]
    assert works(uri)
