"""Step: register a model as challenger."""

from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from ieast.checkpoint import read_card
from ieast.data.versions import DataRef
from ieast.experiment import ExperimentConfig
from ieast.metrics import INPUTS
from ieast.registry.champions import supersede
from ieast.registry.register import register_logged
from steps.support.dead_runs import predecessors
from steps.support.notes import link_version, linked_version
from steps.support.tracking import active_run, mirror_stage


@step(experiment_tracker=True, enable_cache=False)
def register_model(model: Path, scores: dict[str, float], data: DataRef, config: ExperimentConfig) -> Annotated[str, "version"]:
    """Make `model` a new version in MLflow's registry, with its scores and origin as tags."""
    card = read_card(model)
    origin = {"data.md5": data.md5, "code": card.provenance["code"], "encoder": card.encoder.name, "method": card.method}
    if config.encoder.weights == "untrained":
        origin["encoder.weights"] = "untrained"
    name = config.registry.name
    run = active_run()
    number = register_logged(run.data.tags["model_uri"], name, origin | {f"score.{k}": f"{v:.6g}" for k, v in scores.items()})
    supersede(name, predecessors(run), number)
    own = {metric: value for metric, value in scores.items() if not metric.endswith(INPUTS)}
    link_version(run, name, number, own)
    mirror_stage("staging")
    log_metadata(metadata={"mlflow_model": f"{name} v{number}", "mlflow": linked_version(name, number)}, infer_model=True)
    return number
