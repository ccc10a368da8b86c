"""Patches of features put in the places of others: style swap (Chen and Schmidt 2016, arXiv 1612.04337, section 3).

The inner product of two patches is a sum over their offsets of the inner products of single positions. So these are computed
once, a matrix product, and summed along diagonals, which takes a twentieth of a convolution with all patches of the style.
"""

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

BLOCK_POSITIONS = 4096
"""Positions of contents, and of styles, whose products are computed at once, unless a row has more."""

# Zero patches match nothing, instead of dividing by zero.
_SMALLEST_NORM = 1e-12
# Blocks of products that exist at once: before and after they are summed along one side, and what a slice of them takes.
_LIVE_BLOCKS = 2.5


def swap(content: Tensor, style: Tensor, side: int) -> Tensor:
    """Every patch of `content` replaced by the patch of `style` that correlates most with it; averaged where they overlap.

    Patches stand around every position; the maps are reflected at their borders, the style's too, so that a style given as the
    content comes back up to its edges.

    Args:
        content: (B, C, h, w), whitened.
        style: (1|B, C, h', w'), whitened.
        side: Of a patch, odd.

    Returns:
        (B, C, h, w).
    """
    style = style.expand(len(content), -1, -1, -1)
    return torch.stack([paste(s, best_matches(c, s, side), side) for c, s in zip(content, style, strict=True)])


def best_matches(content: Tensor, style: Tensor, side: int, block: int = BLOCK_POSITIONS) -> Tensor:
    """argmax_q <p, q / ||q||> over the patches q of `style`, for every patch p of `content`.

    Only the style's patches are normalized: the length of p does not change which q is best.

    Args:
        content: (C, h, w).
        style: (C, h', w').
        side: Of a patch, odd.
        block: As `BLOCK_POSITIONS`; the result is the same.

    Returns:
        (h, w), the number, row by row, of the position in the style around which the patch stands.
    """
    margin = side // 2
    (height, width), (style_height, style_width) = content.shape[1:], style.shape[1:]
    padded, style_padded = reflect(content, margin), reflect(style, margin)
    energies = style_padded.square().sum(dim=0)[None, None]
    norms = torch.nn.functional.avg_pool2d(energies, side, stride=1, divisor_override=1)[0, 0]
    norms = norms.sqrt().clamp(min=_SMALLEST_NORM)  # (h', w')
    matches = torch.empty(height, width, dtype=torch.long, device=content.device)
    for top, bottom in _bands(height, width + 2 * margin, block):
        best: Tensor | None = None
        where = matches[top:bottom]
        for first, last in _bands(style_height, style_width + 2 * margin, block):
            rows, style_rows = padded[:, top : bottom + 2 * margin], style_padded[:, first : last + 2 * margin]
            scores = _patch_products(rows, style_rows, side).div_(norms[first:last])
            value, position = scores.flatten(2).max(dim=2)  # (rows, w)
            position += first * style_width
            if best is None:
                best = value
                where.copy_(position)
            else:
                where.copy_(torch.where(value > best, position, where))
                best = torch.maximum(value, best)
    return matches


def paste(style: Tensor, matches: Tensor, side: int) -> Tensor:
    """The mean, at every position, of what the patches that cover it say.

    Args:
        style: (C, h', w').
        matches: (h, w), as `best_matches` gives them.
        side: Of a patch, odd.

    Returns:
        (C, h, w).
    """
    margin, (height, width) = side // 2, matches.shape
    padded = reflect(style, margin)
    across = padded.shape[2]
    corner = matches // style.shape[2] * across + matches % style.shape[2]  # of each patch, in the padded map
    pasted = style.new_zeros(len(style), height + 2 * margin, width + 2 * margin)
    count = style.new_zeros(height + 2 * margin, width + 2 * margin)
    values = padded.flatten(1)
    for down, right in product(range(side), repeat=2):
        place = (..., slice(down, down + height), slice(right, right + width))
        pasted[place] += values[:, (corner + down * across + right).flatten()].unflatten(1, (height, width))
        count[place] += 1
    inside = (..., slice(margin, margin + height), slice(margin, margin + width))
    return pasted[inside] / count[inside]


def reflect(features: Tensor, margin: int) -> Tensor:
    """(C, h, w) continued by reflection to (C, h + 2 margin, w + 2 margin); as often as it takes, where the map is smaller."""
    rows, columns = (_reflected(length, margin, features.device) for length in features.shape[1:])
    return features[:, rows][:, :, columns]


def swap_bytes(content: tuple[int, int], style: tuple[int, int], side: int) -> int:
    """An upper bound of what `best_matches` takes in memory for products, for maps of these heights and widths."""
    positions = []
    for height, width in (content, style):
        across = width + side - 1
        rows = max(bottom - top for top, bottom in _bands(height, across, BLOCK_POSITIONS))
        positions.append((rows + side - 1) * across)
    return int(_LIVE_BLOCKS * 4 * positions[0] * positions[1])


def _patch_products(content: Tensor, style: Tensor, side: int) -> Tensor:
    """<p, q> of all patches that lie within (C, h, w) and (C, h', w'), as (h - side + 1, w - side + 1, h' - ..., w' - ...)."""
    products = (content.flatten(1).T @ style.flatten(1)).unflatten(1, style.shape[1:]).unflatten(0, content.shape[1:])
    for axis in (0, 1):
        shifts = []
        for shift in range(side):
            shifted = products
            for dimension in (axis, axis + 2):
                shifted = shifted.narrow(dimension, shift, products.shape[dimension] - side + 1)
            shifts.append(shifted)
        summed = shifts[0].clone(memory_format=torch.contiguous_format)
        for shifted in shifts[1:]:
            summed += shifted
        products = summed
    return products


def _bands(height: int, width: int, block: int) -> Iterator[tuple[int, int]]:
    rows = max(1, block // width)
    return ((top, min(top + rows, height)) for top in range(0, height, rows))


def _reflected(length: int, margin: int, device: torch.device) -> Tensor:
    positions = torch.arange(-margin, length + margin, device=device)
    if length == 1:
        return torch.zeros_like(positions)
    period = 2 * (length - 1)
    positions = positions.remainder(period)
    return torch.minimum(positions, period - positions)
