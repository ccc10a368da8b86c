"""Step: read a dataset version."""

from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from ieast.config import DataConfig
from ieast.data.versions import DataRef, load_dataset
from steps.support.dead_runs import close_dead_runs
from steps.support.tracking import record_data


# `source`, because a deployed pipeline puts what is asked for as `config` in the place of every step's `config`.
# Not cached: a tag or branch may have moved, and what it read may have been deleted. Reading the same version again is free.
@step(experiment_tracker=True, enable_cache=False)
def load_data(source: DataConfig, work_folder: str) -> Annotated[DataRef, "data"]:
    """Fetch the dataset at `source.revision` through DVC and record exactly which version it is."""
    close_dead_runs(Path(work_folder))
    data = load_dataset(source, Path(work_folder))
    record_data(data, source.path)
    log_metadata(metadata={"data": data.model_dump(mode="json")}, infer_artifact=True)
    return data
