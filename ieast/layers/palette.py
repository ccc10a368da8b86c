"""Keeping pictures to the colours of their styles: a bound on chrominance alone, pixel by pixel.

A palette is an ellipse of chrominances (B - Y, R - Y), with Y of YIQ: five numbers, its centre and its shape matrix S as S_bb,
S_br and S_rr. A chrominance x lies at the distance √((x - m)ᵀ S⁻¹ (x - m)) from the centre m, and at 1 on the ellipse. Palettes
are (B, 5, 1, 1), or (B, 5, h, w) where they differ from place to place.
"""

import torch
from torch import Tensor

from ieast.layers.colour import luminance

# One pixel of so many may lie outside: a signature in red does not make a drawing in ink colourful.
_OUTSIDE = 100
# How far beyond the ellipse, in units of it, chrominances come to lie that are without end beyond it.
_MARGIN = 0.3
# Added to variances: two levels of 255, which files leave in grey pictures too.
_EPSILON = (2 / 255) ** 2


def palette_of(images: Tensor) -> Tensor:
    """The ellipses with the mean and the covariance's form that hold 99 of 100 pixels of `images`.

    Args:
        images: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 5, 1, 1).
    """
    chroma = _chrominance(images).flatten(2)
    centre = chroma.mean(dim=2, keepdim=True)
    off = chroma - centre
    covariance = _packed(off, off).mean(dim=2, keepdim=True)
    farthest = _squared_distance(off, _widened(covariance)).sort(dim=2, descending=True).values
    reach = farthest[:, :, farthest.shape[2] // _OUTSIDE, None]
    return torch.cat([centre, _widened(reach * covariance)], dim=1)[..., None]


def mixed(palettes: Tensor, shares: Tensor) -> Tensor:
    """The palette of pictures that several styles share: about what any of them has.

    The mixture's moments, m = Σ ω_i m_i and Σ ω_i (S_i + (m_i - m)(m_i - m)ᵀ), the latter over Σ ω_i², which is one over the
    number of equal shares: without it each style would lose what the others lack.

    Args:
        palettes: (N, B, 5, 1|h, 1|w).
        shares: ω, (N, 1|B, 1, 1|h, 1|w), which sum to 1 along the first dimension.

    Returns:
        (B, 5, 1|h, 1|w).
    """
    centres, shapes = palettes[:, :, :2], palettes[:, :, 2:]
    centre = (shares * centres).sum(dim=0)
    off = (centres - centre).movedim(2, 1)
    spread = _packed(off, off).movedim(1, 2)
    shape = (shares * (shapes + spread)).sum(dim=0) / shares.square().sum(dim=0)
    return torch.cat([centre, shape], dim=1)


def within(images: Tensor, palette: Tensor) -> Tensor:
    """`images` with the chrominances outside the ellipse drawn towards its centre, smoothly; luminances and all others stay.

    Args:
        images: (B, 3, H, W) in [0, 1].
        palette: (1|B, 5, 1|H, 1|W).

    Returns:
        (B, 3, H, W) in [0, 1]; what no picture has at this luminance is cut off.
    """
    grey = luminance(images)
    centre, shape = palette[:, :2], palette[:, 2:]
    off = _chrominance(images) - centre
    distance = _squared_distance(off, shape).clamp(min=1).sqrt()
    kept = 1 + _MARGIN * (1 - torch.exp((1 - distance) / _MARGIN))
    blue, red = (centre + off * (kept / distance)).split(1, dim=1)
    green = -(0.299 * red + 0.114 * blue) / 0.587  # for Y is 0.299 R + 0.587 G + 0.114 B
    return (grey + torch.cat([red, green, blue], dim=1)).clamp(0, 1)


def _chrominance(images: Tensor) -> Tensor:
    return torch.cat([images[:, 2:], images[:, :1]], dim=1) - luminance(images)


def _packed(a: Tensor, b: Tensor) -> Tensor:
    """The outer product (B, 3, ...) of two-vectors (B, 2, ...), where it is symmetric."""
    return torch.stack([a[:, 0] * b[:, 0], a[:, 0] * b[:, 1], a[:, 1] * b[:, 1]], dim=1)


def _widened(shape: Tensor) -> Tensor:
    """S + ε I (B, 3, 1)."""
    return shape + _EPSILON * shape.new_tensor([1.0, 0.0, 1.0])[:, None]


def _squared_distance(off: Tensor, shape: Tensor) -> Tensor:
    """xᵀ S⁻¹ x (B, 1, ...) of x (B, 2, ...) and S (B, 3, ...)."""
    (bb, br, rr), (b, r) = shape.split(1, dim=1), off.split(1, dim=1)
    return (rr * b.square() - 2 * br * b * r + bb * r.square()) / (bb * rr - br.square())
