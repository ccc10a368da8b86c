"""What every scored model leaves in its MLflow run."""

import logging
from collections.abc import Mapping
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import LoggedModelStatus, Run
from mlflow.models import get_model_info
from mlflow.models.model import ModelInfo

from ieast.checkpoint import ModelCard, load_model
from ieast.config import EvaluationConfig, TrainingConfig
from ieast.data.prepare import PreparedDataset
from ieast.evaluation.evaluate import Evaluation, evaluate
from ieast.evaluation.heatmaps import plot_flicker
from ieast.evaluation.pairs import diagonal
from ieast.evaluation.report import html_report
from ieast.experiment import ExperimentConfig
from ieast.io.images import to_image
from ieast.metrics import INPUTS, find_metric
from ieast.models.encoder import Encoder
from ieast.registry.comparing import SCORED_BY, SCORER
from ieast.registry.register import LOGGED, log_model, logged_models
from ieast.stylizer.base import Stylizer
from ieast.training.folders import models_on_the_way
from steps.support.tracking import active_run

log = logging.getLogger(__name__)

SHOWN_PAIRS = 4
PAIRS, SCORES = "pairs", "evaluation/scores.csv"
"""The key of pictures by pair, whose steps are the pairs' numbers; and the scores with their intervals."""


def log_once(folder: Path, label: str, step: int = 0) -> ModelInfo:
    """Log the model in `folder` to the active run, unless the run has one of this step from a command that was killed since."""
    client = MlflowClient()
    for model, at in logged_models(client.get_run(active_run().info.run_id)).items():
        if at == step and client.get_logged_model(model).status == LoggedModelStatus.READY:
            return get_model_info(f"{LOGGED}{model}")
    return log_model(folder, label=label, step=step)


def _log_scores(scores: Mapping[str, float], model: ModelInfo, dataset: MetaDataset, step: int) -> None:
    known = {metric.key for metric in MlflowClient().get_logged_model(model.model_id).metrics or ()}
    missing = {name: value for name, value in _own(scores).items() if name not in known}  # others a killed command has logged
    if missing:
        mlflow.log_metrics(missing, step=step, model_id=model.model_id, dataset=dataset)


def score_on_the_way(
    folder: Path,
    prepared: PreparedDataset,
    evaluation: EvaluationConfig,
    dataset: MetaDataset,
    metric_encoder: Encoder | None = None,
) -> None:
    """Score the models that the training in `folder` kept on the way, and log each, with its scores, to the active run.

    So a score is a curve over iterations, each point of which is a logged model. What this run has scored before stays.
    """
    scored = _scored_iterations(active_run())
    for iteration, path in models_on_the_way(folder).items():
        if iteration in scored:
            continue
        log.info("scoring the model of iteration %d", iteration)
        stylizer, card = load_model(path)
        scores = evaluate(stylizer, prepared, evaluation, metric_encoder).metrics
        logged = log_once(path, f"{card.method} iteration {iteration}", iteration)
        _log_scores(scores, logged, dataset, iteration)


def _scored_iterations(run: Run) -> set[int]:
    client = MlflowClient()
    logged = logged_models(client.get_run(run.info.run_id))
    # MLflow gives a model the curves' points of its step as well.
    return {
        step for model, step in logged.items() if any(find_metric(m.key) for m in client.get_logged_model(model).metrics or ())
    }


def step_of(card: ModelCard, training: TrainingConfig) -> int:
    """The iteration under which a finished model's scores stand: 0, or its own where others on the way are scored as well."""
    return 0 if training.model_every is None else int(card.provenance["iterations"])


def log_evaluation(
    evaluation: Evaluation,
    card: ModelCard,
    model: ModelInfo,
    dataset: MetaDataset,
    changes: pd.DataFrame | None = None,
    step: int = 0,
) -> str:
    """Put scores, tables, pictures and the report into the active run; the report, as HTML, with `changes` of the data.

    A score is one metric, of the score's own name, tied to the logged `model` and to `dataset`, so that MLflow's page of models
    sorts by it; its interval, and what is the same for every model, stand in tables.
    """
    _log_scores(evaluation.metrics, model, dataset, step)
    mlflow.set_tag(SCORED_BY, evaluation.encoder)
    if evaluation.scorer is not None:
        mlflow.set_tag(SCORER, evaluation.scorer)
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


def _own(scores: Mapping[str, float]) -> dict[str, float]:
    """Without those that are the same for every model."""
    return {name: value for name, value in scores.items() if not name.endswith(INPUTS)}


def _scores_table(evaluation: Evaluation) -> pd.DataFrame:
    rows = []
    for name, value in evaluation.metrics.items():
        low, high = evaluation.intervals.get(name, (float("nan"), float("nan")))
        metric = find_metric(name)
        facts = {"better": metric.better, "unit": metric.unit} if metric else {"better": "", "unit": ""}
        rows.append({"score": name, "value": value, "low": low, "high": high, **facts})
    return pd.DataFrame(rows)
