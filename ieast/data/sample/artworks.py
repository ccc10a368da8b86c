"""The sample's artworks: each kind has its own hand, palette and surface."""

from collections.abc import Callable

import numpy as np

from ieast.data.sample import inks, inlays, paintings, prints
from ieast.data.sample.shading import Picture, Pixels, Size, to_pixels

Work = Callable[[np.random.Generator, Size], Picture]

_UPRIGHT, _SQUARE, _WIDE = (448, 352), (400, 400), (352, 448)

_KINDS: tuple[tuple[str, Work, Size], ...] = (
    ("swirls", paintings.swirls, _WIDE),
    ("wave_print", prints.wave_print, _WIDE),
    ("pointillism", paintings.pointillism, _WIDE),
    ("cubist", inlays.cubist, _WIDE),
    ("watercolour", paintings.watercolour, _UPRIGHT),
    ("stained_glass", inlays.stained_glass, _SQUARE),
    ("portrait_in_oils", paintings.portrait_in_oils, _UPRIGHT),
    ("sumi_e", inks.sumi_e, _UPRIGHT),
    ("fauvist", paintings.fauvist, _WIDE),
    ("gold_ornament", inlays.gold_ornament, _SQUARE),
    ("impasto", paintings.impasto, _WIDE),
    ("linocut", prints.linocut, _UPRIGHT),
    ("impressionist", paintings.impressionist, _WIDE),
    ("colour_fields", inks.colour_fields, _UPRIGHT),
    ("comic", prints.comic, _UPRIGHT),
    ("old_master", paintings.old_master, _WIDE),
    ("suprematist", inks.suprematist, _SQUARE),
    ("expressionist", paintings.expressionist, _UPRIGHT),
    ("mosaic", inlays.mosaic, _UPRIGHT),
    ("pastel", paintings.pastel, _SQUARE),
    ("action_painting", inks.action_painting, _WIDE),
    ("cut_outs", inlays.cut_outs, _WIDE),
    ("charcoal", inks.charcoal, _UPRIGHT),
    ("poster", prints.poster, _UPRIGHT),
    ("gouache_forest", paintings.gouache_forest, _UPRIGHT),
    ("engraving", prints.engraving, _WIDE),
    ("rings", inlays.rings, _WIDE),
    ("batik", prints.batik, _SQUARE),
    ("nouveau", prints.nouveau, _UPRIGHT),
)


def artwork_kind(index: int) -> tuple[str, Size]:
    """The kind of the artwork with this number, and the format (height, width) that suits it."""
    name, _, size = _KINDS[index % len(_KINDS)]
    return name, size


def draw_artwork(index: int, seed: int, size: Size = (384, 480)) -> Pixels:
    """Draw one work of art.

    Args:
        index: The picture's number; consecutive numbers are different kinds of work.
        seed: The sample's seed.
        size: Height and width.

    Returns:
        RGB bytes (H, W, 3), the same whenever they are asked for.
    """
    rng = np.random.default_rng((seed, 2, index))
    return to_pixels(_KINDS[index % len(_KINDS)][1](rng, size))
