"""Scenes of a town: a skyline over water at dusk, and a street seen along its axis."""

import numpy as np
from scipy.ndimage import gaussian_filter

from ieast.data.sample.landscapes import mirrored, sail_boat
from ieast.data.sample.noise import Field, Noise
from ieast.data.sample.shading import Picture, Size, grid, mix, rgb, rgbs, smoothstep
from ieast.data.sample.terrain import DAYLIGHTS, Daylight, sky


def _hash(a: Field, b: Field | float) -> Field:
    """Numbers in [0, 1) that depend on whole numbers only."""
    return (np.abs(np.sin(a * 12.9898 + b * 78.233) * 43758.547) % 1).astype(np.float32)


def skyline(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """Towers with lit windows behind a river that mirrors them; with time the view pans and comes nearer."""
    noise, clouds = Noise(rng), Noise(rng)
    hour = DAYLIGHTS[str(rng.choice(["dusk", "dusk", "golden", "night", "dawn"]))]
    dark = 0.08 if hour in (DAYLIGHTS["golden"], DAYLIGHTS["dawn"]) else 0.33
    shore, aspect = rng.uniform(0.62, 0.72), size[1] / size[0]
    sun = (rng.uniform(0.2, 0.8) * aspect, shore - rng.uniform(0.12, 0.3))
    salt, glass = rng.uniform(0, 100), rng.uniform(0.2, 0.8)
    x, y = grid(size)
    picture = sky(clouds, x, y, shore, hour, sun, rng.uniform(0.4, 0.6), 0.03 * time)
    middle = 0.5 * aspect
    for layer in range(4):
        zoom = 1 + (0.04 + 0.05 * layer) * time
        u = (x - middle) / zoom + middle + (0.02 + 0.03 * layer) * time
        _towers(picture, u, shore - (shore - y) / zoom, shore, layer, (salt + 31 * layer, glass, dark), hour, noise)
    down = np.clip(y - shore, 1e-3, None)
    depth = 0.3 / down
    ripple = noise.fractal((x - middle) * depth * 5, depth * 9 + 1.5 * time, 4, 0.6)
    water = mirrored(picture, shore, x, y, 0.015 * ripple, 0.16 * ripple * (down + 0.04))
    water = gaussian_filter(water, (size[0] * 0.006, 0.6, 0)) * 0.82 + 0.06 * rgb(hour.middle) * (1 + ripple)[..., None]
    picture = mix(picture, water, smoothstep(0, 0.003, y - shore))
    quay = smoothstep(0.012, 0.008, np.abs(y - shore))
    lamps = np.exp(-((((x + 0.1 * time) * 9) % 1 - 0.5) ** 2 / 0.004 + ((y - shore + 0.012) / 0.006) ** 2))
    picture = mix(picture, 0.25 * rgb(hour.ambient), quay)
    sail_boat(picture, rng, size, shore + 0.06, hour, time)
    return picture + lamps[..., None] * rgb("#ffd08a") * (0.4 + dark)


def _towers(
    picture: Picture,
    u: Field,
    y: Field,
    shore: float,
    layer: int,
    look: tuple[float, float, float],
    hour: Daylight,
    noise: Noise,
) -> None:
    salt, glass, dark = look
    pitch = 0.07 + 0.016 * layer
    lot = np.floor(u / pitch)
    inside = u / pitch - lot
    tall = _hash(lot, salt)
    edge = 0.07 * _hash(lot, salt + 1)
    height = (0.36 - 0.06 * layer) * (0.3 + 0.9 * tall**1.7) * (0.65 + 0.5 * np.exp(-((u - 0.65) ** 2) / 0.1))
    setback = np.where((tall > 0.55) & (np.abs(inside - 0.5) > 0.26), 0.75, 1.0)
    spire = 0.09 * (tall > 0.75) * smoothstep(0.035, 0.0, np.abs(inside - 0.5))
    up = shore - y
    soft = 1.2 / u.shape[0]
    body = smoothstep(-soft, soft, height * setback + spire - up) * (up > -0.01)
    side = soft / pitch
    body = body * smoothstep(edge - side, edge + side, inside) * smoothstep(1 - edge + side, 1 - edge - side, inside)
    haze = (0.8, 0.55, 0.28, 0.0)[layer]
    wall = rgb(hour.ambient) * (0.45 + 0.5 * _hash(lot, salt + 2)[..., None])
    lit_side = smoothstep(0.7, 0.2, inside) * 0.35 + 0.1 * noise.fractal(u * 60, y * 30, 3)
    wall = wall + lit_side[..., None] * rgb(hour.sun) * 0.5
    columns, storeys = 7 + np.floor(5 * _hash(lot, salt + 3)), 0.0105 + 0.005 * _hash(lot, salt + 4)
    place_x, place_y = inside * columns, up / storeys
    frame = smoothstep(0.5, 0.35, np.abs(place_x % 1 - 0.5)) * smoothstep(0.5, 0.3, np.abs(place_y % 1 - 0.5))
    chance = _hash(np.floor(place_x) + 17 * lot, np.floor(place_y) + salt)
    bulb = mix(rgb("#ffb650"), rgb("#fff0c8"), _hash(np.floor(place_x) + 3 * lot, np.floor(place_y) + salt + 5))
    pane = mix(wall * 0.45, rgb(hour.middle) * 0.8, glass * smoothstep(0, 0.5, up))
    pane = np.where((chance < dark)[..., None], bulb * (0.7 + 0.5 * chance / max(dark, 0.1))[..., None], pane)
    wall = mix(wall, pane, frame * (up > 0.01))
    picture[:] = mix(picture, mix(wall, 0.6 * rgb(hour.horizon) + 0.4 * rgb(hour.middle), np.full_like(u, haze)), body)


_STREETS = (
    "#c8a27a #a8583f #d8c8a0 #7f8f8a",
    "#b87858 #e0b878 #8f4a3c #c8b8a8",
    "#8a93a0 #b0a898 #6a7480 #c0b0a0",
    "#d89a8a #e8d0a0 #88a8a0 #c87a58",
)


def street(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """House fronts along a street, perhaps wet and at night; with time one drives on."""
    noise, clouds = Noise(rng), Noise(rng)
    hour = DAYLIGHTS[str(rng.choice(["golden", "night", "overcast", "dusk", "noon"]))]
    wet = bool(rng.random() < 0.5) or hour is DAYLIGHTS["night"]
    look = (
        rgbs(_STREETS[rng.integers(len(_STREETS))]),
        rng.uniform(0, 100),
        0.6 if hour in (DAYLIGHTS["night"], DAYLIGHTS["dusk"]) else 0.08,
    )
    aspect, side = size[1] / size[0], float(rng.choice([-1, 1]))
    centre, horizon = aspect * rng.uniform(0.4, 0.6), rng.uniform(0.5, 0.6)
    half, eye, focal = rng.uniform(0.9, 1.3), rng.uniform(0.3, 0.5), 0.75
    x, y = grid(size)
    heaven = sky(clouds, x, y, horizon + 0.03, hour, (centre + 0.1 * side, horizon - 0.1), 0.5, 0.02 * time)
    dx, dy = (x - centre) / focal, (horizon - y) / focal
    moved = 2.0 * time
    walls = _fronts(dx, dy, eye, half, moved, side, look, hour, noise, heaven)
    down = np.clip(-dy, 1e-3, None)
    z = eye / down
    across = dx * z
    rough = noise.fractal(across * 9, (z + moved) * 9, 5, 0.7)
    road = (
        mix(rgb("#3c3c40"), rgb("#77726a"), smoothstep(half * 0.62, half * 0.64, np.abs(across))) * (1 + 0.5 * rough)[..., None]
    )
    stones = np.minimum(np.abs((across * 6) % 1 - 0.5), np.abs(((z + moved) * 3) % 1 - 0.5))
    road = road * (0.75 + 0.25 * smoothstep(0.0, 0.06, stones))[..., None]
    dash = smoothstep(0.03, 0.02, np.abs(across)) * smoothstep(0.2, 0.25, np.abs((z + moved) % 1 - 0.5))
    road = mix(road, rgb("#d8d0b8"), dash * 0.7)
    sunny = smoothstep(-0.05, 0.05, side * across - 0.1 + 0.05 * rough) if hour.sun != "#8fa8d8" else 0 * across
    road = road * (0.9 * rgb(hour.ambient) + 0.75 * (0.25 + sunny)[..., None] * rgb(hour.sun))
    if wet:
        bend = 0.025 * noise.fractal(across * 4, (z + moved) * 1.2, 3) / (1 + z)
        gloss = smoothstep(-0.15, 0.35, noise.fractal(across * 1.5 + 7, (z + moved) * 0.8, 3)) * 0.4 + 0.3
        road = mix(road, _fronts(dx + bend, -dy, -eye, half, moved, side, look, hour, noise, heaven[::-1]), gloss)
    picture = mix(walls, road, (-dy * half > np.abs(dx) * eye) & (dy < 0))
    fog = 0.55 * rgb(hour.horizon) + 0.25 * rgb(hour.middle)
    depth = np.minimum(half / np.maximum(np.abs(dx), 1e-3), z)
    picture = np.where(
        (walls == heaven)[..., :1] & (dy > 0)[..., None], picture, mix(picture, fog, 0.85 * (1 - np.exp(-depth / 16)))
    )
    return _lamps(picture, x, y, (centre, horizon, focal), (half * 0.72, eye, moved), look[2] > 0.3)


def _fronts(
    dx: Field,
    dy: Field,
    eye: float,
    half: float,
    moved: float,
    side: float,
    look: tuple[Picture, float, float],
    hour: Daylight,
    noise: Noise,
    behind: Picture,
) -> Picture:
    colours, salt, dark = look
    z = half / np.maximum(np.abs(dx), 1e-3)
    along, up = z + moved, eye + dy * z
    right = (dx > 0).astype(np.float32)
    lot = np.floor(along / 1.6) + 57 * right
    inside = along / 1.6 - np.floor(along / 1.6)
    height = 1.3 + 1.3 * _hash(lot, salt) + 0.04 * smoothstep(0.04, 0.0, np.abs(inside - 0.5) - 0.46)
    wall = colours[(_hash(lot, salt + 1) * 3.999).astype(int)]
    rough = noise.fractal(along * 7, up * 7 + 31 * right, 5, 0.7)
    brick = 1 - 0.2 * ((np.abs((up * 22) % 1 - 0.5) > 0.4) & (z < 4))
    wall = wall * (brick * (0.92 + 0.16 * rough))[..., None]
    count = 2 + np.floor(2.5 * _hash(lot, salt + 2))
    px, py = inside * count, up / 0.46
    window = (
        smoothstep(0.26, 0.22, np.abs(px % 1 - 0.5))
        * smoothstep(0.34, 0.31, np.abs(py % 1 - 0.52))
        * (py > 1)
        * (up < height - 0.12)
    )
    frame = (
        smoothstep(0.33, 0.29, np.abs(px % 1 - 0.5))
        * smoothstep(0.41, 0.37, np.abs(py % 1 - 0.52))
        * (py > 1)
        * (up < height - 0.12)
    )
    shop = smoothstep(0.44, 0.42, np.abs(px % 1 - 0.5)) * (up > 0.06) * (up < 0.36)
    awning = (up > 0.36) & (up < 0.46) & (_hash(lot, salt + 6) > 0.4)
    chance = _hash(np.floor(px) + 13 * lot, np.floor(py) + salt)
    glow = mix(rgb("#ff9a3a"), rgb("#ffe8b0"), chance)
    light = 0.8 * rgb(hour.ambient) + (0.85 * (0.3 + 0.7 * (right if side < 0 else 1 - right)))[..., None] * rgb(hour.sun)
    light = light * (0.75 + 0.25 * smoothstep(0, 0.5, up))[..., None]
    stripes = mix(colours[0] * 0.6, rgb("#efe6d0"), (np.sin(along * 60) > 0).astype(np.float32))
    wall = mix(wall, np.clip(wall * 1.4 + 0.1, 0, 1), np.maximum(frame, np.abs(up - height + 0.06) < 0.035))
    wall = np.where(awning[..., None], stripes, wall) * light
    pane = mix(rgb("#1c242c") * 1.2, rgb(hour.middle) * 0.8, 0.35 + 0.4 * smoothstep(0.3, 0.7, py % 1))
    pane = np.where((chance < dark)[..., None], glow * (0.75 + 0.25 * rough)[..., None], pane)
    wall = mix(wall, pane, np.maximum(window, shop))
    return np.where((up < height)[..., None], wall, behind)


def _lamps(
    picture: Picture, x: Field, y: Field, lens: tuple[float, float, float], place: tuple[float, float, float], lit: bool
) -> Picture:
    centre, horizon, focal = lens
    offset, eye, moved = place
    first = np.floor(moved / 2) + 1
    for z in ((first + step) * 2 + 0.3 - moved for step in range(8, -1, -1)):
        for side in (-1, 1):
            across, foot, head = centre + side * offset * focal / z, horizon + eye * focal / z, horizon - 0.75 * focal / z
            width = 0.014 * focal / z
            pole = smoothstep(width, width * 0.6, np.abs(x - across)) * (y > head) * (y < foot)
            near = 1 - float(smoothstep(0.8, 0.4, z))
            picture = mix(picture, rgb("#1a1c1e") * (1 + 0.08 * z), pole * near)
            away = np.hypot(x - across, y - head) / (0.05 * focal / z)
            bulb = smoothstep(1.0, 0.8, away) * near
            picture = mix(picture, rgb("#ffeeb8") if lit else rgb("#8a8c88"), bulb)
            if lit:
                picture = picture + (0.5 * near * np.exp(-away / 2.2))[..., None] * rgb("#ffb45a")
    return picture
