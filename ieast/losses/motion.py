"""A loss on how steady stylizations are, without clips: a picture, moved and with noise, is stylized as the picture is, moved.

Motion and noise together are the compound regularization of Wang et al., Consistent Video Style Transfer via Compound
Regularization (AAAI 2020, https://daooshee.github.io/CompoundVST/). Flows are drawn, so nothing is estimated or occluded.
"""

import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from ieast.layers.warping import lands_inside, warp

KNOTS = 4
"""Points along a side at which a bend is drawn; between them it is smooth."""


def draw_flow(count: int, size: int, shift: float, bend: float, random: Generator) -> Tensor:
    """Smooth flows (count, 2, size, size), each a shift of the whole picture and a bend.

    Args:
        count: How many.
        size: Side of the pictures, in pixels.
        shift: The largest shift to each side, in pixels.
        bend: The most that a part of a picture moves to each side besides, in pixels.
        random: Draws them.
    """
    shifts = torch.from_numpy(random.uniform(-shift, shift, (count, 2, 1, 1)).astype("float32"))
    knots = torch.from_numpy(random.uniform(-bend, bend, (count, 2, KNOTS, KNOTS)).astype("float32"))
    bends = F.interpolate(knots, (size, size), mode="bicubic", align_corners=True)
    return shifts + bends.clamp(-bend, bend)  # between knots the curve may swing beyond them


def moved(images: Tensor, flow: Tensor, noise: float, random: Generator) -> Tensor:
    """`images` (B, 3, H, W) in [0, 1] pulled back along `flow` (B, 2, H, W), with Gaussian noise of deviation `noise`."""
    grains = torch.from_numpy(random.standard_normal(tuple(images.shape), "float32")).to(images)
    return (_pulled(images, flow) + noise * grains).clamp(0, 1)


def temporal_loss(stylized: Tensor, of_moved: Tensor, flow: Tensor) -> Tensor:
    """Mean squared difference, over pixels and channels, of what moved pictures became to what pictures became, moved.

    Pixels that `flow` brings in from outside the picture do not count.

    Args:
        stylized: (B, 3, H, W), what the pictures became.
        of_moved: (B, 3, H, W), what `moved` of them became.
        flow: (B, 2, H, W), along which they were.
    """
    seen = lands_inside(flow)
    squares = (_pulled(stylized.float(), flow) - of_moved.float()).square().mean(dim=1)  # (B, H, W)
    return (squares * seen).sum() / seen.sum()


def _pulled(images: Tensor, flow: Tensor) -> Tensor:
    # Bilinear values would be softer than the picture, and a model would learn to paint as softly.
    return warp(images, flow, "bicubic")
