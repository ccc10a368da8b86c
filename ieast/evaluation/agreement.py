"""How close a student encoder comes to its teacher, tap by tap."""

from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor

from ieast.models.encoder import Encoder
from ieast.models.teacher import Lifts, Teacher
from ieast.models.vgg19 import STYLE_TAPS


@torch.no_grad()
def encoder_agreement(student: Encoder, lifts: Lifts, teacher: Teacher, pictures: Iterable[Tensor]) -> pd.DataFrame:
    """Compare lifted taps of `student` with the teacher's over `pictures`, each (1, 3, H, W) in [0, 1].

    Returns:
        A row a tap: `relative_error`, ||student - teacher||₂ / ||teacher||₂ over all positions, channels and pictures; and
        `correlation`, Pearson's over positions and pictures, averaged over channels, which means that differ do not help.
    """
    sums: dict[str, Tensor] = {}
    counts = dict.fromkeys(STYLE_TAPS, 0)
    for picture in pictures:
        targets, got = teacher(picture), lifts(student(picture))
        for tap in STYLE_TAPS:
            a, b = (taps[tap].double().transpose(0, 1).flatten(1) for taps in (got, targets))  # (C, positions)
            moments = torch.stack([a.sum(1), b.sum(1), (a * a).sum(1), (b * b).sum(1), (a * b).sum(1)])
            sums[tap] = sums[tap] + moments if tap in sums else moments
            counts[tap] += a.shape[1]
    return pd.DataFrame([{"tap": tap, **_agreement(sums[tap], counts[tap])} for tap in STYLE_TAPS])


def _agreement(moments: Tensor, count: int) -> dict[str, float]:
    a, b, aa, bb, ab = moments
    covariance = ab - a * b / count
    spread = ((aa - a * a / count) * (bb - b * b / count)).sqrt()
    alive = spread > 0  # a channel that never changes correlates with nothing
    return {
        "relative_error": float(((aa - 2 * ab + bb).sum() / bb.sum()).sqrt()),
        "correlation": float((covariance[alive] / spread[alive]).mean()),
    }
