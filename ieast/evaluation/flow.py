"""Optical-flow warping error: how far a stylized clip departs from moving as the clip itself does.

For frames t and t + k of the original clip, flow w from t to t + k and back is OpenCV's DIS (Kroeger et al. 2016, preset
medium). The stylized frame t + k is pulled back along w, and compared with the stylized frame t where the originals show the
same thing. The error is that of Lai et al., Learning Blind Video Temporal Consistency (ECCV 2018,
https://arxiv.org/abs/1808.00449): the mean squared difference over visible pixels and channels, pictures in [0, 1];
then the mean over t. Their flow is FlowNet2's, so values compare with each other but not with published ones.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ieast.layers import warping
from ieast.layers.warping import lands_inside
from ieast.stylization import motion


def optical_flow(a: Tensor, b: Tensor) -> Tensor:
    """Where each pixel of `a` is in `b`, by DIS on luminance.

    Args:
        a: (3, H, W) in [0, 1].
        b: Of the same size.

    Returns:
        float32 (2, H, W) on the CPU: steps to the right and down, in pixels.
    """
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(motion.optical_flow(_grey(a), _grey(b)), 2, 0)))


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """Pull `picture` back along `flow`: the value at x is the bilinear one of `picture` at x + flow(x), or at its border.

    Args:
        picture: (C, H, W).
        flow: (2, H, W), to the right and down, in pixels.
    """
    return warping.warp(picture[None], flow[None])[0]


def visible(forward: Tensor, backward: Tensor) -> Tensor:
    """Pixels whose `forward` flow can be trusted, because `backward` leads back: neither occluded nor at a motion boundary.

    With w the forward flow at x and ŵ the backward flow at x + w, a pixel is left out where
    |w + ŵ|² > 0.01 (|w|² + |ŵ|²) + 0.5, where |∇u|² + |∇v|² > 0.01 |w|² + 0.002 for the two components of w, or where x + w
    lies outside the picture. The first two are criteria and constants of Sundaram et al., Dense Point Trajectories by
    GPU-Accelerated Large Displacement Optical Flow (ECCV 2010), which Ruder et al., Artistic Style Transfer for Videos (GCPR
    2016, https://arxiv.org/abs/1604.08610) and Lai et al. 2018 take over.

    Args:
        forward: (2, H, W), from the first frame to the second, in pixels.
        backward: (2, H, W), from the second to the first.

    Returns:
        bool (H, W), of the first frame.
    """
    back = warp(backward, forward)
    squared, back_squared = forward.square().sum(0), back.square().sum(0)
    returns = (forward + back).square().sum(0) <= 0.01 * (squared + back_squared) + 0.5
    down = F.pad(forward.diff(dim=1), (0, 0, 0, 1))
    right = F.pad(forward.diff(dim=2), (0, 1))
    smooth = (down.square() + right.square()).sum(0) <= 0.01 * squared + 0.002
    return returns & smooth & lands_inside(forward[None])[0]


def warping_error(first: Tensor, second: Tensor, flow: Tensor, mask: Tensor) -> float | None:
    """Mean squared difference over channels and the pixels of `mask` between `first` and `second` pulled back along `flow`.

    Args:
        first: (3, H, W) in [0, 1].
        second: Of the same size.
        flow: (2, H, W), from first to second, in pixels.
        mask: bool (H, W).

    Returns:
        None where no pixel is in `mask`.
    """
    if not mask.any():
        return None
    flow, mask = flow.to(first.device), mask.to(first.device)
    return float((warp(second, flow) - first).square().mean(0)[mask].mean())


class WarpingErrors:
    """Errors of a clip at several intervals, from frames given one by one; holds as many as the longest interval.

    Flow and masks come from the original frames only, so stylizations of the same clip by different models are measured alike.
    """

    def __init__(self, intervals: Sequence[int]):
        """`intervals` are in frames, each at least 1."""
        self.stylized: dict[int, list[float]] = {interval: [] for interval in intervals}
        """Errors of the stylized frames for each interval; a step at which nothing stays visible gives none."""
        self.inputs: dict[int, list[float]] = {interval: [] for interval in intervals}
        """The same of the original frames: what flow and interpolation alone cost."""
        self._before: deque[tuple[Tensor, Tensor]] = deque(maxlen=max(intervals, default=1))

    def add(self, original: Tensor, stylized: Tensor) -> None:
        """Take the next frame, as it is and stylized, each (3, H, W) in [0, 1]."""
        for interval in self.stylized:
            if interval <= len(self._before):
                self._compare(interval, self._before[-interval], (original, stylized))
        self._before.append((original, stylized))

    def _compare(self, interval: int, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> None:
        forward, backward = optical_flow(first[0], second[0]), optical_flow(second[0], first[0])
        mask = visible(forward, backward)
        for errors, a, b in zip((self.inputs, self.stylized), first, second, strict=True):
            error = warping_error(a, b, forward, mask)
            if error is not None:
                errors[interval].append(error)


def _grey(picture: Tensor) -> NDArray[np.uint8]:
    samples = picture.detach().permute(1, 2, 0).mul(255).round().clamp(0, 255).to("cpu", torch.uint8)
    return motion.grey_of(samples.numpy())
