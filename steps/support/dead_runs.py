"""Runs whose process was killed: closed by the next one in the same work folder, and followed by the one that trains on."""

import logging
import os
import platform
from pathlib import Path
from uuid import UUID

import mlflow
import psutil
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from PIL import Image
from pydantic import BaseModel, ConfigDict
from zenml import get_step_context
from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.models import PipelineRunUpdate, StepRunUpdate
from zenml.utils.time_utils import utc_now

from ieast.io.files import atomic_write
from ieast.training.folders import PICTURES, note_run, noted_run
from ieast.training.loop import checkpoint_iterations
from steps.support.tracking import active_run

CONTINUES, CONTINUED_BY = "continues", "continued_by"

# Of evaluation and the gate, which come after training, a run has its own.
_CURVES = ("train/", "train_learning_rate/")
_BATCH = 1000  # metrics that MLflow takes in one call

log = logging.getLogger(__name__)


class Running(BaseModel):
    """Who works on a pipeline run, kept in the work folder for whoever comes after a kill."""

    model_config = ConfigDict(frozen=True)

    host: str
    process: int
    started: float
    """When the process was, since numbers of processes come again."""
    mlflow_run: str
    zenml_run: UUID

    def may_be_alive(self) -> bool:
        """Whether it could still be at work; of another machine's nothing is known."""
        if self.host != platform.node():
            return True
        try:
            return psutil.Process(self.process).create_time() == self.started
        except psutil.NoSuchProcess:
            return False


def close_dead_runs(work_folder: Path) -> None:
    """Close the runs in `work_folder` whose process is gone, as KILLED in MLflow and failed in ZenML; note the present one."""
    run = active_run()
    folder = work_folder / "runs"
    for path in sorted(folder.glob("*.json")):
        running = Running.model_validate_json(path.read_text())
        if not running.may_be_alive():
            _close_in_mlflow(running.mlflow_run)
            _close_in_zenml(running.zenml_run)
            path.unlink(missing_ok=True)
    process = os.getpid()
    present = Running(
        host=platform.node(),
        process=process,
        started=psutil.Process(process).create_time(),
        mlflow_run=run.info.run_id,
        zenml_run=get_step_context().pipeline_run.id,
    )
    with atomic_write(folder / f"{run.info.run_id}.json") as temporary:
        temporary.write_text(present.model_dump_json())


def follow(folder: Path, run: Run) -> None:
    """Give `run` the curves and pictures of the one that trained in `folder` before, so far as its checkpoint goes.

    Each then names the other in a tag.
    """
    before, run_id = noted_run(folder), run.info.run_id
    finished = checkpoint_iterations(folder)
    if before is not None and before != run_id and finished:
        client = MlflowClient()
        try:
            predecessor = client.get_run(before)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            log.warning("run %s, which trained before, is not in this store: the curves begin at %d", before, finished)
        else:
            _copy_curves(client, predecessor, run_id, finished)
            for path in sorted((folder / PICTURES).glob("*.jpg")):
                with Image.open(path) as picture:
                    mlflow.log_image(picture, key="stylizations", step=int(path.stem.rpartition("_")[2]))
            client.set_tag(before, CONTINUED_BY, run_id)
            mlflow.set_tag(CONTINUES, before)
    note_run(folder, run_id)


def _copy_curves(client: MlflowClient, source: Run, target: str, finished: int) -> None:
    metrics = [
        Metric(point.key, point.value, point.timestamp, point.step)
        for name in source.data.metrics
        if name.startswith(_CURVES)
        for point in client.get_metric_history(source.info.run_id, name)
        if point.step <= finished
    ]
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(target, metrics=metrics[start : start + _BATCH])


def _close_in_mlflow(run_id: str) -> None:
    client = MlflowClient()
    try:
        dead = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # deleted, or of a store that is not this one
            return
        raise
    query = f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.status = 'RUNNING'"
    for child in client.search_runs([dead.info.experiment_id], query):
        client.set_terminated(child.info.run_id, "KILLED")
    if dead.info.status == "RUNNING":
        client.set_terminated(run_id, "KILLED")
        log.info("run %s (%s) was killed before it ended, and is closed", run_id, dead.info.run_name)


def _close_in_zenml(run_id: UUID) -> None:
    client = Client()
    try:
        dead = client.get_pipeline_run(run_id)
    except KeyError:  # deleted, or of a ZenML that is not this one
        return
    if dead.status.is_finished:
        return
    for step in client.list_run_steps(pipeline_run_id=run_id, status=ExecutionStatus.RUNNING, hydrate=False).items:
        client.zen_store.update_run_step(step.id, StepRunUpdate(status=ExecutionStatus.FAILED, end_time=utc_now()))
    update = PipelineRunUpdate(status=ExecutionStatus.FAILED, status_reason="its process was killed")
    client.zen_store.update_run(run_id, update)
