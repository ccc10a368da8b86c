"""What every scored model leaves in its MLflow run."""

import math

import mlflow

from ieast.checkpoint import ModelCard
from ieast.evaluation.evaluate import Evaluation
from ieast.evaluation.heatmaps import plot_flicker
from ieast.evaluation.report import html_report


def log_evaluation(evaluation: Evaluation, card: ModelCard) -> str:
    """Put scores with their intervals, tables, pictures and the report into the active run; the report, as HTML."""
    mlflow.log_metrics({f"evaluation/{name}": value for name, value in evaluation.metrics.items()})
    mlflow.log_metrics(_bounds(evaluation))
    mlflow.log_metrics(_references(evaluation))
    mlflow.log_image(evaluation.grid, "evaluation/grid.png")
    mlflow.log_text(evaluation.pairs.to_csv(index=False), "evaluation/pairs.csv")
    mlflow.log_text(evaluation.references.to_csv(index=False), "evaluation/references.csv")
    mlflow.log_text(evaluation.clips.to_csv(index=False), "evaluation/clips.csv")
    if len(evaluation.flicker):
        mlflow.log_text(evaluation.flicker.to_csv(index=False), "evaluation/flicker.csv")
        mlflow.log_figure(plot_flicker({"stylized": evaluation.flicker}), "evaluation/flicker.png")
    for clip, picture in evaluation.heatmaps.items():
        mlflow.log_image(picture, f"evaluation/heatmaps/{clip}.png")
    if evaluation.skipped:
        mlflow.set_tag("evaluation.skipped", evaluation.skipped)
    report = html_report(evaluation, card)
    mlflow.log_text(report, "evaluation/report.html")
    return report


def _references(evaluation: Evaluation) -> dict[str, float]:
    """Scores of the content and of the style as they are, apart from `evaluation/`, for they are no scores of the model."""
    return {
        f"{reference.replace(' ', '_')}/{metric}": value
        for reference, means in evaluation.reference_metrics.items()
        for metric, value in means.items()
        if math.isfinite(value)
    }


def _bounds(evaluation: Evaluation) -> dict[str, float]:
    """Where intervals end; of one pair or clip there is none."""
    bounds: dict[str, float] = {}
    for name, (low, high) in evaluation.intervals.items():
        bounds |= {f"evaluation/{name}_low": low, f"evaluation/{name}_high": high}
    return {name: value for name, value in bounds.items() if math.isfinite(value)}
