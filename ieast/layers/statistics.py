"""Statistics of feature maps (B, C, H, W), and of pictures: what styles, contents and smoothness are told by."""

import torch
from torch import Tensor

from ieast.layers.reductions import mean_variance

EPSILON = 1e-5
"""Added to variances, as in the released code."""


def mean_std(features: Tensor, epsilon: float = EPSILON) -> tuple[Tensor, Tensor]:
    """μ and σ over positions, each (B, C). `epsilon` is added to the variance, so that σ of a constant map has a gradient."""
    mean, variance = mean_variance(features)
    return mean, (variance + epsilon).sqrt()


def mean_variance_norm(features: Tensor, statistics: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Features with zero mean and unit standard deviation per channel and sample, same shape.

    `statistics` are the μ and σ to use, each (B, C), where `features` is only a part of the map they belong to.
    """
    mean, std = statistics or mean_std(features)
    return (features - mean[:, :, None, None]) / std[:, :, None, None]


def gram_matrix(features: Tensor) -> Tensor:
    """F Fᵀ / (C H W) of features (B, C, H, W) as F (B, C, HW): symmetric (B, C, C), in fp32 whatever `features` are in.

    Gatys et al. (2016, Eq. 3), divided as by Johnson et al. (2016, Eq. 3).
    """
    # Sums over thousands of positions overflow fp16 and lose digits in bf16; autocast would round what is fp32 already.
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().flatten(2)
        return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def total_variation(images: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, across plus down, of pictures (B, 3, H, W) (Rudin et al. 1992)."""
    across, down = images.diff(dim=3), images.diff(dim=2)
    return across.abs().mean() + down.abs().mean()
