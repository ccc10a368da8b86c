"""A short training, watched; and pictures of noise."""

import csv
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from helpers.configurations import SMALL, merge
from lightning.pytorch.callbacks import Callback
from torch import Tensor

import ieast.training.fit
from ieast.checkpoint import load_model
from ieast.data.prepare import PreparedDataset
from ieast.experiment import ExperimentConfig
from ieast.stylizer.base import Stylizer
from ieast.training.callbacks import AtomicCheckpointIO
from ieast.training.fit import CHECKPOINT
from ieast.training.module import StyleTransferModule


def small_config(method: str, **sections: Any) -> ExperimentConfig:
    """`method` by its own recipe, on pictures and networks small enough for a test; keywords are sections that go over it."""
    small = {"method": method, "encoder": {"name": "vgg19-compact"}, "model": {"attention_start": "random"}}
    small = merge(merge(SMALL, small), {"training": {"batch_size": 6, "loader_workers": 0}})
    return ExperimentConfig.parse(merge(small, sections))


class Watch(Callback):
    """Keeps the model's weights after every iteration, and the model."""

    def __init__(self):
        self.weights: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, _trainer: L.Trainer, module: StyleTransferModule, *_) -> None:
        self.weights.append({name: value.clone() for name, value in module.stylizer.state_dict().items()})
        self.module = module


class Training:
    """What a training of `config` did.

    Attributes:
        result: What `fit` returned.
        weights: The model's after every iteration.
        module: As it was at the end.
        model: What `load_model` gives of it.
        terms: Names of the loss terms by iteration.
    """

    def __init__(self, config: ExperimentConfig, prepared: PreparedDataset, folder: Path):
        watch, ours = Watch(), ieast.training.fit._callbacks
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ieast.training.fit, "_callbacks", lambda *args: [watch, *ours(*args)])
            self.result = ieast.training.fit.fit(config, prepared, folder)
        self.weights, self.module = watch.weights, watch.module
        self.model: Stylizer = load_model(self.result.model_folder)[0]
        self.terms: dict[int, set[str]] = {}
        for path in folder.glob("curves/*/metrics.csv"):
            with path.open() as file:
                for row in csv.DictReader(file):
                    actual = {name.removeprefix("train/") for name, value in row.items() if name.startswith("train/") and value}
                    self.terms.setdefault(int(row["step"]), set()).update(actual - {"images_per_second"})

    def changed(self, before: int, after: int) -> set[str]:
        """The model's parts in which anything differs between the ends of two iterations, counted from 1."""
        old, new = self.weights[before - 1], self.weights[after - 1]
        return {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])}


def curves(folder: Path) -> dict[tuple[str, int], float]:
    """Every logged value but the speed, as it stands in the files, by name and iteration; later files win."""
    actual = {}
    for path in sorted(folder.glob("curves/*/metrics.csv"), key=lambda path: int(path.parent.name.removeprefix("version_"))):
        header, *rows = (line.split(",") for line in path.read_text().splitlines())
        for row in rows:
            values = dict(zip(header, row, strict=True))
            step = int(values.pop("step"))
            actual |= {(name, step): value for name, value in values.items() if value and "images_per_second" not in name}
    return actual


def checkpoint(folder: Path) -> dict[str, Any]:
    return AtomicCheckpointIO().load_checkpoint(folder / CHECKPOINT)


def draw(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Noise (B, 3, H, W) in [0, 1]."""
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))
