"""WCT: whitening and colouring transforms at five levels (Li et al. 2017, arXiv 1705.08086)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ieast.config import Settings
from ieast.layers.colour import PreserveColour
from ieast.layers.whitening import moments, move, powers
from ieast.models.decoder import Decoder
from ieast.models.encoder import Encoder
from ieast.models.vgg19 import REDUCTION, STYLE_TAPS
from ieast.stylizer.base import Originals, Stylizer, looking_bytes, recoloured, size_of
from ieast.stylizer.blending import Share, is_nowhere, shares
from ieast.stylizer.memory import Size, encoding_bytes
from ieast.stylizer.style import Style
from ieast.stylizer.tiling import CELLS, Tile, encode, extended_size


class Wct(Stylizer):
    """From relu5_1 down to relu1_1, the picture's features get the style's mean and covariance, and are decoded (section 3.3).

    Five decoders, one from each tap, learn to reconstruct and nothing else; nothing of a style is learnt. Masks divide each
    level at its own positions; what is whitened is the whole content, whatever the masks. The statistics are of the whole
    picture, so that it is computed at once, whatever `tile` says.
    """

    name = "wct"
    learns = "reconstruction"
    recipe = {
        "objective": {
            "external_learning": False,
            "contrastive_learning": False,
            "distance": "mse",
            # Published: pixels, and features of the decoder's own tap. Here each decoder answers for all five taps.
            "weights": {"identity_pixels": 1.0, "identity_taps": 1.0},
        },
        "training": {"batch_size": 8},
    }

    def __init__(self, encoder: Encoder, options: Settings | None = None):
        super().__init__(encoder, options)
        self.decoder = nn.ModuleDict({tap: Decoder(encoder.widths, tap) for tap in reversed(STYLE_TAPS)})

    def parts(self) -> dict[str, nn.Module]:
        """The five decoders."""
        return {"decoder": self.decoder}

    def reconstruct(self, originals: Originals) -> list[Tensor]:
        """D_k(E_k(x)) of the five levels, from the deepest."""
        height, width = originals.images.shape[-2:]
        return [self.decoder[tap](originals.taps[tap])[..., :height, :width] for tap in self.decoder]

    def _encode(self, image: Tensor, tile: Tile) -> Mapping[str, Tensor]:
        """The mean and the covariance's root of each tap."""
        values = {}
        for tap, features in encode(self.encoder, image, 1, None, STYLE_TAPS).items():
            values[f"{tap}.mean"], covariance = moments(features)
            (values[f"{tap}.root"],) = powers(covariance, 0.5)
        return values

    @torch.inference_mode()
    def _paint(self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile) -> Tensor:
        size = extended_size(content, REDUCTION)
        values = [self._values(style.image, content, preserve_colour, tile) for style in styles]
        weights, masks = [style.weight for style in styles], [style.mask for style in styles]
        picture = content
        for tap, decoder in self.decoder.items():
            features = encode(self.encoder, picture, REDUCTION, None, (tap,))[tap]
            statistics = [(each[f"{tap}.mean"], each[f"{tap}.root"]) for each in values]
            mixed = mix(features, statistics, *shares(weights, masks, alpha, size, CELLS[tap]))
            picture = decoder(mixed).clamp(0, 1)
        height, width = content.shape[-2:]
        return recoloured(picture[..., :height, :width], content, preserve_colour)

    def encoding_bytes(self, image: Size, tile: Tile) -> int:
        """The encoder's widest level, on the whole picture; afterwards the taps take less."""
        return encoding_bytes(image, self.encoder.widths, None) + self._statistics_bytes(image[0])

    def stylization_bytes(
        self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile
    ) -> int:
        """A level's encoder or decoder, beside the picture that goes through them all; or the encoder of a style."""
        size = batch, height, width = size_of(content)
        widths = self.encoder.widths
        pictures = 3 * 3 * 4 * batch * height * width  # what a level begins with, what it makes, and that cut off
        masks = 3 * 4 * batch * height * width * (1 + len(styles)) if any(style.mask is not None for style in styles) else 0
        stages = [encoding_bytes(size, widths, None) + pictures + masks]
        stages += [looking_bytes(style.image, batch, preserve_colour, widths)[1] for style in styles]
        return max(stages) + (1 + len(styles)) * self._statistics_bytes(batch)

    def _statistics_bytes(self, batch: int) -> int:
        """Matrices in float64: what is kept of each tap, and what the decomposition of the widest needs besides."""
        kept = sum(width**2 for width in self.encoder.widths)
        return 8 * batch * (2 * kept + 6 * max(self.encoder.widths) ** 2)


def mix(features: Tensor, statistics: list[tuple[Tensor, Tensor]], parts: list[Share], rest: Share) -> Tensor:
    """Features with the statistics of styles: Σ ω_i (C_i^½ C_c^-½ (f - μ_c) + μ_i) + ω_c f (section 3.2 and Eq. 4).

    Args:
        features: f, (B, C, h, w).
        statistics: μ_i (1|B, C) and C_i^½ (1|B, C, C) of each style, float64.
        parts: ω_i, each a number or (1|B, 1, h, w).
        rest: ω_c, as one of these; all of them sum to 1.
    """
    mixed: Tensor | None = None
    if not is_nowhere(rest):
        mixed = features * rest
    if all(is_nowhere(part) for part in parts):
        assert mixed is not None
        return mixed
    mean, covariance = moments(features)
    (whitening,) = powers(covariance, -0.5)
    for (shift, root), part in zip(statistics, parts, strict=True):
        if is_nowhere(part):
            continue
        term = move(features, root @ whitening, mean, shift)
        if isinstance(part, Tensor) or part != 1:
            term.mul_(part)
        mixed = term if mixed is None else mixed.add_(term)
    assert mixed is not None  # shares sum to 1
    return mixed


METHOD = Wct
