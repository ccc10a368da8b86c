"""Projection heads: h_s and h_c of contrastive learning (paper, section 3.2), and those of local coherence."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """A two-layer MLP on spatially pooled features; its outputs have unit length."""

    def __init__(self, channels: int, units: tuple[int, int]):
        super().__init__()
        hidden, outputs = units
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings (B, outputs) of unit L2 norm from features (B, C, H, W).

        Features are summed over positions, the released code's choice where the paper says only that they are pooled.
        """
        # Sums over thousands of positions overflow fp16 and lose digits in bf16.
        with torch.autocast(features.device.type, enabled=False):
            return F.normalize(self.mlp(features.float().sum(dim=(2, 3))), dim=1)


class DifferenceHeads(nn.Module):
    """A two-layer MLP for each of several layers, on differences of features; its outputs have unit length.

    As many units as the layer has channels, and a quarter as many outputs (Wu et al. 2022, the released code).
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, max(1, width // 4))) for width in widths
        )

    def forward(self, differences: Sequence[Tensor]) -> list[Tensor]:
        """Embeddings (B, S, outputs) of unit L2 norm from differences (B, S, C), one for each layer."""
        # Differences of neighbours are small beside the features that they are of.
        with torch.autocast(differences[0].device.type, enabled=False):
            return [F.normalize(mlp(each.float()), dim=2) for mlp, each in zip(self.mlps, differences, strict=True)]
