"""Detail and colour noise: how much of a picture is finer than a blur of one pixel, in lightness and in colour.

What is that fine is mostly lightness in paintings and photographs alike: colour noise is about 0.2 of detail at 512 pixels.
Coloured fringes along edges and speckle of single pixels raise it, and neither style nor content distance sees them.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from ieast.io.images import to_image

SIGMA = 1.0
"""Pixels; the deviation of the blur that is taken away."""

DETAIL_FLOOR = 0.1
"""The least detail that colour noise is divided by, in units of L. Rounding to 8 bits alone leaves about as much (a step of
L is 100 / 255, and uniform errors deviate by a step over √12), so below it there is nothing to measure."""


class FineStructure(NamedTuple):
    """Attributes are positive, or NaN where the picture is not finite.

    Attributes:
        detail: Root mean square of L minus its blur, L from 0 to 100.
        noise: That of a and b together, in the same units.
        colour_noise: `noise` / `detail`, of which `DETAIL_FLOOR` is the least.
    """

    detail: float
    noise: float
    colour_noise: float


def fine_structure(picture: Tensor) -> FineStructure:
    """Measure `picture` (1, 3, H, W) in [0, 1] as it would be written, in 8 bits; flat pictures have colour noise 0.

    Values depend on the size at which a picture is seen: shrinking it moves what is coarse to where this looks.
    """
    if not torch.isfinite(picture).all():
        return FineStructure(*(float("nan"),) * 3)
    lab = cv2.cvtColor(np.asarray(to_image(picture), dtype=np.float32) / 255, cv2.COLOR_RGB2LAB)
    fine = (lab - cv2.GaussianBlur(lab, (0, 0), SIGMA)).astype(np.float64)
    detail, noise = (float(np.sqrt(np.square(part).mean())) for part in (fine[..., 0], fine[..., 1:]))
    return FineStructure(detail, noise, noise / max(detail, DETAIL_FLOOR))
