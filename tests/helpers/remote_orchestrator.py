"""An orchestrator as those of clusters are: it only notes which steps are to run, and whoever reads that runs each by itself.

Kubernetes and Kubeflow start every step by the same entry point of ZenML's, in a container of its own.
"""

import json
import os
from pathlib import Path
from uuid import uuid4

from zenml.entrypoints.step_entrypoint_configuration import StepEntrypointConfiguration
from zenml.enums import ExecutionMode
from zenml.orchestrators import BaseOrchestrator, BaseOrchestratorConfig, BaseOrchestratorFlavor

NOTES, RUN = "IEAST_TEST_STEPS", "IEAST_TEST_RUN"


class NotingConfig(BaseOrchestratorConfig):
    @property
    def is_remote(self) -> bool:
        return False  # or else it would ask for a ZenML server that the steps reach; here they share its database

    @property
    def is_local(self) -> bool:
        return False


class NotingOrchestrator(BaseOrchestrator):
    def get_orchestrator_run_id(self) -> str:
        return os.environ[RUN]

    @property
    def supported_execution_modes(self) -> list[ExecutionMode]:
        return list(ExecutionMode)

    def submit_pipeline(self, snapshot, stack, base_environment, step_environments, placeholder_run=None):
        run, entry = str(uuid4()), StepEntrypointConfiguration
        steps = [
            {
                "name": name,
                "arguments": [
                    *entry.get_entrypoint_command()[3:],
                    *entry.get_entrypoint_arguments(step_name=name, snapshot_id=snapshot.id),
                ],
                "environment": step_environments[name] | {RUN: run},
            }
            for name in snapshot.step_configurations
        ]
        Path(os.environ[NOTES]).write_text(json.dumps(steps))


class NotingFlavor(BaseOrchestratorFlavor):
    @property
    def name(self) -> str:
        return "noting"

    @property
    def config_class(self):
        return NotingConfig

    @property
    def implementation_class(self):
        return NotingOrchestrator
