"""Scenes of solid bodies: a ray-traced still life and a sculpted head and shoulders."""

from dataclasses import dataclass

import numpy as np

from ieast.data.sample.noise import Field, Noise
from ieast.data.sample.shading import Picture, Size, grid, mix, rgb, rgbs, shrink, smoothstep

_FAR = np.float32(1e4)
Vector = Picture


@dataclass(frozen=True)
class Solid:
    """A body on the table.

    Attributes:
        kind: "ball", "can" or "box", each 2 units wide before it is scaled.
        centre: Its centre (3,); the table is at height 0.
        scale: Half its extent along its own axes (3,).
        turn: Its turn about the vertical.
        roll: Its turn about its own third axis, before the other.
        colour: Its colour (3,).
        gloss: Strength of the highlight.
        pattern: "skin", "stripes" or "plain".
    """

    kind: str
    centre: Vector
    scale: Vector
    turn: float
    roll: float
    colour: Vector
    gloss: float
    pattern: str

    def _axes(self) -> Vector:
        c, s, a, b = np.cos(self.turn), np.sin(self.turn), np.cos(self.roll), np.sin(self.roll)
        around = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
        return np.array([[a, b, 0], [-b, a, 0], [0, 0, 1]], np.float32) @ around

    def local(self, points: Vector, origin: bool = True) -> Vector:
        """Points, or directions, in the body's own coordinates, where it fills [-1, 1]."""
        moved = points - self.centre if origin else points
        return ((moved @ self._axes().T) / self.scale).astype(np.float32)

    def hit(self, start: Vector, ray: Vector) -> Field:
        """Distance along the rays (..., 3) at which they meet the body; very far where they miss it."""
        o, d = self.local(start), self.local(ray, origin=False)
        if self.kind == "box":
            with np.errstate(divide="ignore", invalid="ignore"):
                first, second = (-1 - o) / d, (1 - o) / d
            enter, leave = np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)
            return np.where((enter < leave) & (enter > 1e-3), enter, _FAR)
        axes = (0, 1, 2) if self.kind == "ball" else (0, 2)
        a = sum(d[..., i] ** 2 for i in axes)
        b = sum(o[..., i] * d[..., i] for i in axes)
        c = sum(o[..., i] ** 2 for i in axes) - 1
        root = b * b - a * c
        t = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / np.maximum(a, 1e-9), _FAR)
        if self.kind == "can":
            t = np.where(np.abs(o[..., 1] + t * d[..., 1]) <= 1, t, _FAR)
            lid = (1 - o[..., 1]) / np.where(np.abs(d[..., 1]) < 1e-6, 1e-6, d[..., 1])
            inside = (o[..., 0] + lid * d[..., 0]) ** 2 + (o[..., 2] + lid * d[..., 2]) ** 2 < 1
            t = np.where(inside & (lid > 1e-3), np.minimum(lid, np.where(t > 1e-3, t, _FAR)), t)
        return np.where(t > 1e-3, t, _FAR)

    def normal(self, points: Vector) -> Vector:
        """Outward unit normals at points (..., 3) of the surface."""
        p = self.local(points)
        if self.kind == "box":
            # A high power rounds the edges a little, so that they catch the light.
            n = np.sign(p) * np.abs(p) ** 14
        elif self.kind == "can":
            top = smoothstep(0.985, 1.0, p[..., 1])
            n = np.stack([p[..., 0] * (1 - top), top, p[..., 2] * (1 - top)], -1)
        else:
            n = p
        return _unit((n / self.scale) @ self._axes())


def _unit(vectors: Vector) -> Vector:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _dot(a: Vector, b: Vector) -> Field:
    return (a * b).sum(-1)


def still_life(rng: np.random.Generator, size: Size, time: float = 0.0) -> Picture:
    """Fruit, jars and boxes on a table by a window; with time the eye orbits and a ball rolls past."""
    noise = Noise(rng)
    walls = rgbs(
        str(
            rng.choice(
                [
                    "#5a6a70 #a87848 #ffe0b0",
                    "#3a2c28 #6a4024 #ffc880",
                    "#b8a890 #d8d0c0 #fff4e0",
                    "#2f4a4a #8a5a3a #ffe8c8",
                    "#7a4038 #3a2a26 #ffd8a8",
                ]
            )
        )
    )
    solids = _arrange(rng)
    side = float(rng.choice([-1, 1]))
    lamp = np.array([side * rng.uniform(2.5, 4), rng.uniform(3, 5), rng.uniform(-3.5, -1.5)], np.float32)
    shift = rng.uniform(-0.5, 0.5)
    cloth, angle, up = bool(rng.random() < 0.5), shift + 0.5 * time, rng.uniform(1.3, 2.1)
    path = -1.9 + 2.6 * time
    ball_colour = rgb(str(rng.choice(["#d83a2a", "#2a6ad0", "#e8c030"])))
    if time > 0:
        ball = Solid("ball", np.array([path, 0.26, -1.25]), np.full(3, 0.26), 0, path / 0.26, ball_colour, 0.8, "stripes")
        solids = [*solids, ball]
    eye = np.array([4.6 * np.sin(angle), up, -4.6 * np.cos(angle)], np.float32)
    forward = _unit(np.array([0, 0.5, 0], np.float32) - eye)
    right = _unit(np.cross(np.array([0, 1, 0], np.float32), forward))
    above = np.cross(forward, right)
    x, y = grid((2 * size[0], 2 * size[1]))
    u, v = (x - 0.5 * size[1] / size[0]), 0.5 - y
    aspect = min(1.0, size[1] / size[0])
    ray = _unit(forward + (u[..., None] * right + v[..., None] * above) * (0.72 / aspect)).astype(np.float32)
    return shrink(_trace(eye, ray, solids, lamp, walls, noise, cloth), 2)


def _arrange(rng: np.random.Generator) -> list[Solid]:
    fruit = rgbs("#c8342a #e88a2a #d8b838 #8aa838 #6a2a4a #c86a4a")
    ware = rgbs("#3a5a7a #c8b8a0 #7a3a2a #4a6a5a #d8d0c8 #2a3a4a")
    solids: list[Solid] = []
    taken: list[tuple[float, float, float]] = []
    for kind, count in (("can", 2), ("box", rng.integers(0, 3)), ("ball", rng.integers(4, 7))):
        for _ in range(count):
            wide = rng.uniform(0.26, 0.42)
            spots = rng.uniform((-1.45, -0.9), (1.45, 0.9), (40, 2))
            free = [s for s in spots if all(np.hypot(s[0] - a, s[1] - b) > wide * 1.15 + c for a, b, c in taken)]
            if not free:
                continue
            a, b = free[0] if kind == "ball" else max(free, key=lambda s: s[1])
            tall = wide * {"ball": rng.uniform(0.86, 1.05), "can": rng.uniform(1.3, 2.1), "box": rng.uniform(0.6, 1.3)}[kind]
            scale = np.array([wide, tall, wide * (rng.uniform(0.7, 1.2) if kind == "box" else 1)], np.float32)
            taken.append((float(a), float(b), wide * (1.35 if kind == "box" else 1)))
            colour = (fruit if kind == "ball" else ware)[rng.integers(6)]
            pattern = str(rng.choice(["plain", "stripes"])) if kind != "ball" else "skin"
            solids.append(
                Solid(
                    kind,
                    np.array([a, tall, b], np.float32),
                    scale,
                    rng.uniform(0, 3),
                    0,
                    colour,
                    rng.uniform(0.2, 0.9),
                    pattern,
                )
            )
    return solids


def _trace(eye: Vector, ray: Vector, solids: list[Solid], lamp: Vector, walls: Picture, noise: Noise, cloth: bool) -> Picture:
    table = np.where(ray[..., 1] < -1e-3, -eye[1] / np.minimum(ray[..., 1], -1e-3), _FAR)
    wall = (2.4 - eye[2]) / np.maximum(ray[..., 2], 1e-3)
    distance = np.minimum(table, wall)
    owner = np.where(table < wall, -1, -2)
    for index, solid in enumerate(solids):
        t = solid.hit(eye, ray)
        owner = np.where(t < distance, index, owner)
        distance = np.minimum(t, distance)
    point = eye + distance[..., None] * ray
    colour, normal = _backdrop(point, owner == -1, walls, noise, cloth)
    gloss = np.where(owner == -1, 0.15, 0.0).astype(np.float32)
    for index, solid in enumerate(solids):
        here = owner == index
        normal[here] = solid.normal(point[here])
        colour[here] = _skin(solid, point[here], noise)
        gloss[here] = solid.gloss
    to_lamp = lamp - point
    light = _unit(to_lamp)
    shade, covered = _shade(point + 2e-3 * normal, solids, lamp)
    facing = np.clip(_dot(normal, light), 0, 1) * shade * 40 / (2 + (to_lamp**2).sum(-1))
    half = np.clip(_dot(normal, _unit(light - ray)), 0, 1)
    around = (0.55 + 0.45 * normal[..., 1]) * covered
    window = smoothstep(0.985, 0.992, half) * shade * gloss * 0.8
    fresnel = gloss * (1 - np.clip(-_dot(normal, ray), 0, 1)) ** 4 * 0.35 * (owner >= 0)
    lit = colour * (
        facing[..., None] * walls[2] + around[..., None] * mix(walls[0], np.full(3, 0.75), 0.35 + 0 * around) * 0.75
    )
    return lit + (0.5 * gloss * half**40 * shade + window + fresnel)[..., None] * walls[2]


def _backdrop(point: Vector, table: Field, walls: Picture, noise: Noise, cloth: bool) -> tuple[Picture, Vector]:
    x, y, z = point[..., 0], point[..., 1], point[..., 2]
    if cloth:
        u, v = 0.8 * x + 0.6 * z, 0.8 * z - 0.6 * x
        checks = (np.sin(u * 9) > 0).astype(np.float32) + (np.sin(v * 9) > 0)
        threads = 0.12 * noise(u * 60, v * 8) + 0.12 * noise(u * 8, v * 60)
        top = mix(mix(rgb("#ece4d4"), walls[1], 0.2 + 0 * x), walls[1], checks / 2.2) * (1 + threads)[..., None]
    else:
        rings = np.sin(14 * noise.fractal(x * 0.35, z * 1.6, 3, 0.4) + 30 * z)
        pores = noise.fractal(x * 5, z * 46, 3, 0.7)
        top = walls[1] * (0.9 + 0.12 * rings + 0.22 * pores - 0.4 * (np.abs(z * 1.3 % 1 - 0.5) > 0.49))[..., None]
    plaster = walls[0] * (0.95 + 0.2 * noise.fractal(x * 2.5, y * 2.5, 5, 0.65))[..., None]
    colour = np.where(table[..., None], top, plaster).astype(np.float32)
    normal = np.where(table[..., None], np.array([0, 1, 0]), np.array([0, 0, -1])).astype(np.float32)
    folds = 0.25 * noise.fractal(x * 1.2, z * 1.2 + 3, 3) if cloth else 0.05 * noise.fractal(x * 3, z * 30, 2)
    normal[..., 0] += np.where(table, folds, 0.06 * noise.fractal(x * 8, y * 8, 3))
    return colour, _unit(normal)


def _skin(solid: Solid, point: Vector, noise: Noise) -> Picture:
    p = solid.local(point)
    u = np.arctan2(p[..., 0], p[..., 2])
    if solid.pattern == "skin":
        blush = noise.fractal(p[..., 0] * 1.2 + 3 * solid.scale[0], p[..., 1] * 1.2 + p[..., 2], 3)
        specks = smoothstep(0.35, 0.6, noise(u * 14, p[..., 1] * 16))
        colour = mix(solid.colour, mix(solid.colour, rgb("#e8c850"), 0.6 + 0 * u), smoothstep(-0.1, 0.5, blush))
        return mix(colour, colour * 0.7, np.maximum(0.6 * specks, smoothstep(0.9, 1.0, p[..., 1])))
    glaze = 0.9 + 0.2 * noise.fractal(p[..., 0] * 3 + 7, p[..., 1] * 3 + p[..., 2] * 2, 4)
    if solid.pattern == "plain":
        return solid.colour * glaze[..., None]
    phase = np.sin(4 * u) if solid.kind == "ball" else np.sin(9 * p[..., 1]) + 0.4 * np.sin(8 * u)
    return mix(solid.colour, rgb("#ece2cc"), smoothstep(-0.1, 0.1, phase)) * glaze[..., None]


def _shade(point: Vector, solids: list[Solid], lamp: Vector) -> tuple[Field, Field]:
    """Share of a lamp of some size that each point sees, and of the sky above it."""
    offsets = np.array(
        [(0, 0, 0), (0.3, 0.2, 0), (-0.3, 0, 0.2), (0, -0.3, -0.3), (0.2, 0.1, 0.4), (-0.2, 0.3, -0.2)], np.float32
    )
    seen = np.zeros(point.shape[:2], np.float32)
    # Cells of the pattern take turns with the lamp's points; the mean over 2 by 2 pixels makes a soft edge of them.
    for cell in range(4):
        part = (slice(cell // 2, None, 2), slice(cell % 2, None, 2))
        for offset in np.roll(offsets, 2 * cell, 0)[:2]:
            ray = lamp + 1.1 * offset - point[part]
            free = np.ones(ray.shape[:2], bool)
            for solid in solids:
                free &= solid.hit(point[part], ray) > 1
            seen[part] += free / 2
    open_sky = np.ones(point.shape[:2], np.float32)
    for solid in solids:
        towards = solid.centre - point
        away = np.linalg.norm(towards, axis=-1)
        size = float(solid.scale.mean())
        # A body's own surface is about one radius from its centre, and must not darken itself.
        near = np.clip(size / away, 0, 1) ** 2 * smoothstep(1.0, 1.3, away / float(solid.scale.max()))
        open_sky *= 1 - 0.75 * near
    return seen, open_sky
