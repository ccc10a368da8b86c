"""Grids of contents, styles and stylizations."""

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from ieast.io.images import central_square, to_image
from ieast.stylizer.base import Stylizer


def stylization_grid(stylizer: Stylizer, contents: list[Tensor], styles: list[Tensor], cell: int = 256) -> Image.Image:
    """Every content in every style: styles along the top, contents down the left side.

    Args:
        stylizer: The model; pictures are made on the device its weights are on.
        contents: Pictures (3, H, W) in [0, 1].
        styles: Pictures (3, H, W) in [0, 1].
        cell: Side of a cell in pixels; pictures are cut to their central square.
    """
    device = next(stylizer.parameters()).device
    contents = [_square(picture, cell).to(device) for picture in contents]
    styles = [_square(picture, cell).to(device) for picture in styles]
    cells = [torch.ones(3, cell, cell), *(style.cpu() for style in styles)]
    encoded = [stylizer.encode_style(style[None]) for style in styles]
    for content in contents:
        cells.append(content.cpu())
        cells.extend(stylizer.stylize(content[None], style)[0].float().cpu() for style in encoded)
    return to_image(make_grid(torch.stack(cells), nrow=len(styles) + 1, padding=4, pad_value=1.0))


def _square(picture: Tensor, side: int) -> Tensor:
    square = central_square(picture[None])
    return F.interpolate(square, size=(side, side), mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)
