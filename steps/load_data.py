"""Step: read a dataset version."""

from pathlib import Path
from typing import Annotated

import mlflow
from mlflow.data.meta_dataset import MetaDataset
from zenml import log_metadata, step

from ieast.config import DataConfig
from ieast.data.versions import DataRef, load_dataset
from steps.support.dead_runs import close_dead_runs
from steps.support.dvc_source import DvcDatasetSource


# Not cached: a tag or branch may have moved, and what it read may have been deleted. Reading the same version again is free.
@step(experiment_tracker=True, enable_cache=False)
def load_data(config: DataConfig, work_folder: str) -> Annotated[DataRef, "data"]:
    """Fetch the dataset at `config.revision` through DVC and record exactly which version it is."""
    close_dead_runs(Path(work_folder))
    data = load_dataset(config, Path(work_folder))
    source = DvcDatasetSource(data.source, data.commit or config.revision, config.path)
    dataset = MetaDataset(source, name=config.path, digest=data.md5)  # type: ignore[abstract]  # MLflow leaves `profile` out
    mlflow.log_input(dataset, context="training")
    mlflow.set_tags({"data.md5": data.md5, "data.revision": data.revision, "data.commit": data.commit or "workspace"})
    log_metadata(metadata={"data": data.model_dump(mode="json")}, infer_artifact=True)
    return data
