"""LST: a learned linear transformation (Li et al. 2019, arXiv 1808.04537)."""

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ieast.config import Settings
from ieast.layers.convolution import ReflectedConvolution
from ieast.models.encoder import Encoder
from ieast.stylizer.feature_stylizer import FeatureStylizer


class MatrixNetwork(nn.Module):
    """A matrix (n, n) that depends on the second moments of what a small network sees in centred features."""

    def __init__(self, width: int, channels: int):
        super().__init__()
        sizes = (width, max(channels, width // 2), max(channels, width // 4), channels)
        self.convolutions = nn.ModuleList(ReflectedConvolution(inputs, outputs) for inputs, outputs in pairwise(sizes))
        self.linear = nn.Linear(channels**2, channels**2)
        with torch.no_grad():  # the unit matrix and a little of what the picture says
            self.linear.bias.copy_(torch.eye(channels).flatten())

    def forward(self, centred: Tensor) -> Tensor:
        """Matrices (B, n, n) from features (B, C, h, w) whose channels have mean 0."""
        x = centred
        for number, convolution in enumerate(self.convolutions):
            x = convolution(F.relu(x) if number else x)
        flat = x.flatten(2)  # (B, n, hw)
        moments = flat / flat.shape[2] @ flat.transpose(1, 2)  # divided first: the sum alone may be too large for fp16
        return self.linear(moments.flatten(1)).view_as(moments)


class LinearTransform(nn.Module):
    """U T_s T_c W (c - μ(c)) + μ(s) at relu4_1, with T_c and T_s made of each picture (section 3.2).

    W compresses to few channels and U returns from them. The released code gives both a bias; without any the map is linear,
    as the paper writes it, and the result has exactly the style's means.
    """

    def __init__(self, width: int, channels: int):
        super().__init__()
        self.compress = nn.Conv2d(width, channels, 1, bias=False)
        self.uncompress = nn.Conv2d(channels, width, 1, bias=False)
        self.content_matrix = MatrixNetwork(width, channels)
        self.style_matrix = MatrixNetwork(width, channels)
        # Begins near a projection of the content, so that there is something to see from the first iteration.
        nn.init.orthogonal_(self.compress.weight)
        with torch.no_grad():
            self.uncompress.weight.copy_(self.compress.weight.transpose(0, 1))

    def forward(self, content: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> Tensor:
        """Features (B, C, h, w) to decode, from the taps of b contents and of as many styles, or one."""
        centred, _ = _centred(content["relu4_1"])
        matrix = self.style_matrix(_centred(style["relu4_1"])[0]) @ self.content_matrix(centred)  # (B, n, n)
        compressed = self.compress(centred)
        moved = (matrix @ compressed.flatten(2)).view_as(compressed)
        return self.uncompress(moved) + _centred(style["relu4_1"])[1]


class Lst(FeatureStylizer):
    """A decoder learns to reconstruct and stays; then the transformation learns, against the content and the style."""

    name = "lst"
    frozen = ("decoder",)
    recipe = {
        "objective": {
            "external_learning": False,
            "contrastive_learning": False,
            "distance": "mse",
            "content_layers": "relu4_1",
            "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
            "style_statistics": "mean-gram",
            # Published: 0.02 of sums over channels, which of means over 64 to 512 channels is 1.3 to 10.
            "weights": {"style": 5.0, "identity": 0.0},
        },
        "training": {
            "iterations": 100_000,
            "reconstruction_iterations": 40_000,
            "batch_size": 8,
            "learning_rate_decay": 1e-5,
        },
    }

    class Options(Settings):
        """The size of the matrices."""

        channels: int = Field(32, ge=1, le=64, description="of the compressed features; weights grow with its fourth power")

    transform: LinearTransform

    def __init__(self, encoder: Encoder, options: Options | None = None):
        options = options or self.Options()
        super().__init__(encoder, LinearTransform(encoder.widths[3], options.channels), options)


def _centred(features: Tensor) -> tuple[Tensor, Tensor]:
    """Features (B, C, h, w) with mean 0 in each channel, and the means (B, C, 1, 1)."""
    mean = features.mean(dim=(2, 3), keepdim=True)
    return features - mean, mean


METHOD = Lst
