"""The command `ieast adapt`."""

from pathlib import Path
from typing import Annotated

import typer

from ieast.cli.models import model_folder
from ieast.cli.options import Output
from ieast.config.adaptation import AdaptationConfig

_DEFAULT = AdaptationConfig()


def adapt(
    model: Annotated[str, typer.Argument(help="`ieast` or `sanet` as shipped, a model folder, or an MLflow URI.")],
    style: Annotated[list[Path], typer.Argument(help="The artwork to follow closely, or a dozen by one hand.")],
    output: Output,
    content: Annotated[
        Path | None, typer.Option(help="A folder of photographs to learn on; by default some are drawn.")
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="How long; the guard may end it earlier.")] = _DEFAULT.iterations,
    learning_rate: Annotated[float, typer.Option(help="How fast decoder and transform change.")] = _DEFAULT.learning_rate,
    content_tolerance: Annotated[
        float, typer.Option(min=1, help="How many times as far as before contents may be; weights from before that are kept.")
    ] = _DEFAULT.content_tolerance,
    seed: Annotated[int, typer.Option(min=0, help="Of crops, and of contents that are drawn.")] = _DEFAULT.seed,
) -> None:
    """Fine-tune a model on an artwork or a dozen, a few minutes on a CPU, so that it follows them more closely."""
    from ieast.checkpoint import model_place
    from ieast.stylization.files import check_not_an_input
    from ieast.training.adaptation import adapt as adapt_model

    output = model_place(output)
    settings = AdaptationConfig.parse(
        {"iterations": iterations, "learning_rate": learning_rate, "content_tolerance": content_tolerance, "seed": seed},
        "ieast adapt",
    )
    folder = model_folder(model)
    check_not_an_input(output, (folder,))
    done = adapt_model(folder, style, output, settings, content)
    before = done.looks[0]
    typer.echo(
        f"{output}  {done.card.method}: style distance to {len(style)} artworks {done.best.style_ratio(before):.2f} of what it "
        f"was, content distance {done.best.content / before.content:.2f}, after {done.best.iteration} iterations"
        + (", where contents began to be lost" if done.lost else "")
    )
    typer.echo(
        f"use it    ieast stylize photo.jpg {style[0]} --model {output} -o out.png\nregister  ieast register {output} NAME"
    )
