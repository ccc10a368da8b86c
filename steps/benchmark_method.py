"""Step: one row of the benchmark, trained or fetched, scored, timed and shown in an MLflow run of its own."""

import logging
import tempfile
from pathlib import Path
from typing import Annotated

import mlflow
from zenml import step

from ieast.checkpoint import load_model
from ieast.config import EncoderConfig, MethodEntry
from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.errors import IeastError
from ieast.evaluation.evaluate import evaluate, require_evaluation_weights
from ieast.evaluation.showcase import showcase_pairs, stylize_pairs
from ieast.evaluation.speed import measure_speed
from ieast.experiment import BenchmarkConfig
from ieast.io.images import write_image
from ieast.models.encoder_weights import build_encoder
from ieast.registry.register import named_model
from ieast.training.folders import retire
from steps.support.dvc_source import dataset_of
from steps.support.handover import prepared_at_hand
from steps.support.scoring import log_evaluation, log_once, log_pictures, score_on_the_way, step_of
from steps.support.tracking import log_document, log_settings
from steps.support.variant_runs import (
    MODEL_URI,
    Cell,
    Outcome,
    cell_key,
    fail_cell,
    files_digest,
    model_digest,
    run_cell,
    train_cell,
)

log = logging.getLogger(__name__)


@step(experiment_tracker=True, enable_cache=False)
def benchmark_method(
    prepared: PreparedDataset, data: DataRef, config: BenchmarkConfig, entry: MethodEntry
) -> Annotated[Outcome, "outcome"]:
    """Make one row; what an earlier run of the same benchmark finished is taken as it is."""
    cell = config.cell(entry)
    prepared = prepared_at_hand(prepared, cell.work_folder)
    try:
        taken = None if entry.model is None else named_model(entry.model)
        key = _key(config, entry, prepared, taken)
    except IeastError as error:
        return fail_cell(entry.name, cell.training.seed, str(error))

    def work(run_id: str) -> None:
        require_evaluation_weights(cell.evaluation)  # now, not after days of training
        metric_encoder = build_encoder(cell.promotion.encoder)
        if taken is None:
            log_settings(cell)
        else:
            log_document(cell)
        model, folder = (taken, None) if taken is not None else train_cell(prepared, data, cell, run_id)
        dataset, iteration = dataset_of(data, cell.data.path), 0
        stylizer, card = load_model(model)
        if folder is not None:
            score_on_the_way(folder, prepared, cell.evaluation, dataset, metric_encoder)
            iteration = step_of(card, cell.training)
        mlflow.set_tags({"method": card.method, "encoder": card.encoder.name})
        logged = log_once(model, entry.name, iteration)
        log_evaluation(evaluate(stylizer, prepared, cell.evaluation, metric_encoder), card, logged, dataset, step=iteration)
        log_pictures(stylizer, prepared, cell)
        pairs = showcase_pairs(prepared, config.showcase, cell.evaluation.styles)
        speed = measure_speed(model, Path(pairs["content_path"][0]), Path(pairs["style_path"][0]), config.speed)
        mlflow.log_text(speed.to_csv(index=False), "speed.csv")
        for row in speed.dropna().to_dict("records"):
            mlflow.log_metrics({f"{name}_{row['size']}": row[name] for name in ("seconds", "peak_mb")})
        with tempfile.TemporaryDirectory() as pictures:
            for pair, picture in stylize_pairs(stylizer, pairs, config.showcase.size):
                write_image(picture, Path(pictures, f"{pair}.png"))
            mlflow.log_artifacts(pictures, "showcase")
        mlflow.set_tag(MODEL_URI, logged.model_uri)
        if folder is not None:
            retire(folder, run_id, cell.training.iterations)

    return run_cell(Cell(key, files_digest(cell), entry.name, cell.training.seed, data, prepared, cell.data.path), work)


def _key(config: BenchmarkConfig, entry: MethodEntry, prepared: PreparedDataset, taken: Path | None) -> str:
    cell = config.cell(entry)
    judge = cell.promotion.encoder
    # The shipped encoder is left out so that rows keep the keys that they had before others could judge.
    judges = () if judge == EncoderConfig(name="vgg19-compact") else (judge,)
    key = cell_key(cell, prepared, config.speed, config.showcase, *judges)
    # Nothing is trained of a model that is taken as it is, and two rows may be of one model.
    return key if taken is None else f"{model_digest(taken)}-{entry.name}-{key}"
