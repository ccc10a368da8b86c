"""A small copy of a dataset that can travel: `python -m benchmarks.subset DATA DEST --megabytes 40`.

Pictures of DATA's content/ and style/ that training may see, evenly spread over each side, as WebP of at most 512 pixels.
"""

import io
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from ieast.data.prepare import folder_digest, prepare_dataset
from ieast.experiment import ExperimentConfig
from ieast.io.images import read_image

STYLE_SHARE = 0.68
"""Of the bytes: styles differ more from each other than photographs do."""


def spread(paths: list[Path], budget: int, quality: int) -> dict[str, bytes]:
    """Encoded pictures by name, of as many of `paths`, evenly spread, as `budget` bytes hold."""
    # In an order whose every beginning is spread over the whole: the fractional parts of multiples of the golden ratio.
    order = sorted(range(len(paths)), key=lambda k: (k * 0.6180339887498949) % 1)
    chosen: dict[str, bytes] = {}
    left = budget
    for k in order:
        data = _webp(read_image(paths[k]), quality)
        if len(data) > left:
            break
        left -= len(data)
        chosen[f"{paths[k].name.removesuffix('.jpg')}.webp"] = data
    return chosen


def _webp(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality)
    return buffer.getvalue()


def main(
    data: Annotated[Path, typer.Argument(help="Folder with content/ and style/.")],
    destination: Annotated[Path, typer.Argument(help="Folder to make.")],
    config: Annotated[Path, typer.Option(help="Says how pictures are prepared and which are held out.")],
    work: Annotated[Path, typer.Option(help="Where prepared pictures are kept.")] = Path(".work"),
    megabytes: Annotated[float, typer.Option(help="Size of the copy.")] = 40.0,
    quality: Annotated[int, typer.Option(help="Of WebP.")] = 80,
) -> None:
    """Choose, encode, write."""
    settings = ExperimentConfig.load(config)
    prepared = prepare_dataset(data, work, settings.prepare, folder_digest(data))
    for side, share in (("content", 1 - STYLE_SHARE), ("style", STYLE_SHARE)):
        pictures = spread(prepared.training_paths(side), int(share * megabytes * 1e6), quality)
        folder = destination / side
        folder.mkdir(parents=True)
        for name, encoded in pictures.items():
            (folder / name).write_bytes(encoded)
        typer.echo(f"{folder}: {len(pictures)} pictures, {sum(map(len, pictures.values())) / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
