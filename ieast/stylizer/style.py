"""Styles as a stylization takes them: pictures, or what a method made of them beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class EncodedStyle:
    """What a method keeps of a style: encode it once and stylize many contents with it.

    Attributes:
        method: The method that made it, which alone can read the values.
        encoder: The encoder's name.
        size: Height and width in pixels, as the encoder saw it.
        values: Named tensors (B, ...), such as taps or statistics.
    """

    method: str
    encoder: str
    size: tuple[int, int]
    values: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))


@dataclass(frozen=True)
class Style:
    """One of the styles of a stylization.

    Attributes:
        image: (B, 3, H', W') in [0, 1], or (1, 3, H', W') for all contents, or what `Stylizer.encode_style` returned.
        weight: Its weight beside the other styles'; only proportions matter.
        mask: (B, 1, H, W) or (1, 1, H, W) in [0, 1] at the content's size: where the style applies. None is everywhere.
    """

    image: Tensor | EncodedStyle
    weight: float = 1.0
    mask: Tensor | None = None


Styles = Tensor | EncodedStyle | Style | Sequence[Style | Tensor | EncodedStyle]


def as_styles(styles: Styles) -> list[Style]:
    """`styles` as a list.

    Raises:
        ValueError: There is none.
    """
    if isinstance(styles, (Tensor, EncodedStyle)):
        return [Style(styles)]
    chosen = [styles] if isinstance(styles, Style) else [s if isinstance(s, Style) else Style(s) for s in styles]
    if not chosen:
        raise ValueError("there is no style; give at least one")
    return chosen
