"""`fit`: from prepared pictures and a configuration to a trained, exported model."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger, Logger
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ieast.checkpoint import ModelCard, load_model, save_model
from ieast.config import FREE_SETTINGS, EncoderConfig
from ieast.data.batches import PairBatches, iteration_loader, read_crop
from ieast.data.prepare import PreparedDataset
from ieast.errors import ConfigError
from ieast.experiment import ExperimentConfig
from ieast.io.files import evenly
from ieast.io.images import read_image, resize_smallest_side, to_tensor
from ieast.methods import find, new_model, split_name
from ieast.models.encoder import Encoder
from ieast.models.encoder_weights import build_encoder
from ieast.models.references import released_or_folder
from ieast.stylization.novelty import measure_styles
from ieast.stylizer.allocator import keep_freed_memory
from ieast.stylizer.base import Stylizer
from ieast.stylizer.novelty import StyleRange
from ieast.training.callbacks import (
    AtomicCheckpointIO,
    Checkpoints,
    ModelsOnTheWay,
    OrderlyStop,
    Progress,
    StylesMeasured,
    StylizationGrids,
)
from ieast.training.folders import CHECKPOINT, DECISIVE, PICTURES
from ieast.training.loop import check_resumable, chosen_precision, make_trainer, run_to_end
from ieast.training.module import StyleTransferModule
from ieast.training.provenance import learnt_from
from ieast.training.provenance import provenance as make_provenance

log = logging.getLogger(__name__)

CALIBRATION_PICTURES = 64
SHOWN = 4
"""Contents, and styles, that pictures of a training show."""
MEASURED_STYLES = 512
"""Training styles, evenly spread, of which the model notes where they lie."""


class TrainingResult(BaseModel):
    """What a finished training left behind."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model_folder: str
    checkpoint: str | None
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
    callbacks: Sequence[L.Callback] = (),
) -> TrainingResult:
    """Train as `config` says on `prepared` pictures, continuing from the checkpoint in `folder` if there is one.

    Args:
        config: Everything that decides the outcome.
        prepared: The pictures.
        folder: Gets `last.ckpt`, `pictures/`, the exported `model/`, and with `training.model_every` `models/` of the way.
        logger: Where curves go; a CSV file in `folder` when none is given.
        provenance: Facts to keep with the exported model, such as the data version.
        callbacks: What else happens around iterations, before what is usual.

    Raises:
        DataError: Too few pictures for a batch, or a damaged one.
        WeightsError: The encoder's weights are missing or unusable.
        ConfigError: The checkpoint in `folder` is of a different or longer training, or the model to start from has another
            encoder.
        TrainingError: A loss was not finite; the last good checkpoint is kept.
        InterruptedTrainingError: SIGTERM or Ctrl-C; a checkpoint was saved.
        DiskFullError: The disk filled up; the previous checkpoint is intact.
    """
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    training = config.training
    keep_freed_memory()
    L.seed_everything(training.seed, verbose=False)
    facts = (provenance or {}) | make_provenance(config, prepared)  # now: the code may have changed by the time training ends
    stylizer, encoder_source, start = _stylizer(config, prepared)
    if start is not None:
        facts["started_from"] = learnt_from(start)
    if stylizer.learns == "nothing":
        return _export_untrained(stylizer, config, folder, encoder_source, facts, started)
    styles = _training_styles(stylizer, config, prepared)
    module = StyleTransferModule(stylizer, config, _loss_network(config, prepared))
    if training.channels_last:
        module.to(memory_format=torch.channels_last)
    checkpoint = folder / CHECKPOINT
    resume = checkpoint if checkpoint.exists() else None
    total, started_at = training.reconstruction_iterations + training.iterations, 0
    if resume:
        resumed = check_resumable(checkpoint, config, total, DECISIVE, FREE_SETTINGS)
        _check_same_networks(checkpoint, module)
        started_at, module.schedules = resumed.finished, resumed.schedules
    hardware = _hardware(config)

    @cache
    def style_range() -> StyleRange | None:
        if not stylizer.any_style:
            return None
        with torch.compiler.set_stance("force_eager"):  # else every size of picture is compiled for
            return measure_styles(stylizer.encoder, evenly(styles, MEASURED_STYLES))

    def export(target: Path) -> None:
        save_model(
            stylizer,
            target,
            method=config.method_name,
            encoder_source=encoder_source,
            provenance=facts | module.length() | {"precision": hardware["precision"]},
            styles=style_range(),
        )

    known = None if stylizer.any_style else styles
    trainer = make_trainer(
        folder,
        [*callbacks, *_callbacks(config, prepared, folder, total, export, style_range, known)],
        logger or CSVLogger(folder, name="curves", flush_logs_every_n_steps=1),
        **hardware,
    )
    module.compile_networks()
    if started_at >= total:  # finished earlier, but what came after it was not
        module.load_state_dict(AtomicCheckpointIO().load_checkpoint(checkpoint)["state_dict"])
        module.finished = started_at
    else:
        run_to_end(trainer, module, total, lambda: _loader(config, prepared, styles, module, total), resume)
    module.take_average()
    if trainer.is_global_zero:
        export(folder / "model")
    trainer.strategy.barrier()
    return TrainingResult(
        model_folder=str(folder / "model"),
        checkpoint=str(checkpoint),
        pictures=[str(path) for path in sorted((folder / PICTURES).glob("*.jpg"))],
        iterations=module.finished,
        started_at=started_at,
        seconds=time.perf_counter() - started,
    )


def _export_untrained(
    stylizer: Stylizer, config: ExperimentConfig, folder: Path, encoder_source: str, facts: dict[str, Any], started: float
) -> TrainingResult:
    """A method that learns nothing is a model as it is, and goes the same way from here on."""
    save_model(
        stylizer,
        folder / "model",
        method=config.method_name,
        encoder_source=encoder_source,
        provenance=facts | {"iterations": 0},
    )
    return TrainingResult(
        model_folder=str(folder / "model"),
        checkpoint=None,
        pictures=[],
        iterations=0,
        started_at=0,
        seconds=time.perf_counter() - started,
    )


def _training_styles(stylizer: Stylizer, config: ExperimentConfig, prepared: PreparedDataset) -> Sequence[Path]:
    """The styles that batches are dealt from. Few are repeated until they fill one, which CL cannot make pairs of."""
    training = config.training
    styles = stylizer.choose_styles(prepared.training_paths("style"), prepared.scoring_paths("style"))
    needed = training.batch_size // 2 * training.devices * training.nodes
    if stylizer.any_style or len(styles) >= needed:
        return styles
    if config.objective.contrastive_learning:
        raise ConfigError(
            f"method {config.method} learns {len(styles)} styles, but an iteration with contrastive learning pairs {needed} "
            f"different ones (batch_size / 2, times the devices): set model.options.styles to {needed} or more, or lower "
            "training.batch_size"
        )
    return [*styles] * math.ceil(needed / len(styles))


def _loader(
    config: ExperimentConfig, prepared: PreparedDataset, styles: Sequence[Path], module: StyleTransferModule, total: int
) -> Any:
    training, trainer = config.training, module.trainer
    batches = PairBatches(
        prepared.training_paths("content"),
        styles,
        distinct=training.batch_size // 2,
        crop=training.crop,
        seed=training.seed,
        zoom=training.zoom,
        cache_gb=training.cache_gb,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )
    on_gpu = trainer.strategy.root_device.type == "cuda"
    return iteration_loader(batches, module.finished, total, workers=training.loader_workers, pin_memory=on_gpu)


def check_start(config: ExperimentConfig, card: ModelCard) -> None:
    """Raise unless a training by `config` can start from the model of `card`.

    Raises:
        ConfigError: It is of another network, or on another encoder.
    """
    method, its = find(split_name(config.method)[0]), find(card.network)
    if not (issubclass(its, method) or issubclass(method, its)):
        raise ConfigError(
            f"model.start is {config.model.start}, a model of {card.network}, but method is {config.method}: another network"
        )
    if card.encoder.name != config.encoder.name:
        raise ConfigError(
            f"model.start is {config.model.start}, a model on the encoder {card.encoder.name}, but encoder.name is "
            f"{config.encoder.name}; set it to {card.encoder.name}"
        )


def _stylizer(config: ExperimentConfig, prepared: PreparedDataset) -> tuple[Stylizer, str, ModelCard | None]:
    """The model to train, where its encoder came from, and the card of the model that it starts from, if it does."""
    method = find(split_name(config.method)[0])
    if config.model.start is None:
        stylizer = new_model(method.name, _encoder(config, prepared), config.model, lambda: _pairs(config, prepared))
        return stylizer, config.encoder.source, None
    # With the encoder it was trained on as it is: scaled to other pictures, it would be another.
    stylizer, card = load_model(released_or_folder(config.model.start), options=config.model.options)
    check_start(config, card)
    return stylizer.train(), card.encoder.source, card  # in training mode, as a new one would be


def _encoder(config: ExperimentConfig, prepared: PreparedDataset) -> Encoder:
    return _scaled_encoder(config.encoder, config, prepared)


def _loss_network(config: ExperimentConfig, prepared: PreparedDataset) -> Encoder | None:
    chosen = config.objective.loss_network
    return None if chosen is None else _scaled_encoder(chosen, config, prepared)


def _check_same_networks(checkpoint: Path, module: StyleTransferModule) -> None:
    """Raise unless the frozen networks that were read for `module` are those in `checkpoint`, whose settings only name files.

    Networks that are scaled to the training pictures differ by rounding from one number of threads to another.

    Raises:
        ConfigError: A file of weights has been replaced since.
    """
    saved = AtomicCheckpointIO().load_checkpoint(checkpoint)["state_dict"]
    for setting, network in (("encoder", module.stylizer.encoder), ("objective.loss_network", module.loss_network)):
        if network is None:
            continue
        prefix = "stylizer.encoder." if setting == "encoder" else "loss_network."
        for name, now in network.state_dict().items():
            before = saved.get(prefix + name)
            if before is not None and not torch.allclose(before.to(now), now, rtol=1e-2, atol=1e-3 * float(now.abs().max())):
                raise ConfigError(
                    f"{checkpoint} was made with other weights of {setting} than are read now ({name} differs): the file has "
                    "been replaced, and that would be another training. Put back the file that it was, or move "
                    f"{checkpoint.parent} away to train anew"
                )


def _scaled_encoder(chosen: EncoderConfig, config: ExperimentConfig, prepared: PreparedDataset) -> Encoder:
    encoder = build_encoder(chosen, config.training.seed)
    if chosen.unit_mean_taps and not chosen.has_unit_mean_taps:
        means = encoder.normalize_taps(calibration_pictures(prepared.training_paths("content"), config.training.crop))
        log.info(
            "encoder %s: mean activations were %.2g to %.2g, now 1", encoder.name, min(means.values()), max(means.values())
        )
    return encoder


def _pairs(config: ExperimentConfig, prepared: PreparedDataset) -> Iterator[tuple[Tensor, Tensor]]:
    training = config.training
    sides = (prepared.training_paths("content"), prepared.training_paths("style"))
    return zip(*(calibration_pictures(paths, training.crop, training.zoom) for paths in sides), strict=False)


def calibration_pictures(paths: Sequence[Path], crop: int, zoom: float = 1.0) -> Iterator[Tensor]:
    """Crops (1, 3, crop, crop) in [0, 1] of the same evenly spaced pictures every time."""
    random = np.random.default_rng(0)
    for path in evenly(paths, CALIBRATION_PICTURES):
        yield read_crop(path, crop, random, zoom)[None].float() / 255


def _callbacks(
    config: ExperimentConfig,
    prepared: PreparedDataset,
    folder: Path,
    total: int,
    export: Callable[[Path], None],
    measure: Callable[[], object],
    known: Sequence[Path] | None,
) -> list[L.Callback]:
    """What a training does besides to learn.

    Args:
        config: Of the training.
        prepared: The pictures.
        folder: Of the training.
        total: Iterations of both stages.
        export: Writes the model as it is to a folder.
        measure: Notes where the training styles lie.
        known: The styles that pictures can be shown in, if not in all.
    """
    training = config.training
    cell = min(256, training.crop * 2)
    shown = (prepared.scoring_paths("content"), sorted({*known}) if known else prepared.scoring_paths("style"))
    contents, styles = (_show(paths, cell) for paths in shown)
    every = training.model_every
    return [
        StylizationGrids(folder / PICTURES, contents, styles, training.picture_every, total, cell),
        *([] if every is None else [ModelsOnTheWay(export, folder, every, total)]),
        Checkpoints(folder / CHECKPOINT, training.checkpoint_every),
        Progress(total),
        StylesMeasured(measure),
        OrderlyStop(),  # last, so that what others do after an iteration is done
    ]


def _show(paths: Sequence[Path], size: int) -> list[Tensor]:
    return [to_tensor(resize_smallest_side(read_image(path, smallest_side=size), size))[0] for path in evenly(paths, SHOWN)]


def _hardware(config: ExperimentConfig) -> dict[str, Any]:
    training = config.training
    strategy = training.strategy
    if strategy == "auto" and training.devices * training.nodes > 1:
        # The discriminator and the generator step in turn, so each backward pass leaves the other's parameters unused.
        strategy = "ddp_find_unused_parameters_true"
    return {
        "accelerator": training.accelerator,
        "devices": training.devices,
        "num_nodes": training.nodes,
        "strategy": strategy,
        "precision": chosen_precision(training.precision, training.accelerator),
    }
