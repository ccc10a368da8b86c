"""Where things are in another frame: dense optical flow, pulling pictures along it, and where it can be trusted."""

from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
"""(H, W)."""
Flow = NDArray[np.float32]
"""(H, W, 2): steps to the right and down, in pixels."""

Picture = TypeVar("Picture", NDArray[np.uint8], NDArray[np.float32])
"""(H, W, C)."""

_LEAST_SIDE = 32
"""Pixels; OpenCV's DIS reads beyond thinner pictures, and the process dies."""


def optical_flow(a: Grey, b: Grey, start: Flow | None = None, *, fast: bool = False) -> Flow:
    """Where each pixel of `a` is in `b`, by OpenCV's DIS (Kroeger et al. 2016, https://arxiv.org/abs/1603.03590).

    Args:
        a: A grey picture of any size.
        b: Of the same size.
        start: A flow that is probably near, from which motion is followed that is too long to be seen at once.
        fast: The preset `fast` with denser patches, a quarter of the time of `medium`: as good for frames that differ little.
    """
    height, width = a.shape
    below, beyond = max(0, _LEAST_SIDE - height), max(0, _LEAST_SIDE - width)
    if below or beyond:
        a, b = (np.pad(grey, ((0, below), (0, beyond)), mode="edge") for grey in (a, b))
        start = None if start is None else np.pad(start, ((0, below), (0, beyond), (0, 0)), mode="edge")
    preset = cv2.DISOPTICAL_FLOW_PRESET_FAST if fast else cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    method = cv2.DISOpticalFlow.create(preset)
    method.setPatchStride(3)
    # OpenCV writes the flow into what it starts from.
    flow = method.calc(a, b, np.zeros((*a.shape, 2), np.float32) if start is None else start.copy())
    return np.ascontiguousarray(flow[:height, :width], np.float32)


def grey_of(picture: NDArray[np.uint8]) -> Grey:
    """The luma of an RGB picture (H, W, 3)."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def grid(height: int, width: int) -> Flow:
    """Where each pixel is: column and row."""
    return np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)), axis=-1)


def pull(picture: Picture, flow: Flow, positions: Flow, interpolation: int = cv2.INTER_LINEAR) -> Picture:
    """The value at x is that of `picture` at x + flow(x), or at its border.

    Args:
        picture: What `flow` leads into.
        flow: Of the size that the result is to have.
        positions: `grid` of that size.
        interpolation: As `cv2.remap` takes it.
    """
    where = positions + flow
    pulled = cv2.remap(picture, where, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return cast(Picture, pulled)


def trusted(
    forward: Flow, backward: Flow, first: NDArray[np.uint8], second: NDArray[np.uint8], positions: Flow
) -> NDArray[np.float32]:
    """How far each pixel of `first` may take what `forward` leads to in `second`: 0, 1, and between at soft edges within.

    It may where `backward` leads back, by the criterion of Sundaram et al. (ECCV 2010) that Ruder et al. take over, Artistic
    Style Transfer for Videos (GCPR 2016, https://arxiv.org/abs/1604.08610): |w + ŵ|² <= 0.01 (|w|² + |ŵ|²) + 0.5 for the flow w
    at x and the one back ŵ at x + w; where both frames look alike there; and where x + w lies within the picture.

    Args:
        forward: From `first` to `second`.
        backward: From `second` to `first`.
        first: RGB (H, W, 3).
        second: Of the same size.
        positions: `grid` of that size.

    Returns:
        (H, W) in [0, 1].
    """
    height, width = forward.shape[:2]
    back = pull(backward, forward, positions)
    returns = _squared(forward + back) <= 0.01 * (_squared(forward) + _squared(back)) + 0.5
    differs = cv2.absdiff(cv2.blur(first, (3, 3)), cv2.blur(pull(second, forward, positions), (3, 3)))
    alike = cv2.blur(np.maximum.reduce(cv2.split(differs)), (3, 3)) < _ALIKE
    right, down = np.moveaxis(positions + forward, -1, 0)
    # A cubic looks at two pixels on either side.
    inside = (right >= 1) & (right <= width - 2) & (down >= 1) & (down <= height - 2)
    trust = cv2.morphologyEx((returns & alike).astype(np.uint8), cv2.MORPH_CLOSE, _SQUARE) & inside
    # What is left of trust in the midst of what is not to be trusted is chance.
    trust = cv2.erode(trust, _SQUARE, borderType=cv2.BORDER_REPLICATE)
    trust = cv2.dilate(trust, _SQUARE, borderType=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(trust.astype(np.float32), (0, 0), _SOFT)
    return np.clip(2 * soft - 1, 0, 1)


def _squared(flow: Flow) -> NDArray[np.float32]:
    return flow[..., 0] ** 2 + flow[..., 1] ** 2


_ALIKE = 15
"""Levels of 255 by which frames may differ in the worst of R, G and B, on average over 5 x 5 pixels."""
_SOFT = 1.5
"""Pixels; the deviation of the blur that makes edges soft."""
_SQUARE = np.ones((3, 3), np.uint8)
