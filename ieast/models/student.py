"""The network that distillation trains: vgg19-compact with batch normalisation, which is folded away at the end."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ieast.layers.convolution import ReflectedConvolution, mirrored
from ieast.models.encoder import CONVOLUTIONS, WIDTHS, Encoder, imagenet_normalisation


class Student(nn.Module):
    """The encoder's convolutions, each followed by batch normalisation (Ioffe and Szegedy 2015).

    From random weights, thirteen plain layers barely begin to follow a teacher in thousands of iterations; normalised ones do
    in hundreds. As `fold` shows, the normalisation costs nothing once it is trained.
    """

    def __init__(self, name: str = "vgg19-compact"):
        super().__init__()
        self.name, self.widths = name, WIDTHS[name]
        input_normalisation = imagenet_normalisation()
        self.conv0 = ReflectedConvolution(3, 3, 1).requires_grad_(False)
        self.conv0.load_state_dict({kind: input_normalisation[f"conv0.{kind}"] for kind in ("weight", "bias")})
        self.convolutions, self.norms = nn.ModuleDict(), nn.ModuleDict()
        previous = 3
        for layer in CONVOLUTIONS:
            width = self.widths[int(layer[0]) - 1]
            convolution, norm = nn.Conv2d(previous, width, 3, bias=False), nn.BatchNorm2d(width)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.constant_(norm.bias, 0.5)  # more than half of the units begin alive
            self.convolutions[layer], self.norms[layer] = convolution, norm
            previous = width

    def forward(self, images: Tensor, apart: bool = False, leak: float = 0.0) -> dict[str, Tensor]:
        """The five relu taps of `images` (B, 3, H, W) in [0, 1].

        With `apart`, no gradient passes from one tap's layers to those before: five networks that learn side by side. `leak` is
        the slope that ReLUs have below 0: a unit that large early steps have silenced hears by it what it should say, where
        without it would stay silent for ever.
        """
        taps = {}
        x = self.conv0(images)
        for layer in CONVOLUTIONS:
            if layer.endswith("_1") and layer != "1_1":
                x = F.max_pool2d(x, 2, ceil_mode=True)
            x = self.norms[layer](self.convolutions[layer](mirrored(x, 1)))
            x = F.leaky_relu(x, leak)
            if layer.endswith("_1"):
                taps[f"relu{layer}"] = x
                x = x.detach() if apart else x
        return taps

    @torch.no_grad()
    def fold(self) -> Encoder:
        """The plain encoder that computes what this network does in evaluation mode."""
        state = {f"conv0.{kind}": getattr(self.conv0, kind) for kind in ("weight", "bias")}
        for layer in CONVOLUTIONS:
            norm, weight = self.norms[layer], self.convolutions[layer].weight
            assert isinstance(norm, nn.BatchNorm2d)
            assert isinstance(weight, Tensor)
            assert norm.running_var is not None
            assert norm.running_mean is not None
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            state[f"conv{layer}.weight"] = weight * gain[:, None, None, None]
            state[f"conv{layer}.bias"] = norm.bias - norm.running_mean * gain
        encoder = Encoder(self.name)
        encoder.load_state_dict(state)
        return encoder.eval()
