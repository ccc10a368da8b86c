"""deploy/ against the schemas of Kubernetes, ZenML's own classes, and what the image and the service have."""

import re
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from helpers.zenml_projects import Project
from typer.main import get_command
from zenml.config.pipeline_run_configuration import PipelineRunConfiguration
from zenml.integrations.kubernetes.flavors.kubernetes_orchestrator_flavor import KubernetesOrchestratorSettings

from ieast.cli.main import app
from ieast.service.metrics import Measures

ROOT = Path(__file__).resolve().parents[1]
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
STACKS = sorted((ROOT / "deploy" / "stacks").glob("*.yaml"))
OBJECTS = {
    f"{document['kind']} {document['metadata']['name']}": document
    for path in MANIFESTS
    for document in yaml.safe_load_all(path.read_text())
}
CLUSTER = yaml.safe_load((ROOT / "configs" / "paper.yaml").read_text())


@pytest.mark.parametrize("version", ["1.30", "1.34"])
@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_every_object_fits_the_schema_of_kubernetes(name, version):
    kubernetes_validate.validate(OBJECTS[name], version, strict=True)


def test_the_service_is_started_probed_and_scaled_by_what_it_has():
    (container,) = OBJECTS["Deployment ieast"]["spec"]["template"]["spec"]["containers"]
    name, *words = container["args"]
    values = get_command(app).commands[name].make_context(name, list(words)).params
    (port,) = container["ports"]
    assert port["containerPort"] == values["port"]
    routes = set(re.findall(r'"(/\w+)"', (ROOT / "ieast" / "service" / "app.py").read_text()))
    probes = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert probes == {"/readyz", "/healthz"}
    assert probes <= routes
    (metric,) = OBJECTS["HorizontalPodAutoscaler ieast"]["spec"]["metrics"]
    assert f"# TYPE {metric['pods']['metric']['name']} gauge" in Measures().text().decode()
    assert OBJECTS["Deployment ieast"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > values["seconds"]


def test_steps_get_resources_an_image_and_a_place_for_what_outlives_them():
    for name in ("paper.yaml", "nightly.yaml"):
        run = PipelineRunConfiguration.model_validate(yaml.safe_load((ROOT / "configs" / name).read_text()))
        assert run.settings["docker"].skip_build
        assert run.steps["train_model"].settings["resources"].gpu_count == 1
        pods = KubernetesOrchestratorSettings.model_validate(run.settings["orchestrator.kubernetes"].model_dump()).pod_settings
        claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pods.volumes if "persistentVolumeClaim" in volume}
        assert {f"PersistentVolumeClaim {claim}" for claim in claims} <= set(OBJECTS)
        # ZenML runs steps in /app, and theirs is the folder `.work` there.
        assert "/app/.work" in {mount["mountPath"] for mount in pods.volume_mounts}
    assert run.schedule.cron_expression == "0 2 * * *"


def test_the_nightly_training_is_the_papers():
    nightly = yaml.safe_load((ROOT / "configs" / "nightly.yaml").read_text())
    assert {part: nightly[part] for part in ("settings", "steps")} == {part: CLUSTER[part] for part in ("settings", "steps")}
    assert nightly["parameters"]["config"].pop("data")["revision"] == "main"
    assert nightly["parameters"] == CLUSTER["parameters"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("stacks"))
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    project.run("zenml", "secret", "create", "ieast-servers", *(f"--{name}=value-of-{name}" for name in names))
    return project


READ = """
import sys
from zenml.client import Client
from zenml.stack import StackComponent
components = {kind.value: component for kind, (component,) in Client().get_stack(sys.argv[1]).components.items()}
for kind, component in components.items():
    print(kind, component.flavor_name)
if components["orchestrator"].flavor_name == "kubernetes":  # of Kubeflow's the packages do not go with the lock
    StackComponent.from_model(components["orchestrator"])
store, tracker = (StackComponent.from_model(components[kind]) for kind in ("artifact_store", "experiment_tracker"))
print(store.config.secret, tracker.config.tracking_password)
"""


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_zenml_takes_the_stack_and_finds_its_secrets(project, path):
    text = path.read_text()
    copied = project.folder / path.name
    copied.write_text(text.replace("team_", f"{path.stem}_"))  # both in one ZenML
    project.run("zenml", "stack", "import", copied.name)
    lines = project.run(sys.executable, "-c", READ, yaml.safe_load(text)["stack_name"]).stdout.splitlines()
    assert {f"orchestrator {path.stem}", "artifact_store s3", "experiment_tracker mlflow"} <= set(lines)
    assert lines[-1] == "value-of-AWS_SECRET_ACCESS_KEY value-of-MLFLOW_TRACKING_PASSWORD"
