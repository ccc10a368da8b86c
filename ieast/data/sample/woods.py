"""Scenes of trunks, petals and stars: a forest in fog, a flower seen from near, and the night sky."""

import numpy as np
from scipy.ndimage import gaussian_filter

from ieast.data.sample.noise import Field, Noise
from ieast.data.sample.shading import Picture, Size, blur, grid, mask, mix, ramp, rgb, rgbs, smoothstep

_FORESTS = (
    "#dfe6dc #9fb09a #2a2c22 #6f7a3a #fff3cf",
    "#f3dfb8 #c99a5c #33241a #a8642a #ffe2a0",
    "#c9d6e4 #8296ac #20242c #4a5a52 #eaf2ff",
    "#e8c8c0 #a8788a #2c1e28 #7a4a48 #ffd8c0",
)


def forest(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """Trunks that fade into fog, shafts of light and falling leaves; with time one walks on between them."""
    noise = Noise(rng)
    fog, dim, bark, litter, glow = rgbs(_FORESTS[rng.integers(len(_FORESTS))])
    count = 150
    trunks = rng.uniform((-5, 0.9, 0.07, -0.06), (5, 14, 0.24, 0.06), (count, 4))
    trunks[:, 0] += np.where(np.abs(trunks[:, 0]) < 0.35, 0.7, 0)
    leaves = rng.uniform((-1.5, -0.2, 0.9, 0), (1.5, 1.6, 4.0, 6.3), (60, 4))
    horizon, focal = rng.uniform(0.5, 0.62), rng.uniform(0.9, 1.2)
    sun = np.array([rng.uniform(0.25, 0.75) * size[1] / size[0], rng.uniform(0.05, 0.3)])
    walked, sway = 0.7 * time, 0.05 * np.sin(4 * time)
    x, y = grid(size)
    picture = _glade(x, y, size, noise, horizon, focal, walked, sway, (fog, dim, litter))
    halo = np.exp(-((x - sun[0]) ** 2 + (y - sun[1]) ** 2) / 0.09)
    picture = mix(picture, glow, 0.8 * halo * smoothstep(horizon + 0.1, horizon - 0.2, y))
    z = trunks[:, 1] - walked
    z = np.where(z < 0.6, z + 13.5, z)
    for index in np.argsort(-z):
        across, _, wide, lean = trunks[index]
        _trunk(picture, noise, index, (across - sway, z[index], wide, lean), (horizon, focal), (bark, litter, fog))
    for index, (across, up, away, phase) in enumerate(leaves):
        fall = (up - 0.55 * time) % 1.8 - 0.3
        away = 0.7 + (away - walked) % 3.3
        spot = (across + 0.12 * np.sin(3 * time + phase) - sway) * focal / away + 0.5 * size[1] / size[0]
        _leaf(
            picture, spot, horizon - focal * (fall - 0.3) / away, 0.02 / away, phase + 5 * time, litter * (1 + index % 3 * 0.3)
        )
    angle = np.arctan2(y - sun[1], x - sun[0])
    shafts = smoothstep(0.0, 0.7, noise.fractal(angle * 3.5, 0 * angle + 3 + 0.2 * time, 2)) * np.exp(
        -3 * np.hypot(x - sun[0], y - sun[1])
    )
    return picture + (0.32 * shafts * smoothstep(0, 0.1, y))[..., None] * glow


def _glade(
    x: Field,
    y: Field,
    size: Size,
    noise: Noise,
    horizon: float,
    focal: float,
    walked: float,
    sway: float,
    colours: tuple[Picture, Picture, Picture],
) -> Picture:
    fog, dim, litter = colours
    crowns = noise.fractal((x + 0.1 * sway) * 5 / (1 - 0.03 * walked), y * 5, 6, 0.65)
    back = mix(fog, dim, np.clip(0.35 + 0.6 * crowns - 0.9 * np.abs(y - horizon + 0.1), 0, 1) * smoothstep(horizon, 0.1, y))
    depth = 0.5 * focal / np.clip(y - horizon, 0.01, None)
    u, v = (x - 0.5 * size[1] / size[0]) * depth / focal + sway, depth + walked
    fine = noise.fractal(u * 9, v * 9, 5, 0.75)
    patch = noise.fractal(u * 1.3 + 40, v * 1.3, 3)
    path = np.exp(-(((u + 0.25 * np.sin(v * 0.8)) / 0.28) ** 2))
    ground = mix(litter * 0.55, dim * 0.9, np.clip(0.4 + patch + 0.4 * path, 0, 1)) * (0.8 + 0.75 * fine)[..., None]
    ground = mix(ground, fog, 1 - np.exp(-depth / 6.5))
    bushes = 0.05 * noise.fractal(x * 6 / (1 - 0.03 * walked), 0 * y + 60, 4) + 0.02 * crowns
    fern = mix(mix(litter * 0.7, dim, 0.5 + 0 * x) * (0.8 + 0.8 * crowns)[..., None], fog, 0 * x + 0.45)
    back = mix(back, fern, smoothstep(-0.02, 0.02, y - horizon + 0.03 - bushes))
    return mix(back, ground, smoothstep(-0.01, 0.03, y - horizon - 0.012 * crowns))


def _trunk(
    picture: Picture,
    noise: Noise,
    index: int,
    trunk: tuple[float, float, float, float],
    lens: tuple[float, float],
    colours: tuple[Picture, Picture, Picture],
) -> None:
    rows, columns = picture.shape[:2]
    across, depth, wide, lean = trunk
    horizon, focal = lens
    bark, moss, fog = colours
    centre, half = 0.5 * columns / rows + focal * across / depth, 0.5 * focal * wide / depth
    reach = half * 1.8 + abs(lean) + 0.02
    left, right = (int(np.clip((centre + s * reach) * rows, 0, columns)) for s in (-1, 1))
    bottom = int(np.clip((horizon + 0.5 * focal / depth) * rows + 2, 0, rows))
    if right - left < 2:
        return
    x, y = grid((bottom, right - left))
    x, y = x * bottom / rows + left / rows, y * bottom / rows
    foot = horizon + 0.5 * focal / depth
    height = (foot - y) * depth / focal
    bend = lean * (foot - y) + half * 0.5 * noise(height * 1.2 + 9 * index, 0 * y)
    flare = 1 + 0.6 * np.exp(-height * 14) - 0.12 * height
    u = (x - centre - bend) / (half * flare)
    rough = noise.fractal(np.arcsin(np.clip(u, -1, 1)) * 2.2 + 5.3 * index, height * 4 + 3.1 * index, 5, 0.7)
    light = np.clip(0.75 - 0.55 * np.abs(u + 0.3), 0.1, 1) * (1 + 0.9 * rough)
    colour = mix(bark * 1.8, moss, smoothstep(0.1, 0.5, rough - 0.8 * height + 0.25)) * np.clip(light, 0.1, 2)[..., None]
    colour = mix(colour, fog, np.full_like(u, 1 - np.exp(-((depth / 7.5) ** 1.3))))
    alpha = smoothstep(1, 1 - min(1.5 / (half * rows), 0.9), np.abs(u) + 0.06 * rough) * smoothstep(
        0, 0.01, foot - y - 0.006 * rough
    )
    # Trunks that are passed come back far away; they must fade out here and in there.
    near = float(np.clip((depth - 0.6) * 4, 0, 1) * np.clip((14.1 - depth) / 1.5, 0, 1))
    area = (slice(0, bottom), slice(left, right))
    picture[area] = mix(picture[area], colour, alpha * near)


def _leaf(picture: Picture, x: float, y: float, radius: float, turn: float, colour: Picture) -> None:
    rows, columns = picture.shape[:2]
    top, bottom = (int(np.clip((y + s * radius) * rows + s, 0, rows)) for s in (-1, 1))
    left, right = (int(np.clip((x + s * radius) * rows + s, 0, columns)) for s in (-1, 1))
    if bottom <= top or right <= left:
        return
    px, py = grid((bottom - top, right - left))
    scale = (bottom - top) / rows
    px, py = (px * scale + left / rows - x) / radius, (py * scale + top / rows - y) / radius
    u, v = px * np.cos(turn) + py * np.sin(turn), py * np.cos(turn) - px * np.sin(turn)
    alpha = smoothstep(1, 0.5, np.hypot(u, v / (0.35 + 0.2 * np.sin(2 * turn))))
    area = (slice(top, bottom), slice(left, right))
    picture[area] = mix(picture[area], np.clip(colour * (1.2 + 0.5 * np.sin(3 * turn)), 0, 1), 0.85 * alpha)


def flower(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """Flowers from near, before a background far out of focus; they sway with time."""
    noise = Noise(rng)
    palettes = (
        "#d8325a #ff9ab0 #f2c53a",
        "#f2a51e #fff0a0 #6a3a14",
        "#7a5ad0 #d8c8ff #f0d040",
        "#f4f0ea #ffffff #f0b020",
        "#e8552a #ffc080 #3a2418",
        "#3f6fd8 #b8d4ff #f4e060",
    )
    petal, tip, heart = rgbs(palettes[rng.integers(len(palettes))])
    background = rgbs(str(rng.choice(["#1e3a1c #4a7a32 #a8c060", "#20302e #4a6a5a #c8b878", "#3a2a30 #7a5a50 #d8a878"])))
    aspect = size[1] / size[0]
    x, y = grid(size)
    picture = ramp(np.clip(0.45 + 0.6 * noise.fractal(x * 1.6, y * 1.6, 2) - 0.3 * (y - 0.5), 0, 1), background)
    for _ in range(26):
        at, radius = rng.uniform((0, 0), (aspect, 1)), rng.uniform(0.03, 0.09)
        disc = np.hypot(x - at[0], y - at[1]) / radius
        lens = smoothstep(1, 0.93, disc) * (0.65 + 0.35 * smoothstep(0.6, 1, disc))
        picture = mix(picture, mix(background[2], petal, rng.random()) * rng.uniform(0.9, 1.3), lens * rng.uniform(0.12, 0.45))
    blooms = [(rng.uniform((0.1, 0.1), (aspect - 0.1, 0.8)), rng.uniform(0.1, 0.16), rng.uniform(5, 9)) for _ in range(3)]
    main = (np.array([aspect * rng.uniform(0.38, 0.62), rng.uniform(0.38, 0.5)]), rng.uniform(0.28, 0.36), 0.0)
    green = mix(rgb("#4a7a34"), background[1], rng.uniform(0.1, 0.5))
    petals, turn, double = int(rng.choice([5, 6, 8, 13])), rng.uniform(0, 6.3), bool(rng.random() < 0.6)
    for index, (at, radius, soft) in enumerate([*blooms, main]):
        layer = np.zeros((*size, 4), np.float32)
        _stem(layer, x, y, at, radius, green, noise)
        place = at + 0.02 * np.sin(3 * time + index)
        box = _around(size, place, 1.15 * radius)
        for ring in range(2 if double else 1):
            shape = (radius * (1 - 0.28 * ring), petals, turn + index + ring * np.pi / petals)
            _bloom(layer[box], x[box], y[box], place, shape, (petal, tip), noise)
        _heart(layer[box], x[box], y[box], place, radius * 0.24, heart, noise)
        layer = gaussian_filter(layer, (soft * size[0] / 384, soft * size[0] / 384, 0)) if soft else layer
        picture = picture * (1 - layer[..., 3:]) + layer[..., :3]
    return picture


def _around(size: Size, at: Picture, radius: float) -> tuple[slice, slice]:
    top, bottom = (int(np.clip((at[1] + s * radius) * size[0], 0, size[0])) for s in (-1, 1))
    left, right = (int(np.clip((at[0] + s * radius) * size[0], 0, size[1])) for s in (-1, 1))
    return slice(top, bottom), slice(left, right)


def _put(layer: Picture, colour: Picture, alpha: Field) -> None:
    """Lay a colour over a picture whose four channels are premultiplied."""
    layer *= 1 - alpha[..., None]
    layer[..., :3] += colour * alpha[..., None]
    layer[..., 3] += alpha


def _stem(layer: Picture, x: Field, y: Field, at: Picture, radius: float, green: Picture, noise: Noise) -> None:
    away = (x - at[0] - 0.12 * (y - at[1]) ** 2) / (0.06 * radius)
    _put(layer, green * (0.9 - 0.4 * away)[..., None], smoothstep(1, 0.8, np.abs(away)) * (y > at[1]))
    for side in (-1, 1):
        u, v = side * (x - at[0] - side * 0.02), y - at[1] - 1.35 * radius
        along, off = 0.9 * u + 0.45 * v, 0.9 * v - 0.45 * u
        width = 0.32 * radius * np.sqrt(np.clip(along / radius, 0, 1)) * np.clip(1.3 * radius - along, 0, None) / radius
        vein = np.abs(np.sin((along - np.abs(off) * 0.9) / radius * 22)) ** 0.3
        shade = (0.65 + 0.35 * vein + 0.25 * noise(x * 30, y * 30) + 0.9 * off / radius)[..., None]
        _put(layer, green * shade * 1.15, smoothstep(0, 0.006, width - np.abs(off)))


def _bloom(
    layer: Picture,
    x: Field,
    y: Field,
    at: Picture,
    shape: tuple[float, int, float],
    colours: tuple[Picture, Picture],
    noise: Noise,
) -> None:
    radius, petals, turn = shape
    for index in range(petals):
        angle = turn + 2 * np.pi * index / petals + 0.12 * np.sin(5.0 * index)
        along = ((x - at[0]) * np.cos(angle) + (y - at[1]) * np.sin(angle)) / (radius * (1 + 0.08 * np.sin(3.0 * index)))
        off = ((y - at[1]) * np.cos(angle) - (x - at[0]) * np.sin(angle)) / radius
        t = np.clip(along, 0, 1)
        half = (3.6 / petals) * t**0.7 * np.sqrt(np.clip(1 - t**3, 0, 1)) * 0.9 + 0.02 * noise(along * 6 + index, off * 6)
        u = off / np.maximum(half, 0.01)
        alpha = smoothstep(0, 0.025, half - np.abs(off)) * (along > 0) * (along < 1.02)
        veins = noise.fractal(u * 7 + 3.3 * index, along * 1.2, 3, 0.6)
        light = 0.72 + 0.3 * np.sin(angle + 2.5) * 0.5 - 0.28 * u + 0.18 * veins - 0.35 * np.exp(-along * 7) - 0.25 * u**4
        colour = mix(colours[0], colours[1], smoothstep(0.2, 1.05, along + 0.2 * veins)) * np.clip(light, 0.15, 1.3)[..., None]
        edge = smoothstep(-0.05, 0.02, half - np.abs(off)) * (along > 0) * (along < 1.06)
        layer[..., :3] *= (1 - 0.35 * edge)[..., None]
        _put(layer, colour, alpha)


def _heart(layer: Picture, x: Field, y: Field, at: Picture, radius: float, colour: Picture, noise: Noise) -> None:
    u, v = (x - at[0]) / radius, (y - at[1]) / radius
    away = np.hypot(u, v)
    bumps = noise.ridged(u * 4, v * 4, 2, 0.7)
    light = np.clip(1.0 - 0.35 * u - 0.4 * v - 0.3 * away, 0.2, 1.4) * (0.35 + 1.1 * bumps)
    _put(layer, colour * light[..., None], smoothstep(1.05, 0.92, away + 0.15 * bumps - 0.1))


def night(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """The Milky Way and a moon over dark ridges with a few lit windows."""
    noise = Noise(rng)
    tint = rgbs(str(rng.choice(["#04060f #0e1c3c #2c4a74", "#070512 #1c1440 #5a3a78", "#03080c #0a2830 #2a6a68"])))
    aspect = size[1] / size[0]
    angle, offset = rng.uniform(0.5, 1.2) * rng.choice([-1, 1]), rng.uniform(-0.15, 0.15)
    moon, radius = rng.uniform((0.15 * aspect, 0.1), (0.85 * aspect, 0.35)), rng.uniform(0.03, 0.055)
    has_moon = bool(rng.random() < 0.6)
    x, y = grid(size)
    drift = 0.1 * time
    band = (x - 0.5 * aspect) * np.sin(angle) + (y - 0.4) * np.cos(angle) - offset
    cloud = noise.fractal((x + drift) * 4, y * 4, 6, 0.6)
    lane = noise.fractal((x + drift) * 7 + 20, y * 7, 6, 0.6)
    milk = np.exp(-((band / (0.16 + 0.08 * cloud)) ** 2)) * (0.65 + 0.7 * cloud)
    dust = smoothstep(0.0, 0.45, lane + 0.25 - 3 * np.abs(band)) * np.exp(-((band / 0.1) ** 2))
    picture = ramp(np.clip(y * 1.15 + 0.1 * cloud, 0, 1) ** 1.6, tint)
    picture = (
        picture
        + (np.clip(milk, 0, 1) * (1 - 0.75 * dust))[..., None] * mix(rgb("#8a96c8"), rgb("#e8c8a8"), np.clip(milk, 0, 1)) * 0.7
    )
    picture = picture + _stars(rng, size, milk, 0.6 if has_moon else 1.0)
    if has_moon:
        u, v = (x - moon[0]) / radius, (y - moon[1]) / radius
        away = np.hypot(u, v)
        seas = 0.9 - 0.4 * smoothstep(0, 0.5, noise.fractal(u * 1.3 + 5, v * 1.3, 4))
        picture = mix(
            picture,
            seas[..., None] * rgb("#fdf3dc") * np.sqrt(np.clip(1.05 - 0.5 * away**2, 0, 1))[..., None],
            smoothstep(1, 0.93, away),
        )
        picture = picture + (0.3 * np.exp(-away / 2.5) * (away > 0.97))[..., None] * rgb("#c8d4f0")
    return _ridges(picture, x, y, noise, rng, tint, drift)


def _stars(rng: np.random.Generator, size: Size, milk: Field, strength: float) -> Picture:
    count = 1500
    at = (rng.random((count, 2)) * size).astype(int)
    dense = np.clip(milk[at[:, 0], at[:, 1]], 0, 1)
    bright = rng.pareto(1.6, count).clip(0, 12) * (0.35 + dense) * rng.random(count)
    warm = mix(rgb("#a8c0ff"), rgb("#ffd8a8"), rng.random(count))
    points = np.zeros((*size, 3), np.float32)
    np.add.at(points, (at[:, 0], at[:, 1]), warm * bright[:, None])
    scale = size[0] / 384
    return strength * (2.2 * blur(points, 0.55 * scale) + 5 * blur(np.clip(points - 3, 0, None), 1.6 * scale)) * scale**2


def _ridges(
    picture: Picture, x: Field, y: Field, noise: Noise, rng: np.random.Generator, tint: Picture, drift: float
) -> Picture:
    base = rng.uniform(0.72, 0.8)
    for layer in range(3):
        edge = base + 0.075 * layer - 0.1 * noise.fractal((x + drift * layer) * (1.3 + layer) + 11 * layer, 0 * x, 6, 0.5)
        if layer == 2:
            pines = (x + 2 * drift) * 26
            edge = edge - 0.07 * (1 - np.abs(2 * (pines % 1) - 1)) ** 1.5 * (0.6 + 0.6 * noise(np.floor(pines) * 0.77, 0 * x))
        body = mix(tint[2] * 0.55, tint[0] * 0.8, np.full_like(x, layer / 2))
        body = body * (1 + 0.5 * noise.fractal(x * 14, y * 30 + 9 * layer, 4))[..., None]
        mist = smoothstep(0.14, 0, y - edge) * (0.5 if layer < 2 else 0)
        picture = mix(picture, mix(body, tint[2], mist * 0.5), smoothstep(0, 0.004, y - edge))
    aspect = x.shape[1] / x.shape[0]
    for at in rng.uniform((0.1, 0.93), (aspect - 0.1, 0.98), (5, 2)) if rng.random() < 0.6 else ():
        window = mask((x.shape[0], x.shape[1]), [at + np.array([(0, 0), (0.009, 0), (0.009, 0.012), (0, 0.012)])])
        picture = picture + (window + 1.2 * gaussian_filter(window, 0.012 * x.shape[0]))[..., None] * rgb("#ffb75a")
    return picture
