"""Pictures that show what a model does, from pictures anybody may show.

Contents are drawn by `ieast.data.sample` or come with scikit-image: the astronaut (NASA, public domain), the cat and the cup of
coffee (CC0), and the rocket (public domain). Styles are drawn.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ieast.config import StylizeOptions
from ieast.data.sample import draw_artwork, draw_photograph
from ieast.errors import ConfigError, DataError
from ieast.installation import install_with
from ieast.io.contact_sheet import Cell, sheet
from ieast.io.content_noise import with_noise
from ieast.io.images import resize_smallest_side, to_image, to_tensor, write_image
from ieast.io.progress import progress_bar
from ieast.stylizer.base import Style, Stylizer

PHOTOGRAPHS = ("astronaut", "coffee", "cat", "rocket")
ARTWORKS = (0, 5, 2, 1, 8, 7)
"""Numbers of drawn artworks: swirls, stained glass, pointillism, a wave print, a fauvist's, and ink."""
DRAWN = (5,)
"""Numbers of drawn photographs: a town by the sea."""

SIZE = 512
STYLE_SIZES = (192, 768)
"""At which `controls.jpg` shows a style beside `SIZE`."""
_QUALITY = 82


def make_gallery(models: dict[str, Stylizer], folder: Path) -> list[Path]:
    """Write `gallery.jpg`, every content in every style by every model, and `controls.jpg`, what the first model's options do.

    Args:
        models: Stylizers by name; the first is shown in `controls.jpg`.
        folder: Where the pictures go.

    Raises:
        DataError: scikit-image is not installed.
        ConfigError: A model has not all that is shown.
    """
    for name, model in models.items():
        lacking = model.lacks(0.5, 2, 2, "coral") if model.any_style else "it knows the styles that it learnt and no others"
        if lacking is not None:
            raise ConfigError(f"the gallery shows any style, blends, masks and colours, which {name} has not all: {lacking}")
    styles = [Image.fromarray(draw_artwork(number, seed=0)) for number in ARTWORKS]
    contents = photographs() + [Image.fromarray(draw_photograph(number, seed=0)) for number in DRAWN]
    pages = {
        "gallery.jpg": _compare(models, contents, styles),
        "controls.jpg": _controls(next(iter(models.values())), contents[0], contents[1], styles),
    }
    for name, page in pages.items():
        write_image(page, folder / name, quality=_QUALITY)
    return [folder / name for name in pages]


def photographs() -> list[Image.Image]:
    """The photographs that come inside scikit-image, in the order of `PHOTOGRAPHS`.

    Raises:
        DataError: scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError:
        raise DataError(f"the gallery's photographs come with scikit-image: {install_with('gallery')}") from None
    return [Image.fromarray(np.asarray(getattr(data, name)())) for name in PHOTOGRAPHS]


def _compare(models: dict[str, Stylizer], contents: Sequence[Image.Image], styles: Sequence[Image.Image]) -> Image.Image:
    rows = [[Cell(None), *(Cell(style) for style in styles)]]
    looked_at = [_tensor(style, SIZE) for style in styles]
    with progress_bar(total=len(models) * len(contents) * len(styles), desc="gallery", unit="picture") as bar:
        for content in contents:
            photo = resize_smallest_side(content, SIZE)
            for name, stylizer in models.items():
                row = [Cell(content, name)]
                for style in looked_at:
                    row.append(Cell(_paint(stylizer, photo, style)))
                    bar.update()
                rows.append(row)
    return sheet(rows)


def _controls(stylizer: Stylizer, face: Image.Image, still: Image.Image, styles: Sequence[Image.Image]) -> Image.Image:
    swirls, glass, dots, *_ = (_tensor(style, SIZE) for style in styles)
    portrait, cup = (resize_smallest_side(photo, SIZE) for photo in (face, still))
    left = torch.zeros(1, 1, portrait.height, portrait.width)
    left[..., : portrait.width // 2] = 1
    disc = _disc(cup)
    small, large = (_tensor(styles[0], size) for size in STYLE_SIZES)

    def cell(caption: str, *arguments: object, **options: object) -> Cell:
        return Cell(_paint(stylizer, *arguments, **options), caption)  # type: ignore[arg-type]

    both = [Style(swirls, 0.5), Style(glass, 0.5)]
    rows = [
        [Cell(face, "content"), *(cell(f"alpha {alpha:g}", portrait, swirls, alpha) for alpha in (0, 0.25, 0.5, 0.75, 1))],
        [
            Cell(styles[0], "style"),
            cell("as it is", cup, swirls),
            cell("colour kept: luminance", cup, swirls, preserve_colour="luminance"),
            cell("colour kept: coral", cup, swirls, preserve_colour="coral"),
            cell(f"style size {STYLE_SIZES[0]}", cup, small),
            cell(f"style size {STYLE_SIZES[1]}", cup, large),
        ],
        [
            Cell(styles[1], "another style"),
            cell("alone", portrait, glass),
            cell("both, half and half", portrait, both),
            cell("masks: left and right", portrait, [Style(swirls, mask=left), Style(glass, mask=1 - left)]),
            cell("masks: in and around", cup, [Style(dots, mask=disc), Style(swirls, mask=1 - disc)]),
            cell("mask: the rest as it was", cup, [Style(glass, mask=disc)]),
        ],
    ]
    return sheet(rows)


def _paint(
    stylizer: Stylizer, content: Image.Image, styles: Tensor | list[Style], alpha: float = 1.0, **options: object
) -> Image.Image:
    pixels = to_tensor(with_noise(content, alpha * StylizeOptions.content_noise))  # as `ieast stylize` does
    return to_image(stylizer.stylize(pixels, styles, alpha, **options))  # type: ignore[arg-type]


def _tensor(image: Image.Image, size: int) -> Tensor:
    return to_tensor(resize_smallest_side(image, size))


def _disc(like: Image.Image) -> Tensor:
    width, height = like.size
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    return ((x**2 + y**2).sqrt() < 0.36 * min(height, width)).float()[None, None]
