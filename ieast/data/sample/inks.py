"""Works in ink, charcoal and poured or layered paint."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from ieast.data.sample.heads import portrait
from ieast.data.sample.noise import Noise
from ieast.data.sample.shading import Picture, Size, grid, luminance, mask, mix, paper, ranks, relief, rgb, rgbs, smoothstep


def colour_fields(rng: np.random.Generator, size: Size) -> Picture:
    """Soft-edged rectangles of glowing colour, floating on a ground of many thin coats."""
    x, y = grid(size)
    aspect, noise = size[1] / size[0], Noise(rng)
    ground, *fields = rgbs(
        str(
            rng.choice(
                ["#7a1f1c #e8541e #f4a62a #5a1226", "#3a1430 #b0243a #1c1420 #d86a3a", "#24304a #e8c84a #d8682a #2a4a8a"]
            )
        )
    )
    wash = noise.fractal(x * 2.2, y * 2.2, 5, 0.6)
    picture = ground * (1 + 0.16 * wash)[..., None]
    edges = np.cumsum(rng.uniform(0.8, 1.6, 3))
    tops = 0.06 + 0.9 * np.concatenate([[0], edges / edges[-1]])
    for index, colour in enumerate(fields):
        low, high = tops[index] + 0.012, tops[index + 1] - 0.02
        rough = 0.016 * noise.fractal(x * 9, y * 9 + 7 * index, 5, 0.65)
        inside = np.minimum(np.minimum(x - 0.075, aspect - 0.075 - x), np.minimum(y - low, high - y)) + rough
        veil = smoothstep(-0.01, 0.035, inside) * (0.84 + 0.16 * noise.fractal(x * 3 + 30, y * 5 + index, 4))
        brushed = 1 + 0.14 * noise.fractal(x * 5, y * 60 + 9 * index, 3) + 0.18 * noise.fractal(x * 1.5 + 5, y * 1.5 + index, 4)
        picture = mix(picture, colour * brushed[..., None], np.clip(veil, 0, 0.97))
    threads = np.sin(x * 420) * np.sin(y * 420)
    return picture * (1 + 0.035 * threads)[..., None]


def suprematist(rng: np.random.Generator, size: Size) -> Picture:
    """Bars, a disc and a cross in primary colours, adrift on off-white."""
    x, y = grid(size)
    aspect = size[1] / size[0]
    picture = rgb("#ece4d2") * (1 + 0.02 * paper(size, rng, 60))[..., None]
    tilt = rng.uniform(-0.7, -0.3)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    colours = rgbs("#16161a #c8281e #1c3f94 #eab818 #16161a #2f6b4a #d8d0c0 #16161a #c8281e")
    noise = Noise(rng)
    picture = mix(picture, rgb("#16161a"), smoothstep(0.165, 0.163, np.hypot(x - 0.72 * aspect, y - 0.27)) * 0.96)
    for index in range(24):
        long, thin = (
            (rng.uniform(0.35, 0.75), rng.uniform(0.012, 0.09))
            if index % 3
            else (rng.uniform(0.12, 0.3), rng.uniform(0.1, 0.25))
        )
        if index > 12:
            long, thin = rng.uniform(0.06, 0.3), rng.uniform(0.006, 0.03)
        at = np.array([aspect / 2, 0.5]) + rng.normal(0, 0.19, 2) * (aspect, 1)
        corners = np.array([(-long, -thin), (long, -thin), (long, thin), (-long, thin)]) / 2
        spin = turn.T if index % 5 == 4 else turn
        shape = mask(size, [corners @ spin + at])
        coat = colours[index % 9] * (1 + 0.08 * noise.fractal(x * 30, y * 8 + index, 3))[..., None]
        picture = mix(picture, coat, shape * 0.97)
    cracks = smoothstep(0.03, 0, np.abs(noise.fractal(x * 9, y * 9, 3))) * smoothstep(0.1, 0.3, noise(x * 3, y * 3 + 50))
    return picture * (1 - 0.12 * cracks)[..., None]


def action_painting(rng: np.random.Generator, size: Size) -> Picture:
    """Skeins of dripped and flung enamel over raw canvas."""
    rows, columns = size
    image = Image.new("RGBA", (columns * 2, rows * 2), (201, 186, 156, 30))
    draw = ImageDraw.Draw(image)
    for code in ["#1a1a1a", "#e9e4d8", "#1a1a1a", "#b8341f", "#e2b22c", "#e9e4d8", "#2f5a78", "#1a1a1a", "#e9e4d8"]:
        colour = tuple((rgb(code) * 255).astype(int).tolist())
        for _ in range(9):
            count = 260
            bends = gaussian_filter(rng.standard_normal((count, 2)), (rng.uniform(9, 22), 0), mode="wrap") * 6
            path = np.cumsum(bends, 0) * rows * 0.02 * rng.uniform(0.6, 1.3) + rng.uniform((0, 0), (columns * 2, rows * 2))
            width = np.clip(gaussian_filter(rng.standard_normal(count), 8) * 9 + rng.uniform(1.5, 6), 0.6, 12) * rows / 384
            for (a, b), (c, d), w in zip(path[:-1], path[1:], width[1:], strict=True):
                draw.line((a, b, c, d), fill=(*colour, int(120 + 12 * w)), width=max(1, round(w)))
                draw.ellipse((c - w / 2, d - w / 2, c + w / 2, d + w / 2), fill=(*colour, int(120 + 12 * w)))
            drops = path[rng.integers(0, count, 26)] + rng.normal(0, rows * 0.035, (26, 2))
            for (a, b), w in zip(drops, rng.pareto(2.2, 26).clip(0, 4) * 2 * rows / 384, strict=True):
                draw.ellipse((a - w, b - w, a + w, b + w), fill=(*colour, 190))
    pixels = np.asarray(image, np.float32) / 255
    light = relief(gaussian_filter(pixels[..., 3], 1.1), 1.9)
    x, y = grid((rows * 2, columns * 2))
    cloth = np.where(pixels[..., 3] < 0.2, 1 + 0.05 * np.sin(x * 300) * np.sin(y * 300), 1)
    picture = pixels[..., :3] * (light * cloth)[..., None]
    return picture.reshape(rows, 2, columns, 2, 3).mean((1, 3))


def sumi_e(rng: np.random.Generator, size: Size) -> Picture:
    """Mountains in mist, a pine and a seal, in ink washes on pale paper."""
    x, y = grid(size)
    aspect, noise = size[1] / size[0], Noise(rng)
    ink = np.zeros(size, np.float32)
    for layer in range(5):
        base = 0.3 + 0.12 * layer
        edge = (
            base
            - 0.26
            * (1 - 0.1 * layer)
            * np.clip(noise.ridged(x * (1.3 + 0.2 * layer) + 9 * layer, 0 * y + layer, 5, 0.42) - 0.42, 0, 1)
            * 1.6
        )
        into = y - edge
        wash = np.exp(-np.clip(into, 0, 1) * (9 - layer)) * (0.20 + 0.13 * layer)
        dry = 1 + 0.9 * noise.fractal(x * 7 + into * 9, y * 26 + layer, 4, 0.65)
        rim = np.exp(-((into / 0.006) ** 2)) * 0.25
        ink = np.where(into > 0, ink * (1 - smoothstep(0.0, 0.1, into) * 0.75) + np.clip(wash * dry, 0, 1), ink)
        ink = ink + rim * smoothstep(0.1, 0.5, noise.fractal(x * 6, 0 * y + layer, 3) + 0.4)
    image = Image.new("L", (size[1] * 2, size[0] * 2))
    _pine(ImageDraw.Draw(image), rng, size)
    pine = np.asarray(image.reduce(2), np.float32) / 255
    ink = np.clip(ink, 0, 0.92)
    ink = np.maximum(ink, gaussian_filter(pine, 0.7) * (0.85 + 0.3 * noise.fractal(x * 40, y * 40, 3)))
    grain = paper(size, rng, 110)
    sheet = rgb("#efe8d6") * (1 + 0.025 * grain)[..., None]
    picture = mix(sheet, rgb("#15171c"), np.clip(ink * (1 + 0.2 * grain), 0, 1))
    seal = mask(size, [np.array([(0, 0), (0.06, 0), (0.06, 0.075), (0, 0.075)]) + np.array([aspect - 0.12, 0.86])])
    carved = (noise(x * 55, y * 55) > 0.12).astype(np.float32)
    return mix(picture, rgb("#b8281e"), seal * (1 - 0.85 * carved))


def _pine(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: Size) -> None:
    rows, columns = size[0] * 2, size[1] * 2
    at, heading = np.array([columns * 0.08, rows * 1.0]), -1.25
    for step in range(46):
        heading += rng.normal(0, 0.16) + (0.02 if step > 10 else 0)
        after = at + rows * 0.016 * np.array([np.cos(heading), np.sin(heading)])
        draw.line((*at, *after), fill=235, width=max(2, int(rows * 0.022 * (1 - step / 50))))
        at = after
        if step > 12 and step % 4 == 0:
            tip = at + rows * rng.uniform(0.05, 0.13) * np.array(
                [np.cos(heading + rng.choice([-1.1, 1.1])), rng.uniform(-0.3, 0.25)]
            )
            draw.line((*at, *tip), fill=220, width=max(2, rows // 220))
            for centre in np.linspace(at, tip, 4)[1:]:
                for angle in rng.uniform(np.pi, 2 * np.pi, 34):
                    end = centre + rows * rng.uniform(0.015, 0.04) * np.array([1.2 * np.cos(angle), 0.7 * np.sin(angle)])
                    draw.line((*centre, *end), fill=int(rng.uniform(130, 230)), width=max(1, rows // 400))


def charcoal(rng: np.random.Generator, size: Size) -> Picture:
    """A head in crossed charcoal strokes on toned paper, heightened with white chalk."""
    motif = np.clip(portrait(rng, size), 0, 1)
    x, y = grid(size)
    tooth = paper(size, rng, 130)
    tone = ranks(gaussian_filter(luminance(motif), 1.0)) * 0.6 + 0.4 * gaussian_filter(luminance(motif), 1.0)
    noise = Noise(rng)
    dark = np.zeros(size, np.float32)
    for index, (level, angle) in enumerate(((0.62, 0.8), (0.44, -0.5), (0.3, 1.6), (0.2, 0.2))):
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        lines = 0.5 + 0.5 * np.sin(2 * np.pi * (v * 68 + 0.8 * noise(u * 3, v * 3 + 5 * index))) * (
            0.75 + 0.25 * noise(u * 8, v * 60)
        )
        dark += smoothstep(0, 0.12, level - tone) * lines * 0.42
    fine = gaussian_filter(luminance(motif), 0.8) - gaussian_filter(luminance(motif), 3)
    dark += smoothstep(-0.015, -0.06, fine) * 0.8
    smudge = gaussian_filter(np.clip(0.55 - tone, 0, 1), 5) * 0.5
    dark = np.clip(dark * smoothstep(-0.9, 0.5, tooth + 0.4) * 1.3 + smudge, 0, 0.94)
    sheet = rgb(str(rng.choice(["#b89c7c", "#a8a294", "#9a8c84"]))) * (1 + 0.07 * tooth)[..., None]
    chalk = smoothstep(0.78, 0.95, tone) * smoothstep(-0.2, 0.5, tooth + 0.25) * 0.75
    return mix(mix(sheet, rgb("#1a1714"), dark), rgb("#f6f0e4"), chalk)
