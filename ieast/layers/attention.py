"""Style attention: SANet blocks and the transform T built of two of them (paper, section 3 and its backbone, SANet)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ieast.layers.adain import with_statistics
from ieast.layers.convolution import ReflectedConvolution
from ieast.layers.statistics import mean_std, mean_variance_norm

MEAN, STD = "mean", "std"
"""Under which encoded styles keep what `StyleAttentionTransform.statistics_of` gives, beside their taps."""

TRANSFORM_TAPS = ("relu4_1", "relu5_1")
"""What T looks at."""
BAND_TOKENS = 16384
"""Content positions whose attention is computed at once: all of a picture of 1024x1024 pixels, and of larger ones a part."""


class StyleAttention(nn.Module):
    """One SANet block: every content position becomes a mixture of the style positions it resembles.

    softmax(f(norm c)ᵀ g(norm s)) over h(s), a 1x1 output convolution, plus c. As in SANet the scores are not divided by √d.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.f = nn.Conv2d(channels, channels, 1)
        self.g = nn.Conv2d(channels, channels, 1)
        self.h = nn.Conv2d(channels, channels, 1)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, content: Tensor, style: Tensor, coarse: Tensor | None = None) -> Tensor:
        """Features (B, C, H, W), computed in bands of content positions where there are many.

        Args:
            content: (B, C, H, W).
            style: (B, C, H', W'), or one for all contents.
            coarse: (B, C, H/2, W/2), rounded up, which is upsampled and added.
        """
        height, width = content.shape[-2:]
        statistics = mean_std(content)
        key, value = (tokens.expand(len(content), -1, -1, -1) for tokens in self.keys_and_values(style))
        if torch.compiler.is_exporting():  # a loop would be written out for the example's height
            return _plus_upsampled(self.mix(content, statistics, key, value), coarse)
        step = max(2, BAND_TOKENS // width // 2 * 2)  # even, so that bands of `coarse` have whole rows
        answer: Tensor | None = None
        for top in range(0, height, step):
            band = None if coarse is None else coarse[..., top // 2 : (top + step) // 2, :]
            part = _plus_upsampled(self.mix(content[..., top : top + step, :], statistics, key, value), band)
            if part.shape[-2] == height:
                return part
            if answer is None:
                answer = torch.empty_like(content, dtype=part.dtype, memory_format=torch.channels_last)
            answer[..., top : top + step, :] = part
        assert answer is not None
        return answer

    def keys_and_values(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """What contents look up in `style` (B, C, H', W'): keys g(norm s) and values h(s), each (B, 1, H'W', C)."""
        return _as_tokens(self.g(mean_variance_norm(style))), _as_tokens(self.h(style))

    def mix(self, content: Tensor, statistics: tuple[Tensor, Tensor], key: Tensor, value: Tensor) -> Tensor:
        """The block's answer at the positions `content` (B, C, H, W), all of a map or a part of it.

        Args:
            content: Positions; each is answered on its own.
            statistics: μ and σ (B, C) of the whole map.
            key: (B, 1, H'W', C) of `keys_and_values`.
            value: (B, 1, H'W', C) of `keys_and_values`.
        """
        query = _as_tokens(self.f(mean_variance_norm(content, statistics)))  # (B, 1, HW, C)
        mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)  # (B, 1, HW, C)
        mixed = mixed.squeeze(1).transpose(1, 2).reshape(content.shape)
        return self.out_conv(mixed) + content


class StyleAttentionTransform(nn.Module):
    """T: style attention at relu4_1 and relu5_1, the latter upsampled and added, then a 3x3 merge convolution.

    Attention adds mixtures of the style's features to the content's, and with these come the content's palette and contrast.
    `matches_statistics` takes them away: before they are merged, features get the channel means and deviations that those of
    the style in its own style have (Huang and Belongie 2017, Eq. 8). The paper's T does not; what it brings stands in
    docs/quality.md.
    """

    def __init__(self, channels: int, matches_statistics: bool = False):
        super().__init__()
        self.matches_statistics = matches_statistics
        self.sanet4_1 = StyleAttention(channels)
        self.sanet5_1 = StyleAttention(channels)
        self.merge_conv = ReflectedConvolution(channels, channels)

    def forward(self, content: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> Tensor:
        """Stylized features (B, C, H/8, W/8) from the taps relu4_1 and relu5_1 of B contents and as many styles, or one."""
        return self.merge_conv(self.attend(content, style))

    def attend(self, content: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> Tensor:
        """What the merge convolution gets (B, C, H/8, W/8): both blocks' features, summed, in the style's statistics if so set.

        Args:
            content: Taps of contents.
            style: Those of styles; if they also hold its `statistics_of`, these are not computed anew.
        """
        features = self.mixtures(content, style)
        if not self.matches_statistics:
            return features
        mean, std = (style[MEAN], style[STD]) if MEAN in style else self.statistics_of(style)
        return with_statistics(features, mean, std)

    def statistics_of(self, style: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Channel means and deviations, each (B, C), of what attention makes of styles in their own style."""
        return mean_std(self.mixtures(style, style))

    def mixtures(self, content: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> Tensor:
        """Both blocks' features, summed, (B, C, H/8, W/8)."""
        coarse = self.sanet5_1(content["relu5_1"], style["relu5_1"])
        return self.sanet4_1(content["relu4_1"], style["relu4_1"], coarse)

    @torch.no_grad()
    def start_as_identity(self, sharpness: float = 0.35) -> None:
        """Set weights with which T(c, s) begins near c, tinted by the style's features.

        Queries and keys are the normalized features times `sharpness`, values the style's features themselves, and the merge
        halves the sum of c and the mixture. With random weights a decoder that reconstructs cannot show it for thousands of
        iterations; with these, training starts from recognizable pictures.
        """
        for block, gain in ((self.sanet4_1, 1.0), (self.sanet5_1, 0.01)):
            _set_to_identity(block.f, sharpness)
            _set_to_identity(block.g, sharpness)
            _set_to_identity(block.h, 1.0)
            _set_to_identity(block.out_conv, gain)
        _set_to_identity(self.merge_conv, 0.5)


def _set_to_identity(convolution: nn.Conv2d, scale: float) -> None:
    assert convolution.bias is not None
    nn.init.dirac_(convolution.weight)
    convolution.weight.mul_(scale)
    nn.init.zeros_(convolution.bias)


def _plus_upsampled(fine: Tensor, coarse: Tensor | None) -> Tensor:
    return fine if coarse is None else fine + F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")


def _as_tokens(features: Tensor) -> Tensor:
    # PyTorch's attention without the HW x H'W' matrix of scores wants each token's channels side by side in memory.
    return features.flatten(2).transpose(1, 2).unsqueeze(1).contiguous()  # (B, C, H, W) -> (B, 1, HW, C)
