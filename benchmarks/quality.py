"""How good models are on pictures they never saw, at several sizes.

python -m benchmarks.quality DATA --config configs/compact.yaml -o FOLDER

DATA holds content/ and style/, of which the configuration keeps the share `prepare.held_out` from training. Makes pictures of
the same pairs by every model, and a table of the style and content distance of the README.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from tqdm import tqdm

from ieast.checkpoint import load_model
from ieast.config import EncoderConfig, PrepareConfig
from ieast.data.prepare import PreparedDataset, folder_digest, prepare_dataset
from ieast.evaluation.distances import content_distance, style_distance
from ieast.experiment import ExperimentConfig
from ieast.io.images import read_image, resize_smallest_side, to_image, to_tensor, write_image
from ieast.models.encoder import Encoder
from ieast.models.encoder_weights import build_encoder
from ieast.models.pretrained import released_or_folder
from ieast.stylization.session import StylizeOptions
from ieast.stylizer.base import Stylizer


def held_out_pairs(prepared: PreparedDataset, count: int, match: str) -> list[tuple[Path, Path]]:
    """The same `count` pairs of held-out contents and styles every time; styles are those whose name contains `match`."""
    random = np.random.default_rng(0)
    contents = prepared.scoring_paths("content")
    styles = [path for path in prepared.scoring_paths("style") if match in path.name]
    if not styles:
        raise typer.BadParameter(f"no held-out style has {match!r} in its name")
    # Every style comes up as often as the others, give or take one.
    return [(contents[random.integers(len(contents))], styles[number % len(styles)]) for number in range(count)]


@torch.inference_mode()
def score(
    name: str, stylizer: Stylizer, pairs: list[tuple[Path, Path]], size: int, metric_encoder: Encoder, folder: Path
) -> list[dict[str, object]]:
    """A row a pair; pictures go to `folder`."""
    rows: list[dict[str, object]] = []
    for number, (content_path, style_path) in enumerate(tqdm(pairs, desc=f"{name} at {size}")):
        content = to_tensor(resize_smallest_side(read_image(content_path), size))
        style = to_tensor(resize_smallest_side(read_image(style_path), min(size, StylizeOptions.style_size)))
        stylized = stylizer.stylize(content, style)
        stem = folder / f"{number:02d}"
        for kind, picture in (("content", content), ("style", style), (name, stylized)):
            write_image(to_image(picture), stem.with_name(f"{stem.name}_{kind}.png"))
        rows.append(
            {
                "model": name,
                "size": size,
                "content": content_path.stem,
                "style": style_path.stem,
                "style_distance": float(style_distance(metric_encoder, stylized, style)),
                "content_distance": float(content_distance(metric_encoder, stylized, content)),
            }
        )
    return rows


def main(
    data: Annotated[Path, typer.Argument(help="Folder with content/ and style/.")],
    config: Annotated[Path, typer.Option(help="The configuration the models were trained with.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where pictures and tables go.")],
    model: Annotated[list[str] | None, typer.Option(help="Models; by default those shipped.")] = None,
    size: Annotated[list[int] | None, typer.Option(help="Smallest sides in pixels.")] = None,
    pairs: Annotated[int, typer.Option(min=1)] = 24,
    match: Annotated[str, typer.Option(help="Only styles with this in their names.")] = "",
    metric_weights: Annotated[str | None, typer.Option(help="Encoder file to score with; by default the shipped one.")] = None,
) -> None:
    """Make the pictures and print the medians."""
    settings: PrepareConfig = ExperimentConfig.load(config).prepare
    prepared = prepare_dataset(data, output, settings, folder_digest(data))
    chosen = held_out_pairs(prepared, pairs, match)
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights=metric_weights))
    rows = []
    for name in model or ["ieast", "sanet"]:
        stylizer, _ = load_model(released_or_folder(name))
        for side in size or [256, 512, 1024]:
            rows += score(name.replace("/", "-"), stylizer, chosen, side, encoder, output / "pictures" / str(side))
    table = pd.DataFrame(rows)
    table.to_csv(output / "quality.csv", index=False)
    medians = table.groupby(["model", "size"])[["style_distance", "content_distance"]].median().round(3)
    typer.echo(f"{medians}\n{len(chosen)} pairs; pictures and quality.csv in {output}")


if __name__ == "__main__":
    typer.run(main)
