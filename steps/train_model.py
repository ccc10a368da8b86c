"""Step: train."""

from pathlib import Path
from typing import Annotated

import mlflow
from zenml import log_metadata, step

from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.evaluation.evaluate import require_evaluation_weights
from ieast.experiment import ExperimentConfig
from ieast.models.encoder_weights import build_encoder
from ieast.training.folders import take_up, training_folder
from ieast.training.launch import Tracking, TrainingJob, train
from steps.support.dead_runs import follow
from steps.support.dvc_source import dataset_of
from steps.support.handover import prepared_at_hand
from steps.support.scoring import score_on_the_way
from steps.support.tracking import active_run, check_model_names, log_settings, watching_machine


@step(experiment_tracker=True, enable_cache=False)
def train_model(prepared: PreparedDataset, data: DataRef, config: ExperimentConfig) -> Annotated[Path, "model"]:
    """Train on `prepared`, continuing where the same training was interrupted; the model is a folder.

    Models that training keeps on the way are scored here, where they and the hardware are at hand.
    """
    prepared = prepared_at_hand(prepared, config.work_folder)
    require_evaluation_weights(config.evaluation)  # now, not after days of training
    build_encoder(config.promotion.encoder)  # as above
    check_model_names(config)
    log_settings(config)
    run = active_run()
    folder = training_folder(Path(config.work_folder), config, prepared.key)
    take_up(folder, config.training.iterations)
    follow(folder, run)
    job = TrainingJob(
        config=config,
        prepared=prepared,
        folder=folder,
        tracking=Tracking(uri=mlflow.get_tracking_uri(), run_id=run.info.run_id),
        provenance={"data": data.model_dump(mode="json", exclude={"folder"}), "mlflow_run": run.info.run_id},
    )
    with watching_machine(run.info.run_id):
        result = train(job)
        score_on_the_way(folder, prepared, config.evaluation, dataset_of(data, config.data.path))
    log_metadata(metadata=result.model_dump(exclude_none=True), infer_artifact=True)
    return Path(result.model_folder)
