"""Every score that models get: its name, unit, direction and what it is. All that compares scores reads it here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Direction = Literal["lower", "higher"]

INPUTS = "_inputs"
"""Ends the name of a temporal score that is taken of the clips as they are: the floor, or the best that can be."""


@dataclass(frozen=True)
class Metric:
    """A score.

    Attributes:
        name: As in reports, runs and thresholds; `<net>` and `<frames>` stand for what the evaluation's settings put there.
        better: Which of two values is the better one.
        unit: What a value counts.
        meaning: What it says, and whose definition it is.
    """

    name: str
    better: Direction
    unit: str
    meaning: str

    @property
    def arrow(self) -> str:
        """Where better values lie, for tables and plots."""
        return "↑" if self.better == "higher" else "↓"

    def is_called(self, name: str) -> bool:
        """Whether `name` is this score's, with its settings or of the clips themselves."""
        pattern = re.escape(self.name).replace("<net>", "[a-z]+").replace("<frames>", "[0-9]+")
        return re.fullmatch(pattern, name.removesuffix(INPUTS)) is not None


METRICS = (
    Metric(
        "style_distance",
        "lower",
        "squared mean activations of the style",
        "squared differences of channel means and deviations over five taps; lower is closer to the style",
    ),
    Metric(
        "style_mismatch",
        "lower",
        "share, 0 to 1",
        "the same, bounded: per tap ‖a - b‖² / (‖a‖² + ‖b‖²) of all means and deviations, and the mean over taps, so that "
        "near-empty styles do not rule means over pairs",
    ),
    Metric(
        "content_distance",
        "lower",
        "squared deviations",
        "squared difference of normalized relu4_1 and relu5_1 features; lower keeps more structure",
    ),
    Metric("content_ssim", "higher", "1 for equal pictures", "structural similarity to the content (Wang et al. 2004)"),
    Metric("content_lpips_<net>", "lower", "LPIPS", "LPIPS to the content (Zhang et al. 2018)"),
    Metric(
        "content_encoder_tap_distance",
        "lower",
        "squared distance of unit features",
        "the same by the encoder's taps as they are, where LPIPS weights are not at hand",
    ),
    Metric(
        "cfsd",
        "lower",
        "nats",
        "content feature structural distance: how differently positions resemble each other at relu3_1 (Chung et al. 2024)",
    ),
    Metric(
        "detail",
        "higher",
        "L of CIELAB, 0 to 100",
        "root mean square of lightness minus its Gaussian blur of one pixel; artworks have 4 to 5 at 512 pixels, 2 to 3.5 if "
        "smaller or enlarged",
    ),
    Metric(
        "colour_noise",
        "lower",
        "ratio",
        "that of a and b, divided by `detail` (or by 0.1, if it is less): coloured fringes and speckle; artworks have about "
        "0.2 at 512 pixels, 0.3 at 256",
    ),
    Metric(
        "weave",
        "lower",
        "share, 0 where nothing repeats",
        "of the variance of fine lightness, what repeats every 8 pixels: the pattern of the decoder's upsampling on even "
        "areas; artworks have 0.00",
    ),
    Metric(
        "deception",
        "higher",
        "share, 0.5 where nothing tells them apart",
        "stylizations that a classifier takes for real artworks (Lopez-Paz & Oquab 2017; Table 1 of the paper, by machine), "
        "having learnt from others in other styles and of other contents",
    ),
    Metric(
        "deception_accuracy",
        "lower",
        "share, 0.5 for guessing",
        "how often that classifier is right, artworks and stylizations weighing alike",
    ),
    Metric(
        "preference",
        "higher",
        "chance, 0 to 1",
        "that people prefer it to the mean picture of what the scorer in `evaluation.preference` has learnt from "
        "(`ieast study scorer`; Bradley & Terry 1952)",
    ),
    Metric(
        "preference_agreement",
        "higher",
        "share, 0.5 for guessing",
        "how often that scorer agreed with comparisons that were held out when it was made; the same for all models",
    ),
    Metric(
        "art_fid",
        "lower",
        "1 at best",
        "(1 + LPIPS) (1 + FID to the styles) (Wright & Ommer 2022), where `evaluation.artfid_weights` names its network",
    ),
    Metric(
        "temporal_lpips_<net>",
        "lower",
        "LPIPS",
        "LPIPS between adjacent stylized frames, over all clips (Table 2 of the paper); lower is steadier",
    ),
    Metric(
        "temporal_encoder_tap_distance",
        "lower",
        "squared distance of unit features",
        "the same by the encoder's taps as they are",
    ),
    Metric(
        "warping_error_<frames>",
        "lower",
        "squared differences of pixels in [0, 1]",
        "stylized frames that far apart, one pulled back along the optical flow (OpenCV's DIS) of the original frames, where "
        "nothing is occluded (Lai et al. 2018); lower is steadier",
    ),
)


# The first six of these that were measured are shown first; what comes later stands in where a dataset lacks clips or styles.
_HEADLINE = (
    "style_mismatch",
    "content_distance",
    "content_ssim",
    "temporal_lpips_<net>",
    "temporal_encoder_tap_distance",
    "warping_error_<frames>",
    "deception",
    "preference",
    "colour_noise",
    "cfsd",
    "style_distance",
)


def headline(names: Iterable[str], count: int = 6) -> list[str]:
    """The `count` scores among `names` that a table with little room shows, in its order; each kind of score once."""
    measured = [name for name in names if not name.endswith(INPUTS)]
    chosen = {}
    for metric in METRICS:
        if metric.name in _HEADLINE and (called := sorted((n for n in measured if metric.is_called(n)), key=_natural)):
            chosen[metric.name] = called[0]
    return [chosen[name] for name in _HEADLINE if name in chosen][:count]


def _natural(name: str) -> tuple[str, int]:
    """Sorts `warping_error_5` before `warping_error_10`."""
    stem, number = re.fullmatch(r"(.*?)(\d*)", name).groups()  # type: ignore[union-attr]  # matches anything
    return stem, int(number or 0)


def find_metric(name: str) -> Metric | None:
    """The score called `name`, or None if it is not one of `METRICS`."""
    return next((metric for metric in METRICS if metric.is_called(name)), None)


def is_better(name: str, difference: float) -> bool:
    """Whether a value of the score `name` that differs so much from another is the better one; of no score, none is."""
    metric = find_metric(name)
    return metric is not None and (difference > 0 if metric.better == "higher" else difference < 0)


def with_arrow(name: str) -> str:
    """`name` with an arrow to where better values lie, if that is known."""
    metric = find_metric(name)
    return name if metric is None else f"{name} {metric.arrow}"
