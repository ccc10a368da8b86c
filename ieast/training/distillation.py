"""Distilling vgg19-compact: a quarter-width VGG-19 that learns to give a teacher's five taps."""

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch
from filelock import FileLock, Timeout
from lightning.pytorch.loggers import CSVLogger, Logger
from pydantic import BaseModel, ConfigDict
from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

from ieast.config import DistillationConfig
from ieast.data.batches import PairBatches, iteration_loader
from ieast.data.prepare import PreparedDataset
from ieast.errors import TrainingError
from ieast.evaluation.agreement import encoder_agreement
from ieast.io.files import atomic_write
from ieast.io.images import read_image, to_tensor
from ieast.losses.functional import relative_squared_error
from ieast.models.encoder import Encoder
from ieast.models.student import Student
from ieast.models.teacher import Lifts, Teacher, build_teacher
from ieast.models.vgg19 import STYLE_TAPS
from ieast.stylizer.allocator import keep_freed_memory
from ieast.training.callbacks import AtomicCheckpointIO, Checkpoints, OrderlyStop, Progress
from ieast.training.fit import calibration_pictures
from ieast.training.folders import CHECKPOINT, folder_of
from ieast.training.iterations import IterationModule
from ieast.training.loop import check_resumable, chosen_precision, make_trainer, run_to_end
from ieast.training.optimizers import make_optimizer
from ieast.training.provenance import provenance

log = logging.getLogger(__name__)

ENCODER, AGREEMENT, CARD = "vgg19-compact.safetensors", "agreement.csv", "vgg19-compact.json"
FREE_SETTINGS = ("accelerator", "cache_gb", "channels_last", "loader_workers", "log_every", "checkpoint_every")


class DistillationResult(BaseModel):
    """What a finished distillation left behind."""

    model_config = ConfigDict(frozen=True)

    encoder: str
    card: str
    agreement: dict[str, dict[str, float]]
    """By tap: relative_error and correlation on the held-out pictures."""
    iterations: int
    seconds: float


class DistillationModule(IterationModule):
    """Student, lifts and teacher.

    A narrow teacher's own lifts are kept for the student: its taps then come to mean the teacher's channels. For a teacher of
    full width the lifts learn with the student.
    """

    config: DistillationConfig

    def __init__(self, config: DistillationConfig, teacher: Teacher):
        super().__init__(config)
        self.student, self.teacher = Student(), teacher
        self.lifts = Lifts(self.student.widths)
        if teacher.lifts is not None:
            self.lifts.load_state_dict(teacher.lifts.state_dict())
            self.lifts.requires_grad_(False)

    def configure_optimizers(self) -> Optimizer:
        """With a rate for each layer: the configured one times the size of the layer's weights at the start.

        Steps do not know how large a weight is, and from the first layer to the last their size falls twentyfold.
        """
        rate = self.config.training.learning_rate
        groups = []
        for name, parameter in (*self.student.named_parameters(), *self.lifts.named_parameters()):
            if parameter.requires_grad:
                size = float(parameter.detach().square().mean().sqrt()) if parameter.ndim > 1 else 1.0
                groups.append({"name": name, "params": [parameter], "lr": rate * size, "base_lr": rate * size})
        return make_optimizer(groups, self.config.training.optimizer)

    def training_step(self, batch: dict[str, Tensor], _batch_index: int) -> None:
        """Learn from one batch: content and style crops (b/2, 3, H, W), uint8."""
        images = self._as_images(torch.cat([batch["content"], batch["style"]]))
        optimizer = self._optimizers()[0]
        for group in self._param_groups():
            group["lr"] = group["base_lr"] * self._decay()
        training, progress = self.config.training, self.finished / self.config.training.iterations
        taps = self.student(images, apart=progress < training.apart, leak=training.leak * (1 - progress))
        targets, got = self.teacher(images), self.lifts(taps)
        terms = {tap: relative_squared_error(got[tap], targets[tap]) for tap in STYLE_TAPS}
        terms["total"] = torch.stack(list(terms.values())).sum()
        self._step(optimizer, terms["total"])
        self.count(terms)

    def _decay(self) -> float:
        # A function of the iteration alone, so that there is no schedule to restore.
        cosine = (1 + math.cos(math.pi * self.finished / self.config.training.iterations)) / 2
        return 0.01 + 0.99 * cosine


def distillation_folder(work_folder: Path, config: DistillationConfig, prepared: PreparedDataset) -> Path:
    """Where the distillation that `config` describes keeps its checkpoint, so that the same command finds it again."""
    settings = config.model_dump(mode="json", include={"teacher", "training"}, exclude={"training": set(FREE_SETTINGS)})
    identity = {"prepared": prepared.key, "held_out": prepared.held_out, **settings}
    return folder_of(work_folder / "distillation", identity)


def distill(
    config: DistillationConfig,
    prepared: PreparedDataset,
    folder: Path,
    *,
    logger: Logger | None = None,
    facts: dict[str, Any] | None = None,
) -> DistillationResult:
    """Train a student as `config` says, continuing from the checkpoint in `folder` if there is one.

    Args:
        config: Everything that decides the outcome.
        prepared: The pictures; those held out measure the student.
        folder: Gets `last.ckpt`, the encoder in half precision with unit mean taps, its card, and `agreement.csv`.
        logger: Where curves go; a CSV file in `folder` when none is given.
        facts: Facts to keep with the encoder, such as the data version.

    Raises:
        DataError: Too few pictures for a batch, or a damaged one.
        WeightsError: The teacher's weights, or the checkpoint, are missing or unusable.
        ConfigError: The checkpoint in `folder` is of a different or longer distillation.
        TrainingError: A loss was not finite; the last good checkpoint is kept. Or another process is at work in `folder`.
        InterruptedTrainingError: SIGTERM or Ctrl-C; a checkpoint was saved.
        DiskFullError: The disk filled up; the previous checkpoint is intact.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout:
        raise TrainingError(f"another process is at work in {folder}; wait for it or stop it") from None
    with held:
        return _distill(config, prepared, folder, logger, facts or {})


def _distill(
    config: DistillationConfig, prepared: PreparedDataset, folder: Path, logger: Logger | None, facts: dict[str, Any]
) -> DistillationResult:
    started = time.perf_counter()
    training = config.training
    keep_freed_memory()
    L.seed_everything(training.seed, verbose=False)
    facts = facts | provenance(config, prepared)  # now: the code may have changed by the time training ends
    teacher = build_teacher(config.teacher)
    facts["teacher"] = teacher.encoder.digest()
    precision = chosen_precision(training.precision, training.accelerator)
    teacher.normalize_taps(_calibration_pictures(config, prepared))
    module = DistillationModule(config, teacher)
    if training.channels_last:
        module.to(memory_format=torch.channels_last)
    checkpoint = folder / CHECKPOINT
    resume = checkpoint if checkpoint.exists() else None
    if resume:
        resumed = check_resumable(checkpoint, config, training.iterations, ("teacher", "training"), FREE_SETTINGS)
        module.finished, module.schedules = resumed.finished, resumed.schedules
    if module.finished >= training.iterations:
        module.load_state_dict(AtomicCheckpointIO().load_checkpoint(checkpoint)["state_dict"])
    else:
        callbacks = [Checkpoints(checkpoint, training.checkpoint_every), Progress(training.iterations), OrderlyStop()]
        curves = logger or CSVLogger(folder, name="curves", flush_logs_every_n_steps=1)
        hardware = {"accelerator": training.accelerator, "devices": 1, "precision": precision}
        trainer = make_trainer(folder, callbacks, curves, **hardware)
        run_to_end(trainer, module, training.iterations, lambda: _loader(config, prepared, module), resume)
    encoder, agreement = _finish(module.cpu(), prepared)
    _write(encoder, agreement, folder, facts | module.length() | {"precision": precision})
    return DistillationResult(
        encoder=str(folder / ENCODER),
        card=str(folder / CARD),
        agreement=agreement.set_index("tap").to_dict("index"),
        iterations=module.finished,
        seconds=time.perf_counter() - started,
    )


def _loader(config: DistillationConfig, prepared: PreparedDataset, module: DistillationModule) -> Any:
    training = config.training
    batches = PairBatches(
        prepared.training_paths("content"),
        prepared.training_paths("style"),
        distinct=training.batch_size // 2,
        crop=training.crop,
        seed=training.seed,
        zoom=training.zoom,
        cache_gb=training.cache_gb,
    )
    on_gpu = module.device.type == "cuda"
    return iteration_loader(batches, module.finished, training.iterations, workers=training.loader_workers, pin_memory=on_gpu)


def _finish(module: DistillationModule, prepared: PreparedDataset) -> tuple[Encoder, pd.DataFrame]:
    """The student in the form it is used in, and how close that comes to its teacher."""
    encoder = module.student.fold()
    module.lifts.absorb(encoder.normalize_taps(_calibration_pictures(module.config, prepared)))
    encoder.half().float()
    return encoder, encoder_agreement(encoder, module.lifts, module.teacher, _held_out(prepared))


def _calibration_pictures(config: DistillationConfig, prepared: PreparedDataset) -> Iterator[Tensor]:
    return calibration_pictures(prepared.training_paths("content"), config.training.crop)


def _held_out(prepared: PreparedDataset) -> Iterator[Tensor]:
    for side in ("content", "style"):
        for path in prepared.scoring_paths(side):
            yield to_tensor(read_image(path))


def _write(encoder: Encoder, agreement: pd.DataFrame, folder: Path, facts: dict[str, Any]) -> None:
    with atomic_write(folder / ENCODER) as temporary:
        temporary.write_bytes(save({name: value.half().contiguous() for name, value in encoder.state_dict().items()}))
    with atomic_write(folder / AGREEMENT) as temporary:
        agreement.to_csv(temporary, index=False)
    card = EncoderFacts(digest=encoder.digest(), agreement=agreement.set_index("tap").to_dict("index"), provenance=facts)
    with atomic_write(folder / CARD) as temporary:
        temporary.write_text(card.model_dump_json(indent=2) + "\n")


class EncoderFacts(BaseModel):
    """What the JSON beside a distilled encoder says of it."""

    model_config = ConfigDict(frozen=True)

    digest: str
    agreement: dict[str, dict[str, float]]
    provenance: dict[str, Any]
