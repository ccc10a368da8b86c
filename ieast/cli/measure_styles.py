"""The command `ieast measure-styles`."""

from pathlib import Path
from typing import Annotated

import typer

from ieast.errors import ConfigError, ImageError


def measure_styles(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    styles: Annotated[Path, typer.Argument(help="A folder with the artworks that it was trained on.")],
) -> None:
    """Note in a model's card where its training styles lie, for models that were made before cards had that.

    `ieast stylize --verbose` then says how far a style is from them.
    """
    from ieast.checkpoint import load_model, note_styles
    from ieast.io.listing import find_pictures
    from ieast.stylization.novelty import measure_styles as measure

    stylizer, _ = load_model(model)
    if not stylizer.any_style:
        raise ConfigError(f"{model} stylizes in the styles that it learnt and in no others, so none can be new to it")
    if not styles.is_dir():
        raise ImageError(f"{styles}: there is no such folder. Give the one with the training styles")
    pictures = find_pictures(styles).pictures
    card = note_styles(model, measure(stylizer.encoder, pictures))
    assert card.styles is not None
    middle, far = (card.styles.quantile(share) for share in (0.5, 0.95))
    typer.echo(
        f"{model}  {card.styles.count} styles: half are nearer than {middle:.2f} to their middle, 95 % nearer than {far:.2f}"
    )
