"""The decoder D: the encoder mirrored from one of its taps, relu4_1 if not told otherwise, back to RGB."""

import torch.nn.functional as F
from torch import Tensor, nn

from ieast.layers.convolution import ReflectedConvolution
from ieast.models import vgg19
from ieast.models.vgg19 import POOL

# The encoder's, from its deepest tap back.
LAYERS = tuple(reversed(vgg19.LAYERS))


class Decoder(nn.Module):
    """3x3 reflection-padded convolutions with ReLU, nearest upsampling x2 between levels, no activation at the end.

    `conv3_4` undoes the encoder's conv3_4, and so on: its channels are the mirrored ones.
    """

    def __init__(self, widths: tuple[int, ...], tap: str = "relu4_1"):
        """Mirror the encoder with levels of these `widths` from its `tap`, relu1_1 to relu5_1."""
        super().__init__()
        self.layers = LAYERS[LAYERS.index(tap.removeprefix("relu")) :]
        for layer in self.layers:
            if layer == POOL:
                continue
            outputs, inputs = vgg19.channels(layer, widths)  # the encoder's, so the other way round
            convolution = ReflectedConvolution(inputs, outputs)
            # He et al. 2015: with PyTorch's smaller weights nothing of the features is left nine layers on, and learning to
            # reconstruct begins with a grey picture that some seeds never leave.
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)
            self.add_module(f"conv{layer}", convolution)

    def forward(self, features: Tensor) -> Tensor:
        """Pictures (B, 3, H, W), unclamped, from features (B, C, h, w) at the tap: at relu4_1, H = 8h and W = 8w."""
        x = features
        for layer in self.layers:
            x = self.apply_layer(layer, x)
        return x

    def apply_layer(self, layer: str, x: Tensor) -> Tensor:
        """One of `layers` on what the one before it gave, (B, C, h, w)."""
        if layer == POOL:
            return F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.get_submodule(f"conv{layer}")(x)
        return x if layer == self.layers[-1] else F.relu_(x)
