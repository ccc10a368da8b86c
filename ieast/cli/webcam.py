"""The command `ieast webcam`."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ieast.cli.engines import EngineOption
from ieast.cli.models import model_folder
from ieast.errors import ConfigError, ImageError
from ieast.installation import install_with
from ieast.stylization.loading import EngineSource

if TYPE_CHECKING:
    from PIL import Image

    from ieast.io.camera import Camera
    from ieast.io.window import Window

_RECENT = 10
"""Frames over which the speed in the window's title is taken."""


def webcam(
    style: Annotated[list[Path], typer.Argument(help="An artwork, or several to blend.")],
    camera: Annotated[str, typer.Option(help="A camera's number, a video file in its place, or a stream's address.")] = "0",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A video to write until Ctrl-C, in the place of a window.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after as many.")] = None,
    size: Annotated[int, typer.Option(min=64, help="Smallest side of the frames in pixels, if they are larger.")] = 256,
    model: Annotated[str, typer.Option(help="`ieast` or `sanet` as shipped, a model folder, or an MLflow URI.")] = "ieast",
    alpha: Annotated[float, typer.Option(help="0 keeps the camera's picture, 1 stylizes fully.")] = 1.0,
    style_size: Annotated[int, typer.Option(min=16, help="The style's smallest side in pixels, if it is larger.")] = 256,
    preserve_colour: Annotated[Literal["none", "luminance"], typer.Option(help="Keep the camera's colours.")] = "none",
    steady: Annotated[bool, typer.Option("--steady", help="Let strokes go with what they are painted on.")] = False,
    content_noise: Annotated[
        float, typer.Option(help="Faint noise on frames, so that even areas get strokes and no pattern; 0: none.")
    ] = 0.01,
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option(help="bf16 is up to twice as fast where the hardware can, and a little coarser.")
    ] = "fp32",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")] = "auto",
    engine: EngineOption = "auto",
) -> None:
    """Stylize what a camera sees, in a window until q or Escape is pressed, or into a video."""
    if find_spec("cv2") is None:
        raise ConfigError(f"ieast webcam needs OpenCV: {install_with('webcam')}")
    from ieast.config.stylization import StylizeOptions
    from ieast.io.camera import Camera
    from ieast.io.video.recording import check_recordable, record
    from ieast.io.window import Window
    from ieast.stylization.files import check_not_an_input
    from ieast.stylization.in_order import in_order
    from ieast.stylization.inputs import read_style

    options = StylizeOptions(
        alpha, style_size=style_size, preserve_colour=preserve_colour, precision=precision, content_noise=content_noise
    )
    options.check(len(style))
    if output is not None:
        check_recordable(output)
    for path in style:
        if not path.exists():
            raise ImageError(f"{path}: there is no such file. Check the path")
    if output is not None:
        check_not_an_input(output, (*([Path(camera)] if Path(camera).is_file() else []), *style))
    # What is wrong with camera or display is said before seconds go by in which the model is loaded.
    with Camera(camera) as opened, closing(Window("ieast webcam")) if output is None else nullcontext() as window:
        loaded, method = EngineSource(model_folder(model), engine, device).load()
        session = loaded.open([read_style(path, style_size) for path in style], options, encode=True)
        stylize, _ = in_order(session.stylize, steady)
        stylized = islice(_stylized(opened, stylize, size), frames)
        started = monotonic()
        if window is not None:
            count = _show(stylized, window)
        elif output is not None:
            with _until_told(stylized) as until_told:
                count = record(output, until_told, opened.frame_rate)
    rate = count / max(monotonic() - started, 1e-9)
    place = "" if output is None else f"{output}  "
    typer.echo(f"{place}{count} frames, {rate:.1f} a second, {method}")


def _stylized(
    camera: "Camera", stylize: "Callable[[Image.Image], Image.Image]", size: int
) -> "Iterator[tuple[float, Image.Image]]":
    from ieast.stylization.inputs import scaled_down

    for seconds, frame in camera.frames():
        yield seconds, stylize(scaled_down(frame, size))


def _show(frames: "Iterator[tuple[float, Image.Image]]", window: "Window") -> int:
    """Show frames until there are no more or the window is closed; returns how many there were."""
    count, times = 0, [monotonic()]
    with suppress(KeyboardInterrupt):  # as good a way to end as q
        for _, picture in frames:
            times = [*times[-_RECENT:], monotonic()]
            window.show(picture, f"{(len(times) - 1) / (times[-1] - times[0]):.1f} frames a second")
            count += 1
            if not window.is_open:
                break
    return count


@contextmanager
def _until_told(frames: "Iterator[tuple[float, Image.Image]]") -> "Iterator[Iterator[tuple[float, Image.Image]]]":
    """`frames` until Ctrl-C or SIGTERM, after which the video is finished: it is whole, only shorter."""
    from ieast.io.progress import progress_bar

    told = False

    def tell(*_: object) -> None:
        nonlocal told
        told = True

    def going() -> "Iterator[tuple[float, Image.Image]]":
        with progress_bar(desc="recording", unit="frame") as bar:
            for frame in frames:
                yield frame
                bar.update()
                if told:
                    return

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield going()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
