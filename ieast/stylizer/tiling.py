"""Tiling, for pictures of any size: what is large is computed in parts, and the result is the same.

Only the convolutions at the picture's own resolution are too large for memory, and they see no further than a few dozen
pixels. So the encoder runs on tiles with a margin of real neighbours (halo) as wide as it sees, and its maps at relu4_1 and
relu5_1, 1/64 and 1/256 of the pixels, are put together whole; attention and its statistics, which look at everything, work
on these; and merge convolution and decoder run on tiles again. Interior edges never meet padding, the picture's borders are
padded as ever.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ieast.layers.attention import TRANSFORM_TAPS
from ieast.models.encoder import Encoder, Taps
from ieast.models.vgg19 import REDUCTION, SMALLEST_SIDE, STYLE_TAPS

Tile = int | None | Literal["auto"]

CELL = 8
"""Pixels a side of one position of relu4_1."""
CELLS = {name: 2**level for level, name in enumerate(STYLE_TAPS)}
"""Pixels a side of one position of each tap."""

# How far relu5_1 sees: convolutions with radius 1, at every level as many as lie on the way (2, 2, 4, 4, 1), are
# 2·1 + 2·2 + 4·4 + 4·8 + 1·16 = 70 pixels, here rounded up to whole positions of relu5_1.
ENCODER_HALO = 80
# How far a pixel sees into the features before the merge convolution, from the last layer back: 2 pixels, which are 1 of
# the next level's and 2 more, which are 2 and 4 more, which are 3 and the decoder's first and the merge convolution's.
DECODER_HALO = 5

# Below this a picture is computed whole, above it in tiles that take about as much memory.
AUTO_PIXELS = 1024 * 1536
AUTO_TILE = 1024


def check_tile(tile: Tile) -> None:
    """Raise unless `tile` is one.

    Raises:
        ValueError: It is neither None, `auto`, nor a positive multiple of 16.
    """
    whole_or_auto = tile is None or tile == "auto"
    if not whole_or_auto and (not isinstance(tile, int) or tile < REDUCTION or tile % REDUCTION):
        raise ValueError(f"tile is {tile!r}; it must be None, 'auto', or a multiple of {REDUCTION} pixels")


def extended_size(images: Tensor, multiple: int) -> tuple[int, int]:
    """Height and width to which `encode` continues `images`: the next that `multiple` divides and that the encoder can take."""
    height, width = (-(-max(side, SMALLEST_SIDE) // multiple) * multiple for side in images.shape[-2:])
    return height, width


def largest_window(height: int, width: int, tile: Tile, halo: int) -> tuple[int, int]:
    """Height and width in pixels of the largest tile, with `halo`, of a picture as large as this."""
    side = _side(height, width, tile)
    rows, columns = (
        min(length, max(stop - start for start, stop in _parts(length, side, REDUCTION)) + 2 * halo)
        for length in (height, width)
    )
    return rows, columns


def encode(encoder: Encoder, images: Tensor, multiple: int, tile: Tile, names: Sequence[str] = TRANSFORM_TAPS) -> Taps:
    """Taps of `images` continued to the right and below, by their borders, to `extended_size`.

    Args:
        encoder: φ.
        images: (B, 3, H, W) in [0, 1], any size.
        multiple: Of pixels, to which sides are continued. With 16, the rounding up of ceil-mode pooling does not show as a
            band along the right and lower edges of what is made from the taps.
        tile: Side of a tile in pixels, None for the whole picture at once, or `auto`.
        names: The taps wanted.
    """
    height, width = extended_size(images, multiple)
    side = _side(height, width, tile)
    maps: Taps = {}
    for (top, bottom), (left, right) in product(_parts(height, side, REDUCTION), _parts(width, side, REDUCTION)):
        upper, lower = max(0, top - ENCODER_HALO), min(height, bottom + ENCODER_HALO)
        first, last = max(0, left - ENCODER_HALO), min(width, right + ENCODER_HALO)
        taps = encoder(_window(images, (upper, lower), (first, last)), names)
        if (lower - upper, last - first) == (height, width):
            return {name: taps[name] for name in names}
        for name in names:
            cell = CELLS[name]
            if name not in maps:
                maps[name] = _empty_map(taps[name], height, width, cell)
            rows, columns = slice(top // cell, -(-bottom // cell)), slice(left // cell, -(-right // cell))
            y, x = upper // cell, first // cell
            part = taps[name][..., rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
            maps[name][..., rows, columns] = part
    return maps


def decode(
    to_pixels: Callable[[Tensor], Tensor],
    features: Tensor,
    size: Sequence[int],
    tile: Tile,
    finish: Callable[[Tensor, slice, slice], Tensor] | None = None,
) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1].

    Args:
        to_pixels: Decodes features (B, C, h, w), or a part of them, to pictures (B, 3, 8h, 8w); a pixel may depend on
            `DECODER_HALO` positions around its own.
        features: (B, C, h, w) with 8h >= H and 8w >= W.
        size: H and W; what lies beyond in `features` is cut off.
        tile: Side of a tile in pixels, None for the whole picture at once, or `auto`.
        finish: Called with each tile's pixels, cut off at 0 and 1, and its rows and columns in the picture; returns what is
            put there.
    """
    height, width = size
    side = _side(height, width, tile)
    pictures: Tensor | None = None
    for (top, bottom), (left, right) in product(_parts(height, side, CELL), _parts(width, side, CELL)):
        y, x = max(0, top // CELL - DECODER_HALO), max(0, left // CELL - DECODER_HALO)
        lower, last = (-(-stop // CELL) + DECODER_HALO for stop in (bottom, right))
        window = features if side is None else features[..., y:lower, x:last]
        pixels = to_pixels(window)
        pixels = pixels[..., top - CELL * y : bottom - CELL * y, left - CELL * x : right - CELL * x].clamp(0, 1)
        rows, columns = slice(top, bottom), slice(left, right)
        if finish is not None:
            pixels = finish(pixels, rows, columns)
        if side is None:
            return pixels
        if pictures is None:
            pictures = pixels.new_empty(len(features), 3, height, width)
        pictures[..., rows, columns] = pixels
    assert pictures is not None
    return pictures


def _side(height: int, width: int, tile: Tile) -> int | None:
    if tile == "auto":
        return None if height * width <= AUTO_PIXELS else AUTO_TILE
    return tile


def _parts(length: int, side: int | None, unit: int) -> list[tuple[int, int]]:
    """`length` cut into the fewest parts of at most `side`, about equally long, that start at multiples of `unit`."""
    count = 1 if side is None else -(-length // side)
    step = -(-length // (count * unit)) * unit
    return [(start, min(start + step, length)) for start in range(0, length, step)]


def _window(images: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """A part of `images`, which are continued by their borders where it reaches beyond them."""
    height, width = images.shape[-2:]
    below, beyond = max(0, rows[1] - height), max(0, columns[1] - width)
    window = images[..., rows[0] : rows[1], columns[0] : columns[1]]
    window = F.pad(window, (0, beyond, 0, below), mode="replicate") if below or beyond else window
    return window.contiguous(memory_format=torch.channels_last)  # convolutions are faster so, and what follows stays so


def _empty_map(like: Tensor, height: int, width: int, cell: int) -> Tensor:
    shape = (*like.shape[:2], -(-height // cell), -(-width // cell))
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)
