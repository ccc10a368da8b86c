"""Works printed in few inks: woodblock, linocut, engraving, comic, poster and batik."""

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from ieast.data.sample.heads import portrait
from ieast.data.sample.noise import Noise
from ieast.data.sample.shading import Picture, Size, blur, grid, luminance, mix, paper, ramp, ranks, rgb, rgbs, smoothstep
from ieast.data.sample.town import skyline, street
from ieast.data.sample.woods import flower, forest


def wave_print(rng: np.random.Generator, size: Size) -> Picture:
    """Great waves with claws of foam before a small mountain: flat colours, outlines, wood grain."""
    x, y = grid(size)
    aspect, noise = size[1] / size[0], Noise(rng)
    picture = ramp(np.clip(y * 1.1, 0, 1), rgbs("#8a9a9c #d8cfae #efe2bd #f0dcae"))
    disc = np.hypot(x - aspect * 0.75, y - 0.22)
    picture = mix(picture, rgb("#c8503a"), smoothstep(0.105, 0.10, disc))
    peak = 0.72 - 0.30 * np.clip(1 - np.abs(x - 0.56 * aspect) / 0.36, 0, 1) ** 1.5
    picture = mix(picture, rgb("#5a7488"), smoothstep(0, 0.004, y - peak))
    picture = mix(picture, rgb("#f6f0de"), smoothstep(0, 0.004, y - peak) * (y < 0.53 + 0.025 * np.sin(x * 60)))
    for index, (base, crest, width) in enumerate(((0.70, 0.16, 0.55), (0.80, 0.2, 0.8), (0.93, 0.14, 0.5))):
        phase = rng.uniform(0, 1)
        u = (x / width + phase + 0.55 * np.clip(base - y, 0, 0.4) / width) % 1
        rise = crest * (np.exp(-(((u - 0.4) / 0.26) ** 2)) - 0.25) * (1 + 0.2 * noise(np.floor(x / width + phase) * 3.3, 0 * y))
        edge = base - rise
        claw = 0.020 * np.abs(np.sin(x * 70 + 9 * np.sin(y * 24))) + 0.012 * noise(x * 40, y * 40)
        into = y - edge
        bands = np.sin((into + 0.16 * (u - 0.4) ** 2) * 105 - 4 * u)
        body = np.where(
            (bands > 0.15)[..., None], rgb("#1d3d6b"), np.where((bands > -0.6)[..., None], rgb("#4f83a8"), rgb("#bcd2cf"))
        )
        body = mix(body, rgb("#f7f2e2"), smoothstep(0.05, 0.045, into - claw * 1.4 + 0.03 * np.abs(u - 0.35) * 4))
        picture = mix(picture, body, smoothstep(0, 0.004, into + claw))
        line = smoothstep(0.005, 0.003, np.abs(into + claw)) + 0.7 * smoothstep(
            0.005, 0.003, np.abs(into - claw * 1.4 - 0.048 + 0.12 * np.abs(u - 0.35))
        )
        picture = mix(picture, rgb("#14233c"), np.clip(line, 0, 1))
        spray = rng.uniform((0, edge.min() - 0.1), (aspect, base - 0.05), (60, 2)) if index == 1 else np.empty((0, 2))
        for at in spray:
            picture = mix(picture, rgb("#f7f2e2"), smoothstep(0.007, 0.005, np.hypot(x - at[0], y - at[1])))
    grain = noise.fractal(x * 3, y * 60 + 2 * noise(x * 2, y * 3), 3)
    frame = np.minimum(np.minimum(x, aspect - x), np.minimum(y, 1 - y))
    picture = mix(picture, rgb("#14233c"), smoothstep(0.031, 0.029, frame))
    return (
        mix(rgb("#efe4c6"), picture, smoothstep(0.025, 0.027, frame)) * (1 + 0.05 * grain + 0.03 * paper(size, rng))[..., None]
    )


def linocut(rng: np.random.Generator, size: Size) -> Picture:
    """A forest gouged out of a block and printed in one dark ink over a tint."""
    motif = np.clip(forest(rng, size), 0, 1)
    x, y = grid(size)
    noise = Noise(rng)
    tone = ranks(gaussian_filter(luminance(motif), 1.5))
    ink, tint = rgbs(str(rng.choice(["#1a1a1c #d8452a", "#14303a #e8a33a", "#2a1420 #6aa88a"])))
    down, across = np.gradient(gaussian_filter(tone, 5))
    angle = np.arctan2(down, across)
    flow = x * np.cos(0.6) + y * np.sin(0.6) + 0.05 * noise.fractal(x * 3, y * 3, 3) + 0.012 * angle
    cuts = np.abs(2 * ((flow * 58) % 1) - 1) + 0.35 * noise(x * 25, y * 25)
    chatter = 0.15 * noise.fractal(x * 30, y * 30, 2)
    black = smoothstep(-0.05, 0.05, cuts - (1.45 * tone - 0.2) + chatter)
    second = smoothstep(-0.02, 0.02, 0.62 - tone + 0.1 * noise.fractal(x * 6, y * 6, 3))
    sheet = rgb("#f1e8d4") * (1 + 0.03 * paper(size, rng))[..., None]
    worn = smoothstep(-0.55, -0.3, noise.fractal(x * 60, y * 60, 3, 0.8))
    picture = mix(sheet, tint, second * (0.85 + 0.15 * worn))
    frame = np.minimum(np.minimum(x, size[1] / size[0] - x), np.minimum(y, 1 - y)) + 0.004 * noise.fractal(x * 20, y * 20, 3)
    return mix(sheet, mix(picture, ink, black * (0.8 + 0.2 * worn)), smoothstep(0.04, 0.043, frame))


def engraving(rng: np.random.Generator, size: Size) -> Picture:
    """A street in swelling engraved lines of sepia ink."""
    motif = np.clip(street(rng, size), 0, 1)
    x, y = grid(size)
    tone = ranks(gaussian_filter(luminance(motif), 0.8)) * 0.75 + 0.25 * luminance(motif)
    noise = Noise(rng)
    form = gaussian_filter(luminance(motif), 6)
    first = np.abs(2 * ((y * 92 + 7 * form + 0.5 * noise(x * 4, y * 4)) % 1) - 1)
    second = np.abs(2 * (((0.7 * x + 0.7 * y) * 92 + 7 * form) % 1) - 1)
    ink = smoothstep(-0.15, 0.15, 1.0 - tone * 1.25 - first * 0.9 + 0.1)
    ink = np.maximum(ink, smoothstep(-0.15, 0.15, 0.55 - tone * 1.3 - second * 0.6 + 0.2) * 0.9)
    sheet = rgb("#ece0c2") * (1 + 0.03 * paper(size, rng) - 0.08 * smoothstep(0.2, 0.8, np.hypot(x - 0.6, y - 0.5)))[..., None]
    frame = np.minimum(np.minimum(x, size[1] / size[0] - x), np.minimum(y, 1 - y))
    return mix(sheet, rgb("#3a2214"), ink * smoothstep(0.03, 0.034, frame))


def comic(rng: np.random.Generator, size: Size) -> Picture:
    """A face from a comic: black outlines, flat colour and halftone dots."""
    motif = np.clip(portrait(rng, size), 0, 1)
    x, y = grid(size)
    tone = gaussian_filter(luminance(motif), 1.2)
    u, v = (x + y) * 58, (x - y) * 58
    screen = 0.5 + 0.25 * (np.cos(np.pi * 2 * u / 1.42) + np.cos(np.pi * 2 * v / 1.42))
    smooth = blur(motif, 1.5)
    warmth = smooth[..., 0] - smooth[..., 2]
    flat = np.where(
        (warmth > 0.1)[..., None], rgb("#fbe0c8"), np.where((tone > 0.45)[..., None], rgb("#f4f0e8"), rgb("#5ab4e8"))
    )
    dot = np.where((warmth > 0.1)[..., None], rgb("#e8483a"), rgb("#1f3fa8"))
    rank = ranks(tone)
    rays = np.sin(np.arctan2(y - 0.4, x - 0.5 * size[1] / size[0]) * 24) > 0
    border = np.abs(smooth - np.median(smooth[: size[0] // 12], axis=(0, 1))).sum(-1)
    back = smoothstep(0.16, 0.08, gaussian_filter(border, 2)) * (y < 0.8)
    picture = mix(flat, dot, smoothstep(-0.08, 0.08, screen - 0.25 - 0.75 * rank))
    picture = mix(picture, np.where(rays[..., None], rgb("#ffd92a"), rgb("#f2662a")), back)
    fine = gaussian_filter(tone, 0.8) - gaussian_filter(tone, 2.6)
    ink = np.maximum(smoothstep(-0.008, -0.022, fine), smoothstep(0.12, 0.07, tone) * (1 - back))
    return mix(picture, rgb("#101014"), ink) * (1 + 0.015 * paper(size, rng))[..., None]


def poster(rng: np.random.Generator, size: Size) -> Picture:
    """A skyline as an art-deco poster: sun rays, stepped towers, few flat inks."""
    motif = np.clip(skyline(rng, size), 0, 1)
    x, y = grid(size)
    aspect, noise = size[1] / size[0], Noise(rng)
    inks = rgbs(str(rng.choice(["#12263a #1f5a6a #e8b04a #f4e6c4 #c8502e", "#2a1238 #8a2a5a #f08a4a #fbe3b8 #1f6a6a"])))
    level = ranks(gaussian_filter(luminance(motif), 1.0))
    towers = inks[[0, 0, 1, 1, 2, 3]][(level * 5.999).astype(int)]
    angle = np.arctan2(y - 0.66, x - aspect / 2)
    rays = (np.sin(angle * 26) > 0).astype(np.float32)
    away = np.hypot(x - aspect / 2, y - 0.66)
    back = mix(inks[3], inks[2], rays)
    back = mix(back, inks[4], smoothstep(0.272, 0.268, away))
    top = np.clip(blur(motif, 1.0), 0, 1)
    outline = gaussian_filter(np.abs(np.gradient(luminance(top), axis=1)), 2.5)
    solid = np.maximum.accumulate(outline * (y > 0.2) > 0.02, axis=0)
    picture = np.where(solid[..., None], towers, back)
    frame = np.minimum(np.minimum(x, aspect - x), np.minimum(y, 1 - y))
    picture = mix(picture, inks[0], smoothstep(0.036, 0.034, frame))
    picture = mix(picture, inks[2], smoothstep(0.004, 0.002, np.abs(frame - 0.022)))
    spray = noise.fractal(x * 200, y * 200, 2)
    return picture * (1 + 0.08 * spray * (1 - y))[..., None]


def batik(rng: np.random.Generator, size: Size) -> Picture:
    """Dyed cloth: petals and dots in wax-resist rows, crackled, in indigo and rust."""
    x, y = grid(size)
    noise = Noise(rng)
    dye = rgbs(str(rng.choice(["#16204a #8a3a1e #d8a050 #f2e6cc", "#2a1a14 #1f5a4a #c87a2a #f0e0c0"])))
    scale = 5
    u, v = x * scale + 0.02 * noise(x * 9, y * 9), y * scale
    a, b = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
    away, angle = np.hypot(a, b), np.arctan2(b, a)
    petal = 0.36 * np.abs(np.cos(4 * angle)) ** 0.6 - away
    corner = np.hypot(np.abs(a) - 0.5, np.abs(b) - 0.5)
    picture = np.broadcast_to(dye[0], (*size, 3)).astype(np.float32)
    picture = mix(picture, dye[1], smoothstep(-0.01, 0.01, petal + 0.05))
    picture = mix(picture, dye[2], smoothstep(-0.01, 0.01, petal - 0.03))
    picture = mix(picture, dye[3], smoothstep(0.02, 0.0, np.abs(petal + 0.05)))
    picture = mix(picture, dye[3], smoothstep(0.08, 0.07, away))
    picture = mix(picture, dye[2], smoothstep(0.02, 0.005, np.abs(corner - 0.26)))
    picture = mix(picture, dye[3], smoothstep(0.25, 0.24, corner) * (np.sin(angle * 20) * np.sin(corner * 70) > 0.2))
    inside = distance_transform_edt(picture.mean(-1) < 0.4) / size[0]
    picture = mix(picture, dye[3], smoothstep(0.004, 0.002, np.abs(inside - 0.012)) * 0.8)
    crackle = smoothstep(0.035, 0.0, np.abs(noise.fractal(x * 5, y * 5, 5, 0.6))) * smoothstep(
        -0.2, 0.3, noise(x * 3 + 9, y * 3)
    )
    threads = np.sin(x * 700) * 0.5 + np.sin(y * 700) * 0.5
    return mix(picture, dye[0], crackle * 0.75) * (1 + 0.06 * threads + 0.2 * noise.fractal(x * 2, y * 2, 3))[..., None]


def nouveau(rng: np.random.Generator, size: Size) -> Picture:
    """A flower framed by whiplash lines, in muted flat tints with firm outlines."""
    motif = blur(np.clip(flower(rng, size), 0, 1), 1.2)
    x, y = grid(size)
    aspect, noise = size[1] / size[0], Noise(rng)
    tint = rgbs("#2f3a34 #6a7a5a #b08a5a #d8b88a #f0e0c0 #8a4a4a")
    level = (np.clip(ranks(luminance(motif)) * 0.8 + 0.1, 0, 0.999) * 5).astype(int)
    flat = 0.55 * tint[level] + 0.45 * blur(motif, 2)
    curls = np.full(size, 9.0, np.float32)
    for index in range(7):
        swing = 0.09 * np.sin(y * (5 + index) + rng.uniform(0, 6)) + 0.03 * np.sin(y * 13 + index)
        for side in (0.12 + 0.03 * index, aspect - 0.12 - 0.03 * index):
            curls = np.minimum(
                curls, np.abs(x - side - swing * (1 if side < aspect / 2 else -1)) - 0.004 * np.sin(y * 9 + index)
            )
    halo = np.hypot(x - aspect / 2, y - 0.43)
    ring = np.abs(halo - 0.4)
    pattern = (np.sin(np.arctan2(y - 0.43, x - aspect / 2) * 36) > 0)[..., None]
    outside = smoothstep(0.42, 0.425, halo)
    ground = np.where((np.sin(x * 40 + 4 * np.sin(y * 20)) * np.sin(y * 40) > 0.3)[..., None], tint[3], tint[4])
    ground = mix(ground, tint[1], smoothstep(0.009, 0.006, curls))
    picture = mix(flat, ground, outside)
    picture = np.where((ring < 0.022)[..., None], np.where(pattern, tint[5], tint[2]), picture)
    tone = luminance(motif)
    fine = gaussian_filter(tone, 0.8) - gaussian_filter(tone, 2.5)
    ink = np.maximum(smoothstep(-0.01, -0.035, fine) * (1 - outside), smoothstep(0.005, 0.003, np.abs(ring - 0.024)))
    ink = np.maximum(ink, smoothstep(0.003, 0.0015, np.abs(curls - 0.009)) * outside)
    return mix(picture, tint[0], ink) * (1 + 0.03 * paper(size, rng) + 0.03 * noise.fractal(x * 6, y * 6, 3))[..., None]
