"""The frozen VGG-19 encoder φ, full or quarter width."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ieast.errors import WeightsError
from ieast.layers.convolution import ReflectedConvolution
from ieast.models.vgg19 import CONVOLUTIONS, LAYERS, POOL, STYLE_TAPS, WIDTHS, channels

Taps = dict[str, Tensor]
"""Features (B, C, h, w) by the name of the layer they come from."""


class Encoder(nn.Module):
    """VGG-19 up to relu5_1 with reflection padding and ceil-mode max pooling; its weights never change in training.

    A leading 1x1 convolution `conv0` maps RGB in [0, 1] to whatever the weights expect (mean/std, BGR 0-255, ...), so every
    encoder takes the same pictures.
    """

    def __init__(self, name: str):
        super().__init__()
        self.name = name
        self.widths = WIDTHS[name]
        self.conv0 = ReflectedConvolution(3, 3, 1)
        for layer in CONVOLUTIONS:
            self.add_module(f"conv{layer}", ReflectedConvolution(*channels(layer, self.widths)))
        self.requires_grad_(False)

    def forward(self, images: Tensor, layers: Collection[str] = STYLE_TAPS) -> Taps:
        """Features of `images` (B, 3, H, W) in [0, 1] at `layers`; what lies beyond the last of them is not computed.

        `relu4_2` is after the ReLU of the second convolution of the fourth level, `conv4_2` before it. At the first level maps
        have the pictures' size; each next level halves it, rounding up.

        Raises:
            ValueError: There is no layer of a name.
        """
        asked, taps = set(layers), {}
        x = self.conv0(images)
        for layer in LAYERS:
            if layer == POOL:
                x = F.max_pool2d(x, 2, ceil_mode=True)
                continue
            x = self.convolution(layer)(x)
            if f"conv{layer}" in asked:
                taps[f"conv{layer}"] = x
                x = F.relu(x)
            else:
                x = F.relu_(x)
            if f"relu{layer}" in asked:
                taps[f"relu{layer}"] = x
            if len(taps) == len(asked):
                return taps
        raise ValueError(f"the encoder has no layer {', '.join(sorted(asked - set(taps)))}; the last is relu{LAYERS[-1]}")

    def convolution(self, layer: str) -> ReflectedConvolution:
        """That of `CONVOLUTIONS` with this name."""
        module = self.get_submodule(f"conv{layer}")
        assert isinstance(module, ReflectedConvolution)
        return module

    @torch.no_grad()
    def normalize_taps(self, batches: Iterable[Tensor]) -> dict[str, float]:
        """Scale every layer so that its mean activation over `batches` of pictures (B, 3, H, W) is 1.

        ReLU and max pooling commute with positive factors, so dividing a layer's weights by its mean activation and multiplying
        the next layer's by the same number changes nothing but the scale of the taps. The published loss weights go with
        features of about this scale: those of Gatys et al. (2015, section 2), who scale each filter. One scale a layer keeps
        the proportions between channels, which carry style.

        Returns:
            The mean activation that each layer had before.

        Raises:
            WeightsError: A layer is dead (its mean activation is 0) or not finite.
        """
        means = self._mean_activations(batches)
        for layer, mean in means.items():
            if not 0 < mean < float("inf"):
                raise WeightsError(
                    f"encoder {self.name}: the mean activation of conv{layer} is {mean}; its weights are unusable"
                )
        previous = 1.0
        for layer, mean in means.items():
            convolution = self.convolution(layer)
            convolution.weight.mul_(previous / mean)
            convolution.bias.div_(mean)
            previous = mean
        return means

    def _mean_activations(self, batches: Iterable[Tensor]) -> dict[str, float]:
        sums = dict.fromkeys(CONVOLUTIONS, 0.0)

        def add_to(layer: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
            def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
                sums[layer] += F.relu(output).double().mean(dim=(1, 2, 3)).sum().item()

            return hook

        hooks = [self.convolution(layer).register_forward_hook(add_to(layer)) for layer in CONVOLUTIONS]
        pictures = 0
        try:
            for images in batches:
                self(images)
                pictures += len(images)
        finally:
            for hook in hooks:
                hook.remove()
        return {layer: total / pictures for layer, total in sums.items()}

    def digest(self) -> str:
        """Hex SHA-256 over names, shapes and values of the weights: the encoder's identity."""
        return weights_digest(self.state_dict())


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 over the names, shapes and fp32 values of `state`, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name}{tuple(values.shape)}".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()
