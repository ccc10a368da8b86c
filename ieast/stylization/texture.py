"""Textures of any size from an artwork: contents made of the artwork itself, or of noise, and stylized in it.

A collage of the style's own patches, taken at random and laid over each other softly, has its forms at their own scale; style
attention redraws it, so that forms end where others begin. The patches' blend preserves variance (Heitz and Neyret 2018,
High-Performance By-Example Noise using a Histogram-Preserving Blending Operator, section 3.2), for plain averages would be flat
where patches meet. Noise holds no forms at all, and leaves everything to attention.
"""

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ieast.errors import ConfigError
from ieast.methods import build
from ieast.models.vgg19 import REDUCTION
from ieast.stylizer.base import Stylizer
from ieast.stylizer.memory import check_memory
from ieast.stylizer.tiling import CELL, DECODER_HALO, ENCODER_HALO

Start = Literal["crops", "noise"]

PATCH = 192
"""Pixels a side of the largest patches of a collage, but at most half of the style's; the smallest have half of that."""
SOFT = 0.3
"""Share of a patch's side over which it fades in, and out again."""
OPTIMIZED = 300
"""Times that the reference computes its loss and gradient."""
CLOUD = 24
"""Pixels from one random colour to the next in noise: about the width of a stroke."""
# How far a pixel of the result sees into the content: the encoder's reach beyond the positions that the decoder looks at.
MARGIN = -(-(ENCODER_HALO + DECODER_HALO * CELL) // REDUCTION) * REDUCTION


def make_texture(
    stylizer: Stylizer, style: Tensor, size: tuple[int, int], seed: int = 0, *, start: Start = "crops", tileable: bool = False
) -> Tensor:
    """A texture in the style of an artwork.

    Args:
        stylizer: A model that stylizes in any style.
        style: (1, 3, h, w) in [0, 1], as large as it is to be looked at.
        size: Height and width.
        seed: Another one gives another texture of the same kind.
        start: What is stylized: a collage of the style's crops, or noise.
        tileable: Opposite edges continue each other, so that copies laid side by side have no seam.

    Returns:
        (1, 3, H, W) in [0, 1].

    Raises:
        ConfigError: A tileable texture's sides are no multiples of 16 pixels, in which the encoder sees.
        MemoryLimitError: There is not enough memory; nothing was stylized yet.
    """
    check_tileable(size, tileable)
    # A sum and weights of patches, and what dividing them by each other takes.
    check_memory(4 * 17 * size[0] * size[1], style.device, f"drawing {size[1]}x{size[0]} pixels to stylize")
    draw = collage if start == "crops" else clouds
    content = draw(style, size, seed, periodic=tileable)
    return stylize_periodic(stylizer, content, style) if tileable else stylizer.stylize(content, style)


def optimize_texture(
    stylizer: Stylizer, style: Tensor, size: tuple[int, int], seed: int = 0, iterations: int | None = None
) -> Tensor:
    """The slow reference: noise, optimized until its Gram matrices are those of the style (Gatys et al. 2015, NeurIPS).

    Args:
        stylizer: Whose encoder looks.
        style: (1, 3, h, w) in [0, 1].
        size: Height and width.
        seed: Of the noise.
        iterations: How often loss and gradient are computed; `OPTIMIZED` if not told otherwise.

    Returns:
        (1, 3, H, W) in [0, 1].

    Raises:
        MemoryLimitError: There is not enough memory for the gradient of a picture of this size.
    """
    options = {"start": "noise", "seed": seed, "content_weight": 0.0, "iterations": iterations or OPTIMIZED}
    gatys = build("gatys", stylizer.encoder, options)
    return gatys.stylize(style.new_full((1, 3, *size), 0.5), style)


def check_tileable(size: tuple[int, int], tileable: bool) -> None:
    """Raise unless a texture of this height and width may be `tileable`.

    Raises:
        ConfigError: It may not.
    """
    height, width = size
    if tileable and (height % REDUCTION or width % REDUCTION):
        near = "x".join(str(max(1, round(side / REDUCTION)) * REDUCTION) for side in (width, height))
        raise ConfigError(
            f"a tileable texture's sides are multiples of {REDUCTION} pixels, in which the encoder sees; {width}x{height} is "
            f"not. Try {near}"
        )


def stylize_periodic(stylizer: Stylizer, content: Tensor, style: Tensor) -> Tensor:
    """`content` (1, 3, H, W), one period of an endless picture, stylized so that the result is such a period, too.

    It is stylized with as much of its neighbours around it as a pixel sees. What looks at everything, the statistics of
    attention, is the same at all positions.
    """
    height, width = content.shape[-2:]
    rows, columns = (torch.arange(-MARGIN, side + MARGIN) % side for side in (height, width))
    wide = content[..., rows, :][..., columns]
    return stylizer.stylize(wide, style)[..., MARGIN : MARGIN + height, MARGIN : MARGIN + width]


def collage(style: Tensor, size: tuple[int, int], seed: int, *, periodic: bool = False) -> Tensor:
    """Patches of `style` (1, 3, h, w) at random, softly over each other, (1, 3, H, W) in [0, 1].

    Args:
        style: (1, 3, h, w) in [0, 1].
        size: Height and width.
        seed: Of where patches are taken from, where they lie, and how large they are.
        periodic: What leaves at one edge comes in at the opposite one.
    """
    random = np.random.default_rng(seed)
    largest = max(1, min(PATCH, min(style.shape[-2:]) // 2))
    counts = [max(1, math.ceil(3 * length / largest)) for length in size]  # so that even the smallest overlap
    around = 0 if periodic else 1
    mean = style.mean(dim=(2, 3), keepdim=True)
    total, energy = style.new_zeros(1, 3, *size), style.new_full((1, 1, *size), 1e-6)
    for row in range(-around, counts[0] + around):
        for column in range(-around, counts[1] + around):
            side = max(1, int(largest * random.uniform(0.5, 1)))
            # Middles evenly over the style, then moved inside: corners evenly would leave the style's edges out.
            middles = (random.integers(0, extent) - side // 2 for extent in style.shape[-2:])
            y, x = (min(max(0, int(m)), extent - side) for m, extent in zip(middles, style.shape[-2:], strict=True))
            cells = zip((row, column), size, counts, strict=True)
            corner = [round((place + random.uniform(0, 1)) * length / count - side / 2) for place, length, count in cells]
            weight = _window(side).to(style)
            _lay(total, weight * (style[..., y : y + side, x : x + side] - mean), corner, periodic)
            _lay(energy, weight**2, corner, periodic)
    return (total / energy.sqrt() + mean).clamp(0, 1)


def clouds(style: Tensor, size: tuple[int, int], seed: int, *, periodic: bool = False) -> Tensor:
    """Smooth random colours with the mean and deviation of those of `style` (1, 3, h, w), (1, 3, H, W) in [0, 1].

    Args:
        style: (1, 3, h, w) in [0, 1].
        size: Height and width.
        seed: Of the colours.
        periodic: Opposite edges continue each other.
    """
    counts = [max(2, round(side / CLOUD)) for side in size]
    colours = torch.from_numpy(np.random.default_rng(seed).standard_normal((1, 3, *counts))).to(style)
    edge = 3  # what bicubic interpolation looks at, and more
    padded = F.pad(
        colours, (min(edge, counts[1]),) * 2 + (min(edge, counts[0]),) * 2, mode="circular" if periodic else "replicate"
    )
    top, left = (min(edge, count) * side // count for side, count in zip(size, counts, strict=True))
    whole = [
        round(side * padded_count / count) for side, padded_count, count in zip(size, padded.shape[-2:], counts, strict=True)
    ]
    smooth = F.interpolate(padded, size=whole, mode="bicubic", align_corners=False)
    smooth = smooth[..., top : top + size[0], left : left + size[1]]
    deviation, mean = torch.std_mean(style, dim=(2, 3), keepdim=True)
    return (smooth / smooth.std(dim=(2, 3), keepdim=True) * deviation + mean).clamp(0, 1)


def _window(side: int) -> Tensor:
    """Weights (1, 1, side, side), 1 in the middle and falling off to the edges."""
    place = torch.arange(side, dtype=torch.float32) + 0.5
    ramp = (torch.minimum(place, side - place) / (SOFT * side)).clamp(max=1) ** 3
    return (ramp[:, None] * ramp[None, :])[None, None]


def _lay(canvas: Tensor, patch: Tensor, corner: list[int], periodic: bool) -> None:
    """Add `patch` (1, C, h, w) to `canvas` (1, C, H, W) at a corner from which it may reach outside, or come in again."""
    lines = [torch.arange(length) + start for length, start in zip(patch.shape[-2:], corner, strict=True)]
    if periodic:
        lines = [line % side for line, side in zip(lines, canvas.shape[-2:], strict=True)]
    inside = [(line >= 0) & (line < side) for line, side in zip(lines, canvas.shape[-2:], strict=True)]
    rows, columns = (line[kept] for line, kept in zip(lines, inside, strict=True))
    index = (rows[:, None] * canvas.shape[-1] + columns).flatten().to(canvas.device)  # several may be the same
    part = patch[..., inside[0], :][..., inside[1]]
    canvas.flatten(2).index_add_(2, index, part.flatten(2))
