"""Pictures pulled back along a flow."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(pictures: Tensor, flow: Tensor, mode: Literal["bilinear", "bicubic"] = "bilinear") -> Tensor:
    """Pull `pictures` back along `flow`: the value at x is that of the picture at x + flow(x), or at its border.

    Args:
        pictures: (B, C, H, W).
        flow: (B, 2, H, W), to the right and down, in pixels.
        mode: How values between pixels are made.
    """
    height, width = pictures.shape[-2:]
    x, y = _targets(flow)
    # grid_sample counts from -1 to 1 between the middles of the outermost pixels; a side of one pixel has no such span.
    grid = torch.stack([x * 2 / max(width - 1, 1) - 1, y * 2 / max(height - 1, 1) - 1], dim=-1)
    return F.grid_sample(pictures, grid.to(pictures), mode=mode, padding_mode="border", align_corners=True)


def lands_inside(flow: Tensor) -> Tensor:
    """Where `flow` (B, 2, H, W) leads to a place within the picture: bool (B, H, W)."""
    height, width = flow.shape[-2:]
    x, y = _targets(flow)
    half = 0.5  # a pixel reaches so far from its middle
    return (x >= -half) & (x <= width - 1 + half) & (y >= -half) & (y <= height - 1 + half)


def _targets(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Columns and rows (B, H, W), between pixels, that each pixel's flow leads to."""
    height, width = flow.shape[-2:]
    rows, columns = torch.meshgrid(*(torch.arange(n, device=flow.device) for n in (height, width)), indexing="ij")
    return columns + flow[:, 0], rows + flow[:, 1]
