"""What every method answers: `stylize`, and the few things that training asks of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ieast.config import ModelConfig, Settings, describe
from ieast.config.stylization import PRESERVE_COLOUR, PreserveColour, check_weights
from ieast.errors import ConfigError
from ieast.layers.colour import match_colours, with_colours_of
from ieast.models.encoder import Encoder, Taps
from ieast.models.vgg19 import REDUCTION
from ieast.stylizer.blending import check_mask
from ieast.stylizer.memory import Size, check_memory, encoding_bytes
from ieast.stylizer.style import EncodedStyle, Style, Styles, as_styles
from ieast.stylizer.tiling import Tile, check_tile, extended_size

FittingPairs = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Contents and styles, each (1, 3, H, W) in [0, 1], for a start that is fitted on some."""


@dataclass(frozen=True)
class Originals:
    """Pictures that training stylizes, or takes the style of.

    Attributes:
        images: (B, 3, H, W) in [0, 1].
        taps: What the encoder sees in them.
        index: (B,) which of the training styles each is; None for contents.
    """

    images: Tensor
    taps: Taps
    index: Tensor | None = None

    def pick(self, chosen: Tensor, names: Iterable[str]) -> "Originals":
        """The pictures at the positions `chosen` (N,), which may repeat, and of their taps those called `names`."""
        taps = {name: self.taps[name][chosen] for name in names}
        return Originals(self.images[chosen], taps, None if self.index is None else self.index[chosen])


class Stylizer(nn.Module, ABC):
    """A method: how it stylizes, what of it is trained, and by which objective unless the configuration says otherwise."""

    name: ClassVar[str]
    """As the file in `ieast.methods` is called, with hyphens."""
    recipe: ClassVar[Mapping[str, Any]] = {}
    """What the method's publication sets otherwise than the defaults of `ieast.config`, in the same sections."""
    taps: ClassVar[tuple[str, ...]] = ()
    """What of the encoder's `generate` looks at."""
    learns: ClassVar[Literal["stylization", "reconstruction", "nothing"]] = "stylization"
    """What is trained: stylizing by an objective, D(E(x)) = x alone, or nothing at all."""
    frozen: ClassVar[tuple[str, ...]] = ()
    """The parts that learn in the reconstruction stage only."""
    reconstructs: ClassVar[bool] = True
    """Whether it can be asked for a picture in its own style: identity losses and the reconstruction stage need that."""
    any_style: ClassVar[bool] = True
    """Whether it stylizes in styles that it did not learn."""
    has_attention: ClassVar[bool] = False
    """Whether `model.attention_start` says something."""
    has_alpha: ClassVar[bool] = True
    has_masks: ClassVar[bool] = True
    has_coral: ClassVar[bool] = True
    blends: ClassVar[bool] = True

    class Options(Settings):
        """What the method can be told under `model.options`."""

    @classmethod
    def parse_options(cls, values: Mapping[str, Any]) -> Settings:
        """Check `values` and fill in defaults.

        Raises:
            ConfigError: An option is unknown or out of range.
        """
        try:
            return cls.Options.model_validate(values)
        except ValidationError as error:
            raise ConfigError(describe(error, f"model.options of {cls.name}")) from None

    def __init__(self, encoder: Encoder, options: Settings | None = None):
        super().__init__()
        self.encoder = encoder
        self.options = options if options is not None else self.Options()

    # -- training -------------------------------------------------------------------------------------------------------

    def start(self, config: ModelConfig, pairs: FittingPairs | None = None) -> None:
        """Set weights to begin training with; `pairs` gives pictures where the start is fitted on some."""

    def choose_styles(self, training: Sequence[Path], scoring: Sequence[Path]) -> Sequence[Path]:
        """The styles to learn from, of those to train on and those that models are scored in; `Originals.index` counts them."""
        del scoring
        return training

    def known_styles(self, paths: Sequence[Path]) -> Sequence[Path]:
        """Those of the styles at `paths` in which it can stylize."""
        return paths

    @abstractmethod
    def parts(self) -> dict[str, nn.Module]:
        """What is trained, by the name of its group of parameters."""

    def generate(self, content: Originals, style: Originals) -> tuple[Tensor, Tensor | None]:
        """Stylize for training, with gradients.

        Args:
            content: b contents.
            style: b styles.

        Returns:
            Pictures (b, 3, H, W), not cut off at 0 and 1, and the features they were decoded from at relu4_1, (b, C, H/8, W/8),
            where the method decodes from such.
        """
        raise NotImplementedError(f"{self.name} does not learn to stylize")

    def reconstruct(self, originals: Originals) -> list[Tensor]:
        """Pictures (B, 3, H, W), not cut off, that should equal `originals`: one set for each decoder."""
        raise NotImplementedError(f"{self.name} has no decoder")

    # -- use ------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode_style(self, image: Tensor, *, tile: Tile = "auto") -> EncodedStyle:
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
        needed = self.encoding_bytes(size_of(image), tile)
        check_memory(needed, image.device, f"encoding a style of {image.shape[-1]}x{image.shape[-2]} pixels")
        size = extended_size(image, REDUCTION)
        return EncodedStyle(self.name, self.encoder.name, size, self._encode(image, tile))

    def stylize(
        self,
        content: Tensor,
        styles: Styles,
        alpha: float = 1.0,
        *,
        preserve_colour: PreserveColour = "none",
        tile: Tile = "auto",
    ) -> Tensor:
        """`content` in the style of `styles`.

        Args:
            content: (B, 3, H, W) in [0, 1], any size.
            styles: One style, as a picture (1|B, 3, H', W') in [0, 1], as what `encode_style` returned, or as a `Style`; or
                several as a sequence of these, which share the picture by weights and masks (`ieast.stylizer.blending.shares`).
            alpha: 0 reconstructs the content, 1 stylizes fully.
            preserve_colour: `luminance` gives the result the content's colours, `coral` the style those of the content
                before it is looked at (`ieast.layers.colour`).
            tile: Side in pixels, a multiple of 16, of the tiles in which pictures are encoded and decoded by methods that
                can; None computes each at once, and `auto` does so up to about 1.5 million pixels. The result is the same;
                memory is not.

        Returns:
            (B, 3, H, W) in [0, 1].

        Raises:
            ValueError: A shape, a value or a combination of them is out of range, or the method has no such control.
            MemoryLimitError: There is not enough memory; nothing was computed yet.
        """
        chosen = as_styles(styles)
        self._check(content, chosen, alpha, preserve_colour, tile)
        chosen = [style for style in chosen if style.weight > 0]
        needed = self.stylization_bytes(content, chosen, alpha, preserve_colour, tile)
        check_memory(needed, content.device, f"stylizing {len(content)} x {content.shape[-1]}x{content.shape[-2]} pixels")
        return self._paint(content, chosen, alpha, preserve_colour, tile)

    def lacks(self, alpha: float, styles: int, masks: int, preserve_colour: PreserveColour = "none") -> str | None:
        """What is asked of this method that it does not have, in words; None if it can do all of it."""
        if alpha != 1 and not self.has_alpha:
            return f"{self.name} has no alpha: its strength is set by training or optimization; leave alpha at 1"
        if styles > 1 and not self.blends:
            return f"{self.name} does not blend styles; give one"
        if masks and not self.has_masks:
            return f"{self.name} takes no masks; leave them out"
        if preserve_colour == "coral" and not self.has_coral:
            return f"a {self.name} model has learnt its styles' colours; preserve_colour can be luminance or none"
        return None

    @abstractmethod
    def _encode(self, image: Tensor, tile: Tile) -> Mapping[str, Tensor]:
        """What `EncodedStyle.values` is to hold of `image`."""

    def _values(
        self, style: Tensor | EncodedStyle, content: Tensor, preserve_colour: PreserveColour, tile: Tile
    ) -> Mapping[str, Tensor]:
        """What `_encode` makes of `style`, or made of it before."""
        if isinstance(style, EncodedStyle):
            return style.values
        return self._encode(match_colours(style, content) if preserve_colour == "coral" else style, tile)

    @abstractmethod
    def _paint(self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile) -> Tensor:
        """`stylize`, with everything checked."""

    @abstractmethod
    def encoding_bytes(self, image: Size, tile: Tile) -> int:
        """An upper bound of what `encode_style` takes in memory."""

    @abstractmethod
    def stylization_bytes(
        self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile
    ) -> int:
        """An upper bound of what `stylize` takes in memory, beside the pictures it is given."""

    def _check(self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile) -> None:
        _check_images("content", content)
        for number, style in enumerate(styles):
            name = "style" if len(styles) == 1 else f"style {number}"
            if isinstance(style.image, EncodedStyle):
                self._check_encoded(name, style.image, preserve_colour)
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
        masks = sum(style.mask is not None for style in styles)
        if (lacking := self.lacks(alpha, len(styles), masks, preserve_colour)) is not None:
            raise ValueError(lacking)

    def _check_encoded(self, name: str, style: EncodedStyle, preserve_colour: PreserveColour) -> None:
        origin, own = (style.method, style.encoder), (self.name, self.encoder.name)
        if origin != own:
            raise ValueError(f"{name} was encoded by {' on '.join(origin)}, not by {' on '.join(own)}. Encode it again")
        if preserve_colour == "coral":
            raise ValueError(f"{name} is encoded, too late for preserve_colour='coral' to change it; give the picture")


def recoloured(pixels: Tensor, content: Tensor, preserve_colour: PreserveColour) -> Tensor:
    """`pixels` (B, 3, H, W), with the colours of `content` if `preserve_colour` says that the result is to have them."""
    return with_colours_of(content, pixels) if preserve_colour == "luminance" else pixels


def size_of(images: Tensor | EncodedStyle) -> Size:
    """Pictures and their size as the encoder sees them."""
    height, width = images.size if isinstance(images, EncodedStyle) else extended_size(images, REDUCTION)
    return len(images), height, width


def looking_bytes(
    style: Tensor | EncodedStyle, batch: int, preserve_colour: PreserveColour, widths: Sequence[int]
) -> tuple[Size, int]:
    """In which size a style is encoded whole for `batch` contents, and what that takes in memory: nothing, if it is already."""
    count, height, width = size_of(style)
    if isinstance(style, EncodedStyle):
        return (count, height, width), 0
    copies = 0
    if preserve_colour == "coral":  # which makes a style for each content
        count = max(count, batch)
        copies = 3 * 3 * 4 * count * height * width
    return (count, height, width), encoding_bytes((count, height, width), widths, None) + copies


def _check_images(name: str, images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"{name} has shape {tuple(images.shape)}; expected (B, 3, H, W)")
