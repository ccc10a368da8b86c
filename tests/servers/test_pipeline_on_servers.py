"""The training pipeline on servers, each step in a process and an empty folder of its own, as on a cluster."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from helpers.servers import MLFLOW_BUCKET, PASSWORD, ZENML_BUCKET, bucket_names, servers, why_not
from helpers.zenml_projects import ROOT, TrainingProject
from mlflow import MlflowClient

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

# What a container starts. ZenML enters /app, which every container has for itself; here it is the folder of the process.
CONTAINER = """
import os
from zenml.entrypoints.entrypoint import main
enter, make = os.chdir, os.makedirs
os.chdir = lambda folder: None if folder == "/app" else enter(folder)
os.makedirs = lambda folder, *args, **options: None if folder == "/app" else make(folder, *args, **options)
main()
"""
ORCHESTRATOR = """
from zenml.client import Client
from zenml.enums import StackComponentType as Kind
client = Client()
client.create_flavor("tests.helpers.remote_orchestrator.NotingFlavor", Kind.ORCHESTRATOR)
client.create_stack_component("noting", "noting", Kind.ORCHESTRATOR, {})
client.update_stack("ieast_servers", component_updates={Kind.ORCHESTRATOR: ["noting"]})
"""


@pytest.fixture(scope="module")
def team():
    with servers() as running:
        yield running


class Cluster(TrainingProject):
    """A project whose pipelines run on servers; its steps share no folder.

    Attributes:
        outputs: What each step of the last run printed, by name.
        folders: Where each ran.
    """

    def __init__(self, folder, team):
        super().__init__(folder)
        self.team = team
        self.environment |= team.environment | {"IEAST_TEST_STEPS": str(folder / "steps.json")}
        stack = ["-m", "pipelines.stack", "--mlflow", team.mlflow, "--artifacts", f"s3://{ZENML_BUCKET}/pipelines/"]
        made = self.run(sys.executable, *stack)
        assert made.stdout.splitlines()[-1] == team.mlflow
        self.run(sys.executable, "-c", ORCHESTRATOR)

    def run_steps(self, name, **changes):
        self.train(name, **changes)
        steps = json.loads((self.folder / "steps.json").read_text())
        (self.folder / "steps.json").unlink()
        self.outputs, self.folders = {}, {}
        own, home = self.environment, self.folder
        try:
            for step in steps:
                self.folder = home / f"{name}-{step['name']}"
                self.folder.mkdir()
                self.environment = own | step["environment"]
                self.folders[step["name"]] = self.folder
                result = self.run(sys.executable, "-c", CONTAINER, *step["arguments"])
                self.outputs[step["name"]] = result.stdout + result.stderr
        finally:
            self.environment, self.folder = own, home


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, team):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), team)
    cluster.run_steps("first", data={"repository": str(ROOT), "revision": "HEAD"})
    return cluster


def test_steps_that_share_no_folder_hand_over_through_the_artifact_store(cluster, team):
    client = MlflowClient(team.mlflow)
    assert {str(number) for number in client.get_registered_model("ieast").aliases.values()} == {"1"}
    (run,) = client.search_runs([client.get_experiment_by_name("training_pipeline").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["evaluation/style_distance"] > 0
    assert run.data.metrics["evaluation/temporal_encoder_tap_distance"] > 0  # of clips, which lie beside the pictures
    print({name: sorted(path.name for path in folder.rglob("*")) for name, folder in cluster.folders.items()})
