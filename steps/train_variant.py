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
from ieast.training.folders import retire
from steps.support.dvc_source import dataset_of
from steps.support.handover import prepared_at_hand
from steps.support.scoring import log_evaluation, log_once, log_pictures, score_on_the_way, step_of
from steps.support.tracking import log_settings
from steps.support.variant_runs import MODEL_URI, Cell, Outcome, cell_key, files_digest, run_cell, train_cell


@step(experiment_tracker=True, enable_cache=False)
def train_variant(
    prepared: PreparedDataset, data: DataRef, config: ExperimentConfig, variant: VariantName, seed: int
) -> Annotated[Outcome, "outcome"]:
    """Train, score and keep one variant; what an earlier run of the same ablation finished is taken as it is."""
    prepared = prepared_at_hand(prepared, config.work_folder)

    def work(run_id: str) -> None:
        require_evaluation_weights(config.evaluation)  # now, not after days of training
        log_settings(config)
        model, folder = train_cell(prepared, data, config, run_id)
        dataset = dataset_of(data, config.data.path)
        score_on_the_way(folder, prepared, config.evaluation, dataset)
        stylizer, card = load_model(model)
        iteration = step_of(card, config.training)
        logged = log_once(model, f"{variant} seed {seed}", iteration)
        log_evaluation(evaluate(stylizer, prepared, config.evaluation), card, logged, dataset, step=iteration)
        log_pictures(stylizer, prepared, config)
        mlflow.set_tag(MODEL_URI, logged.model_uri)
        retire(folder, run_id, config.training.iterations)

    cell = Cell(cell_key(config, prepared), files_digest(config), variant, seed, data, prepared, config.data.path)
    return run_cell(cell, work)
