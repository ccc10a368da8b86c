"""New databases of MLflow and ZenML in no time: both make the first of a session themselves, and the others are copies of it.

MLflow reaches its tables by dozens of migrations and ZenML describes every integration it knows, which takes seconds each time
for the same bytes. Nor do SQLite's files wait for the disk here: that guards against a power cut alone, not against a process
that is killed.
"""

import fcntl
import functools
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

FOLDER = "IEAST_TEST_DATABASES"
"""The variable that names the folder of this session's originals, for pytest's workers and all their processes."""

ZENML = Path("local_stores", "default_zen_store", "zenml.db")
"""ZenML's database in a ZenML configuration."""


@event.listens_for(Engine, "connect")
def _without_waiting_for_the_disk(connection: Any, _record: object) -> None:
    if type(connection).__module__ == "sqlite3":
        connection.execute("PRAGMA synchronous = OFF")


def folder() -> Path:
    """Of the originals; made for this process and those that it starts where nobody has made one before."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="ieast-databases-")
    return Path(os.environ[FOLDER])


def original(name: str, make: Callable[[Path], None]) -> Path:
    """The database `name` of this session, which `make` writes to a path where it is the first to be asked for."""
    path = folder() / name
    with (folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            unfinished = path.with_suffix(".unfinished")
            unfinished.unlink(missing_ok=True)
            make(unfinished)
            unfinished.rename(path)
    return path


def copy_what_mlflow_makes() -> None:
    """Let MLflow copy its tables into a new SQLite file of this process, not reach them by migrations."""
    import mlflow.store.db.utils as tables
    from sqlalchemy import create_engine

    upgrade = tables._upgrade_db

    def make(path: Path) -> None:
        engine = create_engine(f"sqlite:///{path}")
        tables.InitialBase.metadata.create_all(engine)
        upgrade(engine)
        engine.dispose()

    @functools.wraps(upgrade)
    def copy(engine: Engine) -> None:
        if engine.dialect.name != "sqlite" or not engine.url.database or tables._get_schema_version(engine) is not None:
            upgrade(engine)
            return
        source, target = sqlite3.connect(original("mlflow.db", make)), engine.raw_connection()
        source.backup(target.driver_connection)  # type: ignore[arg-type]
        source.close()
        target.close()

    tables._upgrade_db = copy


def give_zenml_its_database(configuration: Path, run: Callable[..., Any], environment: dict[str, str]) -> None:
    """Put a copy of what ZenML makes at its first start into a new `configuration`.

    Args:
        configuration: What ZENML_CONFIG_PATH will name.
        run: Runs a command in a folder with an environment, as `run_warm` does.
        environment: Of that first start.
    """

    def make(path: Path) -> None:
        with tempfile.TemporaryDirectory() as place:
            code = "from zenml.client import Client; Client().zen_store"
            result = run([sys.executable, "-c", code], Path(place), environment | {"ZENML_CONFIG_PATH": place})
            assert result.returncode == 0, result.stderr
            shutil.copy(Path(place, ZENML), path)

    (configuration / ZENML).parent.mkdir(parents=True)
    shutil.copy(original("zenml.db", make), configuration / ZENML)
