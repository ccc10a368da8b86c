"""Figures of an ablation or a benchmark that may be shown anywhere: `python -m benchmarks.figures TABLES -o FOLDER ...`.

From the tables of its report, how far models differ; photographs in the public domain in drawn styles by each model; and,
on a drawn clip, adjacent frames with heat maps of where they differ. The report's own figures show the dataset's pictures,
which may not be free.
"""

import argparse
from pathlib import Path

import pandas as pd

from ieast.checkpoint import load_model
from ieast.evaluation.comparison import Comparison
from ieast.evaluation.figures import as_picture, pairs_sheet, plot_differences, stability_sheet
from ieast.evaluation.pairs import read_picture
from ieast.io.clips import list_clips, read_frames
from ieast.io.images import resize_smallest_side, to_tensor, write_image
from ieast.stylization.gallery import photographs

SIDE, CELL, FRAMES, QUALITY = 256, 180, 3, 85
STYLES = (0, 5, 2, 8)
"""Numbers of the sample's artworks, one for each photograph."""


def main() -> None:
    """Write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, help="folder with scores.csv, differences.csv and seeds.csv")
    parser.add_argument("--output", "-o", type=Path, required=True)
    parser.add_argument("--name", required=True, help="with which the files' names begin")
    parser.add_argument("--baseline", required=True, help="the variant or method that others are compared with")
    parser.add_argument("--model", action="append", default=[], help="NAME=FOLDER of a model")
    parser.add_argument("--sample", type=Path, required=True, help="folder of `ieast data sample`")
    arguments = parser.parse_args()
    comparison = Comparison(*(pd.read_csv(arguments.tables / f"{name}.csv") for name in ("scores", "differences", "seeds")))
    write_image(
        as_picture(plot_differences(comparison, arguments.baseline)), arguments.output / f"{arguments.name}-differences.png"
    )
    models = {name: load_model(folder)[0] for name, _, folder in (each.partition("=") for each in arguments.model)}
    clip = list_clips(arguments.sample / "clips")[0]
    artworks = sorted((arguments.sample / "style").iterdir())
    styles = [read_picture(artworks[number], SIDE) for number in STYLES]
    contents = [to_tensor(resize_smallest_side(picture, SIDE))[0] for picture in photographs()]
    sheets = {
        "pictures": pairs_sheet(models, list(zip(contents, styles, strict=True)), CELL),
        "stability": stability_sheet(models, list(read_frames(clip, SIDE, FRAMES)), styles[0], CELL),
    }
    for name, page in sheets.items():
        write_image(page, arguments.output / f"{arguments.name}-{name}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main()
