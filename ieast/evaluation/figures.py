"""Figures that compare models, laid out like the paper's Figures 3, 4 and 5."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ieast.evaluation.comparison import Comparison
from ieast.evaluation.comparison import Figure as ReportFigure
from ieast.evaluation.heatmaps import heat_map
from ieast.io.contact_sheet import Cell, sheet
from ieast.io.images import to_image
from ieast.metrics import with_arrow
from ieast.stylizer.base import Stylizer


def pairs_sheet(stylizers: Mapping[str, Stylizer], pairs: Sequence[tuple[Tensor, Tensor]], cell: int = 220) -> Image.Image:
    """A row a pair, as in Figures 3 and 5a: content, style, and the stylization by each model.

    Args:
        stylizers: Models by the name to show.
        pairs: Contents and styles, each (3, H, W) in [0, 1].
        cell: Pixels of a cell's side.
    """
    rows = []
    for content, style in pairs:
        row = [Cell(to_image(content), "content"), Cell(to_image(style), "style")]
        row += [Cell(to_image(model.stylize(content[None], style[None])), name) for name, model in stylizers.items()]
        rows.append(row)
    return sheet(rows, cell)


def showcase_sheet(rows: Sequence[Mapping[str, Image.Image]], cell: int = 220) -> Image.Image:
    """A row a pair, as in Figure 3: pictures by the caption to show below them.

    Args:
        rows: `content`, `style`, and each method's stylization.
        cell: Pixels of a cell's side.
    """
    return sheet([[Cell(picture, caption) for caption, picture in row.items()] for row in rows], cell)


def stability_sheet(stylizers: Mapping[str, Stylizer], frames: Sequence[Tensor], style: Tensor, cell: int = 220) -> Image.Image:
    """A row a model, as in Figure 4: `frames` stylized, then heat maps of the differences of adjacent ones, all on one scale.

    Args:
        stylizers: Models by the name to show; the clip as it is comes first.
        frames: Two or more adjacent frames (3, H, W) in [0, 1].
        style: (3, H, W) in [0, 1].
        cell: Pixels of a cell's side.
    """
    shown = {"inputs": list(frames)}
    for name, model in stylizers.items():
        encoded = model.encode_style(style[None])
        shown[name] = [model.stylize(frame[None], encoded)[0] for frame in frames]
    differences = {
        name: [(b - a).abs().mean(dim=0).float().cpu().numpy() for a, b in pairwise(sequence)]
        for name, sequence in shown.items()
    }
    limit = float(np.quantile(np.concatenate([each.ravel() for maps in differences.values() for each in maps]), 0.99)) or 1.0
    rows = []
    for name, sequence in shown.items():
        row = [Cell(to_image(frame), f"{name}, frame {number}") for number, frame in enumerate(sequence, 1)]
        row += [Cell(heat_map(each, limit), f"mean {each.mean():.3f}") for each in differences[name]]
        rows.append(row)
    return sheet(rows, cell)


def as_picture(figure: Figure) -> Image.Image:
    """A plot as a picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def plot_differences(comparison: Comparison, baseline: str) -> Figure:
    """How far variants lie from `baseline`, in percent of its mean: a row a metric, a colour a variant.

    Points with lines are means with their 95 % intervals over pairs or clips; small marks are single seeds, so that what is a
    difference between trainings shows as well. Metrics of which nothing is a percentage (`_percentable`) are left out.
    """
    means = comparison.scores[comparison.scores["variant"] == baseline].set_index("metric")["mean"]
    metrics = _percentable(comparison, baseline)[::-1]
    variants = list(comparison.differences["variant"].unique())
    seeds = comparison.seeds.pivot(index=["metric", "seed"], columns="variant", values="mean")
    figure = Figure(figsize=(8, (0.2 + 0.13 * len(variants)) * len(metrics) + 1.2), layout="constrained")
    axes = figure.subplots()
    for place, variant in enumerate(variants):
        shift = 0.7 / len(variants) * ((len(variants) - 1) / 2 - place)
        rows = comparison.differences[comparison.differences["variant"] == variant].set_index("metric").loc[metrics]
        percent = 100 / means[metrics]
        middle, low, high = (rows[name] * percent for name in ("difference", "low", "high"))
        heights = np.arange(len(metrics)) + shift
        line = axes.errorbar(middle, heights, xerr=(middle - low, high - middle), fmt="o", markersize=5, label=variant)
        for height, metric in zip(heights, metrics, strict=True) if comparison.seeds["seed"].nunique() > 1 else ():
            each = (seeds.loc[metric, variant] - seeds.loc[metric, baseline]) * percent[metric]
            axes.plot(each, np.full(len(each), height), "|", markersize=7, alpha=0.6, color=line[0].get_color())
    axes.axvline(0, color="grey", linewidth=1)
    axes.set_yticks(range(len(metrics)), [with_arrow(metric) for metric in metrics])
    axes.set_xlabel(f"difference to {baseline}, % of its mean (arrows: where better values lie, ↓ left and ↑ right)")
    axes.legend(fontsize="small")
    return figure


def _percentable(comparison: Comparison, baseline: str) -> list[str]:
    """The metrics whose mean over `baseline` is surely above 0, by its interval if it has one.

    Of a mean that is negative, about 0 or NaN no percentage says anything.
    """
    rows = comparison.scores[comparison.scores["variant"] == baseline].set_index("metric")
    least = rows["low"].fillna(rows["mean"])
    return [name for name in comparison.differences["metric"].unique() if least[name] > 0]


def difference_figures(comparison: Comparison | None, baseline: str) -> list[ReportFigure]:
    """`plot_differences` for the report, with a note of what it leaves out; none where there is nothing to compare."""
    if comparison is None or comparison.differences.empty:
        return []
    shown = _percentable(comparison, baseline)
    if not shown:
        return []
    note = f"Means with 95 % intervals over pairs or clips, and each seed as a small mark, in percent of {baseline}."
    if missing := [name for name in comparison.differences["metric"].unique() if name not in shown]:
        names = ", ".join(missing)
        note += f" Not shown, for the mean of {baseline} is not surely above 0 and nothing is a percentage of it: {names}."
    return [ReportFigure(f"Differences to {baseline}", note, as_picture(plot_differences(comparison, baseline)))]
