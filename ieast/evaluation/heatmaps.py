"""Pictures of flicker: where frames differ (the paper's Figure 4), and when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

COLOURS = "inferno"
GAP = 4
"""Pixels between the two heat maps of a clip."""


@dataclass(frozen=True)
class Differences:
    """Mean over a clip of |difference| of adjacent frames, float32 (H, W) in [0, 1], itself a mean over R, G and B."""

    inputs: NDArray[np.float32]
    stylized: NDArray[np.float32]


class MeanDifference:
    """The mean over adjacent frames of |difference|, from frames given one by one."""

    def __init__(self) -> None:
        self._before: Tensor | None = None
        self._total: Tensor | None = None
        self._steps = 0

    def add(self, frame: Tensor) -> None:
        """Take the next frame (3, H, W) in [0, 1]."""
        if self._before is not None:
            step = (frame - self._before).abs().mean(dim=0)
            self._total = step if self._total is None else self._total + step
            self._steps += 1
        self._before = frame

    def value(self) -> NDArray[np.float32]:
        """The mean (H, W).

        Raises:
            ValueError: Fewer than two frames were given.
        """
        if self._total is None:
            raise ValueError("a difference needs two frames")
        values: NDArray[np.float32] = (self._total / self._steps).to("cpu", torch.float32).numpy()
        return values


def common_limit(differences: Iterable[Differences], share: float = 0.99) -> float:
    """What the brightest colour stands for, so that all `differences` can be shown on one scale.

    The value that `share` of all positions stay below: a few extreme ones would leave the rest dark. Heat maps of several
    models compare only where all were drawn with one limit.
    """
    values = [part.ravel() for each in differences for part in (each.inputs, each.stylized)]
    limit = float(np.quantile(np.concatenate(values), share)) if values else 0.0
    return limit if limit > 0 else 1.0


def heat_map(difference: NDArray[np.float32], limit: float) -> Image.Image:
    """`difference` (H, W) as colours: black is 0, the brightest is `limit` or more."""
    return Image.fromarray(colormaps[COLOURS](np.clip(difference / limit, 0, 1), bytes=True)[..., :3])


def clip_heat_map(differences: Differences, limit: float) -> Image.Image:
    """The heat maps of a clip side by side: left the clip itself, right its stylization."""
    left, right = (heat_map(part, limit) for part in (differences.inputs, differences.stylized))
    both = Image.new("RGB", (left.width + GAP + right.width, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + GAP, 0))
    return both


def plot_flicker(flicker: Mapping[str, pd.DataFrame], at_most: int | None = None) -> Figure:
    """Distances between adjacent frames over time: a plot a clip, a line a model, axes shared; dashed, the clip itself.

    Args:
        flicker: By model, `Evaluation.flicker` (`clip`, `frame`, `temporal_<distance>`, `temporal_<distance>_inputs`), all of
            the same clips.
        at_most: Clips to show, from the first; None shows all.
    """
    tables = {model: dict(list(table.groupby("clip", sort=False))) for model, table in flicker.items()}
    first = next(iter(tables.values()))
    clips = list(first)[:at_most]
    name, floor = (column for column in next(iter(flicker.values())).columns if column.startswith("temporal_"))
    columns = min(3, max(1, len(clips)))
    rows = -(-len(clips) // columns) or 1
    figure = Figure(figsize=(4 * columns, 2.5 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axis, clip in zip(axes, clips, strict=False):
        for model, by_clip in tables.items():
            axis.plot(by_clip[clip]["frame"], by_clip[clip][name], label=model)
        axis.plot(first[clip]["frame"], first[clip][floor], "--", color="grey", label="inputs")
        axis.set_title(str(clip), fontsize="small")
    for axis in axes[len(clips) :]:
        axis.set_axis_off()
    axes[0].set_ylim(bottom=0)
    axes[0].legend(fontsize="small")
    figure.supxlabel("frame")
    figure.supylabel(name)
    return figure
