"""Where the gate between challenger and champion decides: from scores and declared thresholds alone.

`ieast.registry.gate` makes the scores and keeps the record.
"""

import math
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from ieast.config import Threshold

ROUNDING = 1e-5
"""Share of a score below which two are the same: the order in which sums are computed changes from one evaluation to the next,
with where tensors happen to lie in memory and with the hardware, and the last digits with it."""

_WITHOUT = "; to go on without the comparison, type `ieast promote NAME VERSION --force --reason TEXT`"


class Decision(BaseModel):
    """Whether a candidate becomes champion, and why."""

    model_config = ConfigDict(frozen=True)

    promote: bool
    reasons: tuple[str, ...]


def decide(
    candidate: Mapping[str, float],
    champion: Mapping[str, float] | None,
    thresholds: Sequence[Threshold],
    unusable: str | None = None,
) -> Decision:
    """Compare `candidate` with `champion`, both scored on the same data, or check it alone when there is no champion.

    Every threshold must hold. The gate fails closed: a missing or non-finite metric fails, on either side, and a champion that
    cannot be scored stays, even if no threshold compares with it: that it fails here may be this machine's fault, and whoever
    knows better can promote without the gate. A candidate that ties with the champion on every compared metric is not promoted:
    there is nothing to gain by the change. Scores that differ by less than `ROUNDING` tie, and one that is so little beyond a
    limit relative to the champion's keeps to it.

    Args:
        candidate: Scores by name.
        champion: The champion's scores; None when there is no champion, or no scores of it.
        thresholds: What is asked.
        unusable: Why the scores of either side cannot be had, or say nothing.
    """
    reasons, holds, gains = [], [], []
    for threshold in thresholds:
        value = candidate.get(threshold.metric, math.nan)
        if not math.isfinite(value):
            reasons.append(_no_value("candidate", threshold.metric, candidate))
            holds.append(False)
            continue
        for held, reason in _absolute(threshold, value):
            holds.append(held)
            reasons.append(reason)
        if threshold.relative_to_champion is not None and champion is not None:
            held, reason, gain = _relative(threshold, threshold.relative_to_champion, value, champion)
            holds.append(held)
            reasons.append(reason)
            gains.append(gain)
    if not thresholds:
        reasons.append("no thresholds are declared, so every model passes")
    if unusable is not None:
        reasons.append(unusable)
        holds.append(False)
    elif champion is None:
        reasons.append("there is no champion yet")
    promote = all(holds)
    if promote and gains and not any(gains):
        promote = False
        reasons.append("no compared metric is better than the champion's, so the champion stays")
    return Decision(promote=promote, reasons=tuple(reasons))


def _absolute(threshold: Threshold, value: float) -> list[tuple[bool, str]]:
    failures = []
    if threshold.at_most is not None:
        failures.append((value <= threshold.at_most, _says(threshold.metric, value, "at most", threshold.at_most)))
    if threshold.at_least is not None:
        failures.append((value >= threshold.at_least, _says(threshold.metric, value, "at least", threshold.at_least)))
    return [(held, f"{reason}: {'holds' if held else 'fails'}") for held, reason in failures]


def _relative(threshold: Threshold, ratio: float, value: float, champion: Mapping[str, float]) -> tuple[bool, str, bool]:
    """Whether the limit holds, what to say of it, and whether `value` is better than the champion's."""
    other = champion.get(threshold.metric, math.nan)
    if not math.isfinite(other):
        return False, _no_value("champion", threshold.metric, champion) + _WITHOUT, False
    lower = threshold.better == "lower"
    # Below 0 a factor of 1.1 would make smaller what it makes larger above: there it is mirrored, to mean the same share.
    limit = other * (ratio if other >= 0 else 2 - ratio)
    held = math.isclose(value, limit, rel_tol=ROUNDING) or (value <= limit if lower else value >= limit)
    bound = f"at {'most' if lower else 'least'} {ratio:g} x the champion's {other:.4g}"
    reason = f"{threshold.metric} {value:.4g}, {bound} asked: {'holds' if held else 'fails'}"
    tie = math.isclose(value, other, rel_tol=ROUNDING)
    return held, reason, not tie and (value < other if lower else value > other)


def _no_value(whose: str, metric: str, scores: Mapping[str, float]) -> str:
    if metric in scores:
        return f"{metric}: the {whose}'s value is {scores[metric]}, not a finite number"
    return f"{metric}: the {whose} has no such score; there are {', '.join(sorted(scores)) or 'none'}"


def _says(metric: str, value: float, bound: str, limit: float) -> str:
    return f"{metric} {value:.4g}, {bound} {limit:g} asked"
