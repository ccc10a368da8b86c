"""Methods that encode, transform features at relu4_1, and decode: I_sc = D(T(E(I_c), E(I_s)))."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from ieast.config import Settings
from ieast.layers.colour import PreserveColour, with_colours_of
from ieast.models.decoder import Decoder
from ieast.models.encoder import Encoder, Taps
from ieast.models.vgg19 import REDUCTION
from ieast.stylizer.base import Originals, Stylizer, size_of
from ieast.stylizer.blending import is_nowhere, shares
from ieast.stylizer.memory import Size, encoding_bytes, stylization_bytes
from ieast.stylizer.style import EncodedStyle, Style
from ieast.stylizer.tiling import Tile, decode, encode, extended_size


class FeatureStylizer(Stylizer):
    """Base of the methods that differ in their transform only; pictures may be of any size, for they are computed in tiles."""

    taps: ClassVar[tuple[str, ...]] = ("relu4_1",)
    """What the transform looks at."""

    def __init__(self, encoder: Encoder, transform: nn.Module, options: Settings | None = None):
        """`transform` maps the taps of contents and of styles to features (B, C, H/8, W/8) to decode."""
        super().__init__(encoder, options)
        self.transform = transform
        self.decoder = Decoder(encoder.widths)

    def parts(self) -> dict[str, nn.Module]:
        """The decoder, and the transform if there is something in it to train."""
        trained = {"decoder": self.decoder, "transform": self.transform}
        return {name: part for name, part in trained.items() if list(part.parameters())}

    def generate(self, content: Originals, style: Originals) -> tuple[Tensor, Tensor | None]:
        """D(T(c, s)), and T(c, s)."""
        features = self.transform(content.taps, style.taps)
        return self.decoder(features), features

    def reconstruct(self, originals: Originals) -> list[Tensor]:
        """D(E(x))."""
        return [self.decoder(originals.taps["relu4_1"])]

    # -- what a method may change ---------------------------------------------------------------------------------------

    def transfer(self, content: Taps, style: Mapping[str, Tensor]) -> Tensor:
        """Features (B, C, H/8, W/8) of contents in a style, which are then blended; may be changed in place."""
        return self.transform(content, style)

    def untransferred(self, content: Taps) -> Tensor:
        """Features (B, C, H/8, W/8) that show the content itself, for alpha below 1; may be changed in place."""
        return content["relu4_1"].clone()

    def to_pixels(self, features: Tensor) -> Tensor:
        """Pictures (B, 3, 8h, 8w) from blended features (B, C, h, w), all of them or a part."""
        return self.decoder(features)

    # -- use ------------------------------------------------------------------------------------------------------------

    def _encode(self, image: Tensor, tile: Tile) -> Mapping[str, Tensor]:
        return encode(self.encoder, image, 1, tile, self.taps)

    @torch.inference_mode()
    def _paint(self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile) -> Tensor:
        """Several styles share the features at every position, Σ ω_i T(c, s_i), as their weights and masks say."""
        features = self._features(content, styles, alpha, preserve_colour, tile)

        def finish(pixels: Tensor, rows: slice, columns: slice) -> Tensor:
            return with_colours_of(content[..., rows, columns], pixels)

        keeps_colours = preserve_colour == "luminance"
        return decode(self.to_pixels, features, content.shape[-2:], tile, finish if keeps_colours else None)

    def _features(
        self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile
    ) -> Tensor:
        """What has no share is not computed."""
        size = extended_size(content, REDUCTION)
        parts, rest = shares([style.weight for style in styles], [style.mask for style in styles], alpha, size)
        taps = encode(self.encoder, content, REDUCTION, tile, self.taps)
        features: Tensor | None = None
        for style, part in zip([*styles, None], [*parts, rest], strict=True):
            if is_nowhere(part):
                continue
            if style is None:
                term = self.untransferred(taps)
            else:
                term = self.transfer(taps, self._values(style.image, content, preserve_colour, tile))
            if isinstance(part, Tensor) or part != 1:
                term.mul_(part)
            features = term if features is None else features.add_(term)
        assert features is not None  # shares sum to 1
        return features

    def encoding_bytes(self, image: Size, tile: Tile) -> int:
        """What a style takes for style attention, which takes most; measured."""
        return encoding_bytes(image, self.encoder.widths, tile)

    def stylization_bytes(
        self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile
    ) -> int:
        """What style attention takes, more than other transforms; measured."""
        return stylization_bytes(
            size_of(content),
            [size_of(style.image) for style in styles if isinstance(style.image, Tensor)],
            self.encoder.widths,
            tile=tile,
            encoded=[size_of(style.image) for style in styles if isinstance(style.image, EncodedStyle)],
            reconstructs=alpha < 1 or any(style.mask is not None for style in styles),
            coral=preserve_colour == "coral",
        )
