"""What several steps record in the same way."""

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow.entities import Run
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from zenml import get_step_context
from zenml.client import Client

from ieast.config import Document
from ieast.data.versions import DataRef
from ieast.errors import ConfigError
from ieast.experiment import ExperimentConfig
from ieast.registry.register import champion_version
from ieast.training.provenance import git_commit, library_versions
from steps.support.dvc_source import dataset_of

CONFIG = "config.yaml"
"""Every setting of a run."""


def active_run() -> Run:
    """The MLflow run that ZenML opened for this pipeline run.

    Raises:
        RuntimeError: The active ZenML stack has no MLflow experiment tracker.
    """
    run = mlflow.active_run()
    if run is None:
        raise RuntimeError(
            "no MLflow run is open: activate a stack with an mlflow experiment tracker (python -m pipelines.stack)"
        )
    return run


def record_data(data: DataRef, path: str) -> None:
    """Put the dataset version into the active run, as its input and as tags. `path` is its folder in its repository."""
    mlflow.log_input(dataset_of(data, path), context="training")
    mlflow.set_tags({"data.md5": data.md5, "data.revision": data.revision, "data.commit": data.commit or "workspace"})


def log_settings(config: ExperimentConfig) -> None:
    """Put into the run what it can be filtered by, as parameters, and every setting, as a file.

    Parameters are few and short, for each is a column of MLflow's tables: what variants and methods differ in stands first.
    """
    log_document(config)
    objective, training, start = config.objective, config.training, config.model.start
    mlflow.log_params(
        {
            "method": config.method_name,
            "EL": objective.external_learning,
            "CL": objective.contrastive_learning,
            "seed": training.seed,
            "preset": config.preset,
            "encoder": config.encoder.name,
            "start": start or "untrained",
            "iterations": training.iterations,
            "batch": training.batch_size,
            "crop": training.crop,
            "rate": training.learning_rate,
        }
    )
    mlflow.set_tags(
        {
            "method": config.method_name,
            "EL": str(objective.external_learning),
            "CL": str(objective.contrastive_learning),
            "seed": str(training.seed),
            "encoder.weights": f"as in {start}" if start else config.encoder.source,
        }
    )


def log_document(config: Document) -> None:
    """Put every setting, the code's commit and the library versions into the run."""
    mlflow.set_tag("code", git_commit())
    mlflow.log_dict(library_versions(), "libraries.json")
    mlflow.log_dict(config.model_dump(mode="json"), CONFIG)


@contextmanager
def watching_machine(run_id: str) -> Iterator[None]:
    """Log CPU, memory, disk, network and, with NVIDIA's library, GPUs to the run every ten seconds, while something lasts."""
    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=mlflow.get_tracking_uri())
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def check_model_names(config: ExperimentConfig) -> None:
    """Raise unless MLflow's model and ZenML's, which mirrors it, have the same name.

    Raises:
        ConfigError: They differ.
    """
    name = get_step_context().model.name
    if name != config.registry.name:
        raise ConfigError(
            f"registry.name is {config.registry.name}, but ZenML's model is {name}: "
            f"add `model: {{name: {config.registry.name}}}` at the top level of the YAML file"
        )


def mirror_stage(stage: str) -> None:
    """Set the ZenML model version's stage after MLflow's alias, which is the authority."""
    get_step_context().model.set_stage(stage, force=True)


def mirror_champion(name: str) -> None:
    """Give the ZenML stage `production` to the champion in MLflow, who may have changed outside pipelines.

    A champion that was registered by another ZenML is not known here, and leaves the stage where it is.
    """
    versions = Client().list_model_versions(model=name, run_metadata=f"mlflow_model:{name} v{champion_version(name)}")
    for version in versions.items:
        version.set_stage("production", force=True)
