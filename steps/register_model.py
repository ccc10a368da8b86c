"""Step: register a model as challenger."""

from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from ieast.checkpoint import read_card
from ieast.data.versions import DataRef
from ieast.experiment import ExperimentConfig
from ieast.registry.register import register
from steps.support.tracking import mirror_stage


@step(experiment_tracker=True, enable_cache=False)
def register_model(model: Path, scores: dict[str, float], data: DataRef, config: ExperimentConfig) -> Annotated[str, "version"]:
    """Make `model` a new version in MLflow's registry, with its scores and origin as tags."""
    card = read_card(model)
    origin = {"data.md5": data.md5, "code": card.provenance["code"], "encoder": card.encoder.name, "method": card.method}
    if config.encoder.weights == "untrained":
        origin["encoder.weights"] = "untrained"
    number = register(model, config.registry.name, origin | {f"score.{k}": f"{v:.6g}" for k, v in scores.items()})
    mirror_stage("staging")
    log_metadata(metadata={"mlflow_model": f"{config.registry.name} v{number}"}, infer_model=True)
    return number
