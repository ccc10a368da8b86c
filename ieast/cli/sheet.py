"""The command `ieast sheet`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ieast.cli.models import model_folder
from ieast.cli.options import Output
from ieast.errors import ImageError
from ieast.stylization.loading import device_called


def sheet(
    photo: Annotated[Path, typer.Argument(help="A picture.")],
    output: Output,
    styles: Annotated[Path | None, typer.Option(help="A folder of artworks; by default those that are shipped.")] = None,
    model: Annotated[str, typer.Option(help="`ieast` or `sanet` as shipped, a model folder, or an MLflow URI.")] = "ieast",
    alpha: Annotated[float, typer.Option(help="0 keeps the content, 1 stylizes fully.")] = 1.0,
    size: Annotated[int, typer.Option(min=64, help="The photo's smallest side in pixels, if it is larger.")] = 512,
    style_size: Annotated[int, typer.Option(min=16, help="The style's smallest side in pixels, if it is larger.")] = 512,
    preserve_colour: Annotated[
        Literal["none", "luminance", "coral"], typer.Option(help="Keep the photo's colours, as for `ieast stylize`.")
    ] = "none",
    cell: Annotated[int, typer.Option(min=32, max=2048, help="Side of each picture on the sheet, in pixels.")] = 256,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")] = "auto",
) -> None:
    """Show one photo in every style of a folder, on one sheet."""
    from ieast.checkpoint import load_model
    from ieast.config.stylization import StylizeOptions
    from ieast.io.images import check_writable_image_path, read_image, write_image
    from ieast.io.listing import find_pictures
    from ieast.styles import shipped_styles
    from ieast.stylization.files import check_not_an_input, names_of
    from ieast.stylization.inputs import scaled_down
    from ieast.stylization.overview import stylize_sheet
    from ieast.stylizer.allocator import keep_freed_memory

    check_writable_image_path(output)
    if styles is not None and not styles.is_dir():
        why = "is a file. Give a folder of artworks" if styles.exists() else "there is no such folder. Check the path"
        raise ImageError(f"{styles}: {why}")
    named = shipped_styles() if styles is None else names_of(find_pictures(styles).pictures, styles)
    if not named:
        raise ImageError(f"{styles}: holds no pictures. Give a folder of artworks")
    check_not_an_input(output, (photo, *named.values()))
    picture = scaled_down(read_image(photo), size)
    keep_freed_memory()
    stylizer, card = load_model(model_folder(model))
    options = StylizeOptions(alpha, style_size=style_size, preserve_colour=preserve_colour)
    contact_sheet, failed = stylize_sheet(stylizer.to(device_called(device)), picture, named, options, cell)
    write_image(contact_sheet, output)
    typer.echo(f"{output}  {len(named) - len(failed)} styles, {card.method}")
    if failed:
        reasons = "\n".join(f"  {reason}" for reason in failed.values())
        raise ImageError(f"{len(failed)} styles could not be applied; all others are on the sheet:\n{reasons}")
