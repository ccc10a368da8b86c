"""Running a Lightning training to its end: the trainer, signals, and checkpoints that may be continued."""

import json
import logging
import signal
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from ieast.config import DistillationConfig, Settings
from ieast.errors import ConfigError, InterruptedTrainingError, WeightsError
from ieast.experiment import ExperimentConfig
from ieast.layers.precision import gains_by_bf16, warn_of_slow_bf16
from ieast.training.callbacks import AtomicCheckpointIO
from ieast.training.folders import CHECKPOINT
from ieast.training.iterations import IterationModule

log = logging.getLogger(__name__)


def make_trainer(folder: Path, callbacks: list[L.Callback], logger: Logger, **hardware: Any) -> L.Trainer:
    """A Lightning trainer that runs a loader to its end and leaves checkpoints, progress and positions to us.

    Args:
        folder: Where Lightning may write.
        callbacks: What happens around iterations.
        logger: Where curves go.
        hardware: accelerator, devices, num_nodes, strategy and precision, as Lightning takes them.
    """
    for library in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    return L.Trainer(
        **hardware,
        max_epochs=1,  # the loader ends when the last iteration is reached
        logger=logger,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        benchmark=True,  # on GPUs: every iteration has the same shapes, so that it pays to try which convolutions are fastest
    )


def chosen_precision(precision: str, accelerator: str) -> str:
    """The precision that Lightning is to train in.

    Args:
        precision: Of the configuration; `auto` is bf16-mixed where the hardware gains by it, and else 32-true.
        accelerator: `cpu`, `gpu`, or `auto` for a GPU where there is one.
    """
    device = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
    if precision == "auto":
        return "bf16-mixed" if gains_by_bf16(device) else "32-true"
    if precision == "bf16-mixed":
        warn_of_slow_bf16(device, "set training.precision to auto or 32-true")
    return precision


def run_to_end(
    trainer: L.Trainer, module: IterationModule, total: int, make_loader: Callable[[], Any], resume: Path | None
) -> None:
    """Train `module` to iteration `total`, from the checkpoint `resume` if one is given.

    `make_loader` is called once the checkpoint has been read and `module.finished` says where to start.

    Raises:
        InterruptedTrainingError: SIGTERM or Ctrl-C; a checkpoint was saved.
    """
    try:
        with _signals_restored(), _quiet_lightning():
            trainer.fit(module, datamodule=_Loader(make_loader), ckpt_path=resume, weights_only=True)
    except SIGTERMException:
        raise InterruptedTrainingError(
            f"training was asked to stop after {module.finished} of {total} iterations; {CHECKPOINT} in "
            f"{trainer.default_root_dir} holds everything. Run the same command again to continue"
        ) from None


class _Loader(L.LightningDataModule):
    """Asks for the loader only once the checkpoint has been read."""

    def __init__(self, make_loader: Callable[[], Any]):
        super().__init__()
        self.make_loader = make_loader

    def train_dataloader(self) -> Any:
        return self.make_loader()


@dataclass(frozen=True)
class Resumed:
    """What a checkpoint has behind it.

    Attributes:
        finished: Iterations.
        schedules: As `IterationModule.schedules`, the present one included.
    """

    finished: int
    schedules: list[dict[str, int]]


def check_resumable(
    path: Path, config: ExperimentConfig | DistillationConfig, total: int, decisive: Sequence[str], free: Collection[str]
) -> Resumed:
    """Raise unless the checkpoint at `path` can be continued as `config` says, and say from where and how it is.

    `training.iterations` may have changed: what is left then follows the schedule of the new length.

    Args:
        path: The checkpoint.
        config: The configuration it is to be continued with.
        total: Iterations of all stages together.
        decisive: Sections that must not have changed ...
        free: ... but for these settings of the section `training`, and its iterations.

    Raises:
        WeightsError: It is damaged, or holds more than tensors and plain values.
        ConfigError: It is of a different training, or has more iterations behind it than are asked for.
    """
    try:
        checkpoint = AtomicCheckpointIO().load_checkpoint(path)
        saved = json.loads(checkpoint["ieast_config"])
        finished = int(checkpoint["state_dict"]["iteration"])
        planned = int(saved["training"]["iterations"])
        schedules = list(checkpoint.get("ieast_schedules") or [{"from": 0, "iterations": planned}])
    except UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than tensors and plain values, or is damaged; refused, because loading it could run code. "
            "Move it away to start afresh"
        ) from error
    except (RuntimeError, KeyError, IndexError, EOFError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} is not a usable training checkpoint ({error}); move it away to start afresh") from error
    changeable = {f"training.{name}" for name in (*free, "iterations")}
    for key, before, now in _changes({section: saved[section] for section in decisive if section in saved}, config):
        if key not in changeable:
            raise ConfigError(
                f"{path} was made with {key} = {before!r}, now it is {now!r}: that would be another training. Restore the "
                "setting, or give another folder"
            )
    asked = config.training.iterations
    if finished > total:
        raise ConfigError(
            f"{path} has {finished} iterations behind it, more than the {total} that are asked for now: set "
            f"training.iterations to {asked + finished - total} or more, or give another folder"
        )
    log.info("continuing from iteration %d (%s)", finished, path)
    if asked != planned:
        log.info(
            "training.iterations was %d and is %d now: from here on all follows the schedule of the new length", planned, asked
        )
        schedules.append({"from": finished, "iterations": asked})
    return Resumed(finished, schedules)


def checkpoint_iterations(folder: Path) -> int:
    """Iterations that the checkpoint in `folder` has behind it; 0 without one that training could go on from."""
    try:
        return int(AtomicCheckpointIO().load_checkpoint(folder / CHECKPOINT)["state_dict"]["iteration"])
    except (FileNotFoundError, UnpicklingError, RuntimeError, KeyError, EOFError, TypeError, ValueError):
        return 0


def _changes(saved: Mapping[str, Any], settings: Settings, section: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Settings by full name that differ, as they were in `saved` and as they are.

    A setting that came or went with a version of the code says nothing.
    """
    current = settings.model_dump(mode="json")
    for name, before in saved.items():
        if name not in current:
            continue
        value = getattr(settings, name)
        if isinstance(value, Settings) and isinstance(before, Mapping):
            yield from _changes(before, value, f"{section}{name}.")
        elif before != current[name]:
            yield f"{section}{name}", before, current[name]


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep back Lightning's remarks on what is meant here: an encoder in eval mode, and an epoch of any length."""
    with warnings.catch_warnings():
        for remark in (
            ".*module.s. in eval mode",
            ".*smaller than the logging interval",
            ".*LeafSpec.*",
            ".*does not have many workers",
        ):
            warnings.filterwarnings("ignore", remark)
        yield


@contextmanager
def _signals_restored() -> Iterator[None]:
    """Put back the handlers that training replaces, for whoever runs it."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
