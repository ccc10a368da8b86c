"""CCPL: a simple covariance transformation, trained for local coherence (Wu et al. 2022, arXiv 2207.04808)."""

from collections.abc import Mapping
from itertools import pairwise

from pydantic import Field
from torch import Tensor, nn

from ieast.config import Settings
from ieast.layers.convolution import ReflectedConvolution
from ieast.layers.statistics import mean_variance_norm
from ieast.models.encoder import Encoder
from ieast.stylizer.feature_stylizer import FeatureStylizer


class CovarianceTransform(nn.Module):
    """SCT: U Σ_s f(norm c) + μ(s) at relu4_1, with Σ_s the second moments of g(s - μ(s)) (section 3.2).

    f sees single positions, g 3x3 of them, and both compress to few channels, from which U returns. The released code leaves
    out of g what lies beyond a style's border; here it is mirrored, so that styles may be small.
    """

    def __init__(self, width: int, channels: int):
        super().__init__()
        self.content = _compression(width, channels, kernel=1)
        self.style = _compression(width, channels, kernel=3)
        self.uncompress = nn.Conv2d(channels, width, 1)

    def forward(self, content: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> Tensor:
        """Features (B, C, h, w) to decode, from the taps of b contents and of as many styles, or one."""
        compressed = self.content(mean_variance_norm(content["relu4_1"]))  # (B, n, h, w)
        mean = style["relu4_1"].mean(dim=(2, 3), keepdim=True)
        moved = self._moments(style["relu4_1"] - mean) @ compressed.flatten(2)
        return self.uncompress(moved.view_as(compressed)) + mean

    def _moments(self, centred: Tensor) -> Tensor:
        """Σ_s (B, n, n); as published, what g gives is not centred again."""
        flat = self.style(centred).flatten(2)  # (B, n, hw)
        return flat / flat.shape[2] @ flat.transpose(1, 2)


class Ccpl(FeatureStylizer):
    """Transformation and decoder learn together, with the term that keeps neighbours apart as they are in the content.

    This is the publication's model for artworks; that for photographs works at relu3_1.
    """

    name = "ccpl"
    recipe = {
        "objective": {
            "external_learning": False,
            "contrastive_learning": False,
            "distance": "mse",
            "content_layers": "relu4_1",
            "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
            "weights": {"style": 10.0, "identity": 0.0, "coherence": 5.0},
        },
        "training": {"batch_size": 8, "learning_rate_decay": 5e-5},
    }

    class Options(Settings):
        """The size of the covariance."""

        channels: int = Field(32, ge=1, le=512, description="of the compressed features")

    transform: CovarianceTransform

    def __init__(self, encoder: Encoder, options: Options | None = None):
        options = options or self.Options()
        super().__init__(encoder, CovarianceTransform(encoder.widths[3], options.channels), options)


def _compression(width: int, channels: int, kernel: int) -> nn.Sequential:
    """Three convolutions with ReLU between, from `width` to `channels`."""
    sizes = (width, max(channels, width // 2), max(channels, width // 4), channels)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [ReflectedConvolution(inputs, outputs, kernel), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


METHOD = Ccpl
