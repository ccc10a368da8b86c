"""The MLflow runs of a comparison: one a variant and seed, found again by what it trains and how it is scored."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus
from pydantic import BaseModel, ConfigDict
from zenml import log_metadata

from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.errors import InterruptedTrainingError
from ieast.experiment import ExperimentConfig
from ieast.training.folders import take_up, training_folder, training_key
from ieast.training.launch import Tracking, TrainingJob, train
from steps.support.notes import linked_run
from steps.support.tracking import active_run, record_data, watching_machine

CELL = "comparison.cell"
MODEL_URI = "model_uri"
"""The tag that a run gets last: its model is logged and scored."""
SCORING = 2
"""To be raised when the same settings lead to scores of other pictures, so that no report mixes them."""

log = logging.getLogger(__name__)


class Outcome(BaseModel):
    """What became of one variant and seed."""

    model_config = ConfigDict(frozen=True)

    variant: str
    seed: int
    run_id: str
    error: str | None = None


@dataclass(frozen=True)
class Cell:
    """What one of the compared runs is of.

    Attributes:
        key: By which it is known again, see `cell_key`.
        variant: A variant of an ablation, or a row of a benchmark.
        seed: Of the training.
        data: The dataset version.
        prepared: The pictures made of it.
        data_path: The dataset's folder in its repository.
    """

    key: str
    variant: str
    seed: int
    data: DataRef
    prepared: PreparedDataset
    data_path: str


def cell_key(config: ExperimentConfig, prepared: PreparedDataset, *also: BaseModel) -> str:
    """Equal for equal training and scoring, and whatever else is measured, of the same prepared pictures."""
    scoring = "".join(part.model_dump_json() for part in (config.evaluation, *also))
    digest = hashlib.sha256(f"{SCORING}{scoring}".encode()).hexdigest()[:8]
    return f"{training_key(config, prepared.key)}-{digest}"


def run_cell(cell: Cell, work: Callable[[str], None]) -> Outcome:
    """Do `work`, which is given the id of an MLflow run below that of the pipeline; or take what an earlier run finished.

    An error is part of the outcome, so that other variants and the report go on; only a stop that was asked for stops. One is
    that another pipeline on this machine is at this cell: its run is left alone.
    """
    locks = Path(cell.prepared.folder).parents[1] / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(locks / f"cell-{cell.key}.lock").acquire(timeout=0)
    except Timeout:
        parent = active_run()
        there = next(iter(_runs(parent, cell.key)), parent).info.run_id
        message = "another pipeline is at work on it; run this one again when that has ended"
        return Outcome(variant=cell.variant, seed=cell.seed, run_id=there, error=message)
    with held:
        return _run_cell_alone(cell, work)


def _run_cell_alone(cell: Cell, work: Callable[[str], None]) -> Outcome:
    parent = active_run()
    variant, seed = cell.variant, cell.seed
    if (done := finished_run(parent, cell.key)) is not None:
        MlflowClient().set_tag(done.info.run_id, "mlflow.parentRunId", parent.info.run_id)
        log.info("%s seed %d was finished by an earlier run: %s", variant, seed, done.info.run_id)
        return Outcome(variant=variant, seed=seed, run_id=done.info.run_id)
    with child_run(parent, cell.key, f"{variant} seed {seed}") as run_id:
        mlflow.set_tags({"variant": variant, "seed": str(seed), "prepared.key": cell.prepared.key})
        record_data(cell.data, cell.data_path)
        try:
            work(run_id)
        except InterruptedTrainingError:
            raise
        except Exception as error:
            log.exception("%s seed %d failed", variant, seed)
            mlflow.set_tag("error", f"{type(error).__name__}: {error}"[:4000])
            MlflowClient().set_terminated(run_id, "FAILED")
            return Outcome(variant=variant, seed=seed, run_id=run_id, error=f"{type(error).__name__}: {error}")
        mlflow.set_tag("error", "")
    log_metadata(metadata={"mlflow": linked_run(parent.info.experiment_id, run_id)}, infer_artifact=True)
    return Outcome(variant=variant, seed=seed, run_id=run_id)


def train_cell(prepared: PreparedDataset, data: DataRef, config: ExperimentConfig, run_id: str) -> tuple[Path, Path]:
    """Train into the active run `run_id`; the model's folder, and that of the training, to `retire` when all is kept."""
    folder = training_folder(Path(config.work_folder), config, prepared.key)
    take_up(folder, config.training.iterations)
    job = TrainingJob(
        config=config,
        prepared=prepared,
        folder=folder,
        tracking=Tracking(uri=mlflow.get_tracking_uri(), run_id=run_id),
        provenance={"data": data.model_dump(mode="json", exclude={"folder"}), "mlflow_run": run_id},
    )
    with watching_machine(run_id):
        return Path(train(job).model_folder), folder


def finished_run(parent: Run, cell: str) -> Run | None:
    """The newest run of `cell` in the parent's experiment that ended well and has all that belongs to it, or None."""
    runs = _runs(parent, cell)
    return next((run for run in runs if run.info.status == "FINISHED" and MODEL_URI in run.data.tags), None)


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
