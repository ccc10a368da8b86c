"""Styles of files and pictures, beside those that a model was trained on (`ieast.stylizer.novelty`)."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ieast.errors import DataError
from ieast.io.images import to_tensor
from ieast.io.progress import progress_bar
from ieast.models.encoder import Encoder
from ieast.stylization.inputs import read_style, scaled_down
from ieast.stylizer.novelty import LOOKED_AT, Novelty, StyleRange, style_vector

FEWEST = 2
"""Styles that have a spread."""


def measure_styles(encoder: Encoder, paths: Sequence[Path]) -> StyleRange:
    """Where the styles at `paths` lie.

    Raises:
        DataError: There are fewer than two.
        ImageError: One cannot be read.
    """
    if len(paths) < FEWEST:
        raise DataError(f"{len(paths)} styles have no spread; give those that the model was trained on, at least {FEWEST}")
    device = encoder.conv0.weight.device
    bar = progress_bar(paths, desc="measuring styles", unit="picture")
    return StyleRange.of(style_vector(encoder, to_tensor(read_style(path, LOOKED_AT)).to(device)) for path in bar)


def novelty_of(style: Image.Image, encoder: Encoder, known: StyleRange) -> Novelty:
    """How far `style`, in any size, is from the `known` ones.

    Raises:
        ImageError: It is too elongated.
    """
    pixels = to_tensor(scaled_down(style, LOOKED_AT)).to(encoder.conv0.weight.device)
    return known.novelty(style_vector(encoder, pixels))
