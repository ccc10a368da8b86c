"""Pictures in, pictures out: what stylizing files and serving have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from PIL import Image
from torch import Tensor

from ieast.errors import ConfigError, ImageError
from ieast.io.images import resize_smallest_side, to_image, to_tensor
from ieast.layers.colour import PRESERVE_COLOUR, PreserveColour
from ieast.stylizer.base import Stylizer
from ieast.stylizer.blending import check_weights
from ieast.stylizer.style import EncodedStyle, Style

MIN_STYLE_SIZE = 16

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class StylizeOptions:
    """What is done to a content, but for the styles and masks themselves.

    Attributes:
        alpha: 0 keeps the content, 1 stylizes fully.
        weights: One a style, or none for equal ones; only proportions matter.
        style_size: Smallest side in pixels at which styles are looked at; smaller ones are taken as they are.
        preserve_colour: As for `Stylizer.stylize`.
        precision: `bf16` computes convolutions and attention with 8 significant bits, about twice as fast where the hardware
            can; colours then differ by one or two of 255 levels on average, by twenty where it is most.
    """

    alpha: float = 1.0
    weights: tuple[float, ...] = ()
    style_size: int = 512
    preserve_colour: PreserveColour = "none"
    precision: Precision = "fp32"

    def check(self, styles: int, masks: int = 0) -> None:
        """See that this fits as many styles, and masks, of which there may also be none.

        Raises:
            ConfigError: Names the option that does not.
        """
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha is {self.alpha}; it must lie between 0 and 1")
        if self.style_size < MIN_STYLE_SIZE:
            raise ConfigError(f"style_size is {self.style_size}; it must be at least {MIN_STYLE_SIZE} pixels")
        if self.preserve_colour not in PRESERVE_COLOUR:
            raise ConfigError(f"preserve_colour is {self.preserve_colour!r}; it must be one of {', '.join(PRESERVE_COLOUR)}")
        if self.precision not in get_args(Precision):
            raise ConfigError(f"precision is {self.precision!r}; it must be one of {', '.join(get_args(Precision))}")
        for name, count in (("weights", len(self.weights)), ("masks", masks)):
            if count and count != styles:
                raise ConfigError(f"{count} {name} for {styles} styles; give one for each, in the same order, or none")
        if self.weights:
            try:
                check_weights(self.weights)
            except ValueError as error:
                raise ConfigError(str(error)) from None


class StyleSession:
    """A model with its styles and options at hand, for any number of contents."""

    def __init__(
        self,
        stylizer: Stylizer,
        styles: Sequence[Image.Image],
        options: StylizeOptions,
        masks: Sequence[Image.Image] = (),
        *,
        encode: bool = False,
    ):
        """Take up the styles.

        Args:
            stylizer: The model.
            styles: Artworks, as large as they are to be looked at (`scaled_down`).
            options: Options.
            masks: One a style, white where the style applies, of exactly the size of the contents; or none.
            encode: Encode the styles now, for many contents, where that can be. One content takes less memory without.

        Raises:
            ConfigError: An option does not fit.
            MemoryLimitError: There is not enough memory to encode a style.
        """
        options.check(len(styles), len(masks))
        if (lacking := stylizer.lacks(options.alpha, len(styles), len(masks))) is not None:
            raise ConfigError(lacking)
        self.stylizer, self.options = stylizer, options
        self.device = next(stylizer.parameters()).device
        pixels = [self._pixels(style) for style in styles]
        # CORAL changes a style for each content, so there is nothing to encode beforehand.
        encode = encode and options.preserve_colour != "coral"
        with self._autocast():
            self.styles: list[Tensor | EncodedStyle] = [stylizer.encode_style(style) if encode else style for style in pixels]
        # (1, 1, H, W) in [0, 1]: white 1, black 0
        self.masks = [self._pixels(mask).mean(dim=1, keepdim=True) for mask in masks]

    def stylize(self, content: Image.Image) -> Image.Image:
        """`content` stylized, at its own size.

        Raises:
            MemoryLimitError: There is not enough memory; nothing was computed yet.
        """
        weights = self.options.weights or (1.0,) * len(self.styles)
        masks: Sequence[Tensor | None] = self.masks or [None] * len(self.styles)
        styles = [Style(s, w, m) for s, w, m in zip(self.styles, weights, masks, strict=True)]
        with self._autocast():
            stylized = self.stylizer.stylize(
                self._pixels(content), styles, self.options.alpha, preserve_colour=self.options.preserve_colour
            )
        return to_image(stylized.float().cpu())

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bf16")

    def _pixels(self, image: Image.Image) -> Tensor:
        return to_tensor(image).to(self.device)


def scaled_down(style: Image.Image, size: int) -> Image.Image:
    """`style` so that its smallest side has `size` pixels, if it has more.

    Raises:
        ImageError: It is so elongated that its longer side would have too many.
    """
    return resize_smallest_side(style, size) if min(style.size) > size else style


def check_mask(name: str, mask: Image.Image, content: str, size: tuple[int, int]) -> None:
    """Raise unless the mask called `name` fits `content`, which is `size` (width, height) pixels when upright.

    Raises:
        ImageError: It does not.
    """
    if mask.size != size:
        raise ImageError(
            f"{name}: is {mask.width}x{mask.height} pixels, but {content} is {size[0]}x{size[1]}; a mask must have exactly the "
            "content's size"
        )
