"""Which MLflow holds the registry, and what goes wrong on the way to it."""

import errno
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from ieast.errors import RegistryError
from ieast.io.files import atomic_write, turn

STORE = "mlflow_store.txt"
"""In a work folder: where the last pipeline run there keeps its models."""

_SQLITE = re.compile(r"sqlite:///([^?]+)")
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_SECONDS = 5.0
_ARTIFACTS = "mlflow_artifacts"  # ZenML's name for it

_ADVICE = "Set MLFLOW_TRACKING_URI to the store that holds the models; after a pipeline run, `ieast last-run` names it"


def connect(work_folder: Path) -> str:
    """Make MLflow use the store that it is configured for, or else the one of the last pipeline run in `work_folder`.

    Returns:
        The registry's address, without a password.

    Raises:
        RegistryError: It is a file that is not an SQLite database: MLflow would make one of a missing or empty file, and spend
            minutes on any other. Or it is a database server, and nothing listens there.
    """
    # Retries for up to four minutes, MLflow's default, are for trainings that must not fail.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for each of many small files
    noted = work_folder / STORE
    if not mlflow.is_tracking_uri_set() and noted.is_file():
        mlflow.set_tracking_uri(noted.read_text().strip())
    uri = mlflow.get_registry_uri()
    file = _SQLITE.match(uri)
    if file and not _is_sqlite(Path(file[1])):
        missing = "is not an SQLite database" if Path(file[1]).exists() else "does not exist"
        raise RegistryError(f"there is no MLflow store {uri}: the file {missing}. {_ADVICE}")
    _refuse_silence(uri)
    return redacted(uri)


def make_store(uri: str) -> None:
    """If `uri` is an SQLite file that is not there, make MLflow's database there, whole or not at all.

    MLflow itself, stopped while it does so, leaves tables that it stumbles over at every later start.

    Raises:
        DiskFullError: No space was left; nothing is there.
    """
    file = _SQLITE.match(uri)
    if file is None:
        return
    path = Path(file[1]).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with turn(path.parent):
        if path.exists() and path.stat().st_size:
            return
        with atomic_write(path) as temporary:
            try:
                # The class has no function of its own for what it does when it is first made.
                SqlAlchemyStore(f"sqlite:///{temporary}", (path.parent / _ARTIFACTS).as_uri()).engine.dispose()
            except SQLAlchemyError as error:
                if "disk is full" in str(error):
                    raise OSError(errno.ENOSPC, "the disk is full") from error
                raise


def note_store(work_folder: Path) -> None:
    """Let `connect` find the store in use now; one whose address holds a password is left to MLFLOW_TRACKING_URI."""
    uri, path = mlflow.get_tracking_uri(), work_folder / STORE
    if redacted(uri) != uri:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as temporary:
        temporary.write_text(uri + "\n")


def set_experiment(name: str) -> None:
    """Make `name` the experiment of the runs to come. Over a database its artifacts lie beside that, as those of pipelines do.

    MLflow itself would put them where the command happens to be given.
    """
    file = _SQLITE.match(mlflow.get_tracking_uri())
    if file and mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, (Path(file[1]).resolve().parent / _ARTIFACTS).as_uri())
    mlflow.set_experiment(name)


def _refuse_silence(uri: str) -> None:
    """Raise if nothing listens where a database should, which MLflow would ask again for minutes."""
    scheme = uri.partition(":")[0]
    usual = next((port for name, port in _DATABASE_PORTS.items() if scheme.startswith(name)), None)
    if usual is None:
        return
    try:
        address = make_url(uri)
    except (SQLAlchemyError, ValueError):
        raise RegistryError(f"{redacted(uri)} is no address of a database. {_ADVICE}") from None
    if address.host is None:
        return
    try:
        socket.create_connection((address.host, address.port or usual), _SECONDS).close()
    except OSError as error:
        where = redacted(uri)
        raise RegistryError(f"reaching the database failed in MLflow at {where}: {error}. {_ADVICE}") from None


@contextmanager
def in_turn() -> Iterator[None]:
    """Wait until no other process is in this block with the same registry, if that is an SQLite database.

    Aliases and what is recorded beside them are several writes, for which MLflow has no transaction.
    """
    file = _SQLITE.match(mlflow.get_registry_uri())
    if file and (folder := Path(file[1]).resolve().parent).is_dir():
        with turn(folder):
            yield
    else:
        yield


def _is_sqlite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn what MLflow, its database and the network raise into a `RegistryError` that names the store."""
    try:
        yield
    # A database's driver is imported when it is first used.
    except (MlflowException, SQLAlchemyError, ModuleNotFoundError, OSError) as error:
        where = redacted(mlflow.get_registry_uri())
        raise RegistryError(f"{action} failed in MLflow at {where}: {redacted(str(error))}. {_ADVICE}") from error


def redacted(text: str) -> str:
    """`text` with the passwords of addresses in it left out, for messages."""
    text = re.sub(r"(://)[^\s@]*(?:@[^\s@/?#]*)*@", r"\1", text)  # passwords may hold / and @ themselves
    return re.sub(r"([?&](?:\w*password|passwd|pwd|token|secret)=)[^&\s]*", r"\1...", text, flags=re.IGNORECASE)
