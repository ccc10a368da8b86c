"""Whitening and colouring: what second moments of features say, and features moved from one's to another's.

Li et al. 2017, "Universal Style Transfer via Feature Transforms" (arXiv 1705.08086), section 3.2. Roots here are the symmetric
ones, E D^p Eᵀ, which are unique whatever basis the eigenvectors of a repeated eigenvalue come in. All in float64: eigenvalues
of one picture span ten orders of magnitude. A block of positions at a time is converted, so that memory is not doubled.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ieast.errors import NumericsError

KEPT = 1e-5
"""Eigenvalues below this are dropped, as published; their directions hold nothing."""
BLOCK_VALUES = 1 << 21
"""Values that are held in float64 at once."""

# What is added to the diagonal, in units of its mean, while the decomposition does not converge.
_JITTERS = (0.0, 1e-12, 1e-10, 1e-8, 1e-6)


def moments(features: Tensor, correction: int = 1) -> tuple[Tensor, Tensor]:
    """Mean (B, C) and covariance (B, C, C) over the positions of (B, C, h, w), divided by hw - `correction`; in float64."""
    count = features.shape[2] * features.shape[3]
    mean = torch.stack([block.double().sum(dim=2) for _, block in _blocks(features)]).sum(dim=0) / count
    covariance = torch.zeros(*features.shape[:2], features.shape[1], dtype=mean.dtype, device=mean.device)
    for _, block in _blocks(features):
        centred = block.double().sub_(mean[:, :, None])
        covariance.baddbmm_(centred, centred.mT)
    return mean, covariance / max(1, count - correction)


def powers(covariance: Tensor, *exponents: float, least: float = KEPT) -> tuple[Tensor, ...]:
    """E D^p Eᵀ for each exponent p, over the eigenvalues that are kept.

    Beside those below `least`, those are dropped that rounding alone can make of zero beside a very large one.

    Args:
        covariance: (B, C, C), symmetric, float64.
        exponents: -1/2 whitens, 1/2 colours.
        least: What an eigenvalue must have to be kept.

    Returns:
        (B, C, C) for each exponent.

    Raises:
        NumericsError: The covariance is not finite, or its decomposition does not converge.
    """
    values, vectors = _eigh(covariance)
    rounding = values.shape[1] * torch.finfo(values.dtype).eps * values.abs().amax(dim=1, keepdim=True)
    kept = values >= rounding.clamp(min=least)
    usable = values.where(kept, 1.0)
    return tuple((vectors * (usable**exponent * kept)[:, None, :]) @ vectors.mT for exponent in exponents)


def move(features: Tensor, matrix: Tensor, mean: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """A (f - μ) + b at every position.

    Args:
        features: f, (B, C, h, w).
        matrix: A, (B, C, C), or (1, C, C) for all.
        mean: μ, (B, C), or None for 0.
        shift: b, (1|B, C), or None for 0.

    Returns:
        (B, C, h, w), of the features' type.
    """
    moved = torch.empty_like(features, memory_format=torch.contiguous_format)
    for positions, block in _blocks(features):
        part = matrix @ (block.double() if mean is None else block.double().sub_(mean[:, :, None]))
        moved.flatten(2)[..., positions] = part if shift is None else part.add_(shift[:, :, None])
    return moved


def _blocks(features: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of positions of features (B, C, h, w), and what they hold, (B, C, n)."""
    flat = features.flatten(2)
    step = max(1, BLOCK_VALUES // (flat.shape[0] * flat.shape[1]))
    for start in range(0, flat.shape[2], step):
        positions = slice(start, start + step)
        yield positions, flat[..., positions]


def _eigh(covariance: Tensor) -> tuple[Tensor, Tensor]:
    if not torch.isfinite(covariance).all():
        raise NumericsError(
            "the encoder's features of a picture are not finite, so they cannot be whitened. Look for broken values in the "
            "picture, or for damaged encoder weights"
        )
    size = covariance.diagonal(dim1=1, dim2=2).mean(dim=1).clamp(min=torch.finfo(covariance.dtype).tiny)
    one = torch.eye(covariance.shape[1], dtype=covariance.dtype, device=covariance.device)
    for jitter in _JITTERS:
        added = jitter * size
        try:
            values, vectors = torch.linalg.eigh(covariance + added[:, None, None] * one)
        except torch.linalg.LinAlgError:
            continue
        if torch.isfinite(values).all() and torch.isfinite(vectors).all():
            return values - added[:, None], vectors
    raise NumericsError(
        f"the eigendecomposition of a {covariance.shape[1]}x{covariance.shape[1]} covariance does not converge, nor with up "
        f"to {_JITTERS[-1]:g} of its mean variance added. Crop or scale the picture a little, or use a method without whitening"
    )
