"""Encoder, transform and decoder as one thing that stylises pictures."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ieast.colour import PRESERVE_COLOUR, PreserveColour, match_colours, with_colours_of
from ieast.config import ModelConfig
from ieast.memory import Size, check_memory, encoding_bytes, stylization_bytes
from ieast.models.attention import StyleAttentionTransform
from ieast.models.blending import check_mask, check_weights, is_nowhere, shares
from ieast.models.decoder import Decoder
from ieast.models.encoder import REDUCTION, Encoder
from ieast.models.start import start_near_adain
from ieast.models.tiling import CELL, StyleTaps, Tile, attend, check_tile, decode, encode, extended_size

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Style:
    """One of the styles of a stylisation.

    Attributes:
        image: (B, 3, H', W') in [0, 1], or (1, 3, H', W') for all contents, or what `Stylizer.encode_style` returned.
        weight: Its weight beside the other styles'; only proportions matter.
        mask: (B, 1, H, W) or (1, 1, H, W) in [0, 1] at the content's size: where the style applies. None is everywhere.
    """

    image: Tensor | StyleTaps
    weight: float = 1.0
    mask: Tensor | None = None


class Stylizer(nn.Module):
    """I_sc = D(T(E(I_c), E(I_s)))."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder
        self.transform = StyleAttentionTransform(encoder.widths[3])
        self.decoder = Decoder(encoder.widths)

    @torch.inference_mode()
    def encode_style(self, image: Tensor, *, tile: Tile = "auto") -> StyleTaps:
        """What `stylize` takes in place of the style `image`, to encode it once for many contents.

        Args:
            image: (B, 3, H', W') in [0, 1], any size.
            tile: As for `stylize`.

        Raises:
            ValueError: The shape, or `tile`, is out of range.
            MemoryLimitError: There is not enough memory.
        """
        _check_images("style", image)
        check_tile(tile)
        needed = encoding_bytes(_size(image), self.encoder.widths, tile)
        check_memory(needed, image.device, f"encoding a style of {image.shape[-1]}x{image.shape[-2]} pixels")
        return encode(self.encoder, image, 1, tile)

    @torch.inference_mode()
    def stylize(
        self,
        content: Tensor,
        styles: Tensor | StyleTaps | Style | Sequence[Style | Tensor | StyleTaps],
        alpha: float = 1.0,
        *,
        preserve_colour: PreserveColour = "none",
        tile: Tile = "auto",
    ) -> Tensor:
        """`content` in the style of `styles`.

        Several styles share the features at every position, Σ ω_i T(c, s_i), as `ieast.models.blending.shares` divides them
        by weights and masks. They are summed before the merge convolution of T, which is linear: the same thing but within
        one position of a mask's edge, and cheaper.

        Args:
            content: (B, 3, H, W) in [0, 1], any size.
            styles: One style, as a picture (1|B, 3, H', W') in [0, 1], as what `encode_style` returned, or as a `Style`; or
                several as a sequence of these.
            alpha: 0 reconstructs the content, 1 stylises fully; between, T(c, s) and T(c, c) are mixed.
            preserve_colour: `luminance` gives the result the content's colours, `coral` the style those of the content
                before it is looked at (`ieast.colour`).
            tile: Side in pixels, a multiple of 16, of the tiles in which pictures are encoded and decoded; None computes
                each at once, and `auto` does so up to about 1.5 million pixels. The result is the same; memory is not.

        Returns:
            (B, 3, H, W) in [0, 1].

        Raises:
            ValueError: A shape, a value or a combination of them is out of range.
            MemoryLimitError: There is not enough memory; nothing was computed yet.
        """
        chosen = _as_styles(styles)
        _check(content, chosen, alpha, preserve_colour, tile, self.encoder.widths[3])
        chosen = [style for style in chosen if style.weight > 0]
        self._check_memory(content, chosen, alpha, preserve_colour, tile)
        features = self._features(content, chosen, alpha, preserve_colour, tile)

        def finish(pixels: Tensor, rows: slice, columns: slice) -> Tensor:
            return with_colours_of(content[..., rows, columns], pixels)

        keeps_colours = preserve_colour == "luminance"
        return decode(self.transform, self.decoder, features, content.shape[-2:], tile, finish if keeps_colours else None)

    def _check_memory(
        self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile
    ) -> None:
        needed = stylization_bytes(
            _size(content),
            [_size(style.image) for style in styles if isinstance(style.image, Tensor)],
            self.encoder.widths,
            tile=tile,
            encoded=[_size(style.image) for style in styles if isinstance(style.image, StyleTaps)],
            reconstructs=alpha < 1 or any(style.mask is not None for style in styles),
            coral=preserve_colour == "coral",
        )
        check_memory(needed, content.device, f"stylising {len(content)} x {content.shape[-1]}x{content.shape[-2]} pixels")

    def _features(
        self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile
    ) -> Tensor:
        """Σ ω_i T(c, s_i) before the merge convolution; what has no share is not computed."""
        size = extended_size(content, REDUCTION)
        parts, rest = shares([style.weight for style in styles], [style.mask for style in styles], alpha, size)
        taps = encode(self.encoder, content, REDUCTION, tile)
        features: Tensor | None = None
        for style, part in zip([*styles, None], [*parts, rest], strict=True):
            if is_nowhere(part):
                continue
            looked_at = taps if style is None else self._taps(style.image, content, preserve_colour, tile)
            term = attend(self.transform, taps, looked_at)
            if isinstance(part, Tensor) or part != 1:
                term.mul_(part)
            features = term if features is None else features.add_(term)
        assert features is not None  # shares sum to 1
        return features

    def _taps(self, style: Tensor | StyleTaps, content: Tensor, preserve_colour: PreserveColour, tile: Tile) -> StyleTaps:
        if isinstance(style, StyleTaps):
            return style
        return encode(self.encoder, match_colours(style, content) if preserve_colour == "coral" else style, 1, tile)


def build_stylizer(
    encoder: Encoder, config: ModelConfig, pairs: Callable[[], Iterable[tuple[Tensor, Tensor]]] | None = None
) -> Stylizer:
    """A stylizer ready to be trained on `encoder`; `pairs` gives contents and styles where `attention_start` needs some."""
    stylizer = Stylizer(encoder)
    if config.attention_start == "identity":
        stylizer.transform.start_as_identity()
    elif config.attention_start == "adain":
        if pairs is None:
            raise ValueError("attention_start `adain` is fitted on pictures: give pairs")
        explained = start_near_adain(stylizer.transform, encoder, pairs())
        log.info("T starts with %.0f %% of the variance of AdaIN's features", 100 * explained)
    return stylizer


def empty_stylizer(encoder_name: str) -> Stylizer:
    """A stylizer of the right shapes, whose weights are about to be loaded."""
    return Stylizer(Encoder(encoder_name))


def _size(images: Tensor | StyleTaps) -> Size:
    """Pictures and their size as the encoder sees them."""
    if isinstance(images, StyleTaps):
        height, width = (CELL * side for side in images.relu4_1.shape[-2:])
    else:
        height, width = extended_size(images, REDUCTION)
    return len(images), height, width


def _as_styles(styles: Tensor | StyleTaps | Style | Sequence[Style | Tensor | StyleTaps]) -> list[Style]:
    if isinstance(styles, (Tensor, StyleTaps)):
        return [Style(styles)]
    chosen = [styles] if isinstance(styles, Style) else [s if isinstance(s, Style) else Style(s) for s in styles]
    if not chosen:
        raise ValueError("there is no style; give at least one")
    return chosen


def _check(
    content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile, channels: int
) -> None:
    _check_images("content", content)
    for number, style in enumerate(styles):
        name = "style" if len(styles) == 1 else f"style {number}"
        if isinstance(style.image, StyleTaps):
            if (found := style.image.relu4_1.shape[1]) != channels:
                raise ValueError(f"{name} was encoded by another encoder: {found} channels, not {channels}. Encode it again")
            if preserve_colour == "coral":
                raise ValueError(f"{name} is encoded, too late for preserve_colour='coral' to change it; give the picture")
        else:
            _check_images(name, style.image)
        if len(style.image) not in (1, len(content)):
            raise ValueError(f"{len(style.image)} styles for {len(content)} contents; give one, or as many as contents")
        if style.mask is not None:
            check_mask(style.mask, number, content)
    check_weights([style.weight for style in styles])
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1")
    if preserve_colour not in PRESERVE_COLOUR:
        raise ValueError(f"preserve_colour is {preserve_colour!r}; it must be one of {', '.join(PRESERVE_COLOUR)}")
    check_tile(tile)


def _check_images(name: str, images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"{name} has shape {tuple(images.shape)}; expected (B, 3, H, W)")
