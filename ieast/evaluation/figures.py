"""Figures that compare models, laid out like the paper's Figures 3, 4 and 5."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ieast.evaluation.heatmaps import heat_map
from ieast.images import to_image
from ieast.models.stylizer import Stylizer
from ieast.sheet import Cell, sheet


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
        shown[name] = [model.stylize(frame[None], style[None])[0] for frame in frames]
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
