"""How good a texture is, beside its style distance: whether edges continue each other, and whether it repeats itself."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

COARSE = 16
"""Pixels; the deviation of a blur that is taken away before repetition is looked for: large even areas resemble each other."""
NEAREST = 32
"""Pixels; shorter shifts are not looked at, for what lies so near is the same stroke."""
LOOKED_AT = 2048
"""Pixels a side of the middle that is looked at in larger pictures."""
_TRUNCATED = 4  # deviations, at which the blur's kernel ends


def seam_ratio(picture: Tensor) -> float:
    """How much more opposite edges of `picture` (1, 3, H, W) differ than neighbouring lines do; about 1 where no seam is.

    The mean absolute difference of the first and the last row, over that of all neighbouring rows; likewise of columns; and
    the larger of both.
    """
    ratios = []
    for dimension in (2, 3):
        lines = picture.movedim(dimension, 0)  # (N, ...)
        across = (lines[0] - lines[-1]).abs().mean()
        within = lines.diff(dim=0).abs().mean()
        ratios.append(float(across / within.clamp(min=torch.finfo(within.dtype).tiny)))
    return max(ratios)


def repetition(picture: Tensor) -> float:
    """The highest peak of the autocorrelation of `picture` (1, 3, H, W) in [0, 1]: 1 where it is laid out of equal pieces.

    Of lightness (the mean of R, G and B) without what is coarse, over shifts of at least `NEAREST` and at most half of a side,
    as the correlation of what overlaps. Of noise, and of strokes that are all different, it is about 0; of an even picture 0.
    """
    top, left = (max(0, side - LOOKED_AT) // 2 for side in picture.shape[-2:])
    lightness = picture[..., top : top + LOOKED_AT, left : left + LOOKED_AT].mean(dim=1, keepdim=True).double().cpu()
    fine = (lightness - _blurred(lightness))[0, 0].numpy()
    peaks = autocorrelation(fine - fine.mean())
    height, width = fine.shape
    y, x = np.meshgrid(np.arange(-(height // 2), height // 2 + 1), np.arange(-(width // 2), width // 2 + 1), indexing="ij")
    looked_at = np.hypot(y, x) >= NEAREST
    return float(peaks[y[looked_at], x[looked_at]].max(initial=0.0))


def autocorrelation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of `values` (H, W) with itself, shifted by every d: Σ v(p) v(p + d) over the root of both overlapping parts' energies.

    Returns:
        (2H, 2W), by rows and columns of the shift; negative ones count from the end.
    """
    shape = [2 * side for side in values.shape]

    def correlate(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.fft.irfft2(np.conj(np.fft.rfft2(a, shape)) * np.fft.rfft2(b, shape), shape)

    inside = np.ones_like(values)
    energy = correlate(values**2, inside) * correlate(inside, values**2)
    least = 1e-12 * (values**2).sum() ** 2 + np.finfo(float).tiny  # where nothing overlaps, or nothing is there
    return correlate(values, values) / np.sqrt(np.maximum(energy, least))


def _blurred(image: Tensor) -> Tensor:
    """A Gaussian blur of (1, 1, H, W), continued by its borders."""
    radius = _TRUNCATED * COARSE
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=image.dtype) / COARSE).square())
    kernel = kernel / kernel.sum()
    wide = F.pad(image, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(wide, kernel[None, None, :, None]), kernel[None, None, None, :])
