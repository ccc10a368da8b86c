"""The command `ieast texture`."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from ieast.cli.models import model_folder
from ieast.cli.options import Output
from ieast.errors import ConfigError, ImageError
from ieast.stylization.loading import device_called

SMALLEST, LARGEST = 64, 16384
"""Pixels a side of a texture."""


def texture(
    style: Annotated[Path, typer.Argument(help="An artwork.")],
    output: Output,
    size: Annotated[str, typer.Option(help="Width and height in pixels.")] = "1024x1024",
    seed: Annotated[int, typer.Option(min=0, help="Another one gives another texture of the same kind.")] = 0,
    tileable: Annotated[bool, typer.Option("--tileable", help="Opposite edges continue each other.")] = False,
    start: Annotated[
        Literal["crops", "noise"], typer.Option(help="What is stylized: a collage of the artwork's crops, or noise.")
    ] = "crops",
    method: Annotated[
        Literal["model", "gatys"], typer.Option(help="The trained model, or optimization, which is slow and a reference.")
    ] = "model",
    model: Annotated[str, typer.Option(help="`ieast` or `sanet` as shipped, a model folder, or an MLflow URI.")] = "ieast",
    style_size: Annotated[int, typer.Option(min=32, help="The style's smallest side in pixels, if it is larger.")] = 512,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")] = "auto",
) -> None:
    """Make a texture of any size from an artwork, and say how much it repeats and whether it tiles."""
    from ieast.checkpoint import load_model
    from ieast.evaluation.textures import repetition, seam_ratio
    from ieast.io.images import check_writable_image_path, to_image, to_tensor, write_image
    from ieast.stylization.inputs import is_of_one_colour, read_style
    from ieast.stylization.texture import check_tileable, make_texture, optimize_texture
    from ieast.stylizer.allocator import keep_freed_memory

    check_writable_image_path(output)
    if output.exists() and style.exists() and output.samefile(style):
        raise ImageError(f"{output}: is the style itself, and would be overwritten. Give another name")
    width, height = _size(size)
    check_tileable((height, width), tileable)
    if method == "gatys" and (tileable or start != "crops"):
        raise ConfigError("--method gatys begins with noise and takes neither --tileable nor --start; leave them out")
    picture = read_style(style, style_size)
    if is_of_one_colour(picture):
        raise ImageError(f"{style}: is of one colour, and has no texture. Give another artwork")
    keep_freed_memory()
    stylizer, card = load_model(model_folder(model))
    if method == "model" and not stylizer.any_style:
        raise ConfigError(
            f"--model {model}: {card.method} stylizes in the styles that it learnt and in no others; give another"
        )
    stylizer = stylizer.to(device_called(device))
    pixels = to_tensor(picture).to(device_called(device))
    if method == "gatys":
        texture = optimize_texture(stylizer, pixels, (height, width), seed)
    else:
        texture = make_texture(stylizer, pixels, (height, width), seed, start=start, tileable=tileable)
    write_image(to_image(texture.cpu()), output)
    by = "gatys" if method == "gatys" else card.method
    typer.echo(
        f"{output}  {width}x{height}, {by}: repetition {repetition(texture):.2f} (the artwork's own {repetition(pixels):.2f}), "
        f"opposite edges differ {seam_ratio(texture):.2f} times as much as neighbouring lines"
    )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    if match is None:
        raise ConfigError(f"--size is {text!r}; give width and height as 2048x1024")
    width, height = int(match[1]), int(match[2])
    if not all(SMALLEST <= side <= LARGEST for side in (width, height)):
        raise ConfigError(f"--size is {text}; each side must have {SMALLEST} to {LARGEST} pixels")
    return width, height
