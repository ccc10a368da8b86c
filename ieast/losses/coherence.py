"""Contrastive coherence of local patches: neighbours differ in the stylization as they differ in the content.

CCPL (Wu et al., ECCV 2022, https://arxiv.org/abs/2207.04808, section 3.1). It is learnt on single pictures. What it keeps, that
differences between neighbouring patches follow from those of the content alone, keeps frames of a clip alike as well.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

NEIGHBOURS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right)
"""Steps from an anchor to the eight positions around it."""


def draw_anchors(height: int, width: int, count: int, random: Generator) -> tuple[Tensor, Tensor]:
    """Rows and columns (N,) of `count` different positions of a map, or of all there are, that have eight neighbours.

    Args:
        height: Of the map, at least 3.
        width: Of the map, at least 3.
        count: How many.
        random: Draws them.
    """
    inner = (height - 2) * (width - 2)
    chosen = random.choice(inner, min(count, inner), replace=False)
    rows, columns = np.divmod(chosen, width - 2)
    return torch.from_numpy(rows + 1), torch.from_numpy(columns + 1)


def neighbour_differences(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Each anchor less each of its eight neighbours: (B, 8N, C) of `features` (B, C, h, w), anchor after anchor.

    Args:
        features: A tap.
        rows: (N,) of the anchors, from 1 to h - 2.
        columns: (N,), from 1 to w - 2.
    """
    down, right = torch.tensor(NEIGHBOURS, device=rows.device).unbind(dim=1)  # (8,)
    anchors = features[:, :, rows, columns]  # (B, C, N)
    around = features[:, :, rows[:, None] + down, columns[:, None] + right]  # (B, C, N, 8)
    return (anchors[..., None] - around).flatten(2).transpose(1, 2)


def coherence_loss(stylized: Tensor, content: Tensor, temperature: float) -> Tensor:
    """InfoNCE of difference vectors: that of the content at the same place attracts, those at other places repel.

    Args:
        stylized: (B, S, D) of unit length, d_g: projected differences of the stylized pictures.
        content: (B, S, D) of unit length, d_c: of their contents, at the same places.
        temperature: τ.

    Returns:
        The mean over all S places of all pictures; a picture's negatives are its own.
    """
    # Autocast would round likenesses to 8 bits, and τ magnifies what is lost.
    with torch.autocast(stylized.device.type, enabled=False):
        similarity = stylized.float() @ content.float().transpose(1, 2) / temperature  # (B, S, S)
    places = torch.arange(similarity.shape[1], device=similarity.device).expand(similarity.shape[:2])
    return F.cross_entropy(similarity.flatten(0, 1), places.flatten())
