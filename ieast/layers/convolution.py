"""Convolutions over maps that are mirrored at their borders, of which encoders, transforms and decoders are made."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ReflectedConvolution(nn.Conv2d):
    """A convolution with an odd kernel and a bias that leaves a map's size as it is (with `stride` 1)."""

    bias: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1):
        super().__init__(inputs, outputs, kernel, stride)

    def forward(self, input: Tensor) -> Tensor:
        """(B, outputs, H, W) from (B, inputs, H, W), both sides larger than half the kernel."""
        return F.conv2d(mirrored(input, self.kernel_size[0] // 2), self.weight, self.bias, self.stride)


def mirrored(features: Tensor, margin: int) -> Tensor:
    """`features` continued by `margin` positions on every side, in their own precision."""
    if margin == 0:
        return features
    # Under autocast a CPU pads in fp32 only, and would convert whole maps there and back.
    with torch.autocast(features.device.type, enabled=False):
        return F.pad(features, (margin, margin, margin, margin), mode="reflect")
