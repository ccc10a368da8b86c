"""The decoder D: the encoder mirrored from relu4_1 back to RGB."""

import torch.nn.functional as F
from torch import Tensor, nn

# Each convolution in the order it is applied; `upsample` doubles the size in between.
LAYERS = ("4_1", "upsample", "3_4", "3_3", "3_2", "3_1", "upsample", "2_2", "2_1", "upsample", "1_2", "1_1")
CONVOLUTIONS = tuple(layer for layer in LAYERS if layer != "upsample")


class Decoder(nn.Module):
    """3x3 reflection-padded convolutions with ReLU, nearest upsampling x2 three times, no activation at the end.

    `conv3_4` undoes the encoder's conv3_4, and so on: its channels are the mirrored ones.
    """

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        for layer in CONVOLUTIONS:
            level, position = int(layer[0]) - 1, layer[2]
            below = 3 if level == 0 else widths[level - 1]
            outputs = below if position == "1" else widths[level]
            convolution = nn.Conv2d(widths[level], outputs, 3, padding=1, padding_mode="reflect")
            # He et al. 2015: with PyTorch's smaller weights nothing of the features is left nine layers on, and learning to
            # reconstruct begins with a grey picture that some seeds never leave.
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
            self.add_module(f"conv{layer}", convolution)

    def forward(self, features: Tensor) -> Tensor:
        """Pictures (B, 3, 8h, 8w), unclamped, from features (B, C, h, w) at relu4_1."""
        x = features
        for layer in LAYERS[:-1]:
            if layer == "upsample":
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            else:
                x = F.relu(self.get_submodule(f"conv{layer}")(x))
        return self.get_submodule(f"conv{LAYERS[-1]}")(x)
