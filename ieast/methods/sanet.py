"""SANet: style-attentional network (Park and Lee 2019, arXiv 1812.02342), the backbone of this paper's method."""

import logging
from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from ieast.config import ModelConfig, Settings
from ieast.layers.attention import MEAN, STD, TRANSFORM_TAPS, StyleAttentionTransform
from ieast.models.encoder import Encoder, Taps
from ieast.models.start import start_near_adain
from ieast.stylizer.base import FittingPairs
from ieast.stylizer.feature_stylizer import FeatureStylizer
from ieast.stylizer.tiling import Tile

log = logging.getLogger(__name__)


class Sanet(FeatureStylizer):
    """Style attention at relu4_1 and relu5_1, trained by the internal objective alone.

    Several styles are summed before the merge convolution of T, which is linear: the same thing but within one position of a
    mask's edge, and cheaper.
    """

    name = "sanet"
    taps = TRANSFORM_TAPS
    has_attention = True
    recipe = {
        "objective": {
            "external_learning": False,
            "contrastive_learning": False,
            "distance": "mse",
            "content_layers": "normalised-relu4_1-relu5_1",
            "weights": {"style": 3.0},
        },
        "training": {"batch_size": 6, "learning_rate_decay": 5e-5},  # published: 5, which does not fall into pairs
    }

    class Options(Settings):
        """How it differs from the published one."""

        match_statistics: bool = Field(
            False, description="features get the style's means and deviations after attention, see StyleAttentionTransform"
        )
        bound_palette: bool = Field(False, description="pictures keep to the style's chrominances, see ieast.layers.palette")

    options: Options
    transform: StyleAttentionTransform

    def __init__(self, encoder: Encoder, options: Options | None = None):
        options = options or self.Options()
        super().__init__(encoder, StyleAttentionTransform(encoder.widths[3], options.match_statistics), options)
        self.bounds_palette = options.bound_palette

    def start(self, config: ModelConfig, pairs: FittingPairs | None = None) -> None:
        """Begin at random, near the content, or near AdaIN, as `config.attention_start` says."""
        if config.attention_start == "identity":
            self.transform.start_as_identity()
        elif config.attention_start == "adain":
            if pairs is None:
                raise ValueError("attention_start `adain` is fitted on pictures: give pairs")
            explained = start_near_adain(self.transform, self.encoder, pairs())
            log.info("T starts with %.0f %% of the variance of AdaIN's features", 100 * explained)

    def transfer(self, content: Taps, style: Mapping[str, Tensor]) -> Tensor:
        """What the merge convolution gets."""
        return self.transform.attend(content, style)

    def untransferred(self, content: Taps) -> Tensor:
        """T(c, c), before the merge convolution; its statistics are those of the content in its own style as it is."""
        return self.transform.mixtures(content, content)

    def to_pixels(self, features: Tensor) -> Tensor:
        """Merge convolution and decoder."""
        return self.decoder(self.transform.merge_conv(features))

    def _encode(self, image: Tensor, tile: Tile) -> Mapping[str, Tensor]:
        """What every method keeps, and the statistics to match."""
        values = super()._encode(image, tile)
        if not self.options.match_statistics:
            return values
        mean, std = self.transform.statistics_of(values)
        return {**values, MEAN: mean, STD: std}


METHOD = Sanet
