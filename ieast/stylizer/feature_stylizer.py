"""Methods that encode, transform features at relu4_1, and decode: I_sc = D(T(E(I_c), E(I_s)))."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ieast.config import Settings
from ieast.config.stylization import PreserveColour
from ieast.layers.colour import match_colours, with_colours_of
from ieast.layers.palette import mixed, palette_of, within
from ieast.layers.sampling import sampled
from ieast.models.decoder import Decoder
from ieast.models.encoder import Encoder, Taps
from ieast.models.vgg19 import REDUCTION
from ieast.stylizer.base import Originals, Stylizer, size_of
from ieast.stylizer.blending import Share, is_nowhere, shares
from ieast.stylizer.memory import Size, encoding_bytes, stylization_bytes
from ieast.stylizer.style import EncodedStyle, Style
from ieast.stylizer.tiling import CELL, Tile, decode, encode, extended_size

PALETTE = "palette"
"""Under which encoded styles keep theirs, where pictures are to keep to it."""

Terms = Sequence[tuple[Style | None, Share]]
"""Styles with their shares; None is the content itself."""


class FeatureStylizer(Stylizer):
    """Base of the methods that differ in their transform only; pictures may be of any size, for they are computed in tiles."""

    taps: ClassVar[tuple[str, ...]] = ("relu4_1",)
    """What the transform looks at."""
    bounds_palette = False
    """Whether pictures keep to the chrominances of their styles (`ieast.layers.palette`)."""

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
        """The taps, and the palette to keep to."""
        taps = encode(self.encoder, image, 1, tile, self.taps)
        return {**taps, PALETTE: palette_of(sampled(image))} if self.bounds_palette else taps

    @torch.inference_mode()
    def _paint(self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile) -> Tensor:
        """Several styles share the features at every position, Σ ω_i T(c, s_i), as their weights and masks say."""
        parts, rest = shares(
            [style.weight for style in styles], [style.mask for style in styles], alpha, extended_size(content, REDUCTION)
        )
        terms = [
            (style, part) for style, part in zip([*styles, None], [*parts, rest], strict=True) if not is_nowhere(part)
        ]  # what has no share is not computed
        features = self._features(content, terms, preserve_colour, tile)
        keeps_colours = preserve_colour == "luminance"
        palette = self._palette(content, terms, preserve_colour) if self.bounds_palette and not keeps_colours else None

        def finish(pixels: Tensor, rows: slice, columns: slice) -> Tensor:
            if palette is not None:
                pixels = within(pixels.float(), _part_of(palette, rows, columns))
            return with_colours_of(content[..., rows, columns], pixels) if keeps_colours else pixels

        return decode(self.to_pixels, features, content.shape[-2:], tile, finish)

    def _features(self, content: Tensor, terms: Terms, preserve_colour: PreserveColour, tile: Tile) -> Tensor:
        taps = encode(self.encoder, content, REDUCTION, tile, self.taps)
        features: Tensor | None = None
        for style, part in terms:
            if style is None:
                term = self.untransferred(taps)
            else:
                term = self.transfer(taps, self._values(style.image, content, preserve_colour, tile))
            if isinstance(part, Tensor) or part != 1:
                term.mul_(part)
            features = term if features is None else features.add_(term)
        assert features is not None  # shares sum to 1
        return features

    def _palette(self, content: Tensor, terms: Terms, preserve_colour: PreserveColour) -> Tensor:
        """What pictures keep to, (B, 5, 1, 1) or, with masks, (B, 5, H/8, W/8); the content has its share where it shows."""
        palettes = []
        for style, _ in terms:
            image = content if style is None else style.image
            if isinstance(image, EncodedStyle):
                palettes.append(image.values[PALETTE])
                continue
            if style is not None and preserve_colour == "coral":
                image = match_colours(image, content)
            palettes.append(palette_of(sampled(image)))
        parts = torch.broadcast_tensors(*(torch.as_tensor(part, device=content.device) for _, part in terms))
        weights = torch.stack(parts).float()
        if weights.ndim == 1:
            weights = weights[:, None, None, None, None]
        return mixed(torch.stack(torch.broadcast_tensors(*palettes)), weights)

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


def _part_of(palette: Tensor, rows: slice, columns: slice) -> Tensor:
    """The palettes at pixels, between those at the positions (B, 5, h, w); the same in every tile."""
    if palette.shape[-2:] == (1, 1):
        return palette
    (top, lower), (left, last) = ((part.start // CELL, -(-part.stop // CELL)) for part in (rows, columns))
    around = F.pad(palette, (1, 1, 1, 1), mode="replicate")[..., top : lower + 2, left : last + 2]
    between = F.interpolate(around, scale_factor=CELL, mode="bilinear", align_corners=False)
    y, x = CELL + rows.start - CELL * top, CELL + columns.start - CELL * left
    return between[..., y : y + rows.stop - rows.start, x : x + columns.stop - columns.start]
