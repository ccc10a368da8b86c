"""Works put together from pieces: glass, tiles, facets, cut paper, rings and gold ornament."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from ieast.data.sample.heads import portrait
from ieast.data.sample.noise import Field, Noise
from ieast.data.sample.shading import (
    Picture,
    Size,
    blur,
    grid,
    luminance,
    mix,
    paper,
    ramp,
    ranks,
    relief,
    rgb,
    rgbs,
    saturate,
    smoothstep,
)
from ieast.data.sample.solids import still_life


def _cells(points: Picture, x: Field, y: Field) -> tuple[NDArray[np.intp], Field]:
    """For each place the nearest of points (N, 2), and how much farther the second nearest is."""
    away, index = cKDTree(points).query(np.stack([x, y], -1), k=2)
    return index[..., 0], (away[..., 1] - away[..., 0]).astype(np.float32)


def _cell_colours(motif: Picture, owner: NDArray[np.intp], count: int) -> Picture:
    """Mean colour of the motif over each cell, (count, 3)."""
    flat = owner.ravel()
    total = np.maximum(np.bincount(flat, minlength=count), 1)
    return np.stack([np.bincount(flat, motif[..., c].ravel(), count) / total for c in range(3)], -1).astype(np.float32)


def cubist(rng: np.random.Generator, size: Size) -> Picture:
    """A still life broken into overlapping shaded facets of ochre, grey and blue."""
    motif = blur(np.clip(still_life(rng, size), 0, 1), 1.0)
    x, y = grid(size)
    aspect = size[1] / size[0]
    level, shade = np.zeros(size, np.float32), np.zeros(size, np.float32)
    crease = np.zeros(size, np.float32)
    shift = np.zeros((2, *size), np.float32)
    for _ in range(22):
        angle, at = rng.uniform(0, np.pi), rng.uniform((0, 0), (aspect, 1))
        off = (x - at[0]) * np.cos(angle) + (y - at[1]) * np.sin(angle)
        limit = np.abs((x - at[0]) * np.sin(angle) - (y - at[1]) * np.cos(angle)) < rng.uniform(0.15, 0.6)
        side = (off > 0) & limit
        level += side * rng.uniform(-0.6, 0.6)
        shade += np.where(limit, np.sign(off) * np.exp(-np.abs(off) / 0.09) * rng.uniform(0.1, 0.35), 0)
        crease = np.maximum(crease, limit * smoothstep(0.005, 0.002, np.abs(off)))
        shift += side * rng.uniform(-0.03, 0.03, (2, 1, 1)).astype(np.float32)
    rows, columns = (
        np.clip((v + s) * size[0], 0, n - 1).astype(int) for v, s, n in ((y, shift[0], size[0]), (x, shift[1], size[1]))
    )
    tone = ranks(luminance(motif[rows, columns]))
    colour = ramp(
        np.clip(0.55 * tone + 0.25 + 0.12 * np.sin(level * 5), 0, 1), rgbs("#14161a #3a3c40 #6a6a5c #a88a58 #d0b078 #ece0bc")
    )
    blue = smoothstep(0.75, 0.9, np.sin(level * 3 + 1)) * 0.6
    colour = mix(colour, rgb("#4a6a80") * (0.5 + tone)[..., None], blue) * (1.08 + np.clip(shade, -0.35, 0.35))[..., None]
    noise = Noise(rng)
    hatch = noise.fractal(x * 90 * np.cos(level) + y * 14, y * 90 * np.sin(level + 1) - x * 14, 2)
    return mix(colour * (1 + 0.12 * hatch)[..., None], rgb("#1a1612"), crease * 0.8)


def stained_glass(rng: np.random.Generator, size: Size) -> Picture:
    """A rose window of coloured panes between leads, lit from behind."""
    x, y = grid(size)
    aspect, noise = size[1] / size[0], Noise(rng)
    centre = np.array([aspect / 2, 0.5])
    rings = [centre[None]]
    for ring, count in ((0.12, 8), (0.22, 12), (0.33, 16), (0.43, 24)):
        angle = np.arange(count) * 2 * np.pi / count + ring * 3
        rings.append(centre + ring * np.stack([np.cos(angle), np.sin(angle)], -1))
    outer = rng.uniform((0, 0), (aspect, 1), (150, 2))
    points = np.concatenate([*rings, outer[np.hypot(*(outer - centre).T) > 0.49]])
    owner, gap = _cells(points, x, y)
    away = np.hypot(*(points - centre).T)
    hues = rgbs("#c81e2e #1e4fb0 #f2b020 #1f8a4c #7a2f9a #e8641e #2aa0c0 #f6e6a0")
    pick = np.where(
        away > 0.49,
        rng.choice([1, 1, 6, 4, 3], len(points)),
        (np.round(away / 0.105).astype(int) * 2 + np.arange(len(points)) % 2) % 8,
    )
    tone = rng.uniform(0.7, 1.15, len(points))
    pane = (hues[pick] * tone[:, None])[owner]
    streaks = noise.fractal(x * 8 + owner % 7, y * 8 + owner % 5, 4, 0.6)
    glow = 0.75 + 0.6 * np.exp(-((x - aspect * 0.5) ** 2 + (y - 0.45) ** 2) / 0.16) + 0.28 * streaks
    ridge = np.abs(np.hypot(x - centre[0], y - centre[1]) - 0.485)
    lead = np.maximum(smoothstep(0.011, 0.007, gap), smoothstep(0.016, 0.012, ridge))
    picture = np.clip(pane * glow[..., None], 0, 1.2)
    picture = picture + 0.15 * blur(picture, 6) * (1 - lead)[..., None]
    shine = relief(gaussian_filter(lead, 1.2), 2.5)
    return mix(picture, rgb("#24221f") * (shine + 0.1 * streaks)[..., None], lead)


def mosaic(rng: np.random.Generator, size: Size) -> Picture:
    """A head in small tilted stones set along its contours, with gold behind it."""
    motif = saturate(np.clip(portrait(rng, size), 0, 1) ** 0.7, 1.5)
    x, y = grid(size)
    aspect, noise = size[1] / size[0], Noise(rng)
    halo = np.hypot(x - aspect / 2, y - 0.36)
    back = np.exp(-((gaussian_filter(luminance(motif), 2) - float(np.median(luminance(motif)[:20]))) ** 2) / 0.003) * (y < 0.75)
    gold = mix(rgb("#b8862a"), rgb("#8a3a2a"), smoothstep(0.008, 0.0, np.abs(halo - 0.36)))
    motif = mix(motif, gold, smoothstep(0.4, 0.8, gaussian_filter(back, 3)))
    step = 0.017
    across, up = np.meshgrid(np.arange(0, aspect, step), np.arange(0, 1, step))
    points = np.stack([across + 0.5 * step * (np.arange(len(up)) % 2)[:, None], up], -1).reshape(-1, 2)
    points = points + 0.2 * step * rng.standard_normal(points.shape)
    points[:, 1] += 0.02 * np.sin(points[:, 0] * 12)
    owner, gap = _cells(points, x, y)
    stone = _cell_colours(motif, owner, len(points))
    stone = np.round(stone * 9) / 9 * rng.uniform(0.82, 1.18, (len(points), 1))
    shine = rng.uniform(0.8, 1.25, len(points)) ** 2
    golden = np.abs(stone - rgb("#b8862a")).sum(1) < 0.22
    stone[golden] *= shine[golden, None]
    grout = smoothstep(0.0045, 0.002, gap)
    light = relief(np.minimum(gap, 0.008) * 90, 0.55) + 0.08 * noise.fractal(x * 60, y * 60, 2)
    return mix(stone[owner] * light[..., None], rgb("#4a443c") * (1 + 0.2 * noise(x * 90, y * 90))[..., None], grout)


def cut_outs(rng: np.random.Generator, size: Size) -> Picture:
    """Leaves and stars cut out of painted paper and pasted on bright panels."""
    x, y = grid(size)
    aspect, noise = size[1] / size[0], Noise(rng)
    panels = rgbs("#1f4fa8 #e85a3c #f2c230 #f4efe4 #2f8f5a #e88ab0 #16323f #8ac0d8")
    columns, rows = 4, 3
    order = rng.permutation(12) % 8
    cell = (np.floor(y * rows) * columns + np.floor(x / aspect * columns)).astype(int).clip(0, 11)
    brushed = 1 + 0.06 * noise.fractal(x * 70, y * 5 + cell, 3)
    picture = panels[order[cell]] * brushed[..., None]
    for index in range(12):
        at = np.array([(index % columns + 0.5) * aspect / columns, (index // columns + 0.5) / rows]) + rng.normal(0, 0.012, 2)
        u, v = x - at[0], y - at[1]
        turn = rng.uniform(0, 6.3)
        angle, away = np.arctan2(v, u) + turn, np.hypot(u, v)
        lobes = rng.integers(5, 10)
        kind = index % 3
        if kind == 0:
            a, b = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
            comb = 0.055 + 0.06 * np.sin((a - np.abs(b) * 0.8) * 75)
            shape = np.minimum(comb * np.sqrt(np.clip(1 - (a / 0.17) ** 2, 0, 1)) * 1.6 + 0.012 - np.abs(b), 0.165 - np.abs(a))
        elif kind == 1:
            shape = 0.09 + 0.055 * np.cos(lobes * angle + 0.8 * np.sin(2 * angle)) - away
        else:
            shape = (
                0.1
                + 0.04 * np.abs(np.sin(lobes * angle / 2)) ** 0.5 * np.sign(np.sin(lobes * angle / 2))
                + 0.02 * np.sin(3 * angle)
                - away
            )
        shape = shape + 0.003 * noise(x * 25, y * 25)
        colour = panels[(order[index] + rng.integers(1, 8)) % 8]
        shadow = gaussian_filter(smoothstep(-0.002, 0.002, shape), 0.005 * size[0])
        picture = picture * (1 - 0.25 * np.roll(shadow, (2, 2), (0, 1)))[..., None]
        coat = 1 + 0.08 * noise.fractal(x * 8 + index, y * 70, 3)
        picture = mix(picture, colour * coat[..., None], smoothstep(-0.002, 0.002, shape))
    return picture


def rings(rng: np.random.Generator, size: Size) -> Picture:
    """Concentric circles in squares, each band a different clear colour, broken by diagonals."""
    x, y = grid(size)
    noise = Noise(rng)
    picture = np.zeros((*size, 3), np.float32)
    hues = rgbs("#d8342a #f28a2a #f6d24a #4aa05a #2a8ab0 #2a3f8a #7a3f8a #e87aa0 #f4ead8 #1c1c24")
    count = 3
    cell_x, cell_y = np.floor(x * count), np.floor(y * count)
    for a in range(int(cell_x.max()) + 1):
        for b in range(count):
            here = (cell_x == a) & (cell_y == b)
            u, v = x * count - a - 0.5 + rng.normal(0, 0.05), y * count - b - 0.5 + rng.normal(0, 0.05)
            away = np.hypot(u, v) + 0.03 * noise(u * 4 + a * 7, v * 4 + b * 5)
            quarter = ((u > 0) * 2 + (v > 0)).astype(int) if rng.random() < 0.6 else np.zeros(size, int)
            band = np.clip(away * 9, 0, 6).astype(int)
            order = np.stack([rng.permutation(10) for _ in range(4)])
            picture = np.where(here[..., None], hues[order[quarter, band]], picture)
            edge = np.abs(away * 9 % 1 - 0.5) > 0.46
            picture = np.where((here & edge)[..., None], picture * 0.82, picture)
    wet = 1 + 0.12 * noise.fractal(x * 9, y * 9, 5, 0.65) + 0.04 * paper(size, rng)
    bleed = blur(picture, 1.2)
    return mix(bleed, np.ones(3), np.clip(0.12 - 0.3 * noise.fractal(x * 5 + 9, y * 5, 4), 0, 0.3)) * wet[..., None]


def gold_ornament(rng: np.random.Generator, size: Size) -> Picture:
    """A tree of spirals on gold leaf, among eyes, triangles and checks."""
    x, y = grid(size)
    noise = Noise(rng)
    leaf = 0.5 + 0.35 * noise.fractal(x * 14, y * 14, 4, 0.7) + 0.2 * smoothstep(0.1, 0, np.minimum((x * 9) % 1, (y * 9) % 1))
    picture = ramp(np.clip(leaf, 0, 1), rgbs("#8a5f1c #c8962e #e8c258 #fbe9a0"))
    below = smoothstep(0.78, 0.8, y + 0.04 * np.sin(x * 5))
    cells_x, cells_y = np.floor(x * 18), np.floor(y * 18)
    pick = (np.abs(np.sin(cells_x * 12.9 + cells_y * 78.2) * 43758.5) % 1 * 6).astype(int)
    tiles = rgbs("#2a1c3a #7a2f4a #1f5a5a #e0b040 #3a6a3a #b8542a")[pick]
    inner = np.hypot(x * 18 % 1 - 0.5, y * 18 % 1 - 0.5)
    tiles = np.where((np.abs(inner - 0.3) < 0.06)[..., None], rgb("#f2dc90"), tiles)
    tiles = np.where((inner < 0.14)[..., None], rgb("#14101c"), tiles)
    picture = mix(picture, tiles, below)
    distance = np.full(size, 9.0, np.float32)
    aspect = size[1] / size[0]
    spirals = [(aspect * 0.5, 0.44, 0.2, 1.0)] + [
        (*rng.uniform((0.05, 0.06), (aspect - 0.05, 0.72)), rng.uniform(0.09, 0.17), float(rng.choice([-1, 1])))
        for _ in range(17)
    ]
    for a, b, radius, hand in spirals:
        away, angle = np.hypot(x - a, y - b), hand * np.arctan2(y - b, x - a)
        arm = np.abs((away / radius * 3.2 - angle / (2 * np.pi)) % 1 - 0.5) * radius / 3.2
        near = np.where(away < radius, arm, np.abs(away - radius) + 0.002)
        covered = away < radius * 1.02
        distance = np.where(covered, near, np.minimum(distance, near))
    trunk = np.abs(x - aspect * 0.5 - 0.05 * np.sin(y * 7)) - 0.02 - 0.09 * np.clip(y - 0.5, 0, 1) ** 1.5
    distance = np.where(y > 0.55, np.minimum(distance, np.clip(trunk, 0, 9)), distance)
    body = smoothstep(0.011, 0.008, distance)
    rim = smoothstep(0.016, 0.013, distance) * (1 - body)
    bark = ramp(np.clip(0.5 + noise.fractal(x * 25, y * 25, 3), 0, 1), rgbs("#3a2412 #6a4420 #a8722c"))
    picture = mix(mix(picture, rgb("#fdf0b8"), rim), bark, body)
    for index, at in enumerate(rng.uniform((0.04, 0.04), (aspect - 0.04, 0.76), (26, 2))):
        away = np.hypot((x - at[0]) * 1.0, (y - at[1]) * 1.6) / 0.026
        picture = mix(picture, rgb(("#1f4a6a", "#8a2f3a", "#2a6a4a")[index % 3]), smoothstep(1, 0.9, away))
        picture = mix(picture, rgb("#f8ecc0"), smoothstep(0.6, 0.52, away))
        picture = mix(picture, rgb("#14101c"), smoothstep(0.34, 0.26, away))
    return picture * relief(gaussian_filter(-distance.clip(0, 0.02), 0.8) * 60, 0.6)[..., None]
