"""What every scored model leaves in its MLflow run."""

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.models.model import ModelInfo

from ieast.checkpoint import ModelCard
from ieast.data.prepare import PreparedDataset
from ieast.evaluation.evaluate import Evaluation
from ieast.evaluation.heatmaps import plot_flicker
from ieast.evaluation.pairs import diagonal
from ieast.evaluation.report import html_report
from ieast.experiment import ExperimentConfig
from ieast.io.images import to_image
from ieast.metrics import INPUTS, find_metric
from ieast.stylizer.base import Stylizer

SHOWN_PAIRS = 4
PAIRS, SCORES = "pairs", "evaluation/scores.csv"
"""The key of pictures by pair, whose steps are the pairs' numbers; and the scores with their intervals."""


def log_evaluation(
    evaluation: Evaluation, card: ModelCard, model: ModelInfo, dataset: MetaDataset, changes: pd.DataFrame | None = None
) -> str:
    """Put scores, tables, pictures and the report into the active run; the report, as HTML, with `changes` of the data.

    A score is one metric, of the score's own name, tied to the logged `model` and to `dataset`, so that MLflow's page of models
    sorts by it; its interval, and what is the same for every model, stand in tables.
    """
    own = {name: value for name, value in evaluation.metrics.items() if not name.endswith(INPUTS)}
    mlflow.log_metrics(own, model_id=model.model_id, dataset=dataset)
    table = _scores_table(evaluation)
    log_shown_table(table, "scores.json")
    mlflow.log_text(table.to_csv(index=False), SCORES)
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
    report = html_report(evaluation, card, changes)
    mlflow.log_text(report, "evaluation/report.html")
    return report


def log_pictures(stylizer: Stylizer, prepared: PreparedDataset, config: ExperimentConfig) -> None:
    """Log the same pairs stylized by every model of a dataset, each pair as one step of the same picture.

    So MLflow's image grid, at one step, shows one pair by all runs that are selected.
    """
    device = next(stylizer.parameters()).device
    rows = []
    for number, (content, style) in enumerate(diagonal(stylizer, prepared, config.evaluation, SHOWN_PAIRS)):
        stylized = stylizer.stylize(content.picture[None].to(device), style.picture[None].to(device))
        mlflow.log_image(to_image(stylized.cpu()), key=PAIRS, step=number)
        rows.append({"step": number, "content": content.name, "style": style.name})
    mlflow.log_text(pd.DataFrame(rows).to_csv(index=False), "evaluation/shown.csv")


def log_shown_table(table: pd.DataFrame, name: str) -> None:
    """Keep a table where MLflow shows the tables of several runs below each other; one of that name is replaced."""
    run = mlflow.active_run()
    assert run is not None
    if any(entry.path == name for entry in MlflowClient().list_artifacts(run.info.run_id)):
        mlflow.log_dict(table.to_dict(orient="split", index=False), name)  # `log_table` would append
    else:
        mlflow.log_table(table, name)


def _scores_table(evaluation: Evaluation) -> pd.DataFrame:
    rows = []
    for name, value in evaluation.metrics.items():
        low, high = evaluation.intervals.get(name, (float("nan"), float("nan")))
        metric = find_metric(name)
        facts = {"better": metric.better, "unit": metric.unit} if metric else {"better": "", "unit": ""}
        rows.append({"score": name, "value": value, "low": low, "high": high, **facts})
    return pd.DataFrame(rows)
