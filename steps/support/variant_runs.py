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

from ieast.checkpoint import CONFIG, read_card
from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.errors import InterruptedTrainingError
from ieast.experiment import ExperimentConfig
from ieast.io.files import sha256
from ieast.models.references import released_or_folder
from ieast.registry.comparing import COMPARED_BY
from ieast.training.folders import take_up, training_folder, training_key
from ieast.training.launch import Tracking, TrainingJob, train
from steps.support.notes import linked_run
from steps.support.tracking import active_run, record_data, watching_machine

CELL = "comparison.cell"
FILES = "comparison.files"
"""The tag of a cell's run that changes with what is in the files that its configuration names."""
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
        files: What is in the files that its configuration names, see `files_digest`.
        variant: A variant of an ablation, or a row of a benchmark.
        seed: Of the training.
        data: The dataset version.
        prepared: The pictures made of it.
        data_path: The dataset's folder in its repository.
    """

    key: str
    files: str
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


def files_digest(config: ExperimentConfig) -> str:
    """Changes with the weights, scorers and models that `config` names: a scorer may be fitted anew, or weights replaced.

    What is missing does not count; it is an error of the work.
    """
    encoders = (config.encoder, config.promotion.encoder, config.objective.loss_network)
    weights = [encoder.weights for encoder in encoders if encoder is not None]
    names = [*weights, config.evaluation.preference, config.evaluation.artfid_weights]
    digests = [sha256(name) for name in names if name is not None and Path(name).is_file()]
    start = config.model.start
    if start is not None and (released_or_folder(start) / CONFIG).is_file():
        digests.append(sha256(released_or_folder(start) / CONFIG))
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def model_digest(model: Path) -> str:
    """Changes with the model in the folder `model`.

    Raises:
        WeightsError: There is none.
    """
    return hashlib.sha256(read_card(model).model_dump_json().encode()).hexdigest()[:16]


def run_cell(cell: Cell, work: Callable[[str], None]) -> Outcome:
    """Do `work`, which is given the id of an MLflow run below that of the pipeline; or take what an earlier run finished.

    An error is part of the outcome, so that other variants and the report go on; only a stop that was asked for stops. One is
    that another pipeline on this machine is at this cell: its run is left alone, and one that failed says so below this one.
    """
    locks = Path(cell.prepared.folder).parents[1] / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(locks / f"cell-{cell.key}.lock").acquire(timeout=0)
    except Timeout:
        return fail_cell(cell.variant, cell.seed, "another pipeline is at work on it; run this one again when that has ended")
    with held:
        return _run_cell_alone(cell, work)


def fail_cell(variant: str, seed: int, error: str) -> Outcome:
    """Note below the pipeline's run, for the report, that nothing could be done for `variant` and `seed`, and why."""
    log.error("%s seed %d: %s", variant, seed, error)
    client, parent = MlflowClient(), active_run()
    tags = {"variant": variant, "seed": str(seed), "error": error[:4000], **_below(parent, variant)}
    run = client.create_run(parent.info.experiment_id, run_name=_name(variant, seed), tags=tags)
    client.set_terminated(run.info.run_id, "FAILED")
    return Outcome(variant=variant, seed=seed, run_id=run.info.run_id, error=error)


def _run_cell_alone(cell: Cell, work: Callable[[str], None]) -> Outcome:
    parent = active_run()
    variant, seed = cell.variant, cell.seed
    if (done := finished_run(parent, cell)) is not None:
        _put_below(parent, done, cell)
        log.info("%s seed %d was finished by an earlier run: %s", variant, seed, done.info.run_id)
        return Outcome(variant=variant, seed=seed, run_id=done.info.run_id)
    with child_run(parent, cell) as run_id:
        mlflow.set_tags({"seed": str(seed), "prepared.key": cell.prepared.key, FILES: cell.files})
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


def finished_run(parent: Run, cell: Cell) -> Run | None:
    """The newest run of `cell` in the parent's experiment that ended well and has all that belongs to it, or None."""
    runs = _runs(parent, cell)
    return next((run for run in runs if run.info.status == "FINISHED" and MODEL_URI in run.data.tags), None)


@contextmanager
def child_run(parent: Run, cell: Cell) -> Iterator[str]:
    """The id of an active run of `cell` below `parent`: one that was begun and not finished, or a new one.

    It ends as what happened in it says, unless it has been ended inside.
    """
    begun = next(iter(_runs(parent, cell)), None)
    if begun is None:
        tags = {CELL: cell.key, "variant": cell.variant, **_below(parent, cell.variant)}
        active = mlflow.start_run(run_name=_name(cell.variant, cell.seed), nested=True, tags=tags)
    else:
        active = mlflow.start_run(run_id=begun.info.run_id, nested=True)
        _put_below(parent, begun, cell)
    run_id = active.info.run_id
    status = RunStatus.to_string(RunStatus.FAILED)
    try:
        yield run_id
        ended = MlflowClient().get_run(run_id).info.status
        status = ended if ended == "FAILED" else "FINISHED"
    finally:
        mlflow.end_run(status)


def _below(parent: Run, variant: str) -> dict[str, str]:
    """Tags by which MLflow shows a run of `variant` below `parent`, and the pipeline of `parent` reports on it."""
    return {"mlflow.parentRunId": parent.info.run_id, f"{COMPARED_BY}{parent.info.run_id}": variant}


def _put_below(parent: Run, run: Run, cell: Cell) -> None:
    """Have `run` shown below `parent`; a pipeline that had it before, and may have yet to report on it, still will."""
    # A row of a benchmark may have been given another label since.
    now = {"variant": cell.variant, "mlflow.runName": _name(cell.variant, cell.seed)}
    # Earlier versions noted neither: what is taken stands for the files of now, and the pipeline that made it keeps it.
    then = {FILES: cell.files}
    if before := run.data.tags.get("mlflow.parentRunId"):
        then[f"{COMPARED_BY}{before}"] = run.data.tags.get("variant", cell.variant)
    missing = {name: value for name, value in then.items() if name not in run.data.tags}
    for name, value in {**missing, **_below(parent, cell.variant), **now}.items():
        MlflowClient().set_tag(run.info.run_id, name, value)


def _name(variant: str, seed: int) -> str:
    return f"{variant} seed {seed}"


def _runs(parent: Run, cell: Cell) -> list[Run]:
    """Of `cell`, by the same files, the newest first; earlier versions did not note those."""
    found = MlflowClient().search_runs([parent.info.experiment_id], f"tags.`{CELL}` = '{cell.key}'")
    return [run for run in found if run.data.tags.get(FILES, cell.files) == cell.files]
