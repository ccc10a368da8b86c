"""The data loader's rate, and what loading costs a training step: `python -m benchmarks.loading`.

A GPU that trains 30 iterations/s of batch 16 needs 480 pictures a second: 8 contents and 8 styles an iteration. The loader
gives crops of 256 pixels of prepared pictures with 512 at the smallest side, drawn here. Its rate with workers is one of many
batches on end, after the workers have started and filled their caches.

Training goes through Lightning as `ieast train` does it. In one training, without workers, batches that are tensors already,
from a filled cache and from files take turns, so that a busy moment strikes all and nothing is loaded in another's time.
"""

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from benchmarks.rows import Row
from benchmarks.subjects import draw_pictures, draw_stylizer
from ieast.data.batches import PairBatches, iteration_loader
from ieast.experiment import ExperimentConfig
from ieast.io.cores import usable_cores
from ieast.io.images import to_image, write_image
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

WARM_UP, STEPS = 1, 12
"""Iterations of each kind that are not timed, and that are."""


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
    cores = usable_cores()
    each = ", ".join(
        f"{workers} workers {'with' if cache else 'without'} a cache {rate:.0f}" for (workers, cache), rate in rates.items()
    )
    note = f"images/s: {each}; without workers that is a core's rate. {cores} cores here"
    return Row("loader, 16 crops of 256 an iteration", rates[best], "images/s", NEEDED, note=note)


class TakingTurns:
    """One batch of each source after the other, `rounds` times: what a training is given that compares them."""

    def __init__(self, sources: Sequence[Iterable[dict[str, Tensor]]], rounds: int):
        self.sources, self.rounds = sources, rounds

    def __len__(self) -> int:
        return self.rounds * len(self.sources)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        running = [iter(source) for source in self.sources]
        for _ in range(self.rounds):
            for source in running:
                yield next(source)


class _Clock(Callback):
    """When each iteration ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the time; on a CPU nothing is under way any more."""
        self.ends.append(time.perf_counter())


def step_seconds(config: ExperimentConfig, sources: Sequence[Iterable[dict[str, Tensor]]], folder: Path) -> list[float]:
    """Median seconds of an iteration from each of `sources`, in one training on the CPU."""
    clock, kinds = _Clock(), len(sources)
    L.seed_everything(0, verbose=False)
    module = StyleTransferModule(draw_stylizer(config.encoder.name, config), config)
    trainer = make_trainer(folder, [clock], CSVLogger(folder), accelerator="cpu", devices=1)
    batches = TakingTurns(sources, WARM_UP + STEPS)
    run_to_end(trainer, module, len(batches), lambda: batches, None)
    # Lightning fetches a batch when it is its turn, so loading lies between the end before and its own.
    taken = [end - start for start, end in itertools.pairwise(clock.ends[kinds * WARM_UP - 1 :])]
    return [statistics.median(taken[kind::kinds]) for kind in range(kinds)]


def step_row(contents: Sequence[Path], styles: Sequence[Path]) -> Row:
    """By how many percent loading in the training process with a cache, as the quickstart does, slows a step."""
    training = {"batch_size": 8, "crop": 128, "accelerator": "cpu", "log_every": 1000}
    # The quickstart's discriminator: the shorter a step is, the more loading counts.
    model = {"discriminator_width": 16, "discriminator_scales": 2}
    encoder = {"name": "vgg19-compact", "weights": "untrained"}
    config = ExperimentConfig.parse({"encoder": encoder, "model": model, "training": training})

    def loader(cache_gb: float) -> Any:
        batches = PairBatches(contents, styles, distinct=4, crop=128, seed=0, cache_gb=cache_gb)
        for number in range(len(contents) // 4 if cache_gb else 0):
            batches[number]  # fills the cache
        return iteration_loader(batches, 0, WARM_UP + STEPS, workers=0, pin_memory=False)

    tensors = itertools.cycle(list(itertools.islice(loader(0), 4)))
    with tempfile.TemporaryDirectory() as folder:
        alone, with_cache, without = step_seconds(config, [tensors, loader(1.0), loader(0.0)], Path(folder))
    note = (
        f"{1000 * alone:.0f} ms a step with tensors, {1000 * with_cache:.0f} ms from the cache, {1000 * without:.0f} ms "
        "decoding in the training process, which workers would do beside it; compact encoder, batch 8, crop 128, CPU"
    )
    what = "step with real loading against cached tensors"
    return Row(what, 100 * (with_cache / alone - 1), "% slower", 5, lower_is_better=True, note=note)


def rows() -> list[Row]:
    """The loader's rate, and what it costs a step."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = draw_prepared(Path(folder), PICTURES, *SIDE)
        return [rate_row(*prepared), step_row(*prepared)]


def main() -> None:
    """Print the lines."""
    for row in rows():
        sys.stdout.write(f"{row.what}: {row.measured:.1f} {row.unit} ({row.verdict}); {row.note}\n")


if __name__ == "__main__":
    main()
