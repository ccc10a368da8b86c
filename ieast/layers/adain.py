"""Adaptive instance normalization, which one method is and others begin with or use in their decoder."""

from torch import Tensor

from ieast.layers.statistics import mean_std, mean_variance_norm


def adain(content: Tensor, style: Tensor) -> Tensor:
    """σ(s) · (c - μ(c)) / σ(c) + μ(s) (Huang and Belongie 2017, Eq. 8).

    Args:
        content: (B, C, h, w).
        style: (1|B, C, h', w').

    Returns:
        (B, C, h, w): the content's features with the style's mean and deviation in each channel.
    """
    return with_statistics(content, *mean_std(style))


def with_statistics(features: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """`features` (B, C, h, w) with the means and deviations `mean` and `std`, each (1|B, C), in each channel."""
    return mean_variance_norm(features) * std[:, :, None, None] + mean[:, :, None, None]
