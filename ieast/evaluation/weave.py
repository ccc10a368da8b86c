"""Weave: how much of a picture's fine structure repeats with the period of the decoder's upsampling.

Where features are the same everywhere, a decoder that is not trained against it paints one pattern of 8 x 8 pixels over and
over (Odena et al. 2016, Deconvolution and Checkerboard Artifacts, https://distill.pub/2016/deconv-checkerboard). The pattern
stands still on the grid of pixels, which textures of artworks and photographs do not, so that it can be told from them by
one-way analysis of variance: groups are the 64 places within a cell of 8 x 8 pixels, and their members the cells of a window.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from ieast.io.images import to_image

PERIOD = 8
"""Pixels of the picture in one position of relu4_1, from which the decoder begins."""
WINDOW = 8 * PERIOD
"""Pixels; patterns differ from area to area, so they are looked for in windows of this side, or of a smaller picture's."""
SIGMA = PERIOD / 2
"""Pixels; what is coarser than a blur of this deviation is taken away first."""
FLOOR = 0.1
"""The least deviation, in units of L, that a share is taken of, as in `ieast.evaluation.noise`."""


def weave(picture: Tensor) -> float:
    """The share of the variance of fine lightness that repeats from cell to cell, pooled over windows.

    Corrected for chance, so that it is about 0 where nothing repeats, and single pictures can lie below that. Pictures of JPEG
    files that were compressed hard have some too, because JPEG's blocks are as large.

    Args:
        picture: (1, 3, H, W) in [0, 1], of two cells and more each way; whole windows from the upper left corner count.

    Returns:
        At most 1; NaN where the picture is not finite.

    Raises:
        ValueError: The picture is too small.
    """
    height, width = picture.shape[-2:]
    if min(height, width) < 2 * PERIOD:
        raise ValueError(f"weave needs pictures of {2 * PERIOD} pixels and more each way, not {width}x{height}")
    if not torch.isfinite(picture).all():
        return float("nan")
    lightness = cv2.cvtColor(np.asarray(to_image(picture), dtype=np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
    fine = (lightness - cv2.GaussianBlur(lightness, (0, 0), SIGMA)).astype(np.float64)
    down, across = (min(WINDOW, side // PERIOD * PERIOD) for side in (height, width))
    rows, columns = height // down, width // across
    cells = fine[: rows * down, : columns * across].reshape(rows, down // PERIOD, PERIOD, columns, across // PERIOD, PERIOD)
    places = cells.transpose(0, 3, 2, 5, 1, 4).reshape(rows * columns, PERIOD**2, -1)  # windows, places in a cell, cells
    places -= places.mean(axis=(1, 2), keepdims=True)
    # Means over n cells vary by a nth of the variance within, even where nothing repeats.
    by_chance = places.var(axis=2, ddof=1).mean() / places.shape[2]
    repeated = np.square(places.mean(axis=2)).mean() - by_chance
    return float(repeated / max(np.square(places).mean(), FLOOR**2))
