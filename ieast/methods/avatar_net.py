"""Avatar-Net: a style decorator that swaps whitened patches (Sheng et al. 2018, arXiv 1805.03857)."""

from collections.abc import Mapping

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from ieast.config import Settings
from ieast.layers.colour import PreserveColour
from ieast.layers.statistics import mean_std, mean_variance_norm
from ieast.layers.style_swap import swap, swap_bytes
from ieast.layers.whitening import moments, move, powers
from ieast.models.decoder import Decoder
from ieast.models.encoder import Encoder, Taps
from ieast.models.vgg19 import REDUCTION
from ieast.stylizer.base import Originals, Stylizer, looking_bytes, recoloured, size_of
from ieast.stylizer.blending import Share, is_nowhere, shares
from ieast.stylizer.memory import Size, encoding_bytes
from ieast.stylizer.style import Style
from ieast.stylizer.tiling import CELL, CELLS, Tile, encode, extended_size

SKIPS = ("relu3_1", "relu2_1", "relu1_1")
"""Taps whose statistics the decoder's features are given."""
TAPS = (*SKIPS, "relu4_1")

Skips = Mapping[str, tuple[Tensor, Tensor]]
"""Mean and deviation by tap, each (1|B, C, 1|h, 1|w)."""


class SkipDecoder(Decoder):
    """A decoder whose features pass through AdaIN where the encoder has the taps of `SKIPS` (section 3.2).

    The features that go into conv3_1 mirror those that came out of the encoder's conv3_1: of its width and size.
    """

    def forward(self, features: Tensor, skips: Skips | None = None) -> Tensor:
        """Pictures (B, 3, 8h, 8w), unclamped, from features (B, C, h, w) at relu4_1 and the style's statistics."""
        x = features
        for layer in self.layers:
            if skips is not None and (tap := f"relu{layer}") in skips:
                mean, std = skips[tap]
                x = mean_variance_norm(x) * std + mean
            x = self.apply_layer(layer, x)
        return x


class AvatarNet(Stylizer):
    """The decorator at relu4_1, and a decoder with the style's statistics at three levels, which alone learns.

    As published, alpha blends whitened features, which then get the style's covariance and mean: at 0 the content's patches are
    its own, and colours and contrast still the style's. Masks divide the features at relu4_1 and the statistics at each level,
    and what no style covers is reconstructed with the content's own. Statistics are of whole maps, so that the picture is
    computed at once, whatever `tile` says.
    """

    name = "avatar-net"
    learns = "reconstruction"
    recipe = {
        "objective": {
            "external_learning": False,
            "contrastive_learning": False,
            "distance": "mse",
            # Published: pixels 10, four taps 1 (here five), total variation 10, for pixels from 0 to 255. From 0 to 1, squares
            # of differences shrink by 255², differences by 255 only: with 10, flat pictures would beat right ones.
            "weights": {"identity_pixels": 10.0, "identity_taps": 1.0, "total_variation": 10 / 255},
        },
        "training": {"batch_size": 8},
    }

    class Options(Settings):
        """What the decorator can be told."""

        patch_size: int = Field(5, ge=1, le=31, description="side of the style's patches in positions of relu4_1; odd")

        @field_validator("patch_size")
        @classmethod
        def _has_a_centre(cls, value: int) -> int:
            if value % 2 == 0:
                raise ValueError(f"{value} is even; a patch needs a position in its middle")
            return value

    options: Options

    def __init__(self, encoder: Encoder, options: Settings | None = None):
        super().__init__(encoder, options)
        self.decoder = SkipDecoder(encoder.widths)

    def parts(self) -> dict[str, nn.Module]:
        """The decoder."""
        return {"decoder": self.decoder}

    def reconstruct(self, originals: Originals) -> list[Tensor]:
        """The picture in its own style, of which the decorator is the identity."""
        return [self.decoder(originals.taps["relu4_1"], _statistics(originals.taps))]

    def _encode(self, image: Tensor, tile: Tile) -> Mapping[str, Tensor]:
        """Whitened features and what takes the whitening back, and the mean and deviation of each skip."""
        taps = encode(self.encoder, image, 1, None, TAPS)
        mean, covariance = moments(taps["relu4_1"])
        whitening, root = powers(covariance, -0.5, 0.5)
        values = {"whitened": move(taps["relu4_1"], whitening, mean), "root": root, "mean": mean}
        for tap, (mean, std) in _statistics(taps).items():
            values |= {f"{tap}.mean": mean, f"{tap}.std": std}
        return values

    @torch.inference_mode()
    def _paint(self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile) -> Tensor:
        size = extended_size(content, REDUCTION)
        values = [self._values(style.image, content, preserve_colour, tile) for style in styles]
        weights, masks = [style.weight for style in styles], [style.mask for style in styles]
        has_masks = any(mask is not None for mask in masks)
        taps = encode(self.encoder, content, REDUCTION, None, TAPS if has_masks else ("relu4_1",))
        content_features, own = taps["relu4_1"], _statistics(taps)
        del taps
        features = self.decorate(content_features, values, *shares(weights, masks, 1.0, size), alpha)
        skips = {}
        for tap in SKIPS:
            parts, rest = shares(weights, masks, 1.0, size, CELLS[tap])
            means, stds = ([each[f"{tap}.{kind}"] for each in values] for kind in ("mean", "std"))
            if has_masks:
                means, stds, parts = [*means, own[tap][0]], [*stds, own[tap][1]], [*parts, rest]
            skips[tap] = _weighted(means, parts), _weighted(stds, parts)
        height, width = content.shape[-2:]
        picture = self.decoder(features, skips)[..., :height, :width].clamp(0, 1)
        return recoloured(picture, content, preserve_colour)

    def decorate(
        self, content: Tensor, styles: list[Mapping[str, Tensor]], parts: list[Share], rest: Share, alpha: float = 1.0
    ) -> Tensor:
        """The style decorator (section 3.1): patches of the styles in the places of the content's, in the styles' covariance.

        Args:
            content: Features (B, C, h, w) at relu4_1.
            styles: What `encode_style` keeps of each.
            parts: Each style's share of the result, a number or (1|B, 1, h, w).
            rest: That of the content's own features; all of them sum to 1.
            alpha: Share of the style's patches beside the content's, in whitened features.
        """
        mean, covariance = moments(content)
        (whitening,) = powers(covariance, -0.5)
        whitened = move(content, whitening, mean)
        mixed = torch.zeros_like(content) if is_nowhere(rest) else content * rest
        for style, part in zip(styles, parts, strict=True):
            if is_nowhere(part):
                continue
            blended = whitened
            if alpha > 0:
                swapped = swap(whitened, style["whitened"], self.options.patch_size)
                blended = torch.lerp(whitened, swapped, alpha)
            mixed += move(blended, style["root"], shift=style["mean"]) * part
        return mixed

    def encoding_bytes(self, image: Size, tile: Tile) -> int:
        """The encoder's widest level, on the whole picture; then the whitened map, in float64 a block at a time."""
        return encoding_bytes(image, self.encoder.widths, None) + self._maps_bytes(image, 2) + self._statistics_bytes(image[0])

    def stylization_bytes(
        self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile
    ) -> int:
        """The encoder of a style or the content, the products of patches, or the decoder, beside the whitened maps."""
        size = batch, height, width = size_of(content)
        widths = self.encoder.widths
        kept = (1 + len(styles)) * self._statistics_bytes(batch)
        stages = [0]
        for style in styles:
            (count, rows, columns), looking = looking_bytes(style.image, batch, preserve_colour, widths)
            if looking:
                stages.append(looking)
                kept += self._maps_bytes((count, rows, columns), 2)
            cells = [(-(-length // CELL), -(-breadth // CELL)) for length, breadth in ((height, width), (rows, columns))]
            stages.append(swap_bytes(cells[0], cells[1], self.options.patch_size) + self._maps_bytes((1, rows, columns), 2))
        pixels = batch * height * width
        decoding = encoding_bytes(size, widths, None) + 2 * 3 * 4 * pixels
        if any(style.mask is not None for style in styles):  # shares, and statistics that differ from position to position
            decoding += 4 * pixels * (3 * (1 + len(styles)) + 3 * widths[0])
        return max(*stages, decoding) + kept + self._maps_bytes(size, 6)

    def _maps_bytes(self, size: Size, count: int) -> int:
        """As many maps of relu4_1."""
        batch, height, width = size
        return 4 * count * self.encoder.widths[3] * batch * -(-height // CELL) * -(-width // CELL)

    def _statistics_bytes(self, batch: int) -> int:
        """Matrices in float64: what is kept, and what the decomposition needs besides."""
        return 8 * 8 * batch * self.encoder.widths[3] ** 2


def _statistics(taps: Taps) -> Skips:
    """μ and σ, each (B, C, 1, 1), of those taps that skips are made of."""
    pairs = {tap: mean_std(taps[tap]) for tap in SKIPS if tap in taps}
    return {tap: (mean[:, :, None, None], std[:, :, None, None]) for tap, (mean, std) in pairs.items()}


def _weighted(values: list[Tensor], parts: list[Share]) -> Tensor:
    total = values[0] * parts[0]
    for value, part in zip(values[1:], parts[1:], strict=True):
        total = total + value * part
    return total


METHOD = AvatarNet
