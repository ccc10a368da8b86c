"""Step: distil the compact encoder."""

from pathlib import Path
from typing import Annotated

import mlflow
from lightning.pytorch.loggers import MLFlowLogger
from zenml import log_metadata, step

from ieast.config import DistillationConfig
from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.training.distillation import distill, distillation_folder
from ieast.training.folders import retire, take_up
from steps.support.dead_runs import follow
from steps.support.tracking import active_run, log_document


@step(experiment_tracker=True, enable_cache=False)
def distill_encoder(prepared: PreparedDataset, data: DataRef, config: DistillationConfig) -> Annotated[Path, "encoder"]:
    """Train the student on `prepared`, continuing where the same distillation was interrupted; the encoder is a folder."""
    log_document(config)
    mlflow.set_tags({"teacher": config.teacher.name, "teacher.weights": config.teacher.weights or "torchvision ImageNet"})
    run = active_run().info.run_id
    folder = distillation_folder(Path(config.work_folder), config, prepared)
    take_up(folder, config.training.iterations)
    follow(folder, active_run())
    logger = MLFlowLogger(tracking_uri=mlflow.get_tracking_uri(), run_id=run)
    facts = {"data": data.model_dump(mode="json", exclude={"folder"}), "mlflow_run": run}
    result = distill(config, prepared, folder, logger=logger, facts=facts)
    for tap, values in result.agreement.items():
        mlflow.log_metrics({f"held_out/{name}/{tap}": value for name, value in values.items()})
    log_metadata(metadata={"agreement": result.agreement, "seconds": result.seconds}, infer_artifact=True)
    for path in (result.encoder, result.card):
        mlflow.log_artifact(path)
    return retire(folder, run, config.training.iterations)
