"""The multi-scale discriminator of external learning (Eq. 2), as in pix2pixHD."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Normalization = Literal["instance", "spectral"]


class MultiScaleDiscriminator(nn.Module):
    """One patch discriminator per scale; each scale sees the picture average-pooled by 2 once more."""

    def __init__(self, scales: int = 3, width: int = 64, normalization: Normalization = "instance"):
        super().__init__()
        self.scales = nn.ModuleList(patch_discriminator(width, normalization) for _ in range(scales))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Scores (B, 1, h_k, w_k) of `images` (B, 3, H, W) in [0, 1] at each scale k, finest first; higher is more real."""
        scores = []
        for index, scale in enumerate(self.scales):
            if index:
                # Padding is not counted, so that borders are not darkened.
                images = F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
            scores.append(scale(images))
        return scores


def patch_discriminator(width: int, normalization: Normalization = "instance") -> nn.Sequential:
    """4x4 stride-2 convolutions width·(1, 2, 4, 8), instance norm on all but the first, and a 3x3 head to one channel.

    Or, with `spectral` normalization, the same without instance norm and with every convolution's weight divided by its largest
    singular value (Miyato et al. 2018, https://arxiv.org/abs/1802.05957).
    """
    has_spectral = normalization == "spectral"
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    for factor in (1, 2, 4):
        layers.append(nn.Conv2d(width * factor, width * factor * 2, 4, stride=2, padding=1))
        if not has_spectral:
            layers.append(nn.InstanceNorm2d(width * factor * 2))
        layers.append(nn.LeakyReLU(0.2))
    layers.append(nn.Conv2d(width * 8, 1, 3, padding=1))
    return nn.Sequential(*(spectral_norm(m) if has_spectral and isinstance(m, nn.Conv2d) else m for m in layers))
