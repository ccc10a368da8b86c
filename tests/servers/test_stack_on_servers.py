"""A stack on servers in a ZenML of its own; no server is asked."""

import json
import sys

import pytest
from helpers.zenml_projects import Project

# In one process, because each connects to ZenML anew.
CODE = """
import json
from zenml.client import Client
from zenml.enums import StackComponentType as Kind
from pipelines.servers import Servers, ensure_server_stack
client = Client()
client.create_stack_component("cluster", "local", Kind.ORCHESTRATOR, {})
client.create_stack_component("elsewhere", "mlflow", Kind.EXPERIMENT_TRACKER, {})
parts = {Kind.ORCHESTRATOR: "cluster", Kind.ARTIFACT_STORE: "default", Kind.EXPERIMENT_TRACKER: "elsewhere"}
client.create_stack("team", parts)
def look(mlflow):
    stack = ensure_server_stack("team", Servers(mlflow, "s3://bucket/folder"))
    components = {kind.value: part for kind, (part,) in stack.components.items()}
    tracker, store = components["experiment_tracker"].configuration, components["artifact_store"].configuration
    return [{kind: part.name for kind, part in components.items()}, tracker["tracking_uri"], store["path"]]
print(json.dumps([look("http://first:5000"), look("http://second:5000")]))
"""


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("project"))
    return json.loads(project.run(sys.executable, "-c", CODE).stdout.splitlines()[-1])


def test_a_stack_of_that_name_gets_the_servers_and_keeps_its_orchestrator(looks):
    names = {"experiment_tracker": "team", "model_registry": "team", "artifact_store": "team", "orchestrator": "cluster"}
    assert looks == [[names, f"http://{place}:5000", "s3://bucket/folder"] for place in ("first", "second")]
