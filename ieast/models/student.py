"""The network that distillation trains: vgg19-compact with batch normalization, which is folded away at the end."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ieast.layers.convolution import ReflectedConvolution, mirrored
from ieast.models.encoder import Encoder
from ieast.models.encoder_weights import imagenet_normalization
from ieast.models.vgg19 import CONVOLUTIONS, LAYERS, POOL, STYLE_TAPS, WIDTHS, channels


class Student(nn.Module):
    """The encoder's convolutions, each followed by batch normalization (Ioffe and Szegedy 2015).

    From random weights, thirteen plain layers barely begin to follow a teacher in thousands of iterations; normalized ones do
    in hundreds. As `fold` shows, the normalization costs nothing once it is trained.
    """

    def __init__(self, name: str = "vgg19-compact"):
        super().__init__()
        self.name, self.widths = name, WIDTHS[name]
        input_normalization = imagenet_normalization()
        self.conv0 = ReflectedConvolution(3, 3, 1).requires_grad_(False)
        self.conv0.load_state_dict({kind: input_normalization[f"conv0.{kind}"] for kind in ("weight", "bias")})
        self.convolutions, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for layer in CONVOLUTIONS:
            inputs, outputs = channels(layer, self.widths)
            convolution, norm = nn.Conv2d(inputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.constant_(norm.bias, 0.5)  # more than half of the units begin alive
            self.convolutions[layer], self.norms[layer] = convolution, norm

    def forward(self, images: Tensor, apart: bool = False, leak: float = 0.0) -> dict[str, Tensor]:
        """The five relu taps of `images` (B, 3, H, W) in [0, 1].

        With `apart`, no gradient passes from one tap's layers to those before: five networks that learn side by side. `leak` is
        the slope that ReLUs have below 0: a unit that large early steps have silenced hears by it what it should say, where
        without it would stay silent for ever.
        """
        taps = {}
        x = self.conv0(images)
        for layer in LAYERS:
            if layer == POOL:
                x = F.max_pool2d(x, 2, ceil_mode=True)
                continue
            x = self.norms[layer](self.convolutions[layer](mirrored(x, 1)))
            x = F.leaky_relu(x, leak)
            if f"relu{layer}" in STYLE_TAPS:
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
