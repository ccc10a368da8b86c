"""Open-air scenes drawn like photographs: mountains, hills, dunes, sea, forest and the night sky.

Each scene takes a generator, a size and a time. Everything random is drawn before time comes into play, so the same
generator gives the same world at every time, seen by a camera that has moved on.
"""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from ieast.data.sample.noise import Field, Noise
from ieast.data.sample.shading import Mask, Picture, Size, grid, mask, mix, ramp, rgb, rgbs, smoothstep
from ieast.data.sample.terrain import DAYLIGHTS, Daylight, View, Viewpoint, aerial, cast, plant_trees, sky


def _hour(rng: np.random.Generator, names: str) -> Daylight:
    return DAYLIGHTS[str(rng.choice(names.split()))]


def mirrored(picture: Picture, horizon: float, x: Field, y: Field, bend_x: Field, bend_y: Field) -> Picture:
    """The picture as water below `horizon` reflects it, bent by `bend_x` and `bend_y` (picture heights)."""
    rows = picture.shape[0]
    at = [(2 * horizon - y + bend_y) * rows - 0.5, (x + bend_x) * rows - 0.5]
    return np.stack([map_coordinates(picture[..., c], at, order=1, mode="nearest") for c in range(3)], -1)


def mountains(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """Rocky peaks with snow and forest behind a lake; with time the eye flies on, and a balloon drifts by."""
    noise, clouds = Noise(rng), Noise(rng)
    hour = _hour(rng, "noon golden dawn golden")
    side = float(rng.choice([-1, 1]))
    snow_line, peaks, lake = rng.uniform(1.0, 1.9), rng.uniform(2.2, 3.2), rng.uniform(0.17, 0.3)
    start, zigzag = rng.uniform(0, 200), rng.uniform(0.7, 1.0)
    spots = rng.uniform((-1, 0, 0.09), (1, 1, 0.2), (420, 3)).astype(np.float32)
    eye = Viewpoint(start + 0.5 * time, 0.7 * time, lake + 0.35 + 0.1 * time, rng.uniform(0.5, 0.62), rng.uniform(1, 1.3))
    x, y = grid(size)

    def height(u: Field, v: Field) -> Field:
        rise = smoothstep(1.0, 11, v) * peaks
        bumps = noise.ridged(u * 0.3, v * 0.3, 8, 0.46)
        broad = 0.5 + 0.6 * noise(u * 0.14 + 40, v * 0.14 * zigzag)
        return np.maximum(rise * (1.35 * bumps**1.6 * np.clip(broad, 0.2, 1.2) + 0.35 * broad) + 0.16 * bumps, lake)

    view = cast(height, size, eye, 0.35, 26, side * 0.55, 420)
    sun = (-0.85 * side, 0.75, -0.5)
    heaven = sky(clouds, x, y, eye.horizon, hour, (0.5 - 0.6 * side, 0.1), rng.uniform(0.3, 0.6), 0.02 * time)
    colour = _rock(view, noise, sun, hour, snow_line)
    haze = (mix(rgb(hour.horizon), rgb(hour.middle), 0.4), 16.0)
    picture = mix(heaven, aerial(colour, view.depth, *haze), view.ground)
    wet = (view.height <= lake + 1e-3) & (view.depth < np.inf)
    z = 1.5 + 8.5 * spots[:, 1]
    trees = np.stack([start + spots[:, 0] * z * 0.8, z, spots[:, 2]], 1)
    dry = trees[height(trees[:, 0], trees[:, 1]) > lake + 0.015]
    greens = (rgb("#10201a"), 0.5 * rgb("#4a6a38") + 0.25 * rgb(hour.sun) * rgb("#6a8a48"))
    shore = picture.copy()
    plant_trees(picture, view, eye, dry, height, noise, greens, haze, conifer=True)
    picture = _lake(picture, shore, wet, view, noise, hour, time)
    _balloon(picture, eye, size, rng, time)
    return picture


def _rock(view: View, noise: Noise, sun: tuple[float, float, float], hour: Daylight, snow_line: float) -> Picture:
    fine = noise.fractal(view.x * 9, view.z * 9 + view.height * 9, 4, 0.65)
    steep = np.hypot(view.across, view.along)
    stone = ramp(0.5 + 0.6 * fine, rgbs("#3f3a3a #6e665e #9a8f80"))
    wood = ramp(0.5 + 0.8 * fine, rgbs("#16241a #2e4426 #5c6e38"))
    colour = mix(wood, stone, smoothstep(0.5, 1.1, steep + 0.9 * view.height - 0.45 + 0.3 * fine))
    snow = smoothstep(snow_line - 0.15, snow_line + 0.15, view.height + 0.35 * fine - 0.25 * steep)
    colour = mix(colour, rgb("#f4f6fa"), snow)
    direct = (view.lit(sun) * (1 + 0.35 * fine))[..., None]
    return colour * (0.55 * rgb(hour.ambient) + 1.25 * direct * rgb(hour.sun))


def _lake(picture: Picture, dry: Picture, wet: Mask, view: View, noise: Noise, hour: Daylight, time: float) -> Picture:
    x, y = grid((picture.shape[0], picture.shape[1]))
    depth = np.where(wet, view.depth, 1)
    ripple = noise.fractal(view.x * 14, view.z * 5 + 0.3 * time, 3, 0.6)
    line = np.where(wet, y, 1).min(axis=0, initial=1)
    shore = float(np.percentile(line, 10))
    water = mirrored(picture, shore, x, y, 0.008 * ripple / depth, 0.05 * ripple / depth)
    water = mix(water * 0.85, rgb("#1c3a44") * (0.6 + 0.8 * rgb(hour.middle)), 0.25 + 0.4 * smoothstep(shore, 1.1, y))
    return np.where(wet[..., None] & (np.abs(picture - dry).sum(-1, keepdims=True) < 1e-4), water, picture)


def _balloon(picture: Picture, eye: Viewpoint, size: Size, rng: np.random.Generator, time: float) -> None:
    colour = rgbs(str(rng.choice(["#d8432f #f2e3c0", "#2f6fb0 #f0c23a", "#8a2f6a #f08a3a"])))
    centre = (rng.uniform(0.25, 0.75) + 0.12 * time) * size[1] / size[0]
    high, radius = eye.horizon * rng.uniform(0.3, 0.55) - 0.03 * time, rng.uniform(0.03, 0.05)
    x, y = grid(size)
    u, v = (x - centre) / radius, (y - high) / radius
    width = np.where(v < 0.2, 1, 1 - 0.55 * smoothstep(0.2, 1.5, v)) * np.sqrt(np.clip(1 - np.clip(v, -1, 0.2) ** 2, 0, 1))
    body = smoothstep(0, 0.12, width - np.abs(u)) * smoothstep(1.5, 1.4, v)
    stripe = smoothstep(-0.15, 0.15, np.sin(np.arcsin(np.clip(u / np.maximum(width, 0.05), -1, 1)) * 6))
    shade = np.clip(0.85 - 0.35 * u - 0.2 * v, 0.3, 1.2)[..., None]
    picture[:] = mix(picture, mix(colour[0], colour[1], stripe) * shade, body)
    basket = smoothstep(0.2, 0.12, np.abs(u)) * smoothstep(0.18, 0.1, np.abs(v - 1.85))
    picture[:] = mix(picture, rgb("#4a3322"), basket)


def hills(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """Rolling farmland: fields in strips and patches, hedges and round trees, under big clouds."""
    noise, clouds = Noise(rng), Noise(rng)
    hour = _hour(rng, "noon golden overcast golden")
    crops = rgbs(
        str(
            rng.choice(
                ["#5f7f34 #a8b04a #d8bc58 #7a9a3e", "#d6a840 #8a7a3a #c8893a #6f8a40", "#7a9a48 #b890c0 #5a7a3a #cfc46a"]
            )
        )
    )
    side, start = float(rng.choice([-1, 1])), rng.uniform(0, 200)
    spots = rng.uniform((-1, 0, 0.16), (1, 1, 0.34), (110, 3)).astype(np.float32)
    eye = Viewpoint(start + time, 0.5 * time, rng.uniform(0.75, 0.95), rng.uniform(0.33, 0.45), 1.2)
    x, y = grid(size)

    def height(u: Field, v: Field) -> Field:
        return 0.5 * noise.fractal(u * 0.22, v * 0.22, 3, 0.4) + 0.02 * np.clip(v, 0, 30)

    view = cast(height, size, eye, 0.4, 34, side * 0.4, 300)
    bend_x, bend_z = view.x + 0.8 * noise(view.x * 0.5, view.z * 0.5), view.z + 0.8 * noise(view.x * 0.5 + 9, view.z * 0.5)
    cell_x, cell_z = np.floor(bend_x / 1.7), np.floor(bend_z / 2.3)
    kind = np.abs(np.sin(cell_x * 12.9 + cell_z * 78.2) * 43758.5) % 1
    fade = 1 / (1 + 0.1 * view.depth**2)
    rows_of_crop = np.sin(np.where(kind > 0.5, bend_x, bend_z) * 75) * fade
    fine = noise.fractal(view.x * 22, view.z * 10, 4, 0.75)
    colour = crops[(kind * 3.999).astype(int)] * (1 + 0.16 * rows_of_crop + 0.4 * fine)[..., None]
    edge = np.minimum(np.abs(bend_x / 1.7 - np.round(bend_x / 1.7)), np.abs(bend_z / 2.3 - np.round(bend_z / 2.3)))
    colour = mix(colour, rgb("#2c4020") * (1 + fine)[..., None], smoothstep(0.05, 0.025, edge + 0.02 * fine) * 0.85)
    direct = view.lit((-0.8 * side, 0.6, -0.2), 0.6)[..., None]
    haze = (mix(rgb(hour.horizon), rgb(hour.middle), 0.5), 22.0)
    colour = aerial(colour * (0.5 * rgb(hour.ambient) + 1.15 * direct * rgb(hour.sun)), view.depth, *haze)
    heaven = sky(clouds, x, y, eye.horizon, hour, (0.5 - 0.7 * side, 0.1), rng.uniform(0.5, 0.75), 0.02 * time)
    picture = mix(heaven, colour, view.ground)
    z = 1.6 + spots[:, 1] * 12
    trees = np.stack([start + spots[:, 0] * z * 0.8, z, spots[:, 2]], 1)
    greens = (rgb("#16240f"), 0.4 * rgb("#8a9a3c") + 0.35 * rgb(hour.sun) * rgb("#8a9a3c"))
    plant_trees(picture, view, eye, trees, height, noise, greens, haze, conifer=False)
    return picture


def dunes(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """Desert dunes with sharp crests, wind ripples and long shadows."""
    noise, clouds = Noise(rng), Noise(rng)
    hour = _hour(rng, "noon golden golden dusk")
    sand = rgb(str(rng.choice(["#c98f52", "#b86a38", "#cfa06a"])))
    side, start = float(rng.choice([-1, 1])), rng.uniform(0, 200)
    eye = Viewpoint(start + time, time, rng.uniform(0.85, 1.1), rng.uniform(0.3, 0.42), 1.1)
    x, y = grid(size)

    def height(u: Field, v: Field) -> Field:
        bent = u + 0.9 * noise(u * 0.3, v * 0.3)
        crest = np.abs(1 - np.abs(noise(bent * 0.42, v * 0.28 + 31)))
        small = 1 - np.abs(noise(bent * 1.1 + 7, v * 0.6))
        return 0.85 * crest**2.2 + 0.14 * small**2 - 0.3

    view = cast(height, size, eye, 0.4, 26, side * 0.38, 800)
    phase = view.x * 62 + view.z * 25 + 6 * noise.fractal(view.x * 2.2, view.z * 2.2, 3)
    ripple = np.sin(phase) * np.exp(-view.depth * 0.5)
    grains = noise.fractal(view.x * 40, view.z * 40, 2, 0.8) / (1 + view.depth)
    direct = view.lit((-0.85 * side, 0.5, 0.1), 0.9) * (1 + 0.3 * ripple) + 0.1 * grains
    ambient = 0.9 * rgb(hour.ambient) * (0.75 + 0.25 * view.lit((0, 1, 0), 0))[..., None]
    colour = sand * (ambient + 1.35 * np.clip(direct, 0, 1)[..., None] * rgb(hour.sun))
    haze = (mix(rgb(hour.horizon), sand, 0.35), 20.0)
    heaven = sky(clouds, x, y, eye.horizon, hour, (0.6 - 0.8 * side, 0.12), rng.uniform(0.1, 0.4), 0.02 * time)
    return mix(heaven, aerial(colour, view.depth, *haze), view.ground)


def sea(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """Open sea that mirrors sun and clouds, with headlands and a sailing boat that moves with time."""
    waves, clouds = Noise(rng), Noise(rng)
    hour = _hour(rng, "golden dusk noon dawn overcast")
    horizon, aspect = rng.uniform(0.36, 0.52), size[1] / size[0]
    sun = (rng.uniform(0.2, 0.8) * aspect, horizon - rng.uniform(0.06, 0.28))
    swell, cover = rng.uniform(0.6, 1.1), rng.uniform(0.35, 0.65)
    deep = rgb(str(rng.choice(["#0c3040", "#123a4c", "#16363a"])))
    x, y = grid(size)
    x = x + 0.06 * time
    picture = sky(clouds, x, y, horizon, hour, sun, cover, 0.03 * time)
    picture = _headlands(picture, x, y, horizon, waves, hour, rng)
    down = np.clip(y - horizon, 1e-3, None)
    depth = 0.35 / down
    u, v = (x - 0.5 * aspect) * depth, depth + 0.25 * time
    calm = 1 / (1 + 0.06 * depth**1.5)
    slope_x = waves.fractal(u * 3, v * 5.5 + 0.5 * time, 5, 0.62) * swell
    slope_z = waves.fractal(u * 3 + 31, v * 7 - 0.6 * time, 5, 0.62) * swell
    glance = np.clip(0.95 - 1.5 * down + 0.6 * slope_z * calm, 0.08, 1)
    bent = mirrored(picture, horizon, x - 0.06 * time, y, 0.12 * slope_x * calm, -np.abs(0.30 * slope_z * calm) * (down + 0.15))
    water = mix(deep * (0.55 + 0.7 * rgb(hour.middle)) * (1 + 0.5 * slope_z * calm)[..., None], bent, glance**1.3 * 0.9)
    along_sun = np.exp(-(((x - sun[0] + 0.06 * slope_x) / (0.05 + 0.35 * down)) ** 2))
    glitter = smoothstep(0.25, 0.6, slope_z + 0.3 * slope_x) * along_sun * (0.9 if cover < 0.6 else 0.5)
    water = water + glitter[..., None] * rgb(hour.sun) * 1.1
    foam = smoothstep(0.5, 0.75, waves.fractal(u * 3.4 + 8, v * 7, 5, 0.7) * swell) * smoothstep(0.02, 0.2, down)
    water = mix(water, 0.5 + 0.45 * rgb(hour.sun), foam * 0.75)
    picture = mix(picture, water, smoothstep(0, 0.004, y - horizon))
    sail_boat(picture, rng, size, horizon, hour, time)
    return picture


def _headlands(
    picture: Picture, x: Field, y: Field, horizon: float, noise: Noise, hour: Daylight, rng: np.random.Generator
) -> Picture:
    for distance in (0.75, 0.45):
        middle, half = rng.uniform(-0.2, 1.5), rng.uniform(0.25, 0.5)
        profile = rng.uniform(0.06, 0.14) * np.clip(1 - ((x - middle) / half) ** 2, -1, 1) * (1.6 - distance)
        edge = profile + 0.02 * noise.fractal(x * 9, x * 0 + distance * 30, 5, 0.6)
        rock = 0.5 + 0.5 * noise.fractal(x * 16, y * 34, 5, 0.65)
        colour = mix(
            0.55 * rgb(hour.ambient) + 0.5 * (rock - 0.4)[..., None] * rgb(hour.sun) * 0.5, rgb(hour.horizon), distance * 0.75
        )
        picture = mix(picture, colour, smoothstep(-0.003, 0.003, edge - (horizon - y)) * (y < horizon + 0.01))
    return picture


def sail_boat(picture: Picture, rng: np.random.Generator, size: Size, horizon: float, hour: Daylight, time: float) -> None:
    """Draw a sailing boat and its reflection onto water below `horizon`, in place; it sails left with time."""
    scale, down = rng.uniform(0.1, 0.2), rng.uniform(0.03, 0.12)
    at = np.array([rng.uniform(0.2, 0.75) * size[1] / size[0] - 0.16 * time, horizon + down + 0.004 * np.sin(7 * time)])
    roll = 0.06 * np.sin(5 * time + 1) + 0.04
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])

    def place(points: list[tuple[float, float]], flip: float = 1.0) -> Field:
        return ((np.array(points) @ turn) * (1, flip) * scale + at).astype(np.float32)

    hull = [(-0.5, -0.1), (0.55, -0.13), (0.4, 0.04), (-0.4, 0.04)]
    main, jib = [(0.02, -1.15), (0.02, -0.18), (-0.46, -0.16)], [(0.06, -1.05), (0.06, -0.18), (0.5, -0.17)]
    image = mask(size, [place(points, -0.8) for points in (hull, main, jib)])
    picture[:] = mix(picture, 0.6 * rgb(hour.ambient), gaussian_filter(image, size[0] * 0.004) * 0.5)
    picture[:] = mix(picture, 0.75 * rgb(hour.sun) + 0.2 * rgb(hour.ambient), mask(size, [place(main)]))
    picture[:] = mix(picture, 0.55 * rgb(hour.sun) + 0.15 * rgb(hour.ambient), mask(size, [place(jib)]))
    picture[:] = mix(picture, rgb("#3a1c18") + 0.1 * rgb(hour.sun), mask(size, [place(hull)]))
