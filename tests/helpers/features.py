"""Taps of noise, and what to compare them with."""

import torch

SHAPES = ((4, 7, 5), (6, 3, 4), (8, 2, 2))


def draw_taps(seed, batch=3, offset=0.0):
    """Three maps of as many pictures, of `SHAPES`."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, *shape, generator=generator) * (k + 1) + offset for k, shape in enumerate(SHAPES)]


def exact(values):
    """In float64, in which the reference is as good as exact."""
    if isinstance(values, dict):
        return {name: exact(value) for name, value in values.items()}
    return values.double() if isinstance(values, torch.Tensor) else [exact(value) for value in values]


def row(*values):
    """One channel of one picture, a row of `values`."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)
