"""The projection heads h_s and h_c of contrastive learning (paper, section 3.2)."""

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
