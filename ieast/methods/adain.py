"""AdaIN: adaptive instance normalization (Huang and Belongie 2017, arXiv 1703.06868)."""

from collections.abc import Mapping

from torch import Tensor, nn

from ieast.config import Settings
from ieast.layers.adain import adain
from ieast.models.encoder import Encoder
from ieast.stylizer.feature_stylizer import FeatureStylizer


class AdaInTransform(nn.Module):
    """t = σ(s) · (c - μ(c)) / σ(c) + μ(s) at relu4_1 (Eq. 8); nothing in it is trained."""

    def forward(self, content: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> Tensor:
        """Features (B, C, h, w) to decode, from the taps of b contents and of as many styles, or one."""
        return adain(content["relu4_1"], style["relu4_1"])


class AdaIn(FeatureStylizer):
    """Only the decoder learns, to show pictures whose features are t (Eq. 12) and whose statistics are the style's (Eq. 13)."""

    name = "adain"
    recipe = {
        "objective": {
            "external_learning": False,
            "contrastive_learning": False,
            "distance": "mse",
            "content_layers": "target",
            "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
            "weights": {"style": 10.0, "identity": 0.0},
        },
        "training": {"batch_size": 8, "learning_rate_decay": 5e-5},
    }

    def __init__(self, encoder: Encoder, options: Settings | None = None):
        super().__init__(encoder, AdaInTransform(), options)


METHOD = AdaIn
