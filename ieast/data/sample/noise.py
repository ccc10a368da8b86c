"""Noise over an endless plane: the same value at the same place, however often and finely it is sampled."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Field = NDArray[np.floating[Any]]

_TABLE = 256


class Noise:
    """Gradient noise whose lattice is drawn once from a generator; a moving camera sees the same world in each frame."""

    def __init__(self, rng: np.random.Generator) -> None:
        angle = rng.uniform(0, 2 * np.pi, _TABLE * _TABLE)
        self._east = np.cos(angle).astype(np.float32)
        self._south = np.sin(angle).astype(np.float32)

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Field:
        """One octave of noise.

        Args:
            x: Coordinates, any shape that broadcasts with `y`; the noise varies over about one unit.
            y: Coordinates.

        Returns:
            Values in about [-1, 1], zero on average.
        """
        x, y = np.broadcast_arrays(np.asarray(x, np.float32), np.asarray(y, np.float32))
        left, top = np.floor(x), np.floor(y)
        dx, dy = x - left, y - top
        column = left.astype(np.int32) & (_TABLE - 1)
        row = (top.astype(np.int32) & (_TABLE - 1)) * _TABLE
        after, below = (column + 1) & (_TABLE - 1), (row + _TABLE) & (_TABLE * _TABLE - 1)
        across, down = _fade(dx), _fade(dy)
        upper = self._corner(row + column, dx, dy)
        upper += across * (self._corner(row + after, dx - 1, dy) - upper)
        lower = self._corner(below + column, dx, dy - 1)
        lower += across * (self._corner(below + after, dx - 1, dy - 1) - lower)
        return 1.5 * (upper + down * (lower - upper))

    def _corner(self, index: NDArray[np.int32], dx: Field, dy: Field) -> Field:
        return self._east.take(index) * dx + self._south.take(index) * dy

    def fractal(self, x: ArrayLike, y: ArrayLike, octaves: int = 5, gain: float = 0.5) -> Field:
        """Several octaves, each twice as fine and `gain` times as strong; values in about [-1, 1]."""
        return self._sum(x, y, octaves, gain, ridged=False)

    def ridged(self, x: ArrayLike, y: ArrayLike, octaves: int = 5, gain: float = 0.5) -> Field:
        """Octaves folded at zero into sharp crests; values in about [0, 1]."""
        return self._sum(x, y, octaves, gain, ridged=True)

    def _sum(self, x: ArrayLike, y: ArrayLike, octaves: int, gain: float, *, ridged: bool) -> Field:
        x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
        total: Field = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
        strength, sum_of_strengths = 1.0, 0.0
        for octave in range(octaves):
            layer = self(x + 17.3 * octave, y - 9.1 * octave)
            total += strength * ((1 - np.abs(layer)) ** 2 if ridged else layer)
            sum_of_strengths += strength
            strength *= gain
            # Turned from octave to octave, so that the lattice's own directions do not show.
            x, y = 2.03 * (0.8 * x - 0.6 * y), 2.03 * (0.6 * x + 0.8 * y)
        return total / np.float32(sum_of_strengths if ridged else 1)


def _fade(t: Field) -> Field:
    return t * t * t * (t * (t * 6 - 15) + 10)
