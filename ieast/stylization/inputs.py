"""Styles and masks as a stylization takes them."""

from pathlib import Path

from PIL import Image, ImageStat

from ieast.errors import ImageError
from ieast.io.images import read_image, resize_smallest_side

FLAT = 2.0
"""Deviation of levels, of 255, below which a channel is even."""


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


def is_of_one_colour(image: Image.Image) -> bool:
    """Whether the levels of no channel deviate by more than noise does: there is nothing to learn from such a picture."""
    return max(ImageStat.Stat(image).stddev) < FLAT


def read_style(path: Path, size: int) -> Image.Image:
    """The artwork at `path`, scaled down so that its smallest side has `size` pixels if it has more.

    Raises:
        ImageError: It cannot be read, or is too elongated.
    """
    image = read_image(path, smallest_side=size)
    try:
        return scaled_down(image, size)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
