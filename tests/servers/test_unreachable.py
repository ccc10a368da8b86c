"""Servers that are away, refuse, or are full: said in one sentence that names them, in seconds."""

import time
from types import SimpleNamespace

import pytest
from helpers.doors import answering
from helpers.servers import PASSWORD, free_port, s3, s3_client, s3_environment
from zenml.enums import StackComponentType
from zenml.integrations.s3.artifact_stores import S3ArtifactStore
from zenml.integrations.s3.flavors import S3ArtifactStoreFlavor
from zenml.utils.time_utils import utc_now

from ieast.errors import ConfigError
from ieast.registry.server import check_mlflow
from pipelines import servers
from pipelines.servers import Servers, check_artifact_store
from pipelines.stack import parse

LIMIT = 30


def store_at(endpoint, monkeypatch, bucket="team-zenml"):
    for name, value in s3_environment(endpoint).items():
        monkeypatch.setenv(name, value)
    configuration = servers._artifact_store(Servers("http://mlflow", f"s3://{bucket}/ieast", endpoint))
    config = S3ArtifactStoreFlavor().config_class(**configuration)
    kind = StackComponentType.ARTIFACT_STORE
    return S3ArtifactStore(
        name="s", id="0" * 32, config=config, flavor="s3", type=kind, user=None, created=utc_now(), updated=utc_now()
    )


@pytest.fixture(autouse=True)
def _in_time():
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LIMIT


def test_an_mlflow_server_that_is_away():
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError) as caught:
        check_mlflow(address)
    assert str(caught.value) == (
        f"the MLflow server {address} does not answer ([Errno 111] Connection refused): start it, or give the right address to "
        "`python -m pipelines.stack --mlflow`"
    )


def test_an_mlflow_server_that_refuses_and_one_that_is_none(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "team")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    with answering(401) as address, pytest.raises(ConfigError) as caught:
        check_mlflow(address)
    assert str(caught.value) == (
        f"the MLflow server {address} refuses the credentials it was given (HTTP 401): set MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD, or mend the ZenML secret that the stack names"
    )
    with answering(404) as address, pytest.raises(ConfigError, match=r"does not answer as an MLflow server does \(HTTP 404\)"):
        check_mlflow(address)


def test_files_on_this_machine_are_no_servers(tmp_path):
    check_mlflow(f"sqlite:///{tmp_path}/mlflow.db")
    local = SimpleNamespace(experiment_tracker=None, artifact_store=SimpleNamespace(config=SimpleNamespace(is_local=True)))
    servers.check_servers(local)


def test_an_s3_that_is_away(monkeypatch):
    endpoint = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError) as caught:
        check_artifact_store(store_at(endpoint, monkeypatch))
    assert str(caught.value) == (
        f"the S3 endpoint {endpoint} of the artifact store s3://team-zenml/ieast does not answer ([Errno 111] Connection "
        "refused): start it, or correct the address"
    )


def test_a_bucket_that_is_not_there_and_one_that_is(monkeypatch):
    with s3() as endpoint:
        with pytest.raises(
            ConfigError, match=r"^the artifact store s3://team-zenml/ieast takes no files: there is no such bucket"
        ):
            check_artifact_store(store_at(endpoint, monkeypatch))
        s3_client(endpoint).create_bucket(Bucket="team-zenml")
        check_artifact_store(store_at(endpoint, monkeypatch))
        assert "Contents" not in s3_client(endpoint).list_objects_v2(Bucket="team-zenml")  # nothing is left there


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "InvalidAccessKeyId", "the key is not one that may write there: correct AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "the key is not one that may write there"),
        (507, "XMinioStorageFull", "it is full: make room, and run the same command again"),
    ],
)
def test_a_wrong_key_and_a_full_store(monkeypatch, status, code, said):
    with answering(status, code) as endpoint, pytest.raises(ConfigError) as caught:
        check_artifact_store(store_at(endpoint, monkeypatch))
    assert str(caught.value).startswith(f"the artifact store s3://team-zenml/ieast takes no files: {said}")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("words", [["--name", "team"], ["--secret", "keys"], ["--endpoint", "http://127.0.0.1:9000"]])
def test_what_belongs_to_servers_is_refused_without_them(words, capsys):
    with pytest.raises(SystemExit) as caught:
        parse([*words, "zenml", "stack", "list"])
    assert caught.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"error: {words[0]}: of a stack on servers, which --mlflow and --artifacts make")


def test_a_name_after_the_command_is_the_commands_own():
    assert parse(["zenml", "--name", "team"]) == (None, "ieast_local", ["zenml", "--name", "team"])
    servers_alone = ["--mlflow", "http://m", "--artifacts", "s3://b/f"]
    assert parse([*servers_alone, "--name", "team"])[1] == "team"


def test_servers_are_given_together_and_without_secrets(monkeypatch):
    with pytest.raises(ConfigError, match="--mlflow and --artifacts go together"):
        parse(["--mlflow", "http://127.0.0.1:5000"])
    given, name, command = parse(["--mlflow", "http://m", "--artifacts", "s3://b/f", "zenml", "pipeline", "run", "-c", "x"])
    assert (given, name, command) == (Servers("http://m", "s3://b/f"), "ieast_servers", ["zenml", "pipeline", "run", "-c", "x"])
    with pytest.raises(ConfigError, match="--mlflow holds a password") as caught:
        servers._tracker(Servers(f"http://team:{PASSWORD}@mlflow:5000", "s3://b/f"))
    assert PASSWORD not in str(caught.value)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", PASSWORD)
    with pytest.raises(ConfigError, match="a token for MLflow has to lie in a ZenML secret") as caught:
        servers._tracker(Servers("http://mlflow:5000", "s3://b/f"))
    assert PASSWORD not in str(caught.value)
    with pytest.raises(ConfigError, match=r"--artifacts is /tmp/here: give s3://"):
        servers._flavor("/tmp/here")
