"""The sample's clips: scenes in which both the camera and something in view move."""

from collections.abc import Callable

import numpy as np

from ieast.data.sample.landscapes import mountains, sea
from ieast.data.sample.shading import Picture, Pixels, Size, camera, shrink, to_pixels
from ieast.data.sample.solids import still_life
from ieast.data.sample.town import skyline, street
from ieast.data.sample.woods import forest

Scene = Callable[[np.random.Generator, Size, float], Picture]

# Name, scene, and how much finer than the frame it is drawn; the still life smooths its own edges.
_KINDS: tuple[tuple[str, Scene, int], ...] = (
    ("balloon_flight", mountains, 2),
    ("harbour", skyline, 2),
    ("rolling_ball", still_life, 1),
    ("forest_walk", forest, 2),
    ("street_drive", street, 2),
    ("sailing", sea, 2),
)
_FRAMES_PER_UNIT = 16


def clip_kind(index: int) -> str:
    """The kind of the clip with this number."""
    return _KINDS[index % len(_KINDS)][0]


def draw_clip(index: int, seed: int, frames: int, size: Size = (192, 256)) -> list[Pixels]:
    """Draw the frames of one clip.

    Each frame is drawn of the same world at a later time, so that textures stay on what they belong to. Only the
    sensor's grain differs from frame to frame.

    Args:
        index: The clip's number; consecutive numbers are different kinds of clip.
        seed: The sample's seed.
        frames: How many frames; the first ones do not depend on it.
        size: Height and width.

    Returns:
        RGB bytes (H, W, 3) for each frame.
    """
    _, scene, finer = _KINDS[index % len(_KINDS)]
    pictures = []
    for frame in range(frames):
        world = np.random.default_rng((seed, 3, index))
        grain = np.random.default_rng((seed, 4, index, frame))
        time = (frame + 1) / _FRAMES_PER_UNIT
        picture = shrink(scene(world, (size[0] * finer, size[1] * finer), time), finer)
        pictures.append(to_pixels(camera(picture, grain, grain=0.005)))
    return pictures
