"""How far a stylized picture is from its style and from its content."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from ieast.layers.statistics import mean_std
from ieast.losses import functional
from ieast.models.encoder import Taps
from ieast.models.vgg19 import STYLE_TAPS

Encode = Callable[..., Taps]
"""An `Encoder`, or one that remembers what it has seen."""

SSIM_SIGMA = 1.5
"""Pixels; the deviation of SSIM's Gaussian window (Wang et al. 2004)."""

SSIM_RADIUS = 5
"""Pixels from the middle of SSIM's 11 x 11 window to its edge."""

CFSD_TAP = "relu3_1"
CFSD_POSITIONS = 1024
"""Most positions that `cfsd` compares: its matrices have this many rows and columns."""


def style_distance(encoder: Encode, stylized: Tensor, style: Tensor) -> Tensor:
    """Squared differences of μ and of σ over the five taps, each tap in units of the style's mean activation.

    Args:
        encoder: φ; because of the units its scale does not matter.
        stylized: (1, 3, H, W) in [0, 1].
        style: (1, 3, H', W') in [0, 1].
    """
    taps, targets = encoder(stylized), encoder(style)
    total = stylized.new_zeros(())
    for tap in STYLE_TAPS:
        unit = targets[tap].mean()
        for a, b in zip(mean_std(taps[tap]), mean_std(targets[tap]), strict=True):
            total = total + ((a - b) / unit).square().mean()
    return total


def style_mismatch(encoder: Encode, stylized: Tensor, style: Tensor) -> Tensor:
    """Like `style_distance`, between 0 and 1: per tap ‖m_a - m_b‖² / (‖m_a‖² + ‖m_b‖²), and the mean over the five taps.

    m are the means and deviations of all channels, (μ, σ), in one vector. Neither is ever negative, so their product is not
    either, and the ratio is at most 1. `style_distance` divides by the style's activations alone, and of a drawing on white
    paper these are so small that its distance to anything rules a mean over pairs. Here both pictures count alike, so the
    distance is symmetric too.

    Args:
        encoder: φ; its scale does not matter.
        stylized: (1, 3, H, W) in [0, 1].
        style: (1, 3, H', W') in [0, 1].
    """
    taps, target_taps = encoder(stylized), encoder(style)
    shares = []
    for tap in STYLE_TAPS:
        a, b = (torch.cat(mean_std(features[tap]), dim=1) for features in (taps, target_taps))
        shares.append((a - b).square().sum() / (a.square().sum() + b.square().sum()))
    return torch.stack(shares).mean()


def content_distance(encoder: Encode, stylized: Tensor, content: Tensor) -> Tensor:
    """Mean squared difference of mean-variance-normalized relu4_1 and relu5_1, added; pictures (1, 3, H, W) in [0, 1]."""
    taps, targets = encoder(stylized), encoder(content)
    layers = ("relu4_1", "relu5_1")
    return functional.content_loss([taps[t] for t in layers], [targets[t] for t in layers], "mse", normalize=True)


def content_ssim(stylized: Tensor, content: Tensor) -> Tensor:
    """Structural similarity, at most 1 and 1 for equal pictures (Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861).

    With the published constants and Gaussian window on each of R, G and B, then the mean over them and over the positions at
    which the window lies within the picture.

    Args:
        stylized: (1, 3, H, W) in [0, 1], at least 11 pixels high and wide.
        content: Of the same size.
    """
    _, everywhere = structural_similarity_index_measure(
        stylized, content, sigma=SSIM_SIGMA, data_range=1.0, return_full_image=True
    )
    assert isinstance(everywhere, Tensor)
    inner = slice(SSIM_RADIUS, -SSIM_RADIUS)
    return everywhere[..., inner, inner].mean()


def cfsd(encoder: Encode, stylized: Tensor, content: Tensor, positions: int = CFSD_POSITIONS) -> Tensor:
    """Content feature structural distance: how differently the parts of two pictures resemble each other.

    After Chung et al., Style Injection in Diffusion (CVPR 2024, https://arxiv.org/abs/2312.09008). Of each
    picture's relu3_1, F with a row of C channels a position, comes S = softmax(F Fᵀ / C), whose row i says how alike position
    i is to every other. The distance is the mean over i of the Kullback-Leibler divergence KL(S_i of content || S_i of
    stylized), in nats.

    It departs from the publication in two ways, so that values compare with each other but not with published ones. Features
    are in units of the picture's own mean activation where the publication divides by C once more, on VGG-19's raw features:
    the scale of an encoder, and with it the contrast of a style, would otherwise decide how sharp the softmax is. And larger
    maps are averaged over equal cells down to a bounded number of positions.

    Args:
        encoder: φ; because of the units its scale does not matter.
        stylized: (1, 3, H, W) in [0, 1].
        content: Of the same size.
        positions: The bound.
    """
    of_stylized, of_content = (
        _log_similarities(encoder(picture, (CFSD_TAP,))[CFSD_TAP], positions) for picture in (stylized, content)
    )
    return F.kl_div(of_stylized, of_content, reduction="batchmean", log_target=True)


def _log_similarities(features: Tensor, positions: int) -> Tensor:
    height, width = features.shape[-2:]
    if height * width > positions:
        shrink = (positions / (height * width)) ** 0.5
        cells = (max(1, int(height * shrink)), max(1, int(width * shrink)))
        features = F.adaptive_avg_pool2d(features, cells)
    # Rows of S often differ by less than fp32 can tell apart.
    rows = (features / features.mean())[0].flatten(1).T.double()  # (positions, C)
    return torch.log_softmax(rows @ rows.T / rows.shape[1], dim=1)
