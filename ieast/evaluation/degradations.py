"""Pictures made worse in the ways in which stylizations are, for checking metrics and teaching the preference scorer.

All take and give (1, 3, H, W) in [0, 1], and give the same every time.
"""

import math
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BLUR = 2.0
"""Pixels; deviation of a Gaussian."""

SPECKLED_SHARE, SPECKLE = 0.1, 0.25
"""Share of pixels that take another colour, and the deviation of what is added to each of R, G and B."""

RIPPLE, RIPPLE_PERIOD = 0.05, 6.0
"""Amplitude of the wave, and pixels from crest to crest."""

FRINGE = 1
"""Pixels that R lies left of G, and B right of it."""


def blurred(picture: Tensor) -> Tensor:
    """Without fine structure, as by a decoder that was trained too little."""
    rows = picture[0].permute(1, 2, 0).cpu().numpy()
    soft = torch.from_numpy(cv2.GaussianBlur(rows, (0, 0), BLUR)).permute(2, 0, 1)[None]
    return soft.to(picture)


def speckled(picture: Tensor, seed: int = 0) -> Tensor:
    """With coloured single pixels strewn over it."""
    random = np.random.default_rng(seed)
    height, width = picture.shape[-2:]
    where = random.random((1, 1, height, width)) < SPECKLED_SHARE
    added = where * random.normal(0, SPECKLE, (1, 3, height, width))
    return (picture + torch.from_numpy(added).to(picture)).clamp(0, 1)


def rippled(picture: Tensor) -> Tensor:
    """With a slanted wave over it, R, G and B out of step, as upsampling leaves in skies."""
    height, width = picture.shape[-2:]
    way = (torch.arange(height)[:, None] + 2 * torch.arange(width)[None]) / math.sqrt(5)
    phases = torch.arange(3)[:, None, None] * (2 * math.pi / 3)
    wave = RIPPLE * torch.sin(2 * math.pi * way / RIPPLE_PERIOD + phases)
    return (picture + wave[None].to(picture)).clamp(0, 1)


def fringed(picture: Tensor) -> Tensor:
    """With coloured edges, as where channels do not lie on each other."""
    red, green, blue = picture.split(1, dim=1)
    red, blue = (F.pad(part, (FRINGE, FRINGE, 0, 0), mode="replicate") for part in (red, blue))
    return torch.cat([red[..., 2 * FRINGE :], green, blue[..., : -2 * FRINGE]], dim=1)


DEGRADATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "blurred": blurred,
    "speckled": speckled,
    "rippled": rippled,
    "fringed": fringed,
}
