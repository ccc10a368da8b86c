"""The gate between challenger and champion: a pure decision from scores and declared thresholds."""

import math
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from ieast.config import Threshold


class Decision(BaseModel):
    """Whether a candidate becomes champion, and why."""

    model_config = ConfigDict(frozen=True)

    promote: bool
    reasons: tuple[str, ...]


def decide(candidate: Mapping[str, float], champion: Mapping[str, float] | None, thresholds: Sequence[Threshold]) -> Decision:
    """Compare `candidate` with `champion`, both scored on the same data, or check it alone when there is no champion.

    Every threshold must hold. A missing or non-finite metric fails, on either side. A candidate that ties with the champion on
    every compared metric is not promoted: there is nothing to gain by the change.
    """
    reasons, holds, gains = [], [], []
    for threshold in thresholds:
        value = candidate.get(threshold.metric, math.nan)
        if not math.isfinite(value):
            reasons.append(f"{threshold.metric}: the candidate's value is missing or not finite")
            holds.append(False)
            continue
        for held, reason in _absolute(threshold, value):
            holds.append(held)
            reasons.append(reason)
        if threshold.relative_to_champion is not None and champion is not None:
            other = champion.get(threshold.metric, math.nan)
            held, reason = _relative(threshold, value, other)
            holds.append(held)
            reasons.append(reason)
            gains.append(value < other if threshold.better == "lower" else value > other)
    if not thresholds:
        reasons.append("no thresholds are declared, so every model passes")
    if champion is None:
        reasons.append("there is no champion yet")
    promote = all(holds)
    if promote and gains and not any(gains):
        promote = False
        reasons.append("no compared metric is better than the champion's, so the champion stays")
    return Decision(promote=promote, reasons=tuple(reasons))


def _absolute(threshold: Threshold, value: float) -> list[tuple[bool, str]]:
    found = []
    if threshold.at_most is not None:
        found.append((value <= threshold.at_most, _says(threshold.metric, value, "at most", threshold.at_most)))
    if threshold.at_least is not None:
        found.append((value >= threshold.at_least, _says(threshold.metric, value, "at least", threshold.at_least)))
    return [(held, f"{reason}: {'holds' if held else 'fails'}") for held, reason in found]


def _relative(threshold: Threshold, value: float, other: float) -> tuple[bool, str]:
    assert threshold.relative_to_champion is not None
    if not math.isfinite(other):
        return False, f"{threshold.metric}: the champion's value is missing or not finite"
    limit = other * threshold.relative_to_champion
    held = value <= limit if threshold.better == "lower" else value >= limit
    bound = "at most" if threshold.better == "lower" else "at least"
    of = f"{threshold.relative_to_champion:g} x the champion's {other:.4g}"
    return held, f"{threshold.metric} {value:.4g}, {bound} {of} asked: {'holds' if held else 'fails'}"


def _says(metric: str, value: float, bound: str, limit: float) -> str:
    return f"{metric} {value:.4g}, {bound} {limit:g} asked"
