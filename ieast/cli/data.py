"""The commands of `ieast data`: datasets, drawn or brought."""

from pathlib import Path
from typing import Annotated

import typer

from ieast.cli.options import Output

data_app = typer.Typer(no_args_is_help=True, help="Datasets: draw the sample, or bring your own under DVC.")


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
    clips: Annotated[Path | None, typer.Option(help="Folder of clips, each a folder of frames or a video.")] = None,
    repository: Annotated[Path, typer.Option(help="The repository whose data/ they become.")] = Path(),
) -> None:
    """Put your own pictures under DVC as this repository's dataset, in the place of the sample."""
    from ieast.data.additions import add_dataset

    added = add_dataset(repository, content, style, clips)
    counts = added.counts
    typer.echo(f"data  {added.md5}  {counts.content} contents, {counts.style} styles, {counts.clips} clips")
    typer.echo("\n".join(["Make it a version that runs can name:", *(f"  {line}" for line in added.next_steps)]))


@data_app.command()
def pans(
    data: Annotated[Path, typer.Argument(help="Folder with content/ and style/.")],
    config: Annotated[Path, typer.Option(help="The configuration models are trained with: it says what is held out.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where clips go; by default DATA/clips.")] = None,
    count: Annotated[int, typer.Option(min=1)] = 16,
    frames: Annotated[int, typer.Option(min=2)] = 50,
) -> None:
    """Make clips to measure stability on, by panning and zooming over photographs that training does not see."""
    from ieast.data.camera_clips import make_pans
    from ieast.data.prepare import folder_digest, prepare_dataset
    from ieast.experiment import ExperimentConfig

    experiment = ExperimentConfig.load(config)
    prepared = prepare_dataset(data, Path(experiment.work_folder), experiment.prepare, folder_digest(data))
    clips = make_pans(prepared, output or data / "clips", count, frames)
    typer.echo(f"{output or data / 'clips'}  {len(clips)} clips of {frames} frames")
