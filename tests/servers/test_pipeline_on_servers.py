"""The training pipeline on servers, each step in a process and an empty folder of its own, as on a cluster."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
import yaml
from helpers.dvc_repositories import V1, expected, files_under, git
from helpers.servers import DVC_BUCKET, MLFLOW_BUCKET, PASSWORD, ZENML_BUCKET, bucket_names, servers, why_not
from helpers.zenml_projects import ROOT, TrainingProject
from mlflow import MlflowClient

from ieast import MODELS
from ieast.config import DataConfig
from ieast.data.versions import load_dataset

pytestmark = [pytest.mark.skipif(why_not() is not None, reason=str(why_not())), pytest.mark.timeout(900)]

# What a container starts. ZenML enters /app, which every container has for itself; here it is the folder of the process.
CONTAINER = """
import os
from zenml.entrypoints.entrypoint import main
enter, make = os.chdir, os.makedirs
os.chdir = lambda folder: None if folder == "/app" else enter(folder)
os.makedirs = lambda folder, *args, **options: None if folder == "/app" else make(folder, *args, **options)
main()
"""
# Several commands in one process, because each would connect to ZenML anew.
BEFORE_THE_STACK = """
import sys
from zenml.client import Client
from zenml.enums import StackComponentType as Kind
client = Client()
client.create_secret("team-servers", dict(word.split("=") for word in sys.argv[1:]))
client.create_flavor("tests.helpers.remote_orchestrator.NotingFlavor", Kind.ORCHESTRATOR)
client.create_stack_component("noting", "noting", Kind.ORCHESTRATOR, {})
"""
RUN = """
import sys
from zenml.cli.cli import cli
from zenml.client import Client
from zenml.enums import StackComponentType as Kind
Client().update_stack("ieast_servers", component_updates={Kind.ORCHESTRATOR: ["noting"]})
cli(sys.argv[1:])
"""
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def team():
    with servers() as running:
        yield running


class Cluster(TrainingProject):
    """A project whose pipelines run on servers, with keys that a ZenML secret alone holds; its steps share no folder.

    Attributes:
        outputs: What each step of the last run printed, by name.
        folders: Where each ran.
    """

    def __init__(self, folder, team):
        self.team = team
        super().__init__(folder)

    def set_up(self):
        self.environment |= {name: value for name, value in self.team.environment.items() if name not in KEYS}
        self.environment |= {"IEAST_TEST_STEPS": str(self.folder / "steps.json")}
        self.run(sys.executable, "-c", BEFORE_THE_STACK, *(f"{name}={self.team.environment[name]}" for name in KEYS))
        servers = ["--mlflow", self.team.mlflow, "--artifacts", f"s3://{ZENML_BUCKET}/pipelines/"]
        stack = self.run(sys.executable, "-m", "pipelines.stack", *servers, "--secret", "team-servers")
        return stack.stdout.splitlines()[-1]

    def write(self, name, **changes):
        path = super().write(name, **changes)
        cluster = yaml.safe_load((ROOT / "configs" / "paper.yaml").read_text())
        document = yaml.safe_load(path.read_text()) | {part: cluster[part] for part in ("settings", "steps")}
        path.write_text(yaml.safe_dump(document))
        return path

    def run_steps(self, name, **changes):
        _, *words = self.command(name, **changes)
        self.run(sys.executable, "-c", RUN, *words)
        steps = json.loads((self.folder / "steps.json").read_text())
        (self.folder / "steps.json").unlink()
        self.outputs, self.folders = {}, {}
        own, home = self.environment, self.folder
        try:
            for step in steps:
                self.folder = home / f"{name}-{step['name']}"
                self.folder.mkdir()
                self.environment = own | step["environment"]
                result = self.run(sys.executable, "-c", CONTAINER, *step["arguments"])
                self.outputs[step["name"]] = result.stdout + result.stderr
                # Elsewhere, so that no later step finds anything at the places which this one used.
                self.folders[step["name"]] = self.folder.rename(home / f"{self.folder.name}-ended")
        finally:
            self.environment, self.folder = own, home


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, team):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), team)
    quick = {"iterations": 1, "reconstruction_iterations": 1, "checkpoint_every": 1, "picture_every": 2, "crop": 64}
    cluster.run_steps("first", data={"repository": str(ROOT), "revision": "HEAD"}, training=quick)
    return cluster


def test_the_stack_says_where_mlflow_is(cluster, team):
    assert cluster.store == team.mlflow


def test_steps_that_share_no_folder_hand_over_through_the_artifact_store(cluster, team):
    client = MlflowClient(team.mlflow)
    assert {name: str(number) for name, number in client.get_registered_model("ieast").aliases.items()} == {"champion": "1"}
    (run,) = client.search_runs([client.get_experiment_by_name("training_pipeline").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["style_distance"] > 0
    assert run.data.metrics["temporal_encoder_tap_distance"] > 0  # of clips, which lie beside the pictures
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train/total")] == [2]
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id, "evaluation")]
    # Whoever needs pictures has fetched them: there was no folder to find them in.
    there = {name: {path.parts[-1] for path in (folder / ".work").glob("*")} for name, folder in cluster.folders.items()}
    assert there["load_data"] >= {"datasets"}
    assert there["prepare_images"] >= {"datasets", "prepared"}
    for step in ("train_model", "evaluate_model", "promote_model"):
        assert "prepared" in there[step], step
        assert "datasets" not in there[step], step
    prepared = [name for name in bucket_names(team.s3, ZENML_BUCKET) if "/ieast/prepared/" in name]
    assert [Path(name).name for name in prepared] == ["index.json", "shard-00000.tar"]


def test_files_lie_in_s3_rows_in_postgresql_and_nothing_of_mlflow_here(cluster, team):
    assert any("evaluation/report.html" in name for name in bucket_names(team.s3, MLFLOW_BUCKET))
    engine = sqlalchemy.create_engine(team.database)
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT count(*) FROM model_versions")).scalar() == 1
    assert list(cluster.folder.rglob("mlflow.db")) == []


def test_no_secret_stands_in_a_file_or_in_what_steps_say(cluster):
    for name, output in cluster.outputs.items():
        assert PASSWORD not in output, name
    for path in cluster.folder.parent.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path


def test_the_registry_on_the_server_promotes_and_goes_back(cluster, team):
    cluster.environment["MLFLOW_TRACKING_URI"] = team.mlflow  # whose server has the keys to its files
    assert "champion" in cluster.run("ieast", "models", "ieast").stdout
    cluster.run("ieast", "register", str(MODELS["ieast"]), "ieast")
    cluster.run("ieast", "promote", "ieast", "2", "--force", "--reason", "a test")
    aliases = MlflowClient(team.mlflow).get_registered_model("ieast").aliases
    assert str(aliases["champion"]) == "2"
    cluster.run("ieast", "rollback", "ieast")
    assert str(MlflowClient(team.mlflow).get_registered_model("ieast").aliases["champion"]) == "1"


def test_a_stack_that_is_there_gets_the_secret_that_is_named_now(cluster, team):
    command = [
        sys.executable,
        "-m",
        "pipelines.stack",
        "--mlflow",
        team.mlflow,
        "--artifacts",
        f"s3://{ZENML_BUCKET}/pipelines/",
    ]
    stack = "from zenml.client import Client; c = Client(); s = c.get_stack('ieast_servers'); "
    secrets = f"{stack}print([c.get_secret(each).name for each in s.secrets])"
    make = "from zenml.client import Client; c = Client(); c.create_secret('newer', c.get_secret('team-servers').secret_values)"
    cluster.run(sys.executable, "-c", make)
    for name in ("newer", "team-servers"):
        cluster.run(*command, "--secret", name)
        assert cluster.run(sys.executable, "-c", secrets).stdout.splitlines()[-1] == f"['{name}']"


def test_a_dataset_goes_to_s3_and_comes_back_at_its_revision(team, clone_with_s3, tmp_path):
    data = load_dataset(DataConfig(repository=str(clone_with_s3), revision="data-v1"), tmp_path)
    assert files_under(data.folder) == expected(V1)
    assert len(bucket_names(team.s3, DVC_BUCKET)) == len(V1) + 1


@pytest.fixture
def clone_with_s3(origin, team, tmp_path, monkeypatch):
    """A fresh clone of a repository whose data was pushed to S3 and is nowhere else; credentials are the environment's."""
    for name, value in team.environment.items():
        monkeypatch.setenv(name, value)
    folder = Path(shutil.copytree(origin.folder, tmp_path / "repository"))
    git(folder, "checkout", "-q", "data-v1")
    subprocess.run(["dvc", "checkout", "-q"], cwd=folder, check=True)
    subprocess.run(["dvc", "remote", "add", "-d", "team", f"s3://{DVC_BUCKET}/ieast"], cwd=folder, check=True)
    subprocess.run(["dvc", "push", "-q"], cwd=folder, check=True)
    git(folder, "commit", "-qam", "a remote on S3")
    git(folder, "tag", "-f", "data-v1")
    assert PASSWORD not in (folder / ".dvc" / "config").read_text()
    git(tmp_path, "clone", "-q", str(folder), "clone")
    shutil.rmtree(folder)
    return tmp_path / "clone"
