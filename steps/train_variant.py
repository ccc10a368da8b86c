"""Step: one variant of an ablation, trained and scored in an MLflow run of its own."""

from typing import Annotated

import mlflow
from zenml import step

from ieast.checkpoint import load_model
from ieast.config import VariantName
from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.evaluation.evaluate import evaluate, require_evaluation_weights
from ieast.experiment import ExperimentConfig
from ieast.registry.register import log_model
from ieast.training.folders import retire
from steps.support.scoring import log_evaluation
from steps.support.tracking import log_settings
from steps.support.variant_runs import Outcome, cell_key, run_cell, train_cell


@step(experiment_tracker=True, enable_cache=False)
def train_variant(
    prepared: PreparedDataset, data: DataRef, config: ExperimentConfig, variant: VariantName, seed: int
) -> Annotated[Outcome, "outcome"]:
    """Train, score and keep one variant; what an earlier run of the same ablation finished is taken as it is."""

    def work(run_id: str) -> None:
        require_evaluation_weights(config.evaluation)  # now, not after days of training
        log_settings(config)
        model, folder = train_cell(prepared, data, config, run_id)
        stylizer, card = load_model(model)
        log_evaluation(evaluate(stylizer, prepared, config.evaluation), card)
        mlflow.set_tag("model_uri", log_model(model).model_uri)
        retire(folder, run_id, config.training.iterations)

    tags = {"data.md5": data.md5, "prepared.key": prepared.key}
    return run_cell(cell_key(config, prepared), variant, seed, tags, work)
