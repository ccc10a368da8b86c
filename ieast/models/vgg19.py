"""VGG-19 up to relu5_1 as a table (Simonyan and Zisserman 2015), of which encoder, student and, mirrored, decoder are made."""

from collections.abc import Sequence

POOL = "pool"
"""Halves a map, where the decoder doubles it."""
LAYERS = (
    *("1_1", "1_2", POOL, "2_1", "2_2", POOL, "3_1", "3_2", "3_3", "3_4", POOL),
    *("4_1", "4_2", "4_3", "4_4", POOL, "5_1"),
)
"""In the order they are applied; `4_2` is the second convolution of the fourth level. What lies beyond is never computed."""
CONVOLUTIONS = tuple(layer for layer in LAYERS if layer != POOL)
CONVOLUTIONS_BY_LEVEL = tuple(sum(layer[0] == level for layer in CONVOLUTIONS) for level in "12345")
"""How many each level has."""

STYLE_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
WIDTHS = {
    "vgg19": (64, 128, 256, 512, 512),
    "vgg19-normalised": (64, 128, 256, 512, 512),
    "vgg19-compact": (16, 32, 64, 128, 128),
}
"""Channels of the five levels, by the encoder's name."""

REDUCTION = 16
"""Pixels a side of one position of relu5_1."""
SMALLEST_SIDE = REDUCTION + 1
"""Pixels: reflection padding by one needs two positions at the deepest level."""


def channels(layer: str, widths: Sequence[int]) -> tuple[int, int]:
    """What the convolution `layer` takes and gives, with levels of these `widths`."""
    level = int(layer[0]) - 1
    below = widths[level - 1] if level else 3
    return below if layer.endswith("_1") else widths[level], widths[level]
