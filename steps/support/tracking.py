"""What several steps record in the same way."""

import mlflow
from mlflow.entities import Run
from zenml import get_step_context
from zenml.client import Client

from ieast.config import Document
from ieast.errors import ConfigError
from ieast.experiment import ExperimentConfig
from ieast.registry.register import champion_version
from ieast.training.provenance import git_commit, library_versions


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


def log_settings(config: ExperimentConfig) -> None:
    """Put every setting and what the run can be filtered by into it."""
    log_document(config)
    objective, start = config.objective, config.model.start
    mlflow.set_tags(
        {
            "method": config.method_name,
            "preset": config.preset,
            "EL": str(objective.external_learning),
            "CL": str(objective.contrastive_learning),
            "seed": str(config.training.seed),
            "encoder": config.encoder.name,
            "encoder.weights": f"as in {start}" if start else config.encoder.source,
        }
    )


def log_document(config: Document) -> None:
    """Put every setting, the code's commit and the library versions into the run."""
    mlflow.log_params(_flat(config.model_dump(mode="json", exclude={"work_folder"})))
    mlflow.set_tag("code", git_commit())
    mlflow.log_dict(library_versions(), "libraries.json")
    mlflow.log_dict(config.model_dump(mode="json"), "config.json")


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


def _flat(values: dict, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
