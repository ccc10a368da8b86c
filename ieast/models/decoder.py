"""The decoder D: the encoder mirrored from one of its taps, relu4_1 if not told otherwise, back to RGB."""

import torch.nn.functional as F
from torch import Tensor, nn

from ieast.layers.convolution import ReflectedConvolution

# Each convolution in the order it is applied, from the deepest tap; `upsample` doubles the size in between.
LAYERS = (
    *("5_1", "upsample", "4_4", "4_3", "4_2"),
    *("4_1", "upsample", "3_4", "3_3", "3_2", "3_1", "upsample", "2_2", "2_1", "upsample", "1_2", "1_1"),
)


class Decoder(nn.Module):
    """3x3 reflection-padded convolutions with ReLU, nearest upsampling x2 between levels, no activation at the end.

    `conv3_4` undoes the encoder's conv3_4, and so on: its channels are the mirrored ones.
    """

    def __init__(self, widths: tuple[int, ...], tap: str = "relu4_1"):
        """Mirror the encoder with levels of these `widths` from its `tap`, relu1_1 to relu5_1."""
        super().__init__()
        self.layers = LAYERS[LAYERS.index(tap.removeprefix("relu")) :]
        for layer in self.layers:
            if layer == "upsample":
                continue
            level, position = int(layer[0]) - 1, layer[2]
            below = 3 if level == 0 else widths[level - 1]
            outputs = below if position == "1" else widths[level]
            convolution = ReflectedConvolution(widths[level], outputs)
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
        if layer == "upsample":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.get_submodule(f"conv{layer}")(x)
        return x if layer == self.layers[-1] else F.relu_(x)
