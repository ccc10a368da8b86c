"""Step: distil the compact encoder."""

import logging
from pathlib import Path
from typing import Annotated

import mlflow
from zenml import log_metadata, step

from ieast.config import DistillationConfig
from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.registry.addresses import how_to_open, run_address
from ieast.training.distillation import DistillationResult, distill, distillation_folder
from ieast.training.folders import retire, take_up
from ieast.training.tracking import PatientMLFlowLogger
from steps.support.dead_runs import follow
from steps.support.handover import prepared_at_hand
from steps.support.summary import keep_summary
from steps.support.tracking import active_run, log_document, watching_machine

log = logging.getLogger(__name__)


@step(experiment_tracker=True, enable_cache=False)
def distill_encoder(prepared: PreparedDataset, data: DataRef, config: DistillationConfig) -> Annotated[Path, "encoder"]:
    """Train the student on `prepared`, continuing where the same distillation was interrupted; the encoder is a folder."""
    prepared = prepared_at_hand(prepared, config.work_folder)
    log_document(config)
    teacher, training = config.teacher, config.training
    mlflow.set_tags({"teacher": teacher.name, "teacher.weights": teacher.weights or "torchvision ImageNet"})
    chosen = {"teacher": teacher.name, "iterations": training.iterations, "batch": training.batch_size, "crop": training.crop}
    mlflow.log_params(chosen | {"rate": training.learning_rate, "seed": training.seed})
    run = active_run().info.run_id
    folder = distillation_folder(Path(config.work_folder), config, prepared)
    take_up(folder, config.training.iterations)
    follow(folder, active_run())
    logger = PatientMLFlowLogger(tracking_uri=mlflow.get_tracking_uri(), run_id=run)
    facts = {"data": data.model_dump(mode="json", exclude={"folder"}), "mlflow_run": run}
    with watching_machine(run):
        result = distill(config, prepared, folder, logger=logger, facts=facts)
    for tap, values in result.agreement.items():
        mlflow.log_metrics({f"{name}_{tap}": value for name, value in values.items()})
    log_metadata(metadata={"agreement": result.agreement, "seconds": result.seconds}, infer_artifact=True)
    for path in (result.encoder, result.card):
        mlflow.log_artifact(path)
    kept = retire(folder, run, config.training.iterations)
    _say(config, kept, result)
    return kept


def _say(config: DistillationConfig, folder: Path, result: DistillationResult) -> None:
    run, store = active_run(), mlflow.get_tracking_uri()
    encoder = folder / Path(result.encoder).name
    lines = ["", "Agreement with the teacher, on held-out pictures"]
    lines += [
        f"  {tap:19} relative error {values['relative_error']:.3f}  correlation {values['correlation']:.3f}"
        for tap, values in result.agreement.items()
    ]
    lines += [
        "Where to look",
        f"  encoder             {encoder}",
        f"  its card            {folder / Path(result.card).name}",
        f"  train on it         encoder: {{ name: vgg19-compact, weights: {encoder} }}",
        f"  MLflow run          {run_address(store, run.info.experiment_id, run.info.run_id)}",
        f"  in a browser        {how_to_open(store)}",
    ]
    log.info("%s", keep_summary(config.work_folder, lines))
