"""Noise on contents, too faint to be seen, so that even areas are painted with strokes and not in one repeated pattern.

Content that is equal everywhere gives equal features, attention answers them with the same mixture of the style everywhere, and
a decoder paints equal features with the period of its upsampling: a weave. A little unevenness, of the size of strokes, makes
attention choose from the style. Where a content has forms of its own, noise changes next to nothing.

It is value noise: random values on a lattice, by a hash of the place, with smooth ways from one to the next. So a place has the
same noise in pictures of all sizes, and `web/noise.js` makes the same in a browser.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STEPS = (8, 16)
"""Pixels from one place of the lattice to the next, of each octave: a position at relu4_1, and one at relu5_1."""
_BAND = 256
"""Rows that are made at once, a multiple of the steps: large pictures take little memory."""
# Of values spread evenly over [-1, 1], a third, times ∫ f(t)² + (1 - f(t))² dt = 26 / 35 along each side, f(t) = 3t² - 2t³.
_VARIANCE = (26 / 35) ** 2 / 3


def with_noise(content: Image.Image, deviation: float | NDArray[np.float32]) -> Image.Image:
    """An RGB picture with grey noise; the same every time.

    Args:
        content: The picture.
        deviation: The noise's standard deviation in units of the whole range: everywhere, or (H, W) of each pixel.
    """
    if not np.any(deviation):
        return content
    uneven = np.array(content)
    for top in range(0, content.height, _BAND):
        band = uneven[top : top + _BAND]
        here = deviation[top : top + _BAND] if isinstance(deviation, np.ndarray) else deviation
        noise = (255 * here * _pattern(content.width, top)[: len(band)]).round().astype(np.int16)
        band[:] = (band + noise[..., None]).clip(0, 255)
    return Image.fromarray(uneven)


@lru_cache(maxsize=8)
def _pattern(width: int, top: int) -> NDArray[np.float32]:
    """Noise (_BAND, W) from row `top` on, with mean 0 and standard deviation 1 in the long run; kept for the next frame."""
    total = np.zeros((_BAND, width), np.float32)
    for octave, step in enumerate(STEPS):
        rows, columns = (np.arange(side // step + 2, dtype=np.uint32) for side in (_BAND, width))
        values = _hashed(rows[:, None] + np.uint32(top // step), columns, octave)
        for axis, side in enumerate((_BAND, width)):
            place, rest = np.divmod(np.arange(side), step)
            t = np.expand_dims((rest / step).astype(np.float32), 1 - axis)
            way = t * t * (3 - 2 * t)
            values = values.take(place, axis) * (1 - way) + values.take(place + 1, axis) * way
        total += values
    return total / np.float32(math.sqrt(_VARIANCE * len(STEPS)))


def _hashed(row: NDArray[np.uint32], column: NDArray[np.uint32], octave: int) -> NDArray[np.float32]:
    """A number in [-1, 1) for each place, by multiplications and shifts that any language has."""
    bits = (row * np.uint32(0x9E3779B1)) ^ (column * np.uint32(0x85EBCA77)) ^ np.uint32(octave * 0xC2B2AE3D & 0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits ^= bits >> np.uint32(shift)
        bits *= np.uint32(factor)
    bits ^= bits >> np.uint32(16)
    return (bits / np.float64(1 << 31) - 1).astype(np.float32)
