"""Step: score a model."""

from pathlib import Path
from typing import Annotated

import mlflow
import pandas as pd
from zenml import log_metadata, step
from zenml.types import HTMLString

from ieast.checkpoint import load_model
from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.evaluation.evaluate import evaluate
from ieast.experiment import ExperimentConfig
from ieast.registry.gate import plain
from ieast.registry.register import log_model
from steps.support.dvc_source import dataset_of
from steps.support.handover import prepared_at_hand
from steps.support.scoring import log_evaluation, log_pictures, step_of

Scores = Annotated[dict[str, float], "scores"]
Report = Annotated[HTMLString, "report"]


@step(experiment_tracker=True, enable_cache=False)
def evaluate_model(
    model: Path, prepared: PreparedDataset, data: DataRef, changes: pd.DataFrame, config: ExperimentConfig
) -> tuple[Scores, Report]:
    """Distances on pairs, stability on clips, and a grid of pictures; the model is logged with them.

    `changes` of the data since the champion's stand in the report.
    """
    prepared = prepared_at_hand(prepared, config.work_folder)
    stylizer, card = load_model(model)
    evaluation = evaluate(stylizer, prepared, config.evaluation)
    iteration = step_of(card, config.training)
    logged = log_model(model, label=card.method, step=iteration)
    report = log_evaluation(evaluation, card, logged, dataset_of(data, config.data.path), changes, step=iteration)
    mlflow.set_tag("model_uri", logged.model_uri)
    log_pictures(stylizer, prepared, config)
    log_metadata(metadata=plain(evaluation.metrics), infer_artifact=True, artifact_name="scores")
    return evaluation.metrics, HTMLString(report)
