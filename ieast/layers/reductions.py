"""Sums over whole feature maps, with gradients, in as few passes over memory as they need.

The maps of the first layers are the largest tensors of training, and what is taken of them costs nothing but reading. Composed
of PyTorch's own operations, moments and distances read and write them several times over, leave copies for the backward pass,
and give gradients in another memory format than the maps', which makes the next operation ten times slower.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Elements whose deviations from the mean are computed at once: 256 MB in fp32.
_PART = 1 << 26


def mean_variance(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance over positions of `features` (B, C, H, W), each (B, C) in fp32 whatever `features` are in."""
    return _MeanVariance.apply(features)


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """||a - b||² of each sample of `a` and `b`, both (B, ...): (B,) in fp32 whatever they are in."""
    return _SquaredDistance.apply(a, b)


class _MeanVariance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        height, width = features.shape[2:]
        mean = features.mean(dim=(2, 3), dtype=torch.float32)
        squares = torch.zeros_like(mean)
        rows = max(1, _PART // max(1, features.shape[0] * features.shape[1] * width))
        for part in features.split(rows, dim=2):
            # From the deviations: the mean of squares less the square of the mean loses its digits where the mean is large.
            squares += (part - mean[:, :, None, None]).square_().sum(dim=(2, 3))
        ctx.save_for_backward(features, mean)
        return mean, squares / (height * width - 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_mean: Tensor, of_variance: Tensor) -> Tensor:
        features, mean = ctx.saved_tensors
        positions = features.shape[2] * features.shape[3]
        slope = of_variance * (2 / max(1, positions - 1))
        offset = of_mean / positions - slope * mean
        # `float` first: with two precisions in one operation, PyTorch takes a path that is ten times slower.
        return torch.addcmul(offset[:, :, None, None], slope[:, :, None, None], features.float()).to(features.dtype)


class _SquaredDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        # Not flattened first: that would copy maps in channels-last format.
        return (a.float() - b).square_().sum(dim=tuple(range(1, a.ndim)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        difference = (a.float() - b).mul_(2 * gradient.reshape(-1, *[1] * (a.ndim - 1)))
        of_a = difference.to(a.dtype) if ctx.needs_input_grad[0] else None
        of_b = -difference.to(b.dtype) if ctx.needs_input_grad[1] else None
        return of_a, of_b
