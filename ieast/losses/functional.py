"""The losses of the paper as pure functions of tensors. Features are (B, C, H, W); every loss is a scalar.

Where Eq. 1, 3 and 4 print ||a - b||₂, `distance` chooses between that norm, taken per sample and averaged over the batch
(`"l2"`), and the mean squared error of the released code (`"mse"`). Where taps are compared as they are, in Eq. 1 and 4,
`unit` chooses what they are measured in: the encoder's own scale, one for each layer (`"layer"`), or the mean activation of the
picture that is to be matched (`"picture"`).
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ieast.layers.reductions import mean_variance, squared_distance
from ieast.layers.statistics import EPSILON, gram_matrix, mean_variance_norm

Distance = Literal["l2", "mse"]
Unit = Literal["layer", "picture"]
Statistics = Literal["mean-std", "gram", "mean-gram"]


def feature_distance(a: Tensor, b: Tensor, distance: Distance, own: Tensor | None = None) -> Tensor:
    """Distance between equally shaped `a` and `b`, whose first dimension is the batch; `own` (B,) are the samples' units."""
    squares = squared_distance(a, b)
    if own is not None:
        squares = squares / own.square()
    if distance == "mse":
        return squares.mean() / math.prod(a.shape[1:])
    # Equal samples have no direction to move in: the norm's gradient there is 0, and not 0 / 0.
    return squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt().mean()


def relative_squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """||student - teacher||² / ||teacher||² over the whole batch: the same weight for taps of any scale."""
    student, teacher = student.float(), teacher.float()
    return (student - teacher).square().sum() / teacher.square().sum()


def own_unit(tap: Tensor, unit: Unit) -> Tensor | None:
    """What a tap (B, C, h, w) of pictures to match is measured in, (B,), if `unit` is not the encoder's own scale.

    A print in black and white excites the early layers ten times as much as a watercolour does. In the encoder's scale, squared
    distances then teach little but such prints; in units of each picture every style counts alike.
    """
    return None if unit == "layer" else tap.detach().mean(dim=(1, 2, 3), dtype=torch.float32) + EPSILON


def _statistics(tap: Tensor, kind: Statistics) -> dict[str, Tensor]:
    """What of a tap is compared; deviations as variances, which are scaled exactly."""
    values = {} if kind == "gram" else dict(zip(("mean", "variance"), mean_variance(tap), strict=True))
    if kind == "mean-gram":
        del values["variance"]
    return values if kind == "mean-std" else values | {"gram": gram_matrix(tap)}


def _in_units(statistics: dict[str, Tensor], own: Tensor | None) -> list[Tensor]:
    """Statistics of a tap (B, ...) divided by `own` (B,)."""
    scaled = []
    for name, values in statistics.items():
        if own is not None:
            unit = own.reshape(-1, *[1] * (values.ndim - 1))
            values = values / (unit if name == "mean" else unit.square())
        scaled.append((values + EPSILON).sqrt() if name == "variance" else values)
    return scaled


def style_loss(
    stylized: Sequence[Tensor],
    style: Sequence[Tensor],
    distance: Distance,
    unit: Unit = "layer",
    statistics: Statistics = "mean-std",
    chosen: Tensor | None = None,
) -> Tensor:
    """L_s, Eq. 1: distances between μ and between σ of the stylized picture's and the style's taps, summed over taps.

    Other methods compare Gram matrices instead (`gram`), or beside μ (`mean-gram`).

    Args:
        stylized: Taps of B stylized pictures.
        style: The same taps of their styles, or of n distinct styles.
        distance: As in the module's description.
        unit: As in the module's description.
        statistics: What is compared.
        chosen: (B,) which of the distinct styles each stylized picture has; None: they stand in the same order.
    """
    loss = stylized[0].new_zeros((), dtype=torch.float32)
    for a, b in zip(stylized, style, strict=True):
        own, of_stylized, of_style = own_unit(b, unit), _statistics(a, statistics), _statistics(b, statistics)
        if chosen is not None:
            own, of_style = None if own is None else own[chosen], {name: values[chosen] for name, values in of_style.items()}
        for x, y in zip(_in_units(of_stylized, own), _in_units(of_style, own), strict=True):
            loss = loss + feature_distance(x, y, distance)
    return loss


def content_loss(stylized: Sequence[Tensor], content: Sequence[Tensor], distance: Distance, normalize: bool) -> Tensor:
    """L_c, Eq. 3, summed over the layers given.

    The paper takes conv4_2 as it is; the released code takes relu4_1 and relu5_1, each mean-variance-normalized (`normalize`).
    """
    prepare = mean_variance_norm if normalize else torch.nn.Identity()
    distances = [feature_distance(prepare(a), prepare(b), distance) for a, b in zip(stylized, content, strict=True)]
    return torch.stack(distances).sum()


def identity_loss(
    reconstructed: Tensor,
    original: Tensor,
    reconstructed_taps: Sequence[Tensor],
    original_taps: Sequence[Tensor],
    distance: Distance,
    unit: Unit = "layer",
) -> tuple[Tensor, Tensor]:
    """The two sums of L_identity, Eq. 4, for one kind of picture (I_cc against I_c, or I_ss against I_s), unweighted.

    Returns:
        The distance in pixels (λ_identity1's) and the sum of distances in the taps (λ_identity2's).
    """
    pairs = zip(reconstructed_taps, original_taps, strict=True)
    taps = [feature_distance(a, b, distance, own_unit(b, unit)) for a, b in pairs]
    return feature_distance(reconstructed, original, distance), torch.stack(taps).sum()


def gradient_penalty(scores: Sequence[Tensor], images: Tensor) -> Tensor:
    """R1 without its factor: half the squared norm of the gradient of each picture's score by its pixels, a mean over pictures.

    A picture's score is the sum over scales of the mean over positions.

    Args:
        scores: Maps (B, 1, h_k, w_k), computed from `images` with gradients.
        images: (B, 3, H, W), real ones.

    Mescheder et al. 2018, Which Training Methods for GANs do actually Converge, Eq. 9 (https://arxiv.org/abs/1801.04406).
    """
    total = torch.stack([score.mean(dim=(1, 2, 3)) for score in scores]).sum()
    (gradient,) = torch.autograd.grad(total, images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() / 2


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor], form: Literal["log", "least-squares"]) -> Tensor:
    """What the discriminator minimizes: the negative of Eq. 2, or its least-squares form; summed over scales."""
    return real_loss(real, form) + fake_loss(fake, form)


def generator_adversarial_loss(fake: Sequence[Tensor], form: Literal["log", "least-squares"]) -> Tensor:
    """What the generator minimizes to pass for real, summed over scales.

    The log form is the non-saturating -log D(I_sc) (Goodfellow et al. 2014, section 3): log(1 - D) of Eq. 2 has no gradient
    where the discriminator is sure, which is where training starts.
    """
    return real_loss(fake, form)


def real_loss(scores: Sequence[Tensor], form: Literal["log", "least-squares"]) -> Tensor:
    """Cost of `scores` (one map a scale) that should say real: -log σ(x), or (x - 1)²; means over a map, summed over scales."""
    if form == "log":
        return torch.stack([F.softplus(-score).mean() for score in scores]).sum()
    return torch.stack([(score - 1).square().mean() for score in scores]).sum()


def fake_loss(scores: Sequence[Tensor], form: Literal["log", "least-squares"]) -> Tensor:
    """Cost of `scores` that should say fake: -log(1 - σ(x)), or x²; means over a map, summed over scales."""
    if form == "log":
        return torch.stack([F.softplus(score).mean() for score in scores]).sum()
    return torch.stack([score.square().mean() for score in scores]).sum()


def contrastive_loss(
    embeddings: Tensor, positive: Tensor, negative: Tensor, temperature: float, reduction: Literal["mean", "sum"]
) -> Tensor:
    """Eq. 5 or Eq. 6 for every anchor of the batch.

    Args:
        embeddings: (B, D) of unit length, l_s or l_c of the stylized pictures.
        positive: (B, B) bool; row a marks the one partner of anchor a.
        negative: (B, B) bool; row a marks the pictures anchor a is pushed from.
        temperature: τ.
        reduction: How anchors add up.
    """
    embeddings = embeddings.float()
    # Autocast would round likenesses to 8 bits, and τ magnifies what is lost.
    with torch.autocast(embeddings.device.type, enabled=False):
        similarity = embeddings @ embeddings.T / temperature  # (B, B)
    attracted = (similarity * positive).sum(dim=1)  # (B,); a sum over one entry, because indexing would wait for the GPU
    candidates = similarity.masked_fill(~(positive | negative), float("-inf"))
    per_anchor = torch.logsumexp(candidates, dim=1) - attracted
    return per_anchor.mean() if reduction == "mean" else per_anchor.sum()
