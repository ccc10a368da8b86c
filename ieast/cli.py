"""The command `ieast`."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from ieast.errors import ConfigError, IeastError, ImageError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__)
data_app = typer.Typer(no_args_is_help=True, help="Datasets: draw the sample, or bring your own under DVC.")
app.add_typer(data_app, name="data")

Output = Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")]


@app.command()
def stylize(
    content: Annotated[Path, typer.Argument(help="The picture to stylise.")],
    style: Annotated[Path, typer.Argument(help="The artwork whose style it takes.")],
    output: Output,
    model: Annotated[str, typer.Option(help="A model folder, or an MLflow URI.")] = "models:/ieast@champion",
    alpha: Annotated[float, typer.Option(help="0 keeps the content, 1 stylises fully.")] = 1.0,
    style_size: Annotated[int, typer.Option(min=16, help="The style's smallest side in pixels, if it is larger.")] = 512,
) -> None:
    """Stylise one picture of any size; the result has exactly the content's width and height."""
    from ieast.images import check_writable_image_path, read_image, resize_smallest_side, to_image, to_tensor, write_image
    from ieast.models.checkpoint import load_model

    check_writable_image_path(output)
    if not 0 <= alpha <= 1:
        raise ConfigError(f"--alpha is {alpha}; it must lie between 0 and 1")
    if output.resolve() in (content.resolve(), style.resolve()):
        raise ImageError(f"--output {output} is one of the inputs and would be overwritten; give another path")
    content_image = read_image(content)
    style_image = read_image(style, smallest_side=style_size)
    if min(style_image.size) > style_size:
        style_image = resize_smallest_side(style_image, style_size)
    stylizer, _ = load_model(_model_folder(model))
    write_image(to_image(stylizer.stylize(to_tensor(content_image), to_tensor(style_image), alpha)), output)
    typer.echo(f"{output}  {content_image.width}x{content_image.height}")


def _model_folder(model: str) -> Path:
    from ieast.models.pretrained import released_or_folder

    if "://" in model or model.startswith(("models:/", "runs:/")):
        from ieast.registry.register import fetch_model

        return fetch_model(model)
    return released_or_folder(model)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder with content/ and style/.")],
    config: Annotated[Path, typer.Option(help="A YAML file as in configs/.")],
    output: Output,
) -> None:
    """Train without ZenML, MLflow or DVC, as on a bare GPU machine; run again to continue."""
    from ieast.config import ExperimentConfig
    from ieast.data.prepare import folder_digest, prepare_dataset
    from ieast.training.folders import training_folder
    from ieast.training.launch import TrainingJob
    from ieast.training.launch import train as train_job

    settings = ExperimentConfig.load(config)
    prepared = prepare_dataset(data, output, settings.prepare, folder_digest(data))
    folder = training_folder(output, settings, prepared.key)
    result = train_job(TrainingJob(config=settings, prepared=prepared, folder=folder))
    typer.echo(f"model     {result.model_folder}\ncurves    {folder / 'curves'}")
    typer.echo(f"picture   {result.pictures[-1] if result.pictures else 'none'}")


@app.command()
def distill(
    data: Annotated[Path, typer.Argument(help="Folder with content/ and style/.")],
    config: Annotated[Path, typer.Option(help="A YAML file such as configs/distillation.yaml.")],
    output: Output,
) -> None:
    """Train a compact encoder to imitate a VGG-19; run again to continue."""
    from ieast.config import DistillationConfig
    from ieast.data.prepare import folder_digest, prepare_dataset
    from ieast.training.distillation import distill as distill_encoder
    from ieast.training.distillation import distillation_folder

    settings = DistillationConfig.load(config)
    prepared = prepare_dataset(data, output, settings.prepare, folder_digest(data))
    result = distill_encoder(settings, prepared, distillation_folder(output, settings, prepared))
    for tap, values in result.agreement.items():
        typer.echo(f"{tap}  relative error {values['relative_error']:.3f}  correlation {values['correlation']:.3f}")
    typer.echo(f"encoder   {result.encoder}\ncard      {result.card}")


@app.command("import-checkpoint")
def import_checkpoint(
    vgg: Annotated[Path, typer.Option(help="vgg_normalised.pth")],
    transform: Annotated[Path, typer.Option(help="transformer_iter_N.pth")],
    decoder: Annotated[Path, typer.Option(help="decoder_iter_N.pth")],
    output: Output,
) -> None:
    """Turn the published .pth files into a model folder that every other command takes."""
    from ieast.models.checkpoint import import_published

    card = import_published(vgg, transform, decoder, output)
    typer.echo(f"{output}  {card.method} on {card.encoder.name} {card.encoder.digest[:12]}")


@app.command("export")
def export_model(
    model: Annotated[str, typer.Argument(help="A model folder, or an MLflow URI.")],
    output: Output,
) -> None:
    """Copy a model in half precision, for shipping; without the encoder if it is the one this package ships."""
    from ieast.models.checkpoint import export_compact

    card = export_compact(_model_folder(model), output)
    size = sum(path.stat().st_size for path in output.iterdir())
    typer.echo(f"{output}  {card.method}, {size / 1e6:.1f} MB: {', '.join(sorted(card.files))}")


@app.command("last-run")
def last_run(
    work_folder: Annotated[Path, typer.Option(help="The run's work_folder.", envvar="IEAST_WORK")] = Path(".work"),
) -> None:
    """Say again what the last pipeline run produced and where to look."""
    path = work_folder / "last_run.txt"
    if not path.is_file():
        raise ConfigError(f"no pipeline run has finished yet: there is no {path}")
    typer.echo(path.read_text())


@data_app.command()
def sample(
    output: Output,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Draw the sample dataset: photographs, artworks and clips, the same for the same seed."""
    from ieast.data.sample import draw_sample

    counts = draw_sample(output, seed=seed)
    typer.echo(f"{output}  " + ", ".join(f"{number} {kind}" for kind, number in counts.items()))


@data_app.command()
def add(
    content: Annotated[Path, typer.Option(help="Folder of photographs, such as COCO's train2014.")],
    style: Annotated[Path, typer.Option(help="Folder of artworks, such as WikiArt.")],
    clips: Annotated[Path | None, typer.Option(help="Folder of clips, each a folder of frames.")] = None,
    repository: Annotated[Path, typer.Option(help="The repository whose data/ they become.")] = Path(),
) -> None:
    """Put your own pictures under DVC as this repository's dataset, in the place of the sample."""
    from ieast.data.additions import add_dataset

    added = add_dataset(repository, content, style, clips)
    counts = added.counts
    typer.echo(f"data  {added.md5}  {counts.content} contents, {counts.style} styles, {counts.clips} clips")
    typer.echo("\n".join(["Make it a version that runs can name:", *(f"  {line}" for line in added.next_steps)]))


def main() -> None:
    """Run the command line; errors a user can mend are one message and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        app()
    except IeastError as error:
        typer.echo(f"ieast: {error}", err=True)
        sys.exit(2)
