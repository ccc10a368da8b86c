"""Pictures that are transparent in places: stylized where they show something, and as transparent afterwards."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from ieast.errors import ImageError

_HOLDS_ALPHA = (".png", ".webp")


def check_keeps_alpha(path: Path) -> None:
    """Raise unless the format that the suffix of `path` names keeps transparency.

    Raises:
        ImageError: It does not.
    """
    if path.suffix.lower() not in _HOLDS_ALPHA:
        raise ImageError(
            f"{path}: {path.suffix or 'a file without a suffix'} does not keep transparency here. Write "
            f"{' or '.join(_HOLDS_ALPHA)}, or leave out keep-alpha to have it laid on white"
        )


def keeping_alpha(stylize: Callable[[Image.Image], Image.Image], content: Image.Image) -> Image.Image:
    """`content` through `stylize`, which maps RGB to RGB of the same size; in mode RGBA its transparency is kept.

    What is transparent is first filled from what is near, so that neither white nor a hidden colour shows as a fringe.
    """
    if content.mode != "RGBA":
        return stylize(content)
    stylized = stylize(filled(content))
    stylized.putalpha(content.getchannel("A"))
    return stylized


def filled(layer: Image.Image) -> Image.Image:
    """An RGBA picture as RGB, the colours of its opaque parts continued into the transparent ones; white if there are none.

    Pull and push (Gortler et al. 1996): means over ever larger squares, weighted by opacity and opaque where a quarter is,
    show through wherever the finer ones are transparent.
    """
    levels = [layer]
    while max(levels[-1].size) > 1:
        mean = levels[-1].reduce(2)
        mean.putalpha(mean.getchannel("A").point(lambda opacity: min(255, 4 * opacity)))
        levels.append(mean)
    colour = Image.new("RGBA", levels[-1].size, "white")
    for level in reversed(levels):
        colour = Image.alpha_composite(colour.resize(level.size, Image.Resampling.BILINEAR), level)
    return colour.convert("RGB")
