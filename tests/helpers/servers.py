"""PostgreSQL, S3 and an MLflow server on this machine, as a team has them elsewhere; started for tests, and gone with them."""

import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

MLFLOW_BUCKET, ZENML_BUCKET, DVC_BUCKET = "team-mlflow", "team-zenml", "team-data"
PASSWORD = "not-to-be-seen"
UP_SECONDS = 120


@dataclass
class Servers:
    """Where they are, and what a client's environment has to hold.

    Attributes:
        mlflow: Address of the MLflow server, whose files S3 holds and whose rows PostgreSQL does.
        s3: Endpoint of S3.
        database: Address of the database.
        environment: Variables of a client.
    """

    mlflow: str
    s3: str
    database: str
    environment: dict[str, str]


@functools.cache
def postgres_folder() -> Path | None:
    """Where PostgreSQL's server programs are: Debian keeps them off the path."""
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def why_not() -> str | None:
    """Why the servers cannot be started here, or None."""
    if postgres_folder() is None:
        return "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
    if os.getuid() == 0 and not _someone():
        return "PostgreSQL does not run as root, and there is no other user here"
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL cluster of its own, as another user than root; its address."""
    programs = postgres_folder()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="ieast-postgres-"))  # not in pytest's folder, which another user may not enter
    port, who = free_port(), _someone() if os.getuid() == 0 else None
    as_user = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if who else {}
    password = folder / "password"
    password.write_text(PASSWORD)
    if who:
        for path in (folder, password):
            os.chown(path, who.pw_uid, who.pw_gid)
    try:
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", "mlflow", "--pwfile", password, "-A", "scram-sha-256",
             "--no-sync", "-E", "UTF8", "--locale=C"],
            check=True, capture_output=True, cwd="/", **as_user,
        )  # fmt: skip
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [programs / "postgres", "-D", folder / "data", "-p", str(port), *options]
        with _running(command, port, signal.SIGQUIT, cwd="/", **as_user):  # which frees its shared memory
            yield f"postgresql://mlflow:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def s3(port: int | None = None) -> Iterator[str]:
    """S3, by moto's server; its endpoint."""
    port = port or free_port()
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def mlflow_server(database: str, environment: dict[str, str], port: int | None = None) -> Iterator[str]:
    """`mlflow server` as docs/scale.md types it; its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database]
    command += [
        "--artifacts-destination",
        f"s3://{MLFLOW_BUCKET}/runs",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with _running(command, port, env=os.environ | environment | settings):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """All of them, with a bucket for each of MLflow, ZenML and DVC."""
    with s3() as endpoint, postgres() as database:
        environment = s3_environment(endpoint)
        for bucket in (MLFLOW_BUCKET, ZENML_BUCKET, DVC_BUCKET):
            s3_client(endpoint).create_bucket(Bucket=bucket)
        with mlflow_server(database, environment) as address:
            yield Servers(address, endpoint, database, environment)


def s3_environment(endpoint: str) -> dict[str, str]:
    """Variables by which every client finds S3 and signs in."""
    return {
        "AWS_ACCESS_KEY_ID": "team",
        "AWS_SECRET_ACCESS_KEY": PASSWORD,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
    }


def s3_client(endpoint: str) -> Any:
    return boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="team", aws_secret_access_key=PASSWORD, region_name="us-east-1"
    )


def bucket_names(endpoint: str, bucket: str) -> list[str]:
    """Keys of all that is in a bucket."""
    pages = s3_client(endpoint).get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


@contextlib.contextmanager
def _running(command, port, ending=signal.SIGKILL, **options) -> Iterator[subprocess.Popen]:
    # It and what it started end at once by default: nothing that they hold is wanted, and in good order MLflow's server may
    # wait for its clients.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **options
        )
        try:
            deadline = time.monotonic() + UP_SECONDS
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"{command} did not start: {log.read().decode(errors='replace')[-3000:]}")
                time.sleep(0.05)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, ending)
            process.wait(15)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _someone() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None
