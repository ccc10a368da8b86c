"""Training in this process, or on several devices by torchrun."""

import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from lightning.pytorch.loggers import CSVLogger, Logger
from pydantic import BaseModel, ConfigDict

from ieast.data.prepare import PreparedDataset
from ieast.errors import InterruptedTrainingError, TrainingError
from ieast.experiment import ExperimentConfig
from ieast.io.files import atomic_write
from ieast.training.fit import CHECKPOINT, TrainingResult, fit
from ieast.training.tracking import PatientMLFlowLogger


class Tracking(BaseModel):
    """The MLflow run that curves and pictures go to."""

    model_config = ConfigDict(frozen=True)

    uri: str
    run_id: str


class TrainingJob(BaseModel):
    """What a worker process needs to know."""

    model_config = ConfigDict(frozen=True)

    config: ExperimentConfig
    prepared: PreparedDataset
    folder: Path
    tracking: Tracking | None = None
    provenance: dict[str, Any] = {}


def train(job: TrainingJob) -> TrainingResult:
    """Train as `job` says: here on one device, else in one process a device, started by torchrun.

    Lightning's own launcher starts its processes by running the main script again, which inside a pipeline step would be the
    whole pipeline. On several nodes, start `ieast train` on each, with a shared output folder and torchrun's rendezvous
    variables set (PET_NODE_RANK, PET_RDZV_ENDPOINT, ...).

    Raises:
        InterruptedTrainingError: As `fit`.
        TrainingError: As `fit`, another process trains in the same folder, or a worker failed; its message stands above.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    if job.config.training.nodes > 1:
        return _run_distributed(job)  # the nodes share the folder
    try:
        held = FileLock(job.folder / ".lock").acquire(timeout=0)
    except Timeout:
        raise TrainingError(f"another process is training in {job.folder}; wait for it or stop it") from None
    with held:
        return run(job) if job.config.training.devices == 1 else _run_distributed(job)


def _run_distributed(job: TrainingJob) -> TrainingResult:
    # Nodes share the folder, and in containers their processes have the same numbers.
    job_file, result_file = job.folder / f"job-{platform.node()}-{os.getpid()}.json", job.folder / "result.json"
    with atomic_write(job_file) as temporary:
        temporary.write_text(job.model_dump_json())
    job_file.chmod(0o600)  # the tracking server's address may hold a password
    result_file.unlink(missing_ok=True)
    training = job.config.training
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={training.devices}"]
    command += [f"--nnodes={training.nodes}"] if training.nodes > 1 else ["--standalone"]
    try:
        code, stopped = _run_until_asked_to_stop([*command, "-m", "ieast.training.worker", str(job_file), str(result_file)])
    finally:
        job_file.unlink(missing_ok=True)
    if result_file.exists():
        return TrainingResult.model_validate_json(result_file.read_text())
    if stopped:
        raise InterruptedTrainingError(
            f"training was asked to stop; {job.folder / CHECKPOINT} holds what was done. Run the same command again to continue"
        )
    raise TrainingError(
        f"training on {training.devices * training.nodes} devices failed with exit code {code}; the reason stands above"
        + (
            f". {job.folder / CHECKPOINT} is whole: the same command continues from it"
            if (job.folder / CHECKPOINT).exists()
            else ""
        )
    )


def run(job: TrainingJob) -> TrainingResult:
    """Train in this process, which may be one of several that torchrun started."""
    return fit(job.config, job.prepared, job.folder, logger=_logger(job), provenance=job.provenance)


def _logger(job: TrainingJob) -> Logger:
    if job.tracking is None:
        return CSVLogger(job.folder, name="curves", flush_logs_every_n_steps=1)
    return PatientMLFlowLogger(tracking_uri=job.tracking.uri, run_id=job.tracking.run_id)


def _run_until_asked_to_stop(command: list[str]) -> tuple[int, bool]:
    """Run `command`, and end it by SIGTERM when this process is asked to stop, so that its workers can save.

    Returns:
        Its exit code, which says nothing of a signal (torchrun makes it 1), and whether it was asked to stop.
    """
    # In a session of its own, because Ctrl-C in a terminal goes to all processes there, and its workers would get torchrun's
    # signal as the second one.
    process = subprocess.Popen(command, start_new_session=True)
    stopped = False

    def stop(_signal: int, _frame: Any) -> None:
        nonlocal stopped
        stopped = True
        process.terminate()

    before = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            before[number] = signal.signal(number, stop)
    except ValueError:  # not the main thread, which alone receives signals
        pass
    try:
        return process.wait(), stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def read_job(path: Path) -> TrainingJob:
    """The job that `train` wrote for its workers."""
    return TrainingJob.model_validate(json.loads(path.read_text()))
