"""Painting with a brush: strokes of several bristles that follow a field of directions, and their light."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from ieast.data.sample.noise import Field, Noise
from ieast.data.sample.shading import Picture, blur, grid, luminance, relief, to_pixels

_FINER = 2
_STEPS = 7


@dataclass(frozen=True)
class Brush:
    """A brush and how it is used.

    Attributes:
        width: Width of a stroke in picture heights.
        length: Length of a stroke in widths.
        bristles: Marks side by side that make up a stroke.
        cover: Strokes laid per place of the canvas.
        colour: How much colours differ from stroke to stroke.
        streaks: How much brightness differs from bristle to bristle.
        wander: How far strokes stray from the field of directions, in radians.
        tolerance: Only paint where the canvas differs at least this much from what it should be.
        ragged: Share of its length that a bristle may miss at either end.
    """

    width: float
    length: float
    bristles: int = 5
    cover: float = 1.6
    colour: float = 0.05
    streaks: float = 0.06
    wander: float = 0.15
    tolerance: float = 0.0
    ragged: float = 0.3


class Canvas:
    """A canvas on which layers of strokes are laid."""

    def __init__(self, ground: Picture, rng: np.random.Generator) -> None:
        self.size = (ground.shape[0], ground.shape[1])
        self._rng = rng
        image = Image.fromarray(to_pixels(ground)).resize((self.size[1] * _FINER, self.size[0] * _FINER))
        # The fourth channel is how thick the paint lies.
        image.putalpha(40)
        self._image = image

    def layer(self, motif: Picture, angles: Field, brush: Brush) -> None:
        """Lay one layer of strokes.

        Args:
            motif: What to paint, (H, W, 3) in [0, 1].
            angles: Direction of strokes, (H, W) in radians.
            brush: The brush.
        """
        rng, (rows, columns) = self._rng, self.size
        wide = max(brush.width * rows, 1.2)
        soft = blur(motif, wide * 0.3)
        count = int(brush.cover * rows * columns / (wide * wide * max(brush.length, 1)))
        starts = rng.random((count, 2)).astype(np.float32) * (columns - 1, rows - 1)
        if brush.tolerance:
            missing = np.abs(soft - self.colours()).sum(-1)
            starts = starts[missing[starts[:, 1].astype(int), starts[:, 0].astype(int)] > brush.tolerance]
        paths = _follow(angles, starts, wide * brush.length / _STEPS, rng.normal(0, brush.wander, len(starts)))
        middle = paths[:, _STEPS // 2]
        row = np.clip(middle[:, 1], 0, rows - 1).astype(int)
        colour = soft[row, np.clip(middle[:, 0], 0, columns - 1).astype(int)]
        colour = colour * (1 + rng.normal(0, brush.colour, (len(starts), 1))) + rng.normal(0, brush.colour, colour.shape) * 0.6
        self._draw(paths, colour, brush, wide)

    def _draw(self, paths: Picture, colour: Picture, brush: Brush, wide: float) -> None:
        rng, count = self._rng, len(paths)
        along = np.gradient(paths, axis=1)
        across = np.stack([-along[..., 1], along[..., 0]], -1)
        across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
        offsets = (np.arange(brush.bristles) + 0.5) / brush.bristles - 0.5
        marks = paths[:, None] + across[:, None] * (offsets * wide)[None, :, None, None]
        streak = rng.normal(0, brush.streaks, (count, brush.bristles, 1))
        shades = (np.clip(colour[:, None] + streak, 0, 1) * 255).astype(int)
        # Paint is pushed aside: it lies thickest along a stroke's edges.
        thick = np.clip(90 + 90 * np.abs(offsets) * 2 + rng.normal(0, 30, (count, brush.bristles)), 10, 255).astype(int)
        missed = rng.random((2, count, brush.bristles)) * brush.ragged * _STEPS
        first, last = missed[0].astype(int), _STEPS + 1 - missed[1].astype(int)
        draw = ImageDraw.Draw(self._image)
        size = max(1, round(_FINER * wide / brush.bristles + 0.7))
        points = (marks * _FINER).tolist()
        for stroke in range(count):
            for bristle in range(brush.bristles):
                path = points[stroke][bristle][first[stroke, bristle] : last[stroke, bristle]]
                fill = (*shades[stroke, bristle].tolist(), int(thick[stroke, bristle]))
                draw.line([(x, y) for x, y in path], fill=fill, width=size)

    def dots(self, at: Picture, colours: Picture, radii: Field) -> None:
        """Lay round dabs at (N, 2) x, y in pixels, with colours (N, 3) and radii (N,) in pixels."""
        draw = ImageDraw.Draw(self._image)
        thick = self._rng.integers(90, 230, len(at))
        for (x, y), colour, radius, paint in zip(at * _FINER, colours, radii * _FINER, thick, strict=True):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*_byte(colour), int(paint)))

    def colours(self) -> Picture:
        """The canvas without its relief, (H, W, 3) in [0, 1]."""
        return np.asarray(self._image.reduce(_FINER), np.float32)[..., :3] / 255

    def finish(self, thickness: float = 1.0, soft: float = 0.8) -> Picture:
        """The canvas in slanting light, (H, W, 3)."""
        image = np.asarray(self._image, np.float32) / 255
        light = relief(gaussian_filter(image[..., 3], soft), 1.6 * thickness)
        lit = Image.fromarray((np.clip(image[..., :3] * light[..., None], 0, 1) * 255).astype(np.uint8))
        return np.asarray(lit.reduce(_FINER), np.float32) / 255


def _byte(colour: Picture) -> tuple[int, int, int]:
    red, green, blue = (int(np.clip(v, 0, 1) * 255) for v in colour)
    return red, green, blue


def _follow(angles: Field, starts: Picture, step: float, stray: Field) -> Picture:
    """Paths (N, steps + 1, 2) from points (N, 2) along a field of directions."""
    rows, columns = angles.shape
    at = starts.astype(np.float32)
    row, column = np.clip(at[:, 1], 0, rows - 1).astype(int), np.clip(at[:, 0], 0, columns - 1).astype(int)
    angle = angles[row, column] + stray
    # Half a stroke back, so that strokes lie about their places and the picture does not drift along the field.
    at = at - 0.5 * _STEPS * step * np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)
    path = [at]
    for _ in range(_STEPS):
        row = np.clip(at[:, 1], 0, rows - 1).astype(int)
        angle = angles[row, np.clip(at[:, 0], 0, columns - 1).astype(int)] + stray
        at = at + step * np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)
        path.append(at)
    return np.stack(path, 1)


def along_edges(motif: Picture, sigma: float, rng: np.random.Generator, fallback: float = 0.0) -> Field:
    """Directions (H, W) along the edges of a motif; where it is flat, a slow waver about `fallback`."""
    size = (motif.shape[0], motif.shape[1])
    down, across = np.gradient(gaussian_filter(luminance(motif), 1.0))
    xx, yy, xy = (gaussian_filter(v, sigma) for v in (across * across, down * down, across * down))
    x, y = grid(size)
    waver = fallback + 0.8 * Noise(rng)(x * 3, y * 3)
    floor = 0.15 * float(np.mean(xx + yy)) + 1e-6
    # Directions a half turn apart are the same, so they are averaged with doubled angles.
    return 0.5 * np.arctan2(-2 * xy + floor * np.sin(2 * waver), -(xx - yy) + floor * np.cos(2 * waver)).astype(np.float32)


def paint(
    motif: Picture, angles: Field, brushes: list[Brush], rng: np.random.Generator, ground: Picture | None = None
) -> Canvas:
    """Paint a motif (H, W, 3) in several layers, from large brushes to small ones, on a `ground` of one colour (3,).

    Without a ground the motif is laid in first in a blur, which shows between the strokes.
    """
    motif = np.clip(motif, 0, 1)
    under = blur(motif, 0.02 * len(motif)) if ground is None else np.broadcast_to(ground, motif.shape)
    canvas = Canvas(under, rng)
    for brush in brushes:
        canvas.layer(motif, angles, brush)
    return canvas
