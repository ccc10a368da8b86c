"""Keeping the content's colours (Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer")."""

from typing import Literal

import torch
from torch import Tensor

from ieast.layers.whitening import moments, powers

PreserveColour = Literal["none", "luminance", "coral"]
PRESERVE_COLOUR: tuple[PreserveColour, ...] = ("none", "luminance", "coral")

# Weights of R, G and B in Y of YIQ, the space in which Gatys et al. take luminance and colour apart.
_LUMINANCE = (0.299, 0.587, 0.114)
# Added to variances: what rounding to 8 bits gives a flat picture, so that one colour's noise is not blown up to contrast.
_EPSILON = 1e-5


def luminance(images: Tensor) -> Tensor:
    """Y of `images` (B, 3, H, W), as (B, 1, H, W)."""
    weights = images.new_tensor(_LUMINANCE)[:, None, None]
    return (images * weights).sum(dim=1, keepdim=True)


def with_colours_of(content: Tensor, stylized: Tensor) -> Tensor:
    """The luminance of `stylized` with the colour (chrominance) of `content`, Gatys et al. 2016, section 3.2.

    Where no picture in [0, 1] has both, the colour gives way: it is moved towards grey of the same luminance just as far as
    needed. Cutting off at 0 and 1, as is usual, would change the luminance, which carries the style's strokes.

    Args:
        content: (B, 3, H, W) in [0, 1].
        stylized: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    grey = luminance(stylized).clamp(0, 1)
    colour = content - luminance(content)  # its luminance is 0, because the weights sum to 1
    room = torch.where(colour > 0, 1 - grey, grey) / colour.abs().clamp(min=torch.finfo(colour.dtype).tiny)
    return torch.addcmul(grey, colour, room.amin(dim=1, keepdim=True).clamp(max=1)).clamp(0, 1)


def match_colours(style: Tensor, content: Tensor) -> Tensor:
    """`style` with the colour mean and covariance of `content`: Σ_c^½ Σ_s^-½ (x - μ_s) + μ_c.

    Gatys et al. 2016, section 3.1; the symmetric roots are those of CORAL (Sun et al. 2016), which moves colours least.

    Args:
        style: (B, 3, H', W') in [0, 1], or one for all contents.
        content: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 3, H', W'). Single values may lie outside [0, 1]: cutting them off would change the statistics, and the encoder
        takes them as they are.
    """
    (style_mean, style_covariance), (content_mean, content_covariance) = (moments(images, 0) for images in (style, content))
    noise = _EPSILON * torch.eye(3, dtype=style_covariance.dtype, device=style.device)
    (root,), (whitening,) = powers(content_covariance + noise, 0.5, least=0), powers(style_covariance + noise, -0.5, least=0)
    turn = root @ whitening
    shift = content_mean - (turn @ style_mean[:, :, None])[:, :, 0]
    turn, shift = turn.to(style.dtype), shift.to(style.dtype)
    return torch.einsum("boi,bihw->bohw", turn, style.expand(len(turn), -1, -1, -1)) + shift[:, :, None, None]
