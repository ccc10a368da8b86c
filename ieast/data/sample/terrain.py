"""Landscapes seen in perspective: ground given by a height function, the sky over it, and trees on it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ieast.data.sample.noise import Field, Noise
from ieast.data.sample.shading import Picture, Size, grid, mix, ramp, rgb, smoothstep

Height = Callable[[Field, Field], Field]


@dataclass(frozen=True)
class Daylight:
    """Colours of an hour of the day, from the zenith down, of its light and of its shadows."""

    zenith: str
    middle: str
    horizon: str
    sun: str
    ambient: str

    def gradient(self) -> Picture:
        """The sky from the zenith to the horizon, (3, 3)."""
        return np.stack([rgb(self.zenith), rgb(self.middle), rgb(self.horizon)])


DAYLIGHTS = {
    "noon": Daylight("#2f66b0", "#6fa3d8", "#c9dfee", "#fff6e0", "#5f7896"),
    "golden": Daylight("#4a72a8", "#c3b3a8", "#ffcf8f", "#ffc878", "#6a6480"),
    "dawn": Daylight("#5b6a9e", "#c39ab0", "#ffd2b8", "#ffb890", "#6b6488"),
    "dusk": Daylight("#232a58", "#8a4f7e", "#ff8f5a", "#ff7f48", "#4a3f66"),
    "overcast": Daylight("#8795a3", "#a9b4bd", "#cdd3d6", "#d8dadb", "#7b858f"),
    "night": Daylight("#050918", "#0e1a36", "#243a5c", "#8fa8d8", "#18223c"),
}


def sky(
    noise: Noise,
    x: Field,
    y: Field,
    horizon: float,
    light: Daylight,
    sun: tuple[float, float],
    cover: float = 0.5,
    drift: float = 0.0,
) -> Picture:
    """Sky with clouds that shrink towards the horizon, lit from the sun's side.

    Args:
        noise: The clouds' noise.
        x: Coordinates as of `grid`, (H, W).
        y: Coordinates as of `grid`, (H, W).
        horizon: The horizon's y.
        light: Colours of the hour.
        sun: The sun's place in the picture.
        cover: Share of clouds, from 0 to 1.
        drift: How far the clouds have moved.

    Returns:
        Colours (H, W, 3); glow near the sun may pass 1.
    """
    up = np.clip(horizon - y, 0, None)
    colour = ramp(1 - np.clip(up / max(horizon, 0.3), 0, 1) ** 0.8, light.gradient())
    far = 0.35 / (up + 0.09)
    u, v = (x - 0.6) * far * 1.6 + drift, far * 2.6
    density = noise.fractal(u, v, 6, 0.55)
    to_sun = np.tanh((sun[0] - x) * 4) * 0.15
    lit = np.clip(0.55 + 1.6 * (density - noise.fractal(u + to_sun, v + 0.15, 4, 0.5)), 0, 1.2)
    thick = smoothstep(0.55 - cover, 1.0 - cover, density) * smoothstep(0, 0.12, up)
    near_sun = (x - sun[0]) ** 2 + (y - sun[1]) ** 2
    glow = np.exp(-near_sun / 0.008) * 0.5 + np.exp(-near_sun / 0.12) * 0.35
    cloud = mix(0.8 * rgb(light.ambient) + 0.2 * rgb(light.middle), 0.6 * rgb(light.sun) + 0.4, lit)
    colour = mix(colour, mix(cloud, rgb(light.horizon), np.exp(-up * 5) * 0.8), thick * 0.9)
    return colour + glow[..., None] * rgb(light.sun) * (1 - 0.5 * thick)[..., None]


@dataclass(frozen=True)
class Viewpoint:
    """Where a landscape is seen from.

    Attributes:
        x: Position across.
        z: Position along the direction of view.
        altitude: Height of the eye.
        horizon: The horizon's y in the picture.
        focal: Focal length in picture heights.
    """

    x: float = 0.0
    z: float = 0.0
    altitude: float = 0.3
    horizon: float = 0.45
    focal: float = 1.1

    def project(self, size: Size, x: float, height: float, z: float) -> tuple[float, float]:
        """Where in the picture a point of the world is seen."""
        across = 0.5 * size[1] / size[0] + self.focal * (x - self.x) / (z - self.z)
        return across, self.horizon - self.focal * (height - self.altitude) / (z - self.z)


@dataclass(frozen=True)
class View:
    """What each pixel (H, W) shows of the ground; `depth` is infinite where it shows the sky.

    Attributes:
        x: Place across.
        z: Place along the direction of view, in the world.
        height: Height of the ground.
        across: Slope of the ground along x.
        along: Slope of the ground along z.
        depth: Distance from the eye along z.
        shadow: 1 in the sun, 0 in the shadow of other ground.
    """

    x: Field
    z: Field
    height: Field
    across: Field
    along: Field
    depth: Field
    shadow: Field

    @property
    def ground(self) -> Field:
        """1 on the ground and 0 in the sky."""
        return np.isfinite(self.depth).astype(np.float32)

    def lit(self, sun: tuple[float, float, float], shadows: float = 0.85) -> Field:
        """Direct light in [0, 1] from the direction `sun` (x, up, z; any length)."""
        x, up, z = np.array(sun) / np.linalg.norm(sun)
        facing = (up - self.across * x - self.along * z) / np.sqrt(1 + self.across**2 + self.along**2)
        return np.clip(facing, 0, 1) * (1 - shadows * (1 - self.shadow))


def cast(height: Height, size: Size, eye: Viewpoint, near: float, far: float, elevation: float, steps: int = 320) -> View:
    """See the ground from a viewpoint.

    Args:
        height: The ground's height at (x, z), for arrays of any shape.
        size: The picture's height and width.
        eye: The viewpoint.
        near: Distance of the nearest ground seen.
        far: Distance of the farthest.
        elevation: Slope of the sunlight that comes along x, from the left if it is positive.
        steps: Distances that are looked at.

    Returns:
        The place, slope and light of the ground at each pixel.
    """
    rows, columns = size
    depth = np.geomspace(near, far, steps, dtype=np.float32)[:, None]
    x = eye.x + depth * ((np.arange(columns, dtype=np.float32) + 0.5 - columns / 2) / (rows * eye.focal))
    z = np.broadcast_to(eye.z + depth, x.shape)
    ground = height(x, z).astype(np.float32)
    seen = np.minimum.accumulate(eye.horizon - eye.focal * (ground - eye.altitude) / depth, axis=0)
    y = (np.arange(rows, dtype=np.float32) + 0.5) / rows
    first = np.stack([np.searchsorted(-seen[:, c], -y) for c in range(columns)], 1)
    sky_here = first >= steps
    after = np.clip(first, 1, steps - 1)
    column = np.broadcast_to(np.arange(columns), after.shape)
    high, low = seen[after, column], seen[after - 1, column]
    part = np.clip((low - y[:, None]) / np.maximum(low - high, 1e-6), 0, 1)

    def at(values: Field) -> Field:
        return values[after - 1, column] * (1 - part) + values[after, column] * part

    across = np.gradient(ground, axis=1) / np.gradient(x, axis=1)
    # Along a column of the picture x changes with the distance, which is not a slope along z.
    along = (np.gradient(ground, axis=0) - across * np.gradient(x, axis=0)) / np.gradient(depth, axis=0)
    hit = at(np.broadcast_to(depth, x.shape))
    hit[sky_here] = np.inf
    return View(at(x), at(z), at(ground), at(across), at(along), hit, at(_shadows(ground, x, depth, elevation)))


def _shadows(ground: Field, x: Field, depth: Field, elevation: float) -> Field:
    """1 where light along x with the slope `elevation` reaches the ground, 0 where other ground is in its way."""
    flip = slice(None) if elevation > 0 else slice(None, None, -1)
    ramp_up = abs(elevation) * np.abs(x - x[:, :1] if elevation > 0 else x - x[:, -1:])
    raised = (ground + ramp_up)[:, flip]
    over = (np.maximum.accumulate(raised, axis=1) - raised)[:, flip]
    return 1 - smoothstep(0.004, 0.03, over / np.sqrt(depth))


def aerial(colour: Picture, depth: Field, haze: Picture, reach: float) -> Picture:
    """Colours (H, W, 3) faded towards the `haze` colour with distance; `reach` is where a third is left."""
    return mix(colour, haze, 1 - np.exp(-np.minimum(depth, 1e6) / reach))


def plant_trees(
    picture: Picture,
    view: View,
    eye: Viewpoint,
    trees: Field,
    height: Height,
    noise: Noise,
    colours: tuple[Picture, Picture],
    haze: tuple[Picture, float],
    conifer: bool,
) -> None:
    """Draw trees onto a landscape, in place, each hidden where nearer ground hides it.

    Args:
        picture: The landscape (H, W, 3).
        view: Its ground.
        eye: Its viewpoint.
        trees: Places and sizes (N, 3): x, z and tree height.
        height: The ground's height.
        noise: Noise for the leaves.
        colours: Of leaves in the shade and in the sun (the sun is at the left).
        haze: Colour of the haze and its reach.
        conifer: Pointed trees, not round ones.
    """
    rows, columns = picture.shape[:2]
    roots = height(trees[:, 0], trees[:, 1])
    for index in np.argsort(-trees[:, 1]):
        x, z, tall = (float(value) for value in trees[index])
        if z - eye.z < 0.05:
            continue
        centre, base = eye.project((rows, columns), x, float(roots[index]), z)
        extent = eye.focal * tall / (z - eye.z)
        wide = extent * (0.26 if conifer else 0.5)
        top, bottom = (int(np.clip(v * rows, 0, rows)) for v in (base - extent * 1.05, base + 1 / rows))
        left, right = (int(np.clip(v * rows, 0, columns)) for v in (centre - wide, centre + wide))
        if bottom - top < 2 or right - left < 2:
            continue
        px, py = grid((bottom - top, right - left))
        scale = (bottom - top) / rows
        u = (px * scale + left / rows - centre) / wide
        v = (base - py * scale - top / rows) / extent
        alpha, shade = _tree(u, v, noise, 7.7 * index, conifer, rows * extent)
        leaf = aerial(mix(colours[0], colours[1], shade), np.full_like(u, z - eye.z), *haze)
        area = (slice(top, bottom), slice(left, right))
        hidden = view.depth[area] < (z - eye.z) * 0.97
        picture[area] = mix(picture[area], leaf, np.where(hidden, 0, alpha))


def _tree(u: Field, v: Field, noise: Noise, offset: float, conifer: bool, pixels: float) -> tuple[Field, Field]:
    rough = noise.fractal(u * 2.5 + offset, v * 5, 4, 0.65)
    soft = 2.5 / pixels + 0.08
    if conifer:
        tiers = 0.13 * (1 - (v * 7 + 0.5 * rough) % 1)
        edge = (1 - v) * 0.75 + tiers * (1 - v * 0.7) - np.abs(u) + 0.12 * rough
        alpha = smoothstep(0, soft, edge) * smoothstep(0, 0.05, v)
    else:
        crown = 1 - np.hypot(u, (v - 0.6) / 0.42) + 0.35 * rough
        trunk = 0.08 - np.abs(u) - 0.5 * np.clip(v - 0.5, 0, 1)
        alpha = np.maximum(smoothstep(0, soft, crown), smoothstep(0, 0.03, trunk))
    shade = np.clip(0.42 - 0.45 * u + 0.35 * (v - 0.5) + 0.7 * rough, 0, 1)
    return alpha, shade
