"""`python -m pipelines.stack`: make the local ZenML stack with MLflow, once, and activate it for this folder.

What `zenml init` does is done here too, because every command that imports ZenML takes five seconds. It changes the ZenML
configuration that ZENML_CONFIG_PATH names; the Makefile names one of the project's own.
"""

import logging
import sys
from pathlib import Path

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker

from ieast.errors import ConfigError

STACK, COMPONENT = "ieast_local", "ieast_mlflow"

log = logging.getLogger(__name__)


def ensure_stack() -> None:
    """Make this folder a ZenML repository, register MLflow as experiment tracker and model registry, and a stack of them.

    What exists is kept. The stack is activated for this folder alone.
    """
    if not Client.is_repository_directory(Path.cwd()):
        Client.initialize()
    client = Client()
    for kind in (StackComponentType.EXPERIMENT_TRACKER, StackComponentType.MODEL_REGISTRY):
        if not client.list_stack_components(type=kind, name=COMPONENT).items:
            client.create_stack_component(name=COMPONENT, flavor="mlflow", component_type=kind, configuration={})
    if not client.list_stacks(name=STACK).items:
        client.create_stack(
            STACK,
            {
                StackComponentType.ORCHESTRATOR: "default",
                StackComponentType.ARTIFACT_STORE: "default",
                StackComponentType.EXPERIMENT_TRACKER: COMPONENT,
                StackComponentType.MODEL_REGISTRY: COMPONENT,
            },
        )
    client.activate_stack(STACK)


def tracking_uri() -> str:
    """The store MLflow keeps its runs in under the active stack.

    Raises:
        ConfigError: The active stack has no MLflow.
    """
    tracker = Client().active_stack.experiment_tracker
    if not isinstance(tracker, MLFlowExperimentTracker):
        raise ConfigError(f"the active ZenML stack {Client().active_stack.name} has no MLflow: type `make stack`")
    return str(tracker.get_tracking_uri())


if __name__ == "__main__":
    ensure_stack()
    sys.stdout.write(f"{tracking_uri()}\n")
