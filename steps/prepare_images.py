"""Step: turn a dataset's pictures into training pictures."""

from pathlib import Path
from typing import Annotated

import mlflow
from zenml import log_metadata, step

from ieast.config import PrepareConfig
from ieast.data.prepare import PreparedDataset, prepare_dataset
from ieast.data.versions import DataRef
from steps.support.handover import data_at_hand, hand_over, was_prepared


# Not cached by ZenML: preparation keeps its own cache, keyed by data and settings, and sees when its files were deleted.
@step(experiment_tracker=True, enable_cache=False)
def prepare_images(data: DataRef, config: PrepareConfig, work_folder: str) -> Annotated[PreparedDataset, "prepared"]:
    """Resize every usable picture once; list the unusable ones with their reasons."""
    if not was_prepared(data, config, work_folder):
        data = data_at_hand(data, work_folder)
    prepared = prepare_dataset(Path(data.folder), Path(work_folder), config, data.md5)
    hand_over(prepared)
    mlflow.set_tags(
        {"prepared.key": prepared.key, "prepared.pictures": ", ".join(f"{n} {s}" for s, n in prepared.counts.items())}
    )
    mlflow.log_artifact(str(Path(prepared.folder, "manifest.csv")))
    log_metadata(metadata={"counts": prepared.counts, "quarantined": prepared.quarantined}, infer_artifact=True)
    return prepared
