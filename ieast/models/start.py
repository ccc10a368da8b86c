"""A start for T from which pictures can be recognized, and already carry the palette of the style."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from ieast.layers.adain import adain
from ieast.layers.attention import StyleAttentionTransform
from ieast.layers.convolution import mirrored
from ieast.models.encoder import Encoder

RIDGE = 1e-3


@torch.no_grad()
def start_near_adain(transform: StyleAttentionTransform, encoder: Encoder, pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Let T(c, s) begin near AdaIN's features σ(s) norm(c) + μ(s) at relu4_1 (Huang and Belongie 2017, Eq. 8).

    The attention blocks begin as identities. Their sum also holds relu5_1 of the content, whose channels mean other things, so
    that no fixed merge gives features a decoder knows; the merge convolution is therefore solved for, by least squares.

    Args:
        transform: Gets its weights.
        encoder: What it will work on.
        pairs: Contents and styles to fit on, each (1, 3, H, W) in [0, 1].

    Returns:
        The share of the variance of AdaIN's features that the start explains on `pairs`, at most 1.
    """
    transform.start_as_identity()
    merge = transform.merge_conv
    gram: Tensor | float = 0.0
    product: Tensor | float = 0.0
    square = total = torch.zeros((), dtype=torch.float64)
    count = 0
    for content_image, style_image in pairs:
        content, style = encoder(content_image), encoder(style_image)
        inputs = mirrored(transform.attend(content, style), 1)
        rows = F.unfold(inputs, merge.kernel_size)[0].T.double()  # (HW, 9C), in the order of the weights
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)  # the bias
        goal = adain(content["relu4_1"], style["relu4_1"]).flatten(2)[0].T.double()  # (HW, C)
        gram, product = gram + rows.T @ rows, product + rows.T @ goal
        square, total, count = square + goal.square().sum(0), total + goal.sum(0), count + len(goal)
    if not count:
        raise ValueError("there is no pair of pictures to fit the start on")
    assert isinstance(gram, Tensor)
    assert isinstance(product, Tensor)
    damped = gram + RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    solution = torch.linalg.solve(damped, product)  # (9C + 1, C)
    merge.weight.copy_(solution[:-1].T.reshape(merge.weight.shape))
    merge.bias.copy_(solution[-1])
    residual = square.sum() - 2 * (solution * product).sum() + (solution * (gram @ solution)).sum()
    return float(1 - residual / (square - total.square() / count).sum())
