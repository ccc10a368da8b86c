"""What every drawing needs: coordinates, colours, masks, relief light and the look of a camera."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from ieast.data.sample.noise import Field, Noise

Size = tuple[int, int]
Picture = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def grid(size: Size) -> tuple[Field, Field]:
    """Coordinates of pixel centres: x in [0, width / height], y in [0, 1] downwards, each of shape (H, W)."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (x + 0.5) / height, (y + 0.5) / height


def rgb(code: str) -> Picture:
    """A colour such as "#e8b04a" as three floats in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def rgbs(codes: str) -> Picture:
    """Colours separated by blanks as an array of shape (N, 3)."""
    return np.stack([rgb(code) for code in codes.split()])


def smoothstep(low: ArrayLike, high: ArrayLike, value: ArrayLike) -> Field:
    """0 below `low`, 1 above `high`, smooth between; `low` may be the greater for a falling step."""
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    t = np.clip((np.asarray(value, np.float32) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(first: ArrayLike, second: ArrayLike, share: ArrayLike) -> Picture:
    """Colours (..., 3) blended: `first` where `share` (one number per pixel) is 0, `second` where it is 1."""
    amount = np.asarray(share, np.float32)[..., None]
    return np.asarray(first, np.float32) * (1 - amount) + np.asarray(second, np.float32) * amount


def ramp(t: ArrayLike, colours: Picture) -> Picture:
    """Colours (..., 3) at places `t` in [0, 1] along a gradient through `colours` (N, 3), evenly spaced."""
    stops = np.linspace(0, 1, len(colours))
    t = np.asarray(t, np.float32)
    return np.stack([np.interp(t, stops, colours[:, c]).astype(np.float32) for c in range(3)], -1)


def luminance(picture: Picture) -> Field:
    """Brightness (H, W) of a picture (H, W, 3)."""
    return picture @ np.array([0.299, 0.587, 0.114], np.float32)


def ranks(values: Field) -> Field:
    """Values replaced by their rank, spread over [0, 1]; equal values share one rank."""
    order = np.sort(values, axis=None)
    low, high = (np.searchsorted(order, values, side) for side in ("left", "right"))
    return ((low + high) / (2 * values.size)).astype(np.float32)


def saturate(picture: Picture, amount: float) -> Picture:
    """The picture with its colours `amount` times as far from grey."""
    grey = luminance(picture)[..., None]
    return np.clip(grey + amount * (picture - grey), 0, 1)


def mask(size: Size, polygons: Sequence[ArrayLike], soft: int = 4) -> Field:
    """Antialiased coverage (H, W) in [0, 1] of polygons, each an array (N, 2) of x, y as `grid` counts them."""
    height, width = size
    canvas = Image.new("L", (width * soft, height * soft))
    draw = ImageDraw.Draw(canvas)
    for polygon in polygons:
        draw.polygon((np.asarray(polygon) * height * soft).ravel().tolist(), fill=255)
    return np.asarray(canvas.reduce(soft), np.float32) / 255


def relief(height: Field, strength: float, angle: float = -2.3) -> Field:
    """Light on a rough surface: about 1 where it is flat, more on slopes that face `angle`, less on the others."""
    down, across = np.gradient(height)
    slope = across * np.cos(angle) + down * np.sin(angle)
    return np.clip(1 - strength * slope, 0.4, 1.7).astype(np.float32)


def shrink(picture: Picture, factor: int) -> Picture:
    """Mean over blocks of `factor` by `factor` pixels."""
    height, width = picture.shape[0] // factor, picture.shape[1] // factor
    blocks = picture[: height * factor, : width * factor].reshape(height, factor, width, factor, -1)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur of a picture (H, W, 3) over its rows and columns."""
    return gaussian_filter(picture, (sigma, sigma, 0), mode="nearest")


def camera(picture: Picture, rng: np.random.Generator, grain: float = 0.012, vignette: float = 0.28) -> Picture:
    """What lens and sensor add: darker corners, a soft shoulder in the lights, fine grain."""
    height, width = picture.shape[:2]
    x, y = grid((height, width))
    radius = ((x - 0.5 * width / height) ** 2 + (y - 0.5) ** 2) / (0.25 * (1 + (width / height) ** 2))
    picture = picture * (1 - vignette * radius**1.5)[..., None]
    picture = np.where(picture > 0.8, 0.8 + 0.2 * np.tanh((picture - 0.8) / 0.2), picture)
    noise = rng.standard_normal((height, width, 1), np.float32) + 0.3 * rng.standard_normal((height, width, 3), np.float32)
    return picture + grain * noise


def paper(size: Size, rng: np.random.Generator, scale: float = 90) -> Field:
    """Grain of rough paper, (H, W) in about [-1, 1], `scale` bumps over the height."""
    x, y = grid(size)
    noise = Noise(rng)
    fibres = 0.7 * noise.fractal(x * scale, y * scale, 3, 0.7)
    return fibres + 0.3 * rng.standard_normal(size, np.float32)


def weave(size: Size, rng: np.random.Generator, threads: float = 130) -> Field:
    """Height of canvas cloth, (H, W) in about [-1, 1], with `threads` over the picture's height."""
    x, y = grid(size)
    noise = Noise(rng)
    u = x * threads + 0.5 * noise(x * 20, y * 20)
    v = y * threads + 0.5 * noise(x * 20 + 50, y * 20)
    return np.sin(np.pi * u) * np.sin(np.pi * v) * (0.7 + 0.5 * noise(x * 40, y * 40))


def to_pixels(picture: Picture) -> Pixels:
    """Floats in [0, 1] as bytes."""
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
