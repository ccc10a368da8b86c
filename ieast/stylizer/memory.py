"""How much memory a stylization needs, how much there is, and a refusal before a machine runs out of it.

A process that asks for more than there is dies without a word, or takes the machine with it; and pictures come in any size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import psutil
import torch

from ieast.errors import MemoryLimitError
from ieast.layers.attention import BAND_TOKENS
from ieast.models.vgg19 import CONVOLUTIONS_BY_LEVEL
from ieast.stylizer.tiling import CELL, DECODER_HALO, ENCODER_HALO, Tile, largest_window

Size = tuple[int, int, int]
"""Pictures in a batch, height and width in pixels."""

_FLOAT = 4
# Full-resolution maps of the first level's width that exist at once where encoder and decoder are largest: a convolution's
# input, its padded copy, its output, and a map that a tap or ReLU keeps. Measured: up to 4.4.
_LIVE_MAPS = 4.5
# Maps of relu4_1's size beside the taps while keys and values of a style are made: normalized, convolved, as tokens.
_KEY_MAPS = 6
_BAND_MAPS = 6
# What allocators waste: blocks freed but not given back, measured up to a half, and libraries' own, about 60 MB.
_WASTE = 1.5
# Tiles leave more behind: their blocks come and go, and are too small for the allocator to map and unmap each by itself.
_WASTE_OF_TILES = 4 / 3
_OVERHEAD = 96 << 20
# Maps of the first level's width that exist at once on the way back.
_LIVE_GRADIENTS = 4
# What the first backward pass and the first optimizer of a process load and set up, measured.
_OVERHEAD_OF_GRADIENTS = 128 << 20

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def encoding_bytes(images: Size, widths: Sequence[int], tile: Tile = "auto") -> int:
    """An upper bound of what encoding `images` takes beside the pictures themselves, with the taps that remain.

    Args:
        images: The pictures' size.
        widths: Channels of the encoder's five levels.
        tile: As for `Stylizer.stylize`.
    """
    return _with_waste(_taps(images, widths) + _convolutions(images, widths, tile, ENCODER_HALO))


def stylization_bytes(
    content: Size,
    styles: Sequence[Size],
    widths: Sequence[int],
    *,
    tile: Tile = "auto",
    encoded: Sequence[Size] = (),
    reconstructs: bool = False,
    coral: bool = False,
) -> int:
    """An upper bound of what `Stylizer.stylize` takes at its peak, beside the pictures it is given, in fp32.

    Args:
        content: The contents' size.
        styles: Sizes of the styles that are given as pictures.
        widths: Channels of the encoder's five levels.
        tile: As for `Stylizer.stylize`.
        encoded: Sizes of the styles that are given as taps.
        reconstructs: Whether T(c, c) has a share: alpha is below 1, or masks leave something out.
        coral: Whether the styles' colours are changed first.
    """
    batch, height, width = content
    level = _FLOAT * widths[3] * batch * height * width / CELL**2  # relu4_1 of the contents
    before = _taps(content, widths)
    stages = [before + _convolutions(content, widths, tile, ENCODER_HALO)]
    if len(styles) + len(encoded) + reconstructs > 1:
        before += level  # the sum of the styles so far
    for size in styles:
        copies = 3 * _FLOAT * 3 * size[0] * size[1] * size[2] if coral else 0
        stages.append(before + copies + _taps(size, widths) + _convolutions(size, widths, tile, ENCODER_HALO))
    for size in [*styles, *encoded, *([content] if reconstructs else [])]:
        tokens = (1 + _KEY_MAPS) * _taps(size, widths)
        band = _BAND_MAPS * _FLOAT * widths[3] * batch * min(BAND_TOKENS, height * width / CELL**2)
        stages.append(before + tokens + 1.5 * level + band)
    result = _FLOAT * 3 * batch * height * width
    stages.append(level + result + _convolutions(content, widths, tile, DECODER_HALO * CELL))
    return _with_waste(max(stages))


def gradient_bytes(images: Size, widths: Sequence[int], pictures: int) -> int:
    """An upper bound of what the encoder takes when the gradient of its five taps goes back to the pictures, in fp32.

    Args:
        images: The pictures' size.
        widths: Channels of the encoder's five levels.
        pictures: As many more of this size exist at the same time.
    """
    batch, height, width = images
    kept = 3.0 * pictures + 6.0  # maps of each level's size, in channels a pixel: conv0's result and its padded copy
    below = 3
    for level, (channels, convolutions) in enumerate(zip(widths, CONVOLUTIONS_BY_LEVEL, strict=True)):
        # Of every convolution the padded input and what ReLU leaves; of pooling the result and, twice as wide, where from.
        pooled = 3 * below if level else 0
        kept += (pooled + below + (2 * convolutions - 1) * channels) / 4**level
        below = channels
    needed = _FLOAT * batch * height * width * (kept + _LIVE_GRADIENTS * widths[0])
    return _with_waste(needed) + _OVERHEAD_OF_GRADIENTS


def map_bytes(images: Size, channels: float) -> int:
    """What maps of as many channels take in fp32, as large as `images`, with what is wasted around them."""
    batch, height, width = images
    return _with_waste(_FLOAT * channels * batch * height * width)


def available_bytes(device: torch.device | str = "cpu") -> int:
    """Memory that can still be taken on `device`.

    For a CUDA device what is free on it, counting what PyTorch holds but does not use; else what the system can give without
    swapping, or less where the process's control group (a container's limit) allows less.
    """
    device = torch.device(device)
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return min([psutil.virtual_memory().available, *_cgroup_rooms()])


def resident_bytes(field: Literal["VmHWM", "VmRSS"]) -> int:
    """`VmHWM`, this process's peak of resident memory so far, or `VmRSS`, what it has now; Linux only.

    `ru_maxrss` is the same number as VmHWM, but in a child it begins at what its parent held when it forked.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def check_memory(needed: int, device: torch.device | str, doing: str) -> None:
    """Raise unless `needed` bytes can be had on `device`.

    Args:
        needed: An upper bound.
        device: Where.
        doing: What needs them, as the beginning of a sentence.

    Raises:
        MemoryLimitError: There are fewer.
    """
    available = available_bytes(device)
    if needed > available:
        raise MemoryLimitError(
            f"{doing} needs up to {_gigabytes(needed)} of memory on {device}, and {_gigabytes(available)} are available. "
            "Make the picture smaller, look at the style smaller (--style-size), or close other programs"
        )


def _taps(images: Size, widths: Sequence[int]) -> float:
    batch, height, width = images
    return _FLOAT * batch * height * width * (widths[3] / CELL**2 + widths[4] / (2 * CELL) ** 2)


def _convolutions(images: Size, widths: Sequence[int], tile: Tile, halo: int) -> float:
    batch, height, width = images
    rows, columns = largest_window(height, width, tile, halo)
    waste = 1 if (rows, columns) == (height, width) else _WASTE_OF_TILES
    return waste * _FLOAT * _LIVE_MAPS * widths[0] * batch * rows * columns


def _with_waste(count: float) -> int:
    return int(_WASTE * count) + _OVERHEAD


def _cgroup_rooms() -> list[int]:
    """What each limit of the control groups that hold this process leaves; pages of files it read do not count, they yield."""
    if not _OWN_CGROUP.is_file():
        return []
    rooms = []
    for line in _OWN_CGROUP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            names = ("memory.max", "memory.current", "inactive_file")
            root = _CGROUPS
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = _CGROUPS / "memory"
        else:
            continue
        # In a container, the path can be the host's, of which only the root is to be seen.
        own = root / path.lstrip("/")
        rooms += [_room(folder, *names) for folder in {own, *own.parents} if folder == root or root in folder.parents]
    return [room for room in rooms if room is not None]


def _room(folder: Path, limit_name: str, usage_name: str, reclaimable: str) -> int | None:
    try:
        limit, usage = (folder / limit_name).read_text().strip(), int((folder / usage_name).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # the root has no limit, and not every group can be read
        return None
    return None if limit == "max" else max(0, int(limit) - usage + int(statistics.get(reclaimable, 0)))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
