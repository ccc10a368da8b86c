"""Encoder, transform and decoder as one thing that stylises pictures."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ieast.config import ModelConfig
from ieast.models.attention import StyleAttentionTransform
from ieast.models.decoder import Decoder
from ieast.models.encoder import REDUCTION, SMALLEST_SIDE, Encoder


class Stylizer(nn.Module):
    """I_sc = D(T(E(I_c), E(I_s)))."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder
        self.transform = StyleAttentionTransform(encoder.widths[3])
        self.decoder = Decoder(encoder.widths)

    @torch.inference_mode()
    def stylize(self, content: Tensor, style: Tensor, alpha: float = 1.0) -> Tensor:
        """`content` in the style of `style`.

        Args:
            content: (B, 3, H, W) in [0, 1], any size.
            style: (B, 3, H', W') in [0, 1], or (1, 3, H', W') for all contents.
            alpha: 0 reconstructs the content, 1 stylises fully; between, T(c, s) and T(c, c) are mixed.

        Returns:
            (B, 3, H, W) in [0, 1].

        Raises:
            ValueError: A shape, or alpha, is out of range.
        """
        _check(content, style, alpha)
        height, width = content.shape[-2:]
        content_taps = self.encoder(_extended(content, REDUCTION))
        style_taps = self.encoder(_extended(style, 1))
        if len(style) == 1 < len(content):
            style_taps = {name: tap.expand(len(content), -1, -1, -1) for name, tap in style_taps.items()}
        # An extreme of alpha needs one transform only.
        features = self.transform(content_taps, style_taps if alpha > 0 else content_taps)
        if 0 < alpha < 1:
            features = torch.lerp(self.transform(content_taps, content_taps), features, alpha)
        return self.decoder(features)[..., :height, :width].clamp(0, 1)


def build_stylizer(encoder: Encoder, config: ModelConfig) -> Stylizer:
    """A stylizer ready to be trained on `encoder`."""
    stylizer = Stylizer(encoder)
    if config.attention_start == "identity":
        stylizer.transform.start_as_identity()
    return stylizer


def empty_stylizer(encoder_name: str) -> Stylizer:
    """A stylizer of the right shapes, whose weights are about to be loaded."""
    return Stylizer(Encoder(encoder_name))


def _check(content: Tensor, style: Tensor, alpha: float) -> None:
    for name, images in (("content", content), ("style", style)):
        if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
            raise ValueError(f"{name} has shape {tuple(images.shape)}; expected (B, 3, H, W)")
    if len(style) not in (1, len(content)):
        raise ValueError(f"{len(style)} styles for {len(content)} contents; give one, or as many as contents")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1")


def _extended(images: Tensor, multiple: int) -> Tensor:
    """`images` continued to the right and below, to sides that `multiple` divides and the encoder can take.

    The rounding up of ceil-mode pooling would otherwise show as a band along those edges of the stylized picture.
    """
    height, width = images.shape[-2:]
    right, bottom = (-(-max(side, SMALLEST_SIDE) // multiple) * multiple - side for side in (width, height))
    return F.pad(images, (0, right, 0, bottom), mode="replicate") if right or bottom else images
