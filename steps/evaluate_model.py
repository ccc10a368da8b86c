"""Step: score a model."""

import math
from pathlib import Path
from typing import Annotated

import mlflow
from zenml import log_metadata, step
from zenml.types import HTMLString

from ieast.config import ExperimentConfig
from ieast.data.prepare import PreparedDataset
from ieast.evaluation.evaluate import Evaluation, evaluate
from ieast.evaluation.heatmaps import plot_flicker
from ieast.evaluation.report import html_report
from ieast.models.checkpoint import load_model

Scores = Annotated[dict[str, float], "scores"]
Report = Annotated[HTMLString, "report"]


@step(experiment_tracker=True, enable_cache=False)
def evaluate_model(model: Path, prepared: PreparedDataset, config: ExperimentConfig) -> tuple[Scores, Report]:
    """Distances on pairs, stability on clips, and a grid of pictures."""
    stylizer, card = load_model(model)
    evaluation = evaluate(stylizer, prepared, config.evaluation)
    mlflow.log_metrics({f"evaluation/{name}": value for name, value in evaluation.metrics.items()})
    mlflow.log_metrics(_bounds(evaluation))
    mlflow.log_image(evaluation.grid, "evaluation/grid.png")
    mlflow.log_text(evaluation.pairs.to_csv(index=False), "evaluation/pairs.csv")
    mlflow.log_text(evaluation.clips.to_csv(index=False), "evaluation/clips.csv")
    if len(evaluation.flicker):
        mlflow.log_text(evaluation.flicker.to_csv(index=False), "evaluation/flicker.csv")
        mlflow.log_figure(plot_flicker(evaluation.flicker), "evaluation/flicker.png")
    for clip, picture in evaluation.heatmaps.items():
        mlflow.log_image(picture, f"evaluation/heatmaps/{clip}.png")
    if evaluation.skipped:
        mlflow.set_tag("evaluation.skipped", evaluation.skipped)
    log_metadata(metadata=dict(evaluation.metrics), infer_artifact=True, artifact_name="scores")
    report = html_report(evaluation, card)
    mlflow.log_text(report, "evaluation/report.html")
    return evaluation.metrics, HTMLString(report)


def _bounds(evaluation: Evaluation) -> dict[str, float]:
    """Where intervals end; of one pair or clip there is none."""
    bounds: dict[str, float] = {}
    for name, (low, high) in evaluation.intervals.items():
        bounds |= {f"evaluation/{name}_low": low, f"evaluation/{name}_high": high}
    return {name: value for name, value in bounds.items() if math.isfinite(value)}
