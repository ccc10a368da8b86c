"""The pictures of a benchmark that people look at: the same contents in the same styles by every method.

A benchmark folder, which `ieast study` asks people about:

pairs.csv              pair, content, style
contents/CONTENT.png   styles/STYLE.png
methods/METHOD/PAIR.png
artworks/NAME.png      real artworks that are no style of these
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pandas as pd
from PIL import Image
from torch import Tensor

from ieast.config import ShowcaseConfig
from ieast.data.prepare import PreparedDataset
from ieast.io.files import evenly
from ieast.io.images import read_image, resize_smallest_side, to_image, to_tensor, write_image
from ieast.io.listing import distinct_stems
from ieast.io.progress import progress_bar
from ieast.stylizer.base import Stylizer


def showcase_pairs(prepared: PreparedDataset, config: ShowcaseConfig, scored_styles: int | None = None) -> pd.DataFrame:
    """A row a pair: `pair` (an id), `content` and `style` (file names' stems, made distinct), and the paths of both.

    Args:
        prepared: The pictures.
        config: How many.
        scored_styles: `EvaluationConfig.styles`: the styles come from among these.
    """
    contents = evenly(prepared.scoring_paths("content"), config.contents)
    styles = evenly(evenly(prepared.scoring_paths("style"), scored_styles), config.styles)
    content_names, style_names = (distinct_stems(side, Path(prepared.folder)) for side in (contents, styles))
    rows = [
        {
            "pair": f"{number:03d}",
            "content": content_names[content],
            "style": style_names[style],
            "content_path": str(content),
            "style_path": str(style),
        }
        for number, (content, style) in enumerate(product(contents, styles))
    ]
    return pd.DataFrame(rows)


def stylize_pairs(stylizer: Stylizer, pairs: pd.DataFrame, size: int) -> Iterator[tuple[str, Image.Image]]:
    """The id and stylization of each of `pairs`, their smallest side `size`; each style is encoded once."""
    device = next(stylizer.parameters()).device
    for style_path, group in progress_bar(list(pairs.groupby("style_path", sort=False)), desc="showcase"):
        style = stylizer.encode_style(_tensor(style_path, size).to(device))
        for row in group.itertuples():
            yield row.pair, to_image(stylizer.stylize(_tensor(row.content_path, size).to(device), style).cpu())


def write_originals(pairs: pd.DataFrame, prepared: PreparedDataset, config: ShowcaseConfig, folder: Path) -> None:
    """Put `pairs.csv`, the contents, the styles and the real artworks into the benchmark folder `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs[["pair", "content", "style"]].to_csv(folder / "pairs.csv", index=False)
    for side in ("content", "style"):
        for name, path in pairs[[side, f"{side}_path"]].drop_duplicates().itertuples(index=False, name=None):
            _write(Path(path), folder / f"{side}s" / f"{name}.png", config.size)
    shown = set(pairs["style_path"])
    others = [path for path in prepared.scoring_paths("style") if str(path) not in shown]
    if len(others) < config.artworks:  # no person has seen the model, so pictures of training are as real
        others += [path for path in prepared.training_paths("style") if str(path) not in shown and path not in others]
    for number, path in enumerate(evenly(others, config.artworks)):  # numbers, since two folders may have files of one name
        _write(path, folder / "artworks" / f"{number:03d}_{path.stem}.png", config.size)


def _picture(path: Path | str, size: int) -> Image.Image:
    return resize_smallest_side(read_image(Path(path), smallest_side=size), size)


def _tensor(path: Path | str, size: int) -> Tensor:
    return to_tensor(_picture(path, size))


def _write(path: Path, target: Path, size: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(_picture(path, size), target)
