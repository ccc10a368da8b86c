"""Step: one variant of an ablation, trained and scored in an MLflow run of its own."""

import logging
from pathlib import Path
from typing import Annotated

import mlflow
from mlflow import MlflowClient
from zenml import log_metadata, step

from ieast.config import ExperimentConfig, VariantName
from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.errors import InterruptedTrainingError
from ieast.evaluation.evaluate import evaluate, require_evaluation_weights
from ieast.models.checkpoint import load_model
from ieast.registry.register import log_model
from ieast.training.folders import retire, training_folder
from ieast.training.launch import Tracking, TrainingJob, train
from steps.scoring import log_evaluation
from steps.tracking import active_run, log_settings
from steps.variant_runs import Outcome, cell_key, child_run, finished_run

log = logging.getLogger(__name__)


@step(experiment_tracker=True, enable_cache=False)
def train_variant(
    prepared: PreparedDataset, data: DataRef, config: ExperimentConfig, variant: VariantName, seed: int
) -> Annotated[Outcome, "outcome"]:
    """Train, score and keep one variant; what an earlier run of the same ablation finished is taken as it is.

    An error is part of the outcome, so that the other variants and the report go on; only a stop that was asked for stops.
    """
    cell, parent = cell_key(config, prepared), active_run()
    if (done := finished_run(parent, cell)) is not None:
        MlflowClient().set_tag(done.info.run_id, "mlflow.parentRunId", parent.info.run_id)
        log.info("%s seed %d was finished by an earlier run: %s", variant, seed, done.info.run_id)
        return Outcome(variant=variant, seed=seed, run_id=done.info.run_id)
    with child_run(parent, cell, f"{variant} seed {seed}") as run_id:
        mlflow.set_tags({"variant": variant, "seed": str(seed), "data.md5": data.md5, "prepared.key": prepared.key})
        try:
            _train_and_score(prepared, data, config, run_id)
        except InterruptedTrainingError:
            raise
        except Exception as error:
            log.exception("%s seed %d failed", variant, seed)
            mlflow.set_tag("error", f"{type(error).__name__}: {error}"[:4000])
            MlflowClient().set_terminated(run_id, "FAILED")
            return Outcome(variant=variant, seed=seed, run_id=run_id, error=f"{type(error).__name__}: {error}")
        mlflow.set_tag("error", "")
    log_metadata(metadata={"mlflow_run": run_id}, infer_artifact=True)
    return Outcome(variant=variant, seed=seed, run_id=run_id)


def _train_and_score(prepared: PreparedDataset, data: DataRef, config: ExperimentConfig, run_id: str) -> None:
    require_evaluation_weights(config.evaluation)  # now, not after days of training
    log_settings(config)
    folder = training_folder(Path(config.work_folder), config, prepared.key)
    job = TrainingJob(
        config=config,
        prepared=prepared,
        folder=folder,
        tracking=Tracking(uri=mlflow.get_tracking_uri(), run_id=run_id),
        provenance={"data": data.model_dump(mode="json", exclude={"folder"}), "mlflow_run": run_id},
    )
    model = Path(train(job).model_folder)
    stylizer, card = load_model(model)
    log_evaluation(evaluate(stylizer, prepared, config.evaluation), card)
    mlflow.set_tag("model_uri", log_model(model).model_uri)
    retire(folder, run_id)
