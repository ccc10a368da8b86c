"""Training batches addressed by iteration: batch i is the same however often training was interrupted before it."""

import math
import os
import signal
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ieast.errors import DataError, ImageError
from ieast.io.images import read_image

CONTENT, STYLE = 0, 1


class PairBatches(Dataset[dict[str, Tensor]]):
    """Item i is the batch of iteration i: `distinct` contents and as many styles, cropped at random.

    Each side is shuffled anew every epoch and dealt out without repetition; an epoch's incomplete last batch is dropped, so a
    batch never holds a picture twice. Everything random about item i follows from (seed, rank, i) alone.
    """

    def __init__(
        self,
        contents: Sequence[Path],
        styles: Sequence[Path],
        *,
        distinct: int,
        crop: int,
        seed: int,
        zoom: float = 1.0,
        cache_gb: float = 0.0,
        rank: int = 0,
        world_size: int = 1,
    ):
        """Set up the sides; `zoom` and `cache_gb` are as in `TrainingConfig`.

        Raises:
            DataError: A side has fewer pictures than a batch over all ranks needs.
        """
        self.sides = (list(contents), list(styles))
        self.distinct, self.crop, self.zoom, self.seed = distinct, crop, zoom, seed
        self.cache = PictureCache(int(cache_gb * 1e9))
        self.rank, self.world_size = rank, world_size
        for name, paths in zip(("content", "style"), self.sides, strict=True):
            if len(paths) < distinct * world_size:
                raise DataError(
                    f"{len(paths)} usable {name} pictures, but an iteration draws {distinct * world_size} different ones "
                    f"(batch_size / 2, times the devices): add pictures or lower training.batch_size"
                )

    def __getitem__(self, iteration: int) -> dict[str, Tensor]:
        """Content and style crops (distinct, 3, crop, crop) as uint8, and which of the styles these are (distinct,)."""
        return {
            "content": self._draw(CONTENT, iteration),
            "style": self._draw(STYLE, iteration),
            "style_index": torch.from_numpy(self._dealt(STYLE, iteration)),
        }

    def _draw(self, side: int, iteration: int) -> Tensor:
        random = np.random.default_rng((self.seed, side, self.rank, iteration))
        return torch.stack([read_crop(p, self.crop, random, self.zoom, self.cache) for p in self.paths_of(side, iteration)])

    def paths_of(self, side: int, iteration: int) -> list[Path]:
        """The pictures that `iteration` shows on `side` (0 content, 1 style)."""
        return [self.sides[side][k] for k in self._dealt(side, iteration)]

    def _dealt(self, side: int, iteration: int) -> np.ndarray:
        count = len(self.sides[side])
        per_iteration = self.distinct * self.world_size
        epoch, position = divmod(iteration, count // per_iteration)
        start = position * per_iteration + self.rank * self.distinct
        return _permutation(count, self.seed, side, epoch)[start : start + self.distinct]


@lru_cache(maxsize=4)
def _permutation(length: int, seed: int, side: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, side, epoch)).permutation(length)


class PictureCache:
    """Reads prepared pictures and keeps them decoded in memory, the first ones until `budget` bytes are spent."""

    def __init__(self, budget: int):
        self.left = budget
        self._kept: dict[Path, Image.Image] = {}

    def read(self, path: Path) -> Image.Image:
        """The picture at `path`.

        Raises:
            DataError: The prepared file is damaged.
        """
        if path in self._kept:
            return self._kept[path]
        try:
            image = read_image(path)
        except ImageError as error:
            raise DataError(f"prepared picture {path} cannot be read ({error}); delete its folder to prepare again") from error
        size = image.width * image.height * 3
        if size <= self.left:
            self.left -= size
            self._kept[path] = image
        return image


def read_crop(
    path: Path, crop: int, random: np.random.Generator, zoom: float = 1.0, cache: PictureCache | None = None
) -> Tensor:
    """A random square crop (3, crop, crop), uint8, of a prepared picture.

    With `zoom` above 1 it is cut between 1 and `zoom` times as large, as far as the picture allows, and scaled down.

    Raises:
        DataError: The prepared file is damaged or smaller than the crop.
    """
    image = (cache or PictureCache(0)).read(path)
    if min(image.size) < crop:
        raise DataError(
            f"prepared picture {path} is {image.width}x{image.height}, smaller than training.crop {crop}; raise prepare.size"
        )
    side = crop
    if zoom > 1:  # evenly in the logarithm: halving the scale is as likely at any scale
        side = min(int(crop * math.exp(random.uniform(0, math.log(zoom)))), *image.size)
    top, left = (int(random.integers(0, extent - side + 1)) for extent in (image.height, image.width))
    box = (left, top, left + side, top + side)
    cut = image.crop(box) if side == crop else image.resize((crop, crop), Image.Resampling.BICUBIC, box)
    return torch.from_numpy(np.array(cut)).permute(2, 0, 1).contiguous()


class IterationSampler(Sampler[int]):
    """The iterations from `start` up to, not including, `stop`."""

    def __init__(self, start: int, stop: int):
        self.range = range(start, stop)

    def __iter__(self) -> Iterator[int]:
        return iter(self.range)

    def __len__(self) -> int:
        return len(self.range)


def iteration_loader(
    batches: PairBatches, start: int, stop: int, *, workers: int, pin_memory: bool
) -> DataLoader[dict[str, Tensor]]:
    """A loader that yields the batches of iterations `start` to `stop`, read ahead by `workers` processes."""
    return DataLoader(
        batches,
        batch_size=None,  # an item is a whole batch
        sampler=IterationSampler(start, stop),
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_outlive_signals,
    )


def _outlive_signals(_worker: int) -> None:
    """In a loader's worker: go on for a while after a signal to the whole process group.

    It is the main process that stops in good order, and for that it still needs the batch it waits for. A worker that died of
    the signal would end training without a checkpoint.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(30))
