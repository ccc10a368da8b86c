"""The MLflow runs of an ablation: one a variant and seed, found again by what it trains and how it is scored."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus
from pydantic import BaseModel, ConfigDict

from ieast.config import ExperimentConfig
from ieast.data.prepare import PreparedDataset
from ieast.training.folders import training_folder

CELL = "ablation.cell"


class Outcome(BaseModel):
    """What became of one variant and seed."""

    model_config = ConfigDict(frozen=True)

    variant: str
    seed: int
    run_id: str
    error: str | None = None


def cell_key(config: ExperimentConfig, prepared: PreparedDataset) -> str:
    """Equal for equal training and scoring of the same prepared pictures."""
    scoring = hashlib.sha256(config.evaluation.model_dump_json().encode()).hexdigest()[:8]
    return f"{training_folder(Path(), config, prepared.key).name}-{scoring}"


def finished_run(parent: Run, cell: str) -> Run | None:
    """The newest run of `cell` in the parent's experiment that ended well, or None."""
    return next((run for run in _runs(parent, cell) if run.info.status == "FINISHED"), None)


@contextmanager
def child_run(parent: Run, cell: str, name: str) -> Iterator[str]:
    """The id of an active run of `cell` below `parent`: one that was begun and not finished, or a new one.

    It ends as what happened in it says, unless it has been ended inside.
    """
    begun = next(iter(_runs(parent, cell)), None)
    tags = {CELL: cell, "mlflow.parentRunId": parent.info.run_id}
    if begun is None:
        active = mlflow.start_run(run_name=name, nested=True, tags=tags)
    else:
        active = mlflow.start_run(run_id=begun.info.run_id, nested=True)
        mlflow.set_tags(tags)
    run_id = active.info.run_id
    status = RunStatus.to_string(RunStatus.FAILED)
    try:
        yield run_id
        ended = MlflowClient().get_run(run_id).info.status
        status = ended if ended == "FAILED" else "FINISHED"
    finally:
        mlflow.end_run(status)


def _runs(parent: Run, cell: str) -> list[Run]:
    return list(MlflowClient().search_runs([parent.info.experiment_id], f"tags.`{CELL}` = '{cell}'"))  # newest first
