"""Perceptual distances between pictures: LPIPS by its own package, or the distance on an encoder's taps."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Protocol

import torch
from torch import Tensor, nn

from ieast.errors import WeightsError
from ieast.io.weights import hub_file
from ieast.models.encoder import Encoder
from ieast.models.vgg19 import STYLE_TAPS

# The backbone that `lpips` takes from torchvision for each of its networks.
_BACKBONES = {
    "alex": "AlexNet_Weights",
    "vgg": "VGG16_Weights",
    "squeeze": "SqueezeNet1_1_Weights",
}


class PerceptualDistance(Protocol):
    """A distance between two equally large pictures; 0 for equal ones."""

    name: str

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances (B,) between `a` and `b`, each (B, 3, H, W) in [0, 1]."""
        ...

    def features(self, images: Tensor) -> list[Tensor]:
        """What `between` compares, computed from `images` (B, 3, H, W) in [0, 1]: the costly part, once an image."""
        ...

    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Distances (B,) between images whose `features` are `a` and `b`; up to rounding what the images themselves give."""
        ...


class Lpips(nn.Module):
    """LPIPS with its trained heads (Zhang et al. 2018), by the `lpips` package."""

    def __init__(self, net: str):
        """Load the network.

        Raises:
            WeightsError: The backbone's weights are not at hand and cannot be downloaded, or are damaged.
        """
        super().__init__()
        import lpips

        self.name = f"lpips_{net}"
        self.normalize = lpips.normalize_tensor
        path = require_backbone(net)
        try:
            self.model = lpips.LPIPS(net=net, verbose=False).eval().requires_grad_(False)
        except (RuntimeError, EOFError, ValueError, UnpicklingError) as error:
            raise WeightsError(
                f"LPIPS ({net}) cannot use {path} ({error}); remove the file, or put the right one there"
            ) from error

    @torch.inference_mode()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances (B,)."""
        return self.model(a * 2 - 1, b * 2 - 1).flatten()  # the package takes [-1, 1]

    @torch.inference_mode()
    def features(self, images: Tensor) -> list[Tensor]:
        """The backbone's layers for `images` (B, 3, H, W) in [0, 1], each of unit length over channels at every position."""
        layers = self.model.net(self.model.scaling_layer(images * 2 - 1))
        return [self.normalize(layer) for layer in layers]

    @torch.inference_mode()
    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Distances (B,), Eq. 1 of Zhang et al. 2018 (https://arxiv.org/abs/1801.03924).

        The package applies each head, a 1x1 convolution without bias, before the mean over positions. Applying it after is
        equal, and leaves almost nothing to do.
        """
        means = ((x - y).square().mean(dim=(2, 3), keepdim=True) for x, y in zip(a, b, strict=True))
        heads = (head(mean).flatten() for head, mean in zip(self.model.lins, means, strict=True))
        return torch.stack(list(heads)).sum(dim=0)


def require_backbone(net: str) -> Path:
    """Make sure that torchvision's weights under LPIPS's `net` are at hand, downloading them if need be.

    Raises:
        WeightsError: Names the file and the folder it belongs in.
    """
    import torchvision.models

    url = getattr(torchvision.models, _BACKBONES[net]).IMAGENET1K_V1.url
    instead = "set evaluation.perceptual_distance to `encoder-taps`"
    return hub_file(url, f"The backbone of LPIPS ({net})", instead=instead)


class EncoderTapDistance(nn.Module):
    """A distance on the encoder's five taps, for machines without LPIPS weights. It is not LPIPS and never reported as such.

    Per tap, features are scaled to unit length over channels at every position; squared differences are summed over channels
    and averaged over positions, and the taps are averaged. This is LPIPS before its learnt channel weights (Zhang et al. 2018,
    Eq. 1 with w = 1).
    """

    name = "encoder_tap_distance"

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    @torch.inference_mode()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances (B,)."""
        return self.between(self.features(a), self.features(b))

    @torch.inference_mode()
    def features(self, images: Tensor) -> list[Tensor]:
        """The taps of `images` (B, 3, H, W) in [0, 1], each of unit length over channels at every position."""
        taps = self.encoder(images)
        return [_unit(taps[tap]) for tap in STYLE_TAPS]

    @torch.inference_mode()
    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Distances (B,)."""
        per_tap = [(x - y).square().sum(dim=1).mean(dim=(1, 2)) for x, y in zip(a, b, strict=True)]
        return torch.stack(per_tap).mean(dim=0)


def _unit(features: Tensor) -> Tensor:
    return features / (features.norm(dim=1, keepdim=True) + 1e-10)


def perceptual_distance(name: str, encoder: Encoder) -> Lpips | EncoderTapDistance:
    """The distance that `evaluation.perceptual_distance` names; `encoder` serves `encoder-taps`.

    Raises:
        WeightsError: Weights that it needs are not at hand.
    """
    if name == "encoder-taps":
        return EncoderTapDistance(encoder)
    return Lpips(name.removeprefix("lpips-"))


def require_weights(name: str) -> None:
    """Make sure that what the distance `name` downloads is at hand.

    Raises:
        WeightsError: Names the missing file and the folder it belongs in.
    """
    if name != "encoder-taps":
        require_backbone(name.removeprefix("lpips-"))
