"""Two rows that keep metrics honest: the content and the style as they are, scored as if a model had made them.

A score by which one of them beats every model does not measure stylization alone: a copy of the content wins by every content
distance, a copy of the style by every style distance, and by ArtFID and FID as well.
"""

from pathlib import Path

from PIL import Image, ImageOps
from torch import Tensor

from ieast.io.images import read_image, to_tensor

CONTENT, STYLE = "content as it is", "style as it is"
REFERENCES = (CONTENT, STYLE)
"""They stand among models or variants in tables, and are none: nothing is compared with them, and they have no seeds."""


def style_as_it_is(path: Path, height: int, width: int) -> Tensor:
    """The middle of the style at `path`, in the content's aspect and size: (1, 3, `height`, `width`) in [0, 1].

    Cut from the file, not from what models were given of it, so that it is enlarged only where the file has too few pixels.
    """
    return to_tensor(ImageOps.fit(read_image(path), (width, height), Image.Resampling.LANCZOS))
