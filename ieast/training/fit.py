"""`fit`: from prepared pictures and a configuration to a trained, exported model."""

import json
import logging
import platform
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ieast.config import ExperimentConfig
from ieast.data.batches import PairBatches, iteration_loader, read_crop
from ieast.data.prepare import PreparedDataset
from ieast.errors import ConfigError, InterruptedTrainingError, WeightsError
from ieast.images import read_image, resize_smallest_side, to_tensor
from ieast.models.checkpoint import save_model
from ieast.models.encoder import Encoder, build_encoder
from ieast.models.stylizer import build_stylizer
from ieast.training.callbacks import AtomicCheckpointIO, Checkpoints, OrderlyStop, Pictures, Progress
from ieast.training.folders import DECISIVE, FREE_SETTINGS
from ieast.training.module import StyleTransferModule

log = logging.getLogger(__name__)

CHECKPOINT = "last.ckpt"
CALIBRATION_PICTURES = 64


class TrainingResult(BaseModel):
    """What a finished training left behind."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model_folder: str
    checkpoint: str
    pictures: list[str]
    iterations: int
    started_at: int
    seconds: float


def fit(
    config: ExperimentConfig,
    prepared: PreparedDataset,
    folder: Path,
    *,
    logger: Logger | None = None,
    provenance: dict[str, Any] | None = None,
) -> TrainingResult:
    """Train as `config` says on `prepared` pictures, continuing from the checkpoint in `folder` if there is one.

    Args:
        config: Everything that decides the outcome.
        prepared: The pictures.
        folder: Gets `last.ckpt`, `pictures/` and the exported `model/`.
        logger: Where curves go; a CSV file in `folder` when none is given.
        provenance: Facts to keep with the exported model, such as the data version.

    Raises:
        DataError: Too few pictures for a batch, or a damaged one.
        WeightsError: The encoder's weights are missing or unusable.
        ConfigError: The checkpoint in `folder` is of a different training.
        TrainingError: A loss was not finite; the last good checkpoint is kept.
        InterruptedTrainingError: SIGTERM or Ctrl-C; a checkpoint was saved.
        DiskFullError: The disk filled up; the previous checkpoint is intact.
    """
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    training = config.training
    L.seed_everything(training.seed, verbose=False)
    stylizer = build_stylizer(_encoder(config, prepared), config.model)
    module = StyleTransferModule(stylizer, config)
    if training.channels_last:
        module.to(memory_format=torch.channels_last)
    checkpoint = folder / CHECKPOINT
    resume = checkpoint if checkpoint.exists() else None
    started_at = _check_resumable(checkpoint, config) if resume else 0
    if started_at:
        log.info("continuing from iteration %d (%s)", started_at, checkpoint)

    total = training.reconstruction_iterations + training.iterations
    for library in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    trainer = _trainer(config, folder, _callbacks(config, prepared, folder, total), logger or CSVLogger(folder, name="curves"))
    if training.compile:
        for part in (stylizer.encoder, stylizer.transform, stylizer.decoder):
            part.compile()
    data = _Batches(config, prepared, total)
    if started_at >= total:  # finished earlier, but what came after it was not
        module.load_state_dict(AtomicCheckpointIO().load_checkpoint(checkpoint)["state_dict"])
        module.finished = started_at
    else:
        _run(trainer, module, data, resume)
    if trainer.is_global_zero:
        save_model(
            stylizer,
            folder / "model",
            method=config.model.method,
            encoder_source=config.encoder.weights or "torchvision ImageNet",
            provenance=(provenance or {}) | _provenance(config, module.finished),
        )
    trainer.strategy.barrier()
    return TrainingResult(
        model_folder=str(folder / "model"),
        checkpoint=str(checkpoint),
        pictures=[str(path) for path in sorted((folder / "pictures").glob("*.jpg"))],
        iterations=module.finished,
        started_at=started_at,
        seconds=time.perf_counter() - started,
    )


def _run(trainer: L.Trainer, module: StyleTransferModule, data: L.LightningDataModule, resume: Path | None) -> None:
    try:
        with _signals_restored(), _quiet_lightning():
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    except SIGTERMException:
        training = module.config.training
        raise InterruptedTrainingError(
            f"training was asked to stop after {module.finished} of {training.reconstruction_iterations + training.iterations} "
            f"iterations; {CHECKPOINT} in {trainer.default_root_dir} holds everything. Run the same command again to continue"
        ) from None


class _Batches(L.LightningDataModule):
    """Asks for the loader only once the checkpoint has been read, and so knows where to start."""

    def __init__(self, config: ExperimentConfig, prepared: PreparedDataset, total: int):
        super().__init__()
        self.config, self.prepared, self.total = config, prepared, total

    def train_dataloader(self) -> Any:
        assert self.trainer is not None
        training = self.config.training
        batches = PairBatches(
            self.prepared.content_paths(),
            self.prepared.style_paths(),
            distinct=training.batch_size // 2,
            crop=training.crop,
            seed=training.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        module = self.trainer.lightning_module
        assert isinstance(module, StyleTransferModule)
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        return iteration_loader(batches, module.finished, self.total, workers=training.loader_workers, pin_memory=on_gpu)


def _encoder(config: ExperimentConfig, prepared: PreparedDataset) -> Encoder:
    encoder = build_encoder(config.encoder, config.training.seed)
    if config.encoder.unit_mean_taps and config.encoder.name != "vgg19-normalised":
        means = encoder.normalise_taps(_calibration_pictures(prepared.content_paths(), config.training.crop))
        log.info(
            "encoder %s: mean activations were %.2g to %.2g, now 1", encoder.name, min(means.values()), max(means.values())
        )
    return encoder


def _calibration_pictures(paths: Sequence[Path], crop: int) -> Iterator[Tensor]:
    """Crops (1, 3, crop, crop) in [0, 1] of the same evenly spaced pictures every time."""
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), CALIBRATION_PICTURES)).round().astype(int)
    random = np.random.default_rng(0)
    for index in chosen:
        yield read_crop(paths[index], crop, random)[None].float() / 255


def _callbacks(config: ExperimentConfig, prepared: PreparedDataset, folder: Path, total: int) -> list[L.Callback]:
    training = config.training
    cell = min(256, training.crop * 2)
    contents, styles = (_show(paths, cell) for paths in (prepared.content_paths(), prepared.style_paths()))
    return [
        Checkpoints(folder / CHECKPOINT, training.checkpoint_every),
        Pictures(folder / "pictures", contents, styles, training.picture_every, cell),
        Progress(total),
        OrderlyStop(),  # last, so that what others do after an iteration is done
    ]


def _show(paths: Sequence[Path], size: int, count: int = 4) -> list[Tensor]:
    chosen = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    return [to_tensor(resize_smallest_side(read_image(paths[k], smallest_side=size), size))[0] for k in chosen]


def _trainer(config: ExperimentConfig, folder: Path, callbacks: list[L.Callback], logger: Logger) -> L.Trainer:
    training = config.training
    strategy = training.strategy
    if strategy == "auto" and training.devices * training.nodes > 1:
        # The discriminator and the generator step in turn, so each backward pass leaves the other's parameters unused.
        strategy = "ddp_find_unused_parameters_true"
    return L.Trainer(
        accelerator=training.accelerator,
        devices=training.devices,
        num_nodes=training.nodes,
        strategy=strategy,
        precision=training.precision,
        max_epochs=1,  # the loader ends when the last iteration is reached
        logger=logger,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


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


def _check_resumable(path: Path, config: ExperimentConfig) -> int:
    """The iterations that the checkpoint at `path` has behind it."""
    try:
        checkpoint = AtomicCheckpointIO().load_checkpoint(path)
        saved = json.loads(checkpoint["ieast_config"])
        finished = int(checkpoint["state_dict"]["iteration"])
    except UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than tensors and plain values, or is damaged; refused, because loading it could run code. "
            "Move it away to start afresh"
        ) from error
    except (RuntimeError, KeyError, IndexError, EOFError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} is not a usable training checkpoint ({error}); move it away to start afresh") from error
    for section in DECISIVE:
        before, now = saved[section], config.model_dump(mode="json")[section]
        for key in before:
            # A setting that came or went with a version of the code says nothing.
            if key in now and before[key] != now[key] and not (section == "training" and key in (*FREE_SETTINGS, "iterations")):
                raise ConfigError(
                    f"{path} was made with {section}.{key} = {before[key]!r}, now it is {now[key]!r}: that would be another "
                    "training. Restore the setting, or give another folder"
                )
    return finished


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


def _provenance(config: ExperimentConfig, iterations: int) -> dict[str, Any]:
    return {
        "iterations": iterations,
        "config": config.model_dump(mode="json"),
        "code": git_commit(),
        "python": platform.python_version(),
        "libraries": library_versions(),
    }


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide results, of those that are installed."""
    found = {}
    for name in ("ieast", "torch", "torchvision", "lightning", "lpips", "numpy", "pillow", "mlflow", "zenml", "dvc"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str:
    """The commit of this code, with `-modified` if the working tree differs; `unknown` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-modified"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()
