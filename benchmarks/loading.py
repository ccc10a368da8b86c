"""The data loader's rate, and what loading costs a training step: `python -m benchmarks.loading`.

A GPU that trains 30 iterations/s of batch 16 needs 480 pictures a second: 8 contents and 8 styles an iteration. The loader
gives crops of 256 pixels of prepared pictures with 512 at the smallest side, drawn here. Its rate with workers is one of many
batches on end, after the workers have started and filled their caches.

Training goes through Lightning as `ieast train` does it, from the prepared pictures and from
batches that are tensors already; the trainings take turns.
"""

import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from benchmarks.rows import Row
from benchmarks.subjects import draw_pictures, draw_stylizer
from ieast.config import ExperimentConfig
from ieast.data.batches import PairBatches, iteration_loader
from ieast.images import to_image, write_image
from ieast.training.loop import make_trainer, run_to_end
from ieast.training.module import StyleTransferModule

NEEDED = 480.0
"""Pictures a second, contents and styles: 30 iterations of batch 16."""

DISTINCT, CROP, SIDE = 8, 256, (512, 683)
PICTURES = 24
"""On each side."""

BATCHES = 12
SETTINGS = tuple(itertools.product((0, 2), (0.0, 1.0)))
"""Workers and gigabytes of cache."""

WARM_UP, STEPS, TURNS = 6, 8, 2
"""Iterations of a training that are not timed, in which a cache sees every picture; those that are; and its turns."""

TENSORS = "tensors"


def draw_prepared(folder: Path, count: int, height: int, width: int) -> tuple[list[Path], list[Path]]:
    """`count` contents and styles as `prepare_dataset` writes them: JPEGs of quality 95, smooth under a fine grain."""
    sides = []
    for seed, side in enumerate(("content", "style")):
        smooth = draw_pictures(count, height, width, seed).float()
        random = torch.Generator().manual_seed(seed)
        grain = 20 * torch.rand(count, 1, height, width, generator=random) - 10
        paths = [folder / side / f"{number}.jpg" for number in range(count)]
        for picture, path in zip((smooth + grain).clamp(0, 255) / 255, paths, strict=True):
            write_image(to_image(picture), path)
        sides.append(paths)
    return sides[0], sides[1]


def loader_rate(contents: Sequence[Path], styles: Sequence[Path], workers: int, cache_gb: float) -> float:
    """Pictures a second that the loader yields, contents and styles together, once it runs."""
    batches = PairBatches(contents, styles, distinct=DISTINCT, crop=CROP, seed=0, cache_gb=cache_gb)
    epoch = min(len(contents), len(styles)) // DISTINCT
    # Each worker fills a cache of its own, and until it has been dealt every picture it still reads some.
    warm_up = epoch * 2 * max(workers, 1) if cache_gb else 2 * max(workers, 1)
    loaded = iter(iteration_loader(batches, 0, warm_up + BATCHES, workers=workers, pin_memory=False))
    for _ in range(warm_up):
        next(loaded)
    start = time.perf_counter()
    yielded = sum(len(batch["content"]) + len(batch["style"]) for batch in loaded)
    return yielded / (time.perf_counter() - start)


def rate_row(contents: Sequence[Path], styles: Sequence[Path]) -> Row:
    """The best rate, and those of all settings in the note."""
    rates = {setting: loader_rate(contents, styles, *setting) for setting in SETTINGS}
    best = max(rates, key=lambda setting: rates[setting])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    each = ", ".join(
        f"{workers} workers {'with' if cache else 'without'} a cache {rate:.0f}" for (workers, cache), rate in rates.items()
    )
    note = f"images/s: {each}; without workers that is a core's rate. {cores} cores here"
    return Row("loader, 16 crops of 256 an iteration", rates[best], "images/s", NEEDED, note=note)


class TensorBatches:
    """Batches that were loaded before, over and over: what the loader yields, at no cost."""

    def __init__(self, batches: Sequence[dict[str, Tensor]], count: int):
        self.batches, self.count = batches, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return itertools.islice(itertools.cycle(self.batches), self.count)


class _Clock(Callback):
    """When each iteration ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the time; on a CPU nothing is under way any more."""
        self.ends.append(time.perf_counter())


def step_seconds(config: ExperimentConfig, make_loader: Callable[[], Any], folder: Path) -> list[float]:
    """Seconds of each iteration of one training on the CPU, after those that warm it and the loader up."""
    clock = _Clock()
    L.seed_everything(0, verbose=False)
    module = StyleTransferModule(draw_stylizer(config.encoder.name, config), config)
    trainer = make_trainer(folder, [clock], CSVLogger(folder), accelerator="cpu", devices=1)
    run_to_end(trainer, module, WARM_UP + STEPS, make_loader, None)
    return [end - start for start, end in itertools.pairwise(clock.ends[WARM_UP - 1 :])]


def step_row(contents: Sequence[Path], styles: Sequence[Path]) -> Row:
    """By how many percent real loading slows a step, as it does least: by workers, or in the process with a cache."""
    training = {"batch_size": 8, "crop": 128, "accelerator": "cpu", "log_every": 1000}
    # The quickstart's discriminator: the shorter a step is, the more loading counts.
    model = {"discriminator_width": 16, "discriminator_scales": 2}
    encoder = {"name": "vgg19-compact", "weights": "untrained"}
    config = ExperimentConfig.parse({"encoder": encoder, "model": model, "training": training})

    def loader(workers: int, cache_gb: float) -> Any:
        batches = PairBatches(contents, styles, distinct=4, crop=128, seed=0, cache_gb=cache_gb)
        return iteration_loader(batches, 0, WARM_UP + STEPS, workers=workers, pin_memory=False)

    tensors = list(itertools.islice(loader(0, 0), 4))
    loaders = {
        TENSORS: lambda: TensorBatches(tensors, WARM_UP + STEPS),
        "in the process with a cache": lambda: loader(0, 1.0),
        "by 2 workers without one": lambda: loader(2, 0.0),
    }
    times: dict[str, list[float]] = {name: [] for name in loaders}
    for _ in range(TURNS):
        for name, make_loader in loaders.items():
            with tempfile.TemporaryDirectory() as folder:
                times[name] += step_seconds(config, make_loader, Path(folder))
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    slower = {name: 100 * (seconds / medians[TENSORS] - 1) for name, seconds in medians.items() if name != TENSORS}
    best = min(slower, key=lambda name: slower[name])
    note = f"loading {best}; ms a step: " + ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in medians.items())
    what = "step with real loading against cached tensors"
    return Row(what, slower[best], "% slower", 5, lower_is_better=True, note=f"{note}; compact encoder, batch 8, crop 128, CPU")


def rows() -> list[Row]:
    """The loader's rate, and what it costs a step."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = draw_prepared(Path(folder), PICTURES, *SIDE)
        return [rate_row(*prepared), step_row(*prepared)]


def main() -> None:
    """Print the lines."""
    for row in rows():
        sys.stdout.write(f"{row.what}: {row.found:.1f} {row.unit} ({row.verdict}); {row.note}\n")


if __name__ == "__main__":
    main()
