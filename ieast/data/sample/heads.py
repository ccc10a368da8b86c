"""A sculpted head and shoulders, seen by marching rays towards a smooth union of ellipsoids."""

import numpy as np
from numpy.typing import NDArray

from ieast.data.sample.noise import Field, Noise
from ieast.data.sample.shading import Picture, Size, grid, mix, rgb, rgbs, smoothstep

Owners = NDArray[np.intp]

_TONES = ("#f0c8a8 #c8786a", "#d8a078 #a8584a", "#a86e48 #7a3a30", "#6e4430 #4a2420", "#f4d4c0 #d08078")
_HAIR = ("#241a16", "#5a3820", "#a8763a", "#8a3a1c", "#b8b0a8", "#16161c")


def _ellipsoid(p: Picture, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Field:
    q = (p - np.array(centre, np.float32)) / np.array(radii, np.float32)
    return ((np.sqrt((q * q).sum(-1)) - 1) * min(radii)).astype(np.float32)


def _join(a: Field, b: Field, soft: float) -> Field:
    h = np.clip(0.5 + 0.5 * (b - a) / soft, 0, 1)
    return b + (a - b) * h - soft * h * (1 - h)


def _skin(p: Picture, build: Picture) -> Field:
    """Signed distance to head and neck; the face looks along -z, eyes near height 0."""
    mirrored = p.copy()
    mirrored[..., 0] = np.abs(mirrored[..., 0])
    skull = _ellipsoid(p, (0, 0.22, 0.12), (0.74, 0.82, 0.86))
    jaw = _ellipsoid(p, (0, -0.45, -0.14), (0.50 * build[0], 0.56, 0.52))
    head = _join(skull, jaw, 0.28)
    head = _join(head, _ellipsoid(mirrored, (0.36, -0.24, -0.46), (0.20, 0.20, 0.2)), 0.22)
    head = _join(head, _ellipsoid(mirrored, (0.26, 0.17, -0.64), (0.22, 0.07, 0.1)), 0.1)
    head = -_join(-head, _ellipsoid(mirrored, (0.27, 0.0, -0.82), (0.17, 0.10, 0.13)), 0.12)
    head = _join(head, _ellipsoid(p, (0, -0.07, -0.76), (0.075, 0.2, 0.12)), 0.1)
    head = _join(head, _ellipsoid(p, (0, -0.22, -0.82), (0.1 * build[1], 0.085, 0.13)), 0.07)
    head = _join(head, _ellipsoid(p, (0, -0.49, -0.655), (0.19, 0.05, 0.08)), 0.06)
    head = _join(head, _ellipsoid(p, (0, -0.59, -0.645), (0.16, 0.055, 0.08)), 0.05)
    head = _join(head, _ellipsoid(p, (0, -0.84, -0.5), (0.16, 0.12, 0.14)), 0.14)
    head = _join(head, _ellipsoid(mirrored, (0.75, -0.05, 0.12), (0.07, 0.2, 0.13)), 0.05)
    neck = _ellipsoid(p, (0, -1.2, 0.18), (0.36, 0.9, 0.38))
    return _join(head, neck, 0.12)


def _hair(p: Picture, build: Picture) -> Field:
    cap = _ellipsoid(p, (0, 0.4, 0.2), (0.86, 0.80, 0.93))
    fringe = -_ellipsoid(p, (0.22 * build[3], -0.12, -0.85), (0.66, 0.62 + 0.1 * build[4], 0.72))
    cap = np.maximum(cap, fringe)
    if build[2] > 0.4:
        mirrored = p.copy()
        mirrored[..., 0] = np.abs(mirrored[..., 0])
        locks = _ellipsoid(mirrored, (0.62, -0.5 - 0.3 * build[2], 0.25), (0.24, 0.95 * build[2] + 0.2, 0.42))
        cap = _join(cap, np.maximum(locks, fringe), 0.15)
    return cap


def _clothes(p: Picture) -> Field:
    body = _ellipsoid(p, (0, -2.75, 0.35), (1.75, 1.15, 0.8))
    collar = _ellipsoid(p, (0, -1.6, 0.2), (0.55, 0.22, 0.5))
    return _join(body, collar, 0.25)


def _eyes(p: Picture) -> Field:
    mirrored = p.copy()
    mirrored[..., 0] = np.abs(mirrored[..., 0])
    return _ellipsoid(mirrored, (0.27, 0.0, -0.6), (0.125, 0.07, 0.1))


def _bodies(p: Picture, build: Picture) -> list[Field]:
    return [_skin(p, build), _eyes(p), _hair(p, build), _clothes(p)]


def portrait(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """Head and shoulders before a studio background or a blurred garden; the head turns with time."""
    noise = Noise(rng)
    skin, lip = rgbs(_TONES[rng.integers(len(_TONES))])
    hair, iris = rgb(_HAIR[rng.integers(len(_HAIR))]), rgb(str(rng.choice(["#4a7aa0", "#5a7a3a", "#4a2c18"])))
    cloth = rgb(str(rng.choice(["#8a2a2a", "#2a4a7a", "#d8c8a8", "#2f5a4a", "#3a3a44", "#c88a2a"])))
    wall = rgbs(
        str(rng.choice(["#20282c #5a6a6a", "#3a2418 #8a5a3a", "#6a7a8a #c8d0d0", "#20342a #88a058", "#3a2038 #a0607a"]))
    )
    build = np.array([*rng.uniform(0.9, 1.1, 2), *rng.uniform((0, -1, -1), (1, 1, 1))], np.float32)
    turn, side = rng.uniform(-0.55, 0.55) + 0.5 * time, float(rng.choice([-1, 1]))
    x, y = grid(size)
    fit = 3.6 / min(1.0, 1.15 * size[1] / size[0])
    u, v = (x - 0.5 * size[1] / size[0]) * fit, (0.42 - y) * fit
    c, s = np.cos(turn), np.sin(turn)
    out = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
    # Rays all but parallel, as with a long lens.
    ray = np.stack([0.06 * u, 0.06 * v, np.ones_like(u)], -1) @ out
    start = np.stack([u * 0.8, v * 0.8, np.full_like(u, -3)], -1) @ out
    nearest = _march(start.reshape(-1, 3), ray.reshape(-1, 3), build).reshape(start.shape)
    gap = np.minimum.reduce(_bodies(nearest, build))
    hit = gap < 0.04
    p = nearest[hit]
    owner = np.argmin(_bodies(p, build), 0)
    strands = noise.fractal(np.arctan2(p[..., 0], p[..., 1] + 0.4) * 11, p[..., 2] * 1.6, 4, 0.7)
    normal = _normals(p, build, owner)
    folds = 0.25 * noise.fractal(p[..., 0] * 2, p[..., 1] * 5, 3)
    normal[..., 0] += np.select([owner == 2, owner == 3], [0.35 * strands, folds])
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lit = _paint(p, owner, (skin, lip, hair, iris, cloth), noise, strands) * _light(p, normal, build, owner, out, side, skin)
    shine = np.clip((normal * (np.array([side * -0.45, 0.55, -0.75], np.float32) @ out)).sum(-1), 0, 1)
    lit += (np.choose(owner, [0.16, 0.9, 0.3, 0.03]) * shine ** np.choose(owner, [14, 50, 10, 8]))[..., None]
    light = np.clip(0.9 - 0.55 * np.hypot(u + side, v - 0.3) + 0.35 * noise.fractal(x * 2, y * 2, 3), 0, 1)
    picture = mix(wall[0], wall[1], light)
    picture[hit] = mix(lit, picture[hit], smoothstep(0.004, 0.035, gap[hit]))
    return picture


def _march(start: Picture, ray: Picture, build: Picture) -> Picture:
    """Where rays (N, 3) come nearest to the bodies, or where they meet them."""
    point, best = start.astype(np.float32), np.full(len(start), 9, np.float32)
    travelled = np.zeros(len(start), np.float32)
    alive = np.arange(len(start))
    for _ in range(26):
        here = start[alive] + travelled[alive, None] * ray[alive]
        gap = np.minimum.reduce(_bodies(here, build))
        nearer = gap < best[alive]
        point[alive[nearer]], best[alive[nearer]] = here[nearer], gap[nearer]
        travelled[alive] += 0.9 * gap
        alive = alive[(gap > 0.003) & (travelled[alive] < 4.6)]
    return point


def _normals(p: Picture, build: Picture, owner: Owners) -> Picture:
    step = 0.012
    slopes = []
    for axis in range(3):
        shift = np.zeros(3, np.float32)
        shift[axis] = step
        ahead, behind = (np.choose(owner, _bodies(p + sign * shift, build)) for sign in (1, -1))
        slopes.append(ahead - behind)
    normal = np.stack(slopes, -1)
    return (normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)).astype(np.float32)


def _paint(p: Picture, owner: Owners, colours: tuple[Picture, ...], noise: Noise, strands: Field) -> Picture:
    skin, lip, hair, iris, cloth = colours
    a, b, front = np.abs(p[..., 0]), p[..., 1], p[..., 2] < -0.3
    fine = noise.fractal(p[..., 0] * 14, b * 14 + p[..., 2] * 9, 4, 0.7)
    face = mix(skin, lip, 0.35 * np.exp(-(((a - 0.38) / 0.18) ** 2) - ((b + 0.28) / 0.17) ** 2))
    mouth = np.hypot(p[..., 0] / 0.25, (b + 0.54 - 0.02 * np.cos(p[..., 0] * 20)) / 0.105)
    face = mix(face, lip, smoothstep(1.05, 0.8, mouth) * front)
    face = mix(face, lip * 0.3, smoothstep(0.022, 0.008, np.abs(b + 0.54)) * smoothstep(0.24, 0.18, a) * front)
    brow = smoothstep(0.05, 0.02, np.abs(b - 0.21 + 0.5 * (a - 0.27) ** 2 + 0.015 * strands)) * smoothstep(
        0.19, 0.15, np.abs(a - 0.28)
    )
    face = mix(face, hair * 0.8, brow * front * 0.85)
    lid = np.abs(np.hypot((a - 0.27) / 0.15, b / 0.085) - 1)
    face = mix(face, lip * 0.35, smoothstep(0.3, 0.05, lid) * front * (0.75 * (b > -0.02) + 0.2))
    away = np.hypot(a - 0.27, b)
    eye = mix(rgb("#f0ece6"), iris, smoothstep(0.068, 0.058, away))
    eye = mix(eye, rgb("#0a0808"), np.maximum(smoothstep(0.034, 0.026, away), 0.7 * smoothstep(0.035, 0.07, b)))
    threads = 1 + 0.12 * np.sin(p[..., 0] * 90) * np.sin(b * 90) + 0.2 * fine
    layers = [face * (1 + 0.06 * fine)[..., None], eye, hair * (1.1 + 1.1 * strands)[..., None], cloth * threads[..., None]]
    return np.clip(np.select([(owner == i)[..., None] for i in range(4)], layers), 0.01, 1).astype(np.float32)


def _light(p: Picture, normal: Picture, build: Picture, owner: Owners, out: Picture, side: float, skin: Picture) -> Picture:
    key = np.array([side * -0.75, 0.55, -0.62], np.float32) @ out
    rim = np.array([side * 0.9, 0.35, 0.35], np.float32) @ out
    shadow = np.ones_like(normal[..., 0])
    for reach in (0.08, 0.2, 0.4, 0.7):
        clear = np.minimum.reduce(_bodies(p + reach * key + 0.02 * normal, build))
        shadow = np.minimum(shadow, smoothstep(-0.06, 0.12, clear / reach))
    wrap = np.where(owner == 0, 0.22, 0.05)
    direct = np.clip(((normal * key).sum(-1) + wrap) / (1 + wrap), 0, 1) * (0.25 + 0.75 * shadow)
    # Light that entered the skin comes out redder where it fades.
    red = np.where(owner == 0, np.exp(-((direct - 0.2) ** 2) / 0.03) * 0.12, 0)[..., None] * skin * (1, 0.25, 0.15)
    back = np.clip((normal * rim).sum(-1), 0, 1) ** 2
    ambient = 0.28 + 0.12 * normal[..., 1]
    return (
        ambient[..., None] * (0.8, 0.9, 1.1)
        + 1.25 * direct[..., None] * (1, 0.94, 0.85)
        + 0.5 * back[..., None] * (0.8, 0.9, 1.1)
        + red
    )
