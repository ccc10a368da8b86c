"""Runs whose process was killed: closed by the next one, and followed by the one that trains on."""

import logging
import os
import platform
from pathlib import Path
from typing import Any
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
from zenml.models import PipelineRunResponse, PipelineRunUpdate, StepRunUpdate
from zenml.pipelines.compilation_context import PipelineCompilationContext
from zenml.utils.pagination_utils import depaginate
from zenml.utils.time_utils import utc_now

from ieast.io.files import atomic_write
from ieast.training.folders import PICTURES, note_run, noted_run
from ieast.training.loop import checkpoint_iterations
from steps.support.tracking import active_run

CONTINUES, CONTINUED_BY = "continues", "continued_by"
_WORKER = "worker"

# Of evaluation and the gate, which come after training, a run has its own.
_CURVES = ("train/", "train_learning_rate/")
_BATCH = 1000  # metrics that MLflow takes in one call

log = logging.getLogger(__name__)


class Worker(BaseModel):
    """A process, so that one can tell later whether it is the same."""

    model_config = ConfigDict(frozen=True)

    host: str
    process: int
    started: float
    """When, since numbers of processes come again."""

    def may_be_alive(self) -> bool:
        """Whether it could still be at work; of another machine's nothing is known."""
        if self.host != platform.node():
            return True
        try:
            return psutil.Process(self.process).create_time() == self.started
        except psutil.NoSuchProcess:
            return False


class Running(Worker):
    """Who works on a pipeline run, kept in the work folder for whoever comes after a kill."""

    mlflow_run: str
    zenml_run: UUID


def sign_run() -> None:
    """Write into the pipeline run that is being composed which process is to run its steps.

    ZenML keeps it from the run's first moment, so that one killed before its first step can be told from one at work.
    """
    if Client().active_stack.orchestrator.flavor == "local":  # others' steps go on when this process has ended
        composing = PipelineCompilationContext.get()
        assert composing is not None, "called outside of a pipeline"
        # Not by `get_pipeline_context().extra`, of which ZenML keeps what was set and not what was added.
        composing.pipeline.configure(extra={_WORKER: Worker(**_present()).model_dump()})


def close_dead_runs(work_folder: Path) -> None:
    """Close runs whose process is gone, as KILLED in MLflow and failed in ZenML; note the present one.

    MLflow's are those noted in `work_folder`; ZenML's, also those that did not come so far, wherever on this machine they ran.
    """
    run = active_run()
    folder = work_folder / "runs"
    for path in sorted(folder.glob("*.json")):
        try:
            running = Running.model_validate_json(path.read_text())
        except FileNotFoundError:  # another pipeline, which starts at the same time, has closed it
            continue
        if not running.may_be_alive():
            _close_in_mlflow(running.mlflow_run)
            _close_in_zenml(running.zenml_run)
            path.unlink(missing_ok=True)
    _close_unbegun_in_zenml()
    present = Running(**_present(), mlflow_run=run.info.run_id, zenml_run=get_step_context().pipeline_run.id)
    with atomic_write(folder / f"{run.info.run_id}.json") as temporary:
        temporary.write_text(present.model_dump_json())


def _present() -> dict[str, Any]:
    process = os.getpid()
    return {"host": platform.node(), "process": process, "started": psutil.Process(process).create_time()}


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


def predecessors(run: Run) -> list[str]:
    """The ids of the runs that `run` goes on from, the latest first."""
    client, ids = MlflowClient(), [run.info.run_id]
    while (before := client.get_run(ids[-1]).data.tags.get(CONTINUES)) is not None and before not in ids:
        ids.append(before)
    return ids[1:]


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
    try:
        dead = Client().get_pipeline_run(run_id)
    except KeyError:  # deleted, or of a ZenML that is not this one
        return
    if not dead.status.is_finished:
        _fail_in_zenml(dead)


def _close_unbegun_in_zenml() -> None:
    for status in (ExecutionStatus.INITIALIZING, ExecutionStatus.PROVISIONING, ExecutionStatus.RUNNING):
        for run in depaginate(Client().list_pipeline_runs, status=status, hydrate=True):
            worker = run.config.extra.get(_WORKER)
            if worker is not None and not Worker.model_validate(worker).may_be_alive():
                _fail_in_zenml(run)


def _fail_in_zenml(dead: PipelineRunResponse) -> None:
    client = Client()
    for step in client.list_run_steps(pipeline_run_id=dead.id, status=ExecutionStatus.RUNNING, hydrate=False).items:
        client.zen_store.update_run_step(step.id, StepRunUpdate(status=ExecutionStatus.FAILED, end_time=utc_now()))
    update = PipelineRunUpdate(status=ExecutionStatus.FAILED, status_reason="its process was killed")
    client.zen_store.update_run(dead.id, update)
