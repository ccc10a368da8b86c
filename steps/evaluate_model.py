"""Step: score a model."""

from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step
from zenml.types import HTMLString

from ieast.checkpoint import load_model
from ieast.data.prepare import PreparedDataset
from ieast.evaluation.evaluate import evaluate
from ieast.experiment import ExperimentConfig
from steps.support.scoring import log_evaluation

Scores = Annotated[dict[str, float], "scores"]
Report = Annotated[HTMLString, "report"]


@step(experiment_tracker=True, enable_cache=False)
def evaluate_model(model: Path, prepared: PreparedDataset, config: ExperimentConfig) -> tuple[Scores, Report]:
    """Distances on pairs, stability on clips, and a grid of pictures."""
    stylizer, card = load_model(model)
    evaluation = evaluate(stylizer, prepared, config.evaluation)
    report = log_evaluation(evaluation, card)
    log_metadata(metadata=dict(evaluation.metrics), infer_artifact=True, artifact_name="scores")
    return evaluation.metrics, HTMLString(report)
