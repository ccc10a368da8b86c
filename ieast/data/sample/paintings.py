"""Works painted stroke by stroke after a drawn scene, each in its own hand and palette."""

import numpy as np
from scipy.ndimage import gaussian_filter

from ieast.data.sample.heads import portrait
from ieast.data.sample.landscapes import dunes, hills, mountains, sea
from ieast.data.sample.noise import Noise
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
    rgb,
    rgbs,
    saturate,
    smoothstep,
    weave,
)
from ieast.data.sample.solids import still_life
from ieast.data.sample.strokes import Brush, Canvas, along_edges, paint
from ieast.data.sample.town import street
from ieast.data.sample.woods import flower, forest


def swirls(rng: np.random.Generator, size: Size) -> Picture:
    """A night sky of whirls and stars over a village, in thick curved strokes."""
    x, y = grid(size)
    aspect, noise = size[1] / size[0], Noise(rng)
    angles = 0.5 * noise(x * 2, y * 2)
    sky = ramp(np.clip(y / 0.75 + 0.25 * noise.fractal(x * 3, y * 5, 3), 0, 1), rgbs("#12204e #1f4a8a #3f7fae #a8c0a0"))
    for index in range(11):
        at = rng.uniform((0.03, 0.05), (aspect - 0.03, 0.55))
        big = 0.3 if index < 2 else 0.0
        radius = rng.uniform(0.045, 0.08) + 0.3 * big
        u, v = x - at[0], y - at[1]
        away = np.hypot(u, v) / radius
        pull = np.exp(-((away / 2.2) ** 2))
        spin = np.arctan2(v, u) + np.pi / 2 + 0.15
        angles = np.where(pull > 0.12, spin, angles)
        rings = 0.5 + 0.5 * np.cos(away * (9 if big else 5))
        sky = mix(sky, mix(rgb("#7fb0cc"), rgb("#f2e6a0"), np.exp(-away)), pull * (0.35 + 0.5 * rings))
        if not big:
            sky = mix(sky, rgb("#fff0a0"), smoothstep(0.75, 0.35, away))
    land = 0.74 - 0.1 * noise(x * 1.7, 0 * y) - 0.03 * noise(x * 5, 0 * y + 9)
    ground = ramp(
        np.clip((y - land) * 3 + 0.4 * noise.fractal(x * 9, y * 12, 3), 0, 1), rgbs("#2c5a68 #1c3a4c #3a5a34 #101c2c")
    )
    houses = np.floor(x * 12)
    lit = (np.abs(x * 12 % 1 - 0.5) < 0.13) & (np.abs(y - 0.85 - 0.04 * noise(houses * 3.7, 0 * y)) < 0.012)
    ground = np.where(lit[..., None], rgb("#ffd050"), ground)
    motif = mix(sky, ground, smoothstep(-0.004, 0.004, y - land)).astype(np.float32)
    tree = np.abs(x - 0.2 * aspect + 0.015 * np.sin(y * 30)) < 0.1 * np.clip((y - 0.12) * 1.3, 0, 1) ** 0.8
    motif = np.where(tree[..., None], mix(rgb("#0e1c18"), rgb("#3c4a20"), 0.5 + noise(x * 30, y * 4)), motif)
    angles = np.where(tree, np.pi / 2 + 0.5 * np.sin(y * 20), np.where(y > land, 0.4 * noise(x * 4, y * 4), angles))
    brushes = [
        Brush(0.035, 4, 5, 1.6, 0.05),
        Brush(0.017, 6, 4, 2.2, 0.09, 0.08),
        Brush(0.011, 6, 3, 1.3, 0.09, 0.09, tolerance=0.12),
    ]
    return paint(motif, angles, brushes, rng).finish(1.5)


def pointillism(rng: np.random.Generator, size: Size) -> Picture:
    """A sunny coast in dots of pure colour, with complements in the shadows."""
    motif = saturate(np.clip(sea(rng, size), 0, 1), 1.7)
    canvas = Canvas(np.broadcast_to(rgb("#efe6cf"), motif.shape), rng)
    rows, columns = size
    for radius, cover in ((0.010, 1.5), (0.0066, 2.2), (0.0046, 1.0)):
        count = int(cover / (radius * radius * 3.5) * columns / rows)
        at = rng.random((count, 2)).astype(np.float32) * (columns - 1, rows - 1)
        colour = motif[at[:, 1].astype(int), at[:, 0].astype(int)]
        pure = np.clip(colour + rng.normal(0, 0.09, colour.shape), 0, 1)
        other = rng.random(count) < 0.12
        pure[other] = np.clip(
            0.25 + 0.9 * (colour.mean(1, keepdims=True) - (colour - colour.mean(1, keepdims=True)) * 1.6), 0, 1
        )[other]
        canvas.dots(at, pure, rng.uniform(0.75, 1.15, count) * radius * rows)
    return canvas.finish(0.5)


def impasto(rng: np.random.Generator, size: Size) -> Picture:
    """Mountains in broad slabs of paint laid with a knife."""
    motif = saturate(np.clip(mountains(rng, size), 0, 1), 1.5)
    motif = ramp(ranks(luminance(motif)), rgbs("#10142e #1f4f80 #3f8f8a #d8603a #f8b04a #fff2d8")) * 0.8 + 0.2 * motif
    angles = along_edges(motif, 6, rng, 0.2)
    brushes = [
        Brush(0.06, 2.4, 12, 2.4, 0.04, 0.03, 0.12, 0, 0.15),
        Brush(0.03, 2.4, 9, 2.4, 0.05, 0.04, 0.15, 0.12, 0.2),
        Brush(0.016, 2.6, 6, 2.4, 0.05, 0.04, 0.15, 0.14, 0.2),
    ]
    return paint(motif, angles, brushes, rng).finish(2.2, 1.0)


def fauvist(rng: np.random.Generator, size: Size) -> Picture:
    """A street in unmixed, unlikely colours, patch beside patch, with dark contours."""
    motif = np.clip(street(rng, size), 0, 1)
    tone = gaussian_filter(luminance(motif), 2)
    x, y = grid(size)
    tint = 0.25 * Noise(rng).fractal(x * 2.5, y * 2.5, 2) + 0.1 * (y - 0.5)
    wild = ramp(np.clip(ranks(tone) + tint, 0, 1), rgbs("#1b1464 #0a7a5a #d81e5b #f26a1b #2ab0c8 #ffc81e #ffe9b8"))
    canvas = paint(
        wild,
        along_edges(motif, 4, rng, 0.8),
        [Brush(0.05, 2, 6, 1.8, 0.06), Brush(0.025, 2.2, 5, 2.4, 0.07, 0.07, 0.25, 0.1)],
        rng,
        rgb("#f4ead0"),
    )
    down, across = np.gradient(gaussian_filter(tone, 1.2))
    edge = smoothstep(0.022, 0.05, np.hypot(down, across))
    return mix(canvas.finish(0.9), rgb("#141038"), edge * 0.85)


def impressionist(rng: np.random.Generator, size: Size) -> Picture:
    """Fields under a bright sky in short broken strokes."""
    motif = saturate(np.clip(hills(rng, size), 0, 1) ** 0.85, 1.35)
    tone = luminance(motif)
    motif = mix(motif, rgb("#7a68c0"), 0.4 * (1 - tone) ** 2) * (0.72 + 0.5 * ranks(tone))[..., None]
    angles = along_edges(motif, 3, rng, 0.1)
    brushes = [
        Brush(0.03, 3, 5, 2, 0.05),
        Brush(0.015, 3, 4, 2.2, 0.07, 0.06, 0.25),
        Brush(0.009, 3, 3, 2.0, 0.09, 0.08, 0.3, 0.1),
    ]
    cloth = weave(size, rng)
    return paint(motif, angles, brushes, rng).finish(0.9) * (1 + 0.05 * cloth)[..., None]


def expressionist(rng: np.random.Generator, size: Size) -> Picture:
    """A burning sky over dark water in long wavering bands."""
    x, y = grid(size)
    noise = Noise(rng)
    bend = y + 0.07 * np.sin(5 * x + 2) + 0.12 * noise(x * 1.6, y * 3)
    sky = ramp(np.clip(bend / 0.6 + 0.12 * np.sin(bend * 60), 0, 1), rgbs("#b02a1c #e8621c #f4b42c #e0421e #f6d878 #7a8a9a"))
    swirl = np.hypot((x - 0.55) * 0.9, y - 0.85) + 0.06 * noise(x * 3, y * 3)
    water = ramp(np.clip(0.5 + 0.5 * np.sin(swirl * 34), 0, 1), rgbs("#0c1c34 #1c4a68 #28384c #7aa09a"))
    shore = 0.55 + 0.08 * noise(x * 1.3 + 5, 0 * y) - 0.1 * (x - 0.6)
    motif = mix(sky, water, smoothstep(-0.01, 0.01, y - shore))
    pier = y - 0.62 - 0.75 * (x - 0.2)
    motif = mix(
        motif, ramp(np.clip(0.5 + 0.5 * np.sin(pier * 55), 0, 1), rgbs("#4a2418 #b8703a #2c1a1c")), smoothstep(0, 0.01, pier)
    )
    down, across = np.gradient(gaussian_filter(bend, 2))
    angles = np.where(y < shore, np.arctan2(-across, down), np.arctan2(y - 0.85, x - 0.55) + np.pi / 2)
    angles = np.where(pier > 0, np.arctan2(0.75, 1), angles)
    canvas = paint(motif, angles, [Brush(0.04, 6, 6, 1.6, 0.05, 0.05, 0.06), Brush(0.016, 14, 4, 2.2, 0.06, 0.07, 0.05)], rng)
    return canvas.finish(0.8)


def pastel(rng: np.random.Generator, size: Size) -> Picture:
    """A flower in chalk on rough tinted paper that shows between the strokes."""
    motif = np.clip(flower(rng, size), 0, 1)
    motif = mix(motif, np.full(3, 0.92), 0.25 * luminance(motif))
    sheet = rgb(str(rng.choice(["#8a7a70", "#6a7078", "#a89880"])))
    strokes = paint(
        motif,
        along_edges(motif, 4, rng, -0.8),
        [Brush(0.03, 5, 4, 1.6, 0.05, 0.05, 0.2), Brush(0.013, 7, 3, 1.6, 0.06, 0.05, 0.15)],
        rng,
        sheet,
    )
    tooth = paper(size, rng, 120)
    chalk = smoothstep(-0.35, 0.15, tooth + 0.5 * luminance(motif) - 0.1)
    return mix(sheet * (1 + 0.1 * tooth)[..., None], strokes.finish(0.2), chalk)


def old_master(rng: np.random.Generator, size: Size) -> Picture:
    """A still life that emerges from the dark, under brown varnish with fine cracks."""
    motif = np.clip(still_life(rng, size), 0, 1)
    x, y = grid(size)
    pool = np.exp(-(((x - 0.5 * size[1] / size[0]) / 0.5) ** 2 + ((y - 0.55) / 0.42) ** 2))
    motif = motif * (0.25 + 0.95 * pool)[..., None]
    angles = along_edges(motif, 3, rng, 0.9)
    painted = paint(
        motif, angles, [Brush(0.02, 3, 5, 2.2, 0.02, 0.02), Brush(0.008, 4, 3, 2.6, 0.02, 0.02, 0.1, 0.04)], rng
    ).finish(0.35)
    noise = Noise(rng)
    u, v = x * 26 + 0.6 * noise(x * 30, y * 30), y * 26 + 0.6 * noise(x * 30 + 9, y * 30)
    cracks = smoothstep(0.05, 0.0, np.minimum(np.abs(noise(u, v)), np.abs(noise(u + 40, v * 0.7))))
    varnish = painted**0.9 * np.array([1.1, 0.96, 0.7], np.float32) + 0.02
    return varnish * (1 - 0.3 * cracks * (0.4 + luminance(painted)))[..., None]


def portrait_in_oils(rng: np.random.Generator, size: Size) -> Picture:
    """A head in green, violet and orange planes, brushed along its forms."""
    motif = np.clip(portrait(rng, size), 0, 1)
    toned = ramp(luminance(motif) ** 0.8, rgbs("#1c1838 #4a2a6a #2a7a6a #d87a4a #f4d09a #fdf4dc"))
    motif = 0.65 * toned + 0.35 * saturate(motif, 1.5)
    angles = along_edges(motif, 4, rng, 1.2)
    brushes = [
        Brush(0.05, 3, 7, 1.7, 0.05, 0.05),
        Brush(0.022, 3.5, 5, 1.8, 0.06, 0.06, 0.2),
        Brush(0.01, 4, 3, 1.5, 0.05, 0.05, 0.15, 0.16),
    ]
    return paint(motif, angles, brushes, rng).finish(1.2)


def watercolour(rng: np.random.Generator, size: Size) -> Picture:
    """Transparent washes with dark rims, blooms and bare white paper."""
    motif = np.clip(sea(rng, size) if rng.random() < 0.5 else dunes(rng, size), 0, 1)
    x, y = grid(size)
    noise = Noise(rng)
    bend = (size[0] * 0.012 * noise.fractal(x * 7, y * 7, 4)).astype(int)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    motif = motif[np.clip(rows + bend, 0, size[0] - 1), np.clip(columns - bend, 0, size[1] - 1)]
    sheet: Picture = np.ones((*size, 3), np.float32) * rgb("#fbf7ec")
    tone = gaussian_filter(luminance(motif), 3)
    pigment = saturate(blur(motif, 5), 1.9)
    for index, level in enumerate((0.86, 0.7, 0.54, 0.38, 0.22)):
        edge = level - tone + 0.05 * noise.fractal(x * 6 + 20 * index, y * 6, 4)
        wash = smoothstep(-0.012, 0.012, edge)
        rim = np.exp(-((np.clip(edge, 0, None) / 0.012) ** 2)) * wash
        pool = 0.30 + 0.22 * noise.fractal(x * 2.5 + 9 * index, y * 2.5, 4) + 0.4 * rim
        stain = 1 - (1 - np.clip(pigment, 0.05, 1)) * np.clip(pool, 0.05, 0.9)[..., None] * 0.8
        sheet = sheet * mix(np.ones(3), stain, wash)
    grain = paper(size, rng, 150)
    border = np.minimum(np.minimum(x, size[1] / size[0] - x), np.minimum(y, 1 - y)) + 0.02 * noise.fractal(x * 8, y * 8, 4)
    sheet = mix(np.ones(3) * rgb("#fbf7ec"), sheet, smoothstep(0.035, 0.042, border))
    return sheet ** (1 + 0.18 * grain[..., None]) * (1 + 0.025 * grain)[..., None]


def gouache_forest(rng: np.random.Generator, size: Size) -> Picture:
    """A forest in a few opaque tones, brushed flat, like an illustration."""
    motif = blur(np.clip(forest(rng, size), 0, 1), 1.5)
    tones = rgbs(
        str(rng.choice(["#16213e #1f4e5f #3f8f8a #e8a87c #f7e3af #fff6e0", "#2b193d #5c2a5c #a8426a #f08a5d #f9d57e #fff2d0"]))
    )
    noise = Noise(rng)
    x, y = grid(size)
    level = np.clip(luminance(motif) * 1.1 + 0.05 * noise.fractal(x * 10, y * 10, 3), 0, 0.999)
    flat = tones[(level * len(tones)).astype(int)]
    brushes = [Brush(0.03, 5, 8, 1.8, 0.015, 0.02, 0.1), Brush(0.012, 5, 4, 2.0, 0.02, 0.02, 0.1, 0.08)]
    return paint(flat, along_edges(motif, 3, rng, 1.5), brushes, rng).finish(0.35) * (1 + 0.03 * paper(size, rng))[..., None]
