"""Fewer pixels where not all are needed; for PyTorch's and NumPy's arrays, so that engines without PyTorch can do the same."""

from typing import TypeVar

T = TypeVar("T")  # torch.Tensor or numpy.ndarray

_ENOUGH = 512


def sampled(images: T) -> T:
    """Every n-th row and column of `images` (..., H, W): at least 512 of each, if there are so many."""
    step = max(1, min(images.shape[-2:]) // _ENOUGH)  # type: ignore[attr-defined]
    return images[..., ::step, ::step]  # type: ignore[index]
