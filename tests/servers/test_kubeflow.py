"""The pipelines as Kubeflow takes them, compiled by ZenML's orchestrator without a cluster."""

import importlib.util
import sys

import pytest
import yaml
from helpers.servers import ZENML_BUCKET, s3, s3_client, s3_environment
from helpers.zenml_projects import ROOT, TrainingProject

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("kfp") is None,
    reason="needs kfp, which asks for protobuf below 7, where requirements.lock has 7: see docs/scale.md for how to run this",
)

# All but the cluster: nothing is sent, no context is looked for, and the local ZenML database stands for a server.
COMPILE = """
import sys
from zenml.cli.cli import cli
from zenml.integrations.kubeflow.flavors.kubeflow_orchestrator_flavor import KubeflowOrchestratorConfig
from zenml.integrations.kubeflow.orchestrators.kubeflow_orchestrator import KubeflowOrchestrator
KubeflowOrchestrator.validator = property(lambda self: None)
KubeflowOrchestrator._upload_and_run_pipeline = lambda self, **_: None
KubeflowOrchestratorConfig.is_remote = property(lambda self: False)
cli(["pipeline", "run", "pipelines.training.training_pipeline", "-c", "config.yaml"])
"""


@pytest.fixture
def endpoint():
    with s3() as endpoint:
        s3_client(endpoint).create_bucket(Bucket=ZENML_BUCKET)
        yield endpoint


def test_the_training_pipeline_compiles_for_kubeflow(tmp_path, endpoint):
    project = TrainingProject(tmp_path)
    project.environment |= s3_environment(endpoint)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    project.run("zenml", "secret", "create", "ieast-servers", *(f"--{name}=secret-value" for name in names))
    project.run("zenml", "stack", "import", str(ROOT / "deploy" / "stacks" / "kubeflow.yaml"))
    project.run("zenml", "stack", "set", "ieast_kubeflow")
    path = project.write("compiled")
    cluster = yaml.safe_load((ROOT / "configs" / "paper.yaml").read_text())
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {part: cluster[part] for part in ("settings", "steps")}))
    project.run(sys.executable, "-c", COMPILE)
    (compiled,) = project.folder.rglob("zenml/kubeflow/*/pipelines/*.yaml")
    text = compiled.read_text()
    assert "secret-value" not in text
    spec = yaml.safe_load(text)
    tasks = spec["root"]["dag"]["tasks"]
    steps = ["load_data", "prepare_images", "check_data", "train_model", "evaluate_model", "register_model", "promote_model"]
    assert {task["taskInfo"]["name"] for task in tasks.values()} == set(steps)
    by_name = {task["taskInfo"]["name"]: task for task in tasks.values()}
    assert "dependentTasks" not in by_name["load_data"]
    assert len(by_name["promote_model"]["dependentTasks"]) == 5 - 1
    containers = {name: body["container"] for name, body in spec["deploymentSpec"]["executors"].items()}
    assert {body["image"] for body in containers.values()} == {cluster["settings"]["docker"]["parent_image"]}
    assert {name: body["resources"]["cpuLimit"] for name, body in containers.items() if body["resources"]["cpuLimit"] != 4} == {
        "exec-train-model": 8
    }
