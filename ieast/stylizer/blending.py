"""How several styles share a picture: weights and masks."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ieast.stylizer.tiling import CELL

Share = float | Tensor  # of a style, the same everywhere or (1|B, 1, H/cell, W/cell)

_ROUNDING = 1e-6


def check_weights(weights: Sequence[float]) -> None:
    """See that `weights` can be normalised.

    Raises:
        ValueError: One is negative or not finite, or all are 0, or too large to add up.
    """
    for number, weight in enumerate(weights):
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"style {number} has weight {weight}; weights must be finite and at least 0")
    if not sum(weights) > 0:
        raise ValueError(f"the weights of all {len(weights)} styles are 0; give at least one style a weight above 0")
    if not math.isfinite(sum(weights)):
        raise ValueError(f"the weights of all {len(weights)} styles are too large to add up; only proportions matter")


def check_mask(mask: Tensor, number: int, content: Tensor) -> None:
    """Raise unless `mask`, of style `number`, fits `content` (B, 3, H, W).

    Raises:
        ValueError: Its shape is not (1|B, 1, H, W), or a value lies outside [0, 1].
    """
    if mask.ndim != 4 or mask.shape[1] != 1 or len(mask) not in (1, len(content)):
        raise ValueError(f"the mask of style {number} has shape {tuple(mask.shape)}; expected (1 or {len(content)}, 1, H, W)")
    (height, width), (wanted_height, wanted_width) = mask.shape[-2:], content.shape[-2:]
    if (height, width) != (wanted_height, wanted_width):
        raise ValueError(
            f"the mask of style {number} has {width}x{height} pixels and the content {wanted_width}x{wanted_height}; "
            "resize the mask to the content's size"
        )
    lowest, highest = (float(value) for value in torch.aminmax(mask.float()))
    if not (lowest >= 0 and highest <= 1):
        raise ValueError(f"the mask of style {number} has values from {lowest:g} to {highest:g}; they must lie in [0, 1]")


def shares(
    weights: Sequence[float], masks: Sequence[Tensor | None], alpha: float, size: tuple[int, int], cell: int = CELL
) -> tuple[list[Share], Share]:
    """The share that each style has in the features, and that of the reconstruction T(c, c); together 1 everywhere.

    With m_i a style's mask averaged over each position of a tap (1 without a mask) and w_i its weight, a position is covered
    to min(1, Σ m_i) and the styles divide that among them as w_i m_i. So only proportions of weights matter, a style alone
    in its region is there in full whatever its weight, soft edges fade into what lies beside, and what no mask covers is
    reconstructed. Without masks the shares are w_i / Σ w.

    Args:
        weights: w_i, finite, at least 0 and not all 0.
        masks: (1|B, 1, H, W) in [0, 1], or None for everywhere.
        alpha: What the styles have of a fully covered position; the rest is reconstruction.
        size: Height and width in pixels, multiples of 16, to which masks are continued by their borders, as the content is.
        cell: Pixels a side of one position of the tap, relu4_1 if not told otherwise.
    """
    if all(mask is None for mask in masks):
        return [alpha * weight / sum(weights) for weight in weights], 1 - alpha
    parts = [1.0 if mask is None else _at_positions(mask, size, cell) for mask in masks]
    covered = torch.as_tensor(sum(parts)).clamp(max=1)
    claims = [weight / max(weights) * part for weight, part in zip(weights, parts, strict=True)]
    claimed = torch.as_tensor(sum(claims))
    scale = alpha * covered / claimed.clamp(min=torch.finfo(claimed.dtype).tiny)
    return [claim * scale for claim in claims], 1 - alpha * covered


def is_nowhere(share: Share) -> bool:
    """Whether `share` is 0 at every position, but for what rounding leaves of masks that complement each other."""
    return not (share > _ROUNDING).any() if isinstance(share, Tensor) else share == 0


def _at_positions(mask: Tensor, size: tuple[int, int], cell: int) -> Tensor:
    below, beyond = (needed - present for needed, present in zip(size, mask.shape[-2:], strict=True))
    mask = mask.float()
    return F.avg_pool2d(F.pad(mask, (0, beyond, 0, below), mode="replicate") if below or beyond else mask, cell)
