"""Textures of drawn styles by the trained model and by Gatys: distance, repetition, seams, seconds, and a sheet of them.

python -m benchmarks.textures -o OUT [--size 384]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from ieast.checkpoint import load_model
from ieast.evaluation.distances import style_distance
from ieast.evaluation.textures import repetition, seam_ratio
from ieast.io.contact_sheet import Cell, sheet
from ieast.io.images import to_image, to_tensor
from ieast.models.pretrained import MODELS
from ieast.styles import shipped_styles
from ieast.stylization.inputs import read_style
from ieast.stylization.texture import make_texture, optimize_texture

STYLES = ("swirls", "stained_glass", "linocut", "watercolour")


def main() -> None:
    """Print the table and write it, and the sheet, to OUT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", type=int, default=384, help="pixels a side")
    arguments = parser.parse_args()
    size: int = arguments.size
    stylizer, _ = load_model(MODELS["ieast"])
    rows, sheets = [], []
    for name in STYLES:
        style = to_tensor(read_style(shipped_styles()[name], size))
        kinds: dict[str, Callable[[Tensor], Tensor]] = {
            "collage of crops": lambda pixels: make_texture(stylizer, pixels, (size, size), 0),
            "another seed": lambda pixels: make_texture(stylizer, pixels, (size, size), 1),
            "tileable": lambda pixels: make_texture(stylizer, pixels, (size, size), 2, tileable=True),
            "noise": lambda pixels: make_texture(stylizer, pixels, (size, size), 0, start="noise"),
            "Gatys": lambda pixels: optimize_texture(stylizer, pixels, (size, size), 0),
        }
        rows.append({"style": name, "texture": "the artwork", "repetition": repetition(style)})
        row = [Cell(to_image(style), name)]
        for kind, make in kinds.items():
            started = time.process_time()
            texture = make(style)
            seconds = time.process_time() - started
            with torch.inference_mode():
                distance = float(style_distance(stylizer.encoder, texture, style))
            values = {"style distance": distance, "repetition": repetition(texture), "seam": seam_ratio(texture)}
            rows.append({"style": name, "texture": kind, **values, "CPU seconds": seconds})
            # Rolled by half its size, a tile shows its seams in the middle.
            shown = torch.roll(texture, (size // 2, size // 2), (2, 3)) if kind == "tileable" else texture
            row.append(Cell(to_image(shown.clone()), f"{kind}, rolled by half" if kind == "tileable" else kind))
        sheets.append(row)
    arguments.output.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows).round(2)
    table.to_csv(arguments.output / "textures.csv", index=False)
    sheet(sheets, 256).save(arguments.output / "textures.jpg", quality=88)
    print(table.to_string(index=False, na_rep=""))
    print(f"sheet  {arguments.output / 'textures.jpg'}\ntable  {arguments.output / 'textures.csv'}")


if __name__ == "__main__":
    main()
