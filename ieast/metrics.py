"""Every score that models get: its name, unit, direction and what it is. All that compares scores reads it here."""

import re
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


def find_metric(name: str) -> Metric | None:
    """The score called `name`, or None if it is not one of `METRICS`."""
    return next((metric for metric in METRICS if metric.is_called(name)), None)


def with_arrow(name: str) -> str:
    """`name` with an arrow to where better values lie, if that is known."""
    metric = find_metric(name)
    return name if metric is None else f"{name} {metric.arrow}"
