"""The command `ieast`."""

import json
import logging
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal

import typer

from ieast.cli.adapt import adapt
from ieast.cli.compare import compare
from ieast.cli.data import data_app
from ieast.cli.doctor import doctor
from ieast.cli.engines import EngineOption
from ieast.cli.measure_styles import measure_styles
from ieast.cli.models import model_folder
from ieast.cli.novelty import describe_novelty
from ieast.cli.options import Output
from ieast.cli.registry import list_versions, promote, register, rollback
from ieast.cli.serve import serve
from ieast.cli.sheet import sheet
from ieast.cli.streams import tolerant_streams
from ieast.cli.study import study_app
from ieast.cli.texture import texture
from ieast.cli.webcam import webcam
from ieast.errors import ConfigError, IeastError, ImageError
from ieast.installation import extras, install_with
from ieast.installation import version as installed_version

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(data_app, name="data")
app.add_typer(study_app, name="study")
app.command()(compare)
app.command()(promote)
app.command()(register)
app.command()(rollback)
app.command("models")(list_versions)
app.command()(serve)
app.command()(sheet)
app.command()(webcam)
app.command()(adapt)
app.command()(texture)
app.command("measure-styles")(measure_styles)
app.command()(doctor)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ieast {installed_version()}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say which version this is.")
    ] = False,
) -> None:
    """The command `ieast`."""


@app.command()
def stylize(
    content: Annotated[Path, typer.Argument(help="A picture, a video, or a folder of pictures.")],
    style: Annotated[list[Path], typer.Argument(help="An artwork, several to blend, or a folder to apply one by one.")],
    output: Output,
    model: Annotated[str, typer.Option(help="`ieast` or `sanet` as shipped, a model folder, or an MLflow URI.")] = "ieast",
    alpha: Annotated[float, typer.Option(help="0 keeps the content, 1 stylizes fully.")] = 1.0,
    weight: Annotated[list[float] | None, typer.Option(help="Once for each style: its share of the blend.")] = None,
    mask: Annotated[list[Path] | None, typer.Option(help="Once for each style: a picture, white where it applies.")] = None,
    style_size: Annotated[int, typer.Option(min=16, help="The style's smallest side in pixels, if it is larger.")] = 512,
    preserve_colour: Annotated[
        Literal["none", "luminance", "coral"],
        typer.Option(help="Keep the content's colours: in the result (luminance), or by recolouring the style first (coral)."),
    ] = "none",
    frames: Annotated[bool, typer.Option("--frames", help="The content folder holds the frames of one clip.")] = False,
    frame_rate: Annotated[str | None, typer.Option(help="Frames a second of a folder of frames, as 25 or 30000/1001.")] = None,
    steady: Annotated[
        bool,
        typer.Option("--steady", help="Let the strokes of a clip go with what they are painted on; they flicker otherwise."),
    ] = False,
    content_noise: Annotated[
        float, typer.Option(help="Faint noise on the content, so that even areas get strokes and no pattern; 0: none.")
    ] = 0.01,
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option(help="bf16 is up to twice as fast where the hardware can, and a little coarser.")
    ] = "fp32",
    keep_alpha: Annotated[
        bool, typer.Option("--keep-alpha", help="Keep a picture's transparency, as PNG or WebP; it is laid on white otherwise.")
    ] = False,
    suffix: Annotated[str, typer.Option(help="Kind of files that a folder of pictures, or standard output, becomes.")] = ".png",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")] = "auto",
    engine: EngineOption = "auto",
    processes: Annotated[int, typer.Option(min=1, help="That share a folder's pictures, by Ray.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was made as one line of JSON.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say how far each style is from those that the model was trained on.")
    ] = False,
) -> None:
    """Stylize a picture, a folder of pictures, or a video; results have exactly the content's width and height.

    `-` in the place of a picture is standard input, and as --output standard output.
    """
    from ieast.config.stylization import StylizeOptions
    from ieast.io.images import check_writable_image_path
    from ieast.io.listing import some
    from ieast.stylization.files import STANDARD, is_video, stylize_folder, stylize_picture, stylize_video
    from ieast.stylization.in_order import require_opencv
    from ieast.stylization.loading import EngineSource

    masks = tuple(mask or ())
    options = StylizeOptions(alpha, tuple(weight or ()), style_size, preserve_colour, precision, steady, content_noise)
    is_clip = frames or (is_video(content) and not content.is_dir()) or is_video(output)
    is_folder = not is_clip and (content.is_dir() or (len(style) == 1 and style[0].is_dir()))
    if not is_folder and not is_clip and output != STANDARD:
        check_writable_image_path(output)
    if output == STANDARD and (is_folder or is_clip):
        raise ConfigError("--output -: standard output takes one picture; give a folder or a video's name")
    for path in (content, *style, *masks):
        if path == STANDARD and path is not content:
            raise ConfigError("-: only the content comes from standard input; give styles and masks as files")
        if path != STANDARD and not path.exists():
            raise ImageError(f"{path}: there is no such file or folder. Check the path")
    if processes > 1 and not is_folder:
        raise ConfigError("--processes is for folders of pictures or styles; one picture or clip is made by one. Leave it out")
    if keep_alpha and is_clip:
        raise ConfigError("--keep-alpha is for pictures; clips are written without transparency. Leave it out")
    if steady:
        if not is_clip:
            raise ConfigError("--steady is for videos, and for the frames of one with --frames. Leave it out")
        require_opencv()
    if frame_rate is not None and not is_clip:
        raise ConfigError("--frame-rate is for a folder of frames; say --frames, or give a video's name as --output")
    if is_folder and len(style) > 1:
        raise ConfigError(f"a folder of contents takes one style or one folder of styles, not {len(style)}")
    if is_folder and masks:
        raise ConfigError("--mask is for one picture or clip; a folder of pictures or styles takes none")
    if not is_folder and any(path.is_dir() for path in style):
        raise ConfigError("a folder of styles is applied to pictures one by one; give artworks to blend, or one folder alone")
    rate = _fraction(frame_rate)
    started = monotonic()
    folder = model_folder(model)
    source = EngineSource(folder, engine, device)
    loaded, method = source.load()
    told, novelty = describe_novelty(folder, getattr(loaded, "stylizer", None), style) if verbose else ("", {})
    failed: Mapping[Path, str] = {}
    counts: dict[str, Any]
    notes = ""
    if is_clip:
        clip = stylize_video(loaded, content, style, output, options, masks, rate)
        sound = clip.audio_copied + clip.audio_encoded
        counts, words = (
            {"frames": clip.frames, "audio_tracks": sound},
            f"{clip.frames} frames" + f", {sound} audio tracks" * bool(sound),
        )
    elif is_folder:
        done = stylize_folder(
            loaded,
            content,
            style[0],
            output,
            options,
            suffix,
            keep_alpha=keep_alpha,
            source=source,
            processes=processes,
        )
        failed = done.failed
        passed_over = [str(path) for path in done.passed_over]
        counts = {
            "made": done.made,
            "kept": done.kept,
            "failed": {str(path): reason for path, reason in failed.items()},
            "passed_over": passed_over,
        }
        words = f"{done.made} pictures made, {done.kept} kept from before"
        notes = (
            f"\n{len(passed_over)} files passed over, because they are no pictures: {some(passed_over)}" if passed_over else ""
        )
    else:
        width, height = stylize_picture(loaded, content, style, output, options, masks, suffix, keep_alpha=keep_alpha)
        counts, words = {"width": width, "height": height}, f"{width}x{height}"
    facts = {"output": str(output), **counts, "method": method, "seconds": round(monotonic() - started, 3)}
    if verbose:
        facts["novelty"] = novelty
        notes += told
    typer.echo(json.dumps(facts) if as_json else f"{output}  {words}, {method}{notes}", err=output == STANDARD)
    if failed:
        reasons = "\n".join(f"  {reason}" for reason in failed.values())
        raise ImageError(f"{len(failed)} pictures could not be stylized; all others are there:\n{reasons}")


def _fraction(text: str | None) -> Fraction | None:
    try:
        # Containers hold numerators and denominators of few digits; of 23.976023976... this is 24000/1001.
        rate = None if text is None else Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError):
        raise ConfigError(f"--frame-rate is {text!r}; give a number such as 25, 23.976 or 30000/1001") from None
    if rate is not None and not 0 < rate <= 1000:
        raise ConfigError(f"--frame-rate is {text}; it must lie between 0 and 1000")
    return rate


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder with content/ and style/.")],
    config: Annotated[Path, typer.Option(help="A YAML file as in configs/.")],
    output: Output,
) -> None:
    """Train without ZenML, MLflow or DVC, as on a bare GPU machine; run again to continue."""
    from ieast.data.prepare import folder_digest, prepare_dataset
    from ieast.experiment import ExperimentConfig
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
    from ieast.models.teacher import build_teacher
    from ieast.training.distillation import distill as distill_encoder
    from ieast.training.distillation import distillation_folder

    settings = DistillationConfig.load(config)
    build_teacher(settings.teacher)  # what is missing is said before hours of preparation
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
    from ieast.checkpoint import import_published, model_place

    output = model_place(output)
    card = import_published(vgg, transform, decoder, output)
    typer.echo(f"{output}  {card.method} on {card.encoder.name} {card.encoder.digest[:12]}")


@app.command("export")
def export_model(
    model: Annotated[str, typer.Argument(help="A model folder, or an MLflow URI.")],
    output: Output,
) -> None:
    """Copy a model in half precision, for shipping; without the encoder if it is the one this package ships."""
    from ieast.checkpoint import export_compact, model_place
    from ieast.stylization.files import check_not_an_input

    output = model_place(output)
    folder = model_folder(model)
    check_not_an_input(output, (folder,))
    card = export_compact(folder, output)
    size = sum(path.stat().st_size for path in output.iterdir())
    typer.echo(f"{output}  {card.method}, {size / 1e6:.1f} MB: {', '.join(sorted(card.files))}")


@app.command("export-onnx")
def export_onnx(
    model: Annotated[str, typer.Argument(help="A model folder, or an MLflow URI.")],
    output: Output,
) -> None:
    """Write a model as ONNX graphs of any picture size, checked against PyTorch; `ieast stylize` runs them without PyTorch."""
    from ieast.checkpoint import load_model
    from ieast.io.files import replaceable
    from ieast.onnx.export import FILES
    from ieast.onnx.export import export_onnx as export

    output = replaceable(output, FILES)
    stylizer, card = load_model(model_folder(model))
    exported = export(stylizer, output, card.method)
    size = sum(path.stat().st_size for path in output.iterdir())
    typer.echo(
        f"{output}  {card.method}, {size / 1e6:.1f} MB, opset {exported.opset}, "
        f"up to {exported.largest_difference:.0e} from PyTorch: {', '.join(sorted(exported.files))}"
    )


@app.command()
def gallery(
    output: Output,
    model: Annotated[list[str] | None, typer.Option(help="Models to show side by side; by default those shipped.")] = None,
) -> None:
    """Show what models do, on photographs in the public domain and drawn artworks."""
    from ieast.checkpoint import load_model
    from ieast.stylization.gallery import make_gallery

    names = model or ["ieast", "sanet"]
    stylizers = {name: load_model(model_folder(name))[0] for name in names}
    for path in make_gallery(stylizers, output):
        typer.echo(f"picture   {path}")


@app.command("last-run")
def last_run(
    work_folder: Annotated[Path, typer.Option(help="The run's work_folder.", envvar="IEAST_WORK")] = Path(".work"),
) -> None:
    """Say again what the last pipeline run produced and where to look."""
    path = work_folder / "last_run.txt"
    if not path.is_file():
        raise ConfigError(f"no pipeline run has finished yet: there is no {path}")
    typer.echo(path.read_text())


def main() -> None:
    """Run the command line; errors a user can mend are one message and exit code 2."""
    with tolerant_streams():
        _main()


def _main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        app()
    except ModuleNotFoundError as error:
        if (error.name or "ieast").split(".")[0] == "ieast":
            raise
        typer.echo(
            f"ieast: this command needs {error.name}, which is not installed: {install_with('EXTRA')}, where EXTRA is one of "
            + ", ".join(extras()),
            err=True,
        )
        sys.exit(2)
    except IeastError as error:
        typer.echo(f"ieast: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        typer.echo(f"ieast: {error.filename}: {error.strerror}. Check the path, its permissions and the disk", err=True)
        sys.exit(2)
