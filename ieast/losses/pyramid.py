"""A style loss on pixels: how strong each band of frequencies is, in lightness and in colour."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

BANDS = 3
KERNEL = 9
"""Pixels; what a Gaussian of deviation 1 has beyond them is below 1e-4."""

FAINTEST = 0.01
"""Deviation of lightness, for values in [0, 1], below which a band of an artwork counts as empty: 2.5 of 255 grey levels."""


def opponent_colours(images: Tensor) -> Tensor:
    """Lightness, red against green, and yellow against blue (B, 3, H, W) of `images` (B, 3, H, W), an orthonormal basis.

    Van de Sande et al. 2010, Evaluating Color Descriptors, Eq. 4 (https://doi.org/10.1109/TPAMI.2009.154), lightness first.
    """
    red, green, blue = images.unbind(dim=1)
    lightness = (red + green + blue) / 3**0.5
    return torch.stack([lightness, (red - green) / 2**0.5, (red + green - 2 * blue) / 6**0.5], dim=1)


def band_deviations(images: Tensor, bands: int = BANDS) -> Tensor:
    """σ over positions of each band of a Laplacian pyramid in opponent colours: (B, bands, 3), the finest band first.

    A band is what a Gaussian of deviation 1 pixel takes away; the next one is of the blurred picture at half the size (Burt &
    Adelson 1983, https://doi.org/10.1109/TCOM.1983.1095851).

    Args:
        images: (B, 3, H, W) in [0, 1], at least 2^(bands + 2) pixels high and wide.
        bands: How many.
    """
    # In 16 bits, differences of neighbouring pixels would be mostly rounding.
    with torch.autocast(images.device.type, enabled=False):
        level, deviations = opponent_colours(images.float()), []
        for _ in range(bands):
            blurred = gaussian_blur(level, [KERNEL, KERNEL], [1.0, 1.0])
            deviations.append(((level - blurred).square().mean(dim=(2, 3)) + 1e-8).sqrt())
            level = F.avg_pool2d(blurred, 2)
    return torch.stack(deviations, dim=1)


def band_loss(stylized: Tensor, style: Tensor, chosen: Tensor) -> Tensor:
    """Mean absolute difference of the bands' deviations, each in units of the artwork's lightness in that band.

    Colour is compared by how strong it is beside the artwork's brushwork. Coloured fringes, speckle and washed-out edges show
    here, and not to networks that have few filters in their first layers.

    Args:
        stylized: (B, 3, H, W) in [0, 1].
        style: (n, 3, H', W') in [0, 1], distinct artworks.
        chosen: (B,) which of them each stylized picture has.
    """
    of_style = band_deviations(style)
    unit = of_style[:, :, :1].clamp_min(FAINTEST)
    return ((band_deviations(stylized) / unit[chosen]) - (of_style / unit)[chosen]).abs().mean()
