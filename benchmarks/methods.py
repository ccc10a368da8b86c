"""Speed and memory of models in one sitting, to be compared: `python -m benchmarks.methods NAME=FOLDER ... -o FILE`.

The benchmark pipeline measures each method when its turn comes, perhaps on a machine that was busier than at another's.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd
from PIL import Image

from ieast.config import SpeedConfig
from ieast.data.sample.artworks import draw_artwork
from ieast.data.sample.photographs import draw_photograph
from ieast.evaluation.speed import measure_speed
from ieast.io.images import write_image


def main() -> None:
    """Measure and write a CSV file: a row a model and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="NAME=FOLDER")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="pixels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120, help="seconds, above which a size is not measured")
    parser.add_argument("--output", "-o", type=Path, required=True)
    arguments = parser.parse_args()
    config = SpeedConfig(sizes=tuple(arguments.sizes), repeats=arguments.repeats, limit=arguments.limit)
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        content, style = Path(folder, "content.png"), Path(folder, "style.png")
        write_image(Image.fromarray(draw_photograph(5, seed=0)), content)
        write_image(Image.fromarray(draw_artwork(0, seed=0)), style)
        for name, _, model in (each.partition("=") for each in arguments.models):
            tables.append(measure_speed(Path(model), content, style, config).assign(model=name))
            print(tables[-1].to_string(index=False), flush=True)
    pd.concat(tables)[["model", "size", "seconds", "peak_mb", "note"]].to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
