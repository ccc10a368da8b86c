"""The sample's photographs: eleven kinds of scene, each varied by place, hour, weather and viewpoint."""

from collections.abc import Callable

import numpy as np

from ieast.data.sample.heads import portrait
from ieast.data.sample.landscapes import dunes, hills, mountains, sea
from ieast.data.sample.shading import Picture, Pixels, Size, camera, shrink, to_pixels
from ieast.data.sample.solids import still_life
from ieast.data.sample.town import skyline, street
from ieast.data.sample.woods import flower, forest, night

Scene = Callable[[np.random.Generator, Size, float], Picture]

_UPRIGHT, _SQUARE, _WIDE = (512, 384), (448, 448), (384, 512)

# Name, scene, format, and how much finer than the picture the scene is drawn: terrain has no soft outlines of its own.
_KINDS: tuple[tuple[str, Scene, Size, int], ...] = (
    ("mountains", mountains, _WIDE, 2),
    ("portrait", portrait, _UPRIGHT, 1),
    ("sea", sea, _WIDE, 1),
    ("forest", forest, _UPRIGHT, 1),
    ("still_life", still_life, _WIDE, 1),
    ("skyline", skyline, _WIDE, 1),
    ("dunes", dunes, _WIDE, 2),
    ("flower", flower, _SQUARE, 1),
    ("street", street, _WIDE, 1),
    ("night", night, _UPRIGHT, 1),
    ("hills", hills, _WIDE, 1),
)


def photograph_kind(index: int) -> tuple[str, Size]:
    """The kind of the photograph with this number, and the format (height, width) that suits it."""
    name, _, size, _ = _KINDS[index % len(_KINDS)]
    return name, size


def draw_photograph(index: int, seed: int, size: Size = (384, 512)) -> Pixels:
    """Draw one scene that looks like a photograph.

    Args:
        index: The picture's number; consecutive numbers are different kinds of scene.
        seed: The sample's seed.
        size: Height and width.

    Returns:
        RGB bytes (H, W, 3), the same whenever they are asked for.
    """
    rng = np.random.default_rng((seed, 1, index))
    _, scene, _, finer = _KINDS[index % len(_KINDS)]
    picture = scene(rng, (size[0] * finer, size[1] * finer), 0.0)
    return to_pixels(camera(shrink(picture, finer), rng, grain=rng.uniform(0.008, 0.016)))
