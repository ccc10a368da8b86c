"""Stylizing files: one picture, every picture of a folder in every style of another, and clips."""

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image

from ieast.config import StylizeOptions
from ieast.errors import ConfigError, ImageError, OutputError
from ieast.io.files import atomic_write, place_for, sha256, turn
from ieast.io.images import (
    Behind,
    check_writable_image_path,
    decode_bytes,
    encode_image,
    explained,
    read_image,
    read_mask,
    write_image,
)
from ieast.io.listing import find_pictures
from ieast.io.progress import progress_bar
from ieast.io.transparency import check_keeps_alpha
from ieast.io.video import VIDEO_SUFFIXES, ClipResult, stylize_clip
from ieast.stylization.engine import Engine
from ieast.stylization.in_order import in_order
from ieast.stylization.inputs import check_mask, read_style
from ieast.stylization.jobs import Job, about, carry_out
from ieast.stylization.loading import EngineSource

SETTINGS = "stylization.json"
"""In a folder of results: what they were made with."""

STANDARD = Path("-")
"""In the place of a picture's name: standard input, or standard output."""


def stylize_picture(
    engine: Engine,
    content: Path,
    styles: Sequence[Path],
    output: Path,
    options: StylizeOptions,
    masks: Sequence[Path] = (),
    suffix: str = ".png",
    *,
    keep_alpha: bool = False,
) -> tuple[int, int]:
    """Stylize one picture.

    Args:
        engine: The model, on PyTorch or ONNX Runtime.
        content: The picture; `STANDARD` reads it from standard input.
        styles: Artworks; several are blended.
        output: A file, whose suffix says in which format; `STANDARD` writes to standard output.
        options: Options.
        masks: One a style, white where the style applies, of exactly the content's size; or none.
        suffix: Of the format that is written to standard output.
        keep_alpha: Whether the result is as transparent as the content, which is otherwise laid on white; PNG and WebP only.

    Returns:
        Width and height of the result, which are the content's.

    Raises:
        ConfigError: An option does not fit.
        ImageError: A picture cannot be read, the output's name says no format or one without transparency that is to be kept,
            or the output is one of the inputs.
        MemoryLimitError: There is not enough memory.
    """
    named = Path(f"standard output{suffix}") if output == STANDARD else output
    check_writable_image_path(named)
    if keep_alpha:
        check_keeps_alpha(named)
    if output != STANDARD:
        check_not_an_input(output, (content, *styles, *masks))
    options.check(len(styles), len(masks))
    behind: Behind | None = None if keep_alpha else "white"
    if content == STANDARD:
        picture = decode_bytes(sys.stdin.buffer.read(), name="standard input", behind=behind)
    else:
        picture = read_image(content, behind=behind)
    mask_pictures = [read_mask(mask) for mask in masks]
    _check_masks(masks, mask_pictures, content, picture.size)
    session = engine.open([read_style(style, options.style_size) for style in styles], options, mask_pictures)
    stylized = session.stylize(picture)
    if output == STANDARD:
        _print(encode_image(stylized, suffix))
    else:
        write_image(stylized, output)
    return picture.size


def _print(data: bytes) -> None:
    """Write to standard output, past what lets messages get lost there.

    Raises:
        OutputError: It is full, or closed otherwise than by a reader that has seen enough.
    """
    sys.stdout.flush()
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # somebody has put a stream of memory in its place
        sys.stdout.buffer.write(data)
        return
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except BrokenPipeError:
        return
    except OSError as error:
        raise OutputError(f"standard output cannot be written ({error.strerror}). Name a file by -o") from error


@dataclass(frozen=True)
class FolderResult:
    """What `stylize_folder` did.

    Attributes:
        made: Pictures made by this call.
        kept: Pictures that were there from an earlier, interrupted one.
        failed: Contents and styles that could not be read or stylized, and results that could not be written, with the reason.
        passed_over: What else lies in the folders and is not a picture.
    """

    made: int
    kept: int
    failed: dict[Path, str]
    passed_over: tuple[Path, ...] = ()


def stylize_folder(
    engine: Engine,
    contents: Path,
    styles: Path,
    output: Path,
    options: StylizeOptions,
    suffix: str = ".png",
    *,
    keep_alpha: bool = False,
    source: EngineSource | None = None,
    processes: int = 1,
) -> FolderResult:
    """Stylize every picture in `contents` in every style in `styles`; either may also be a single picture.

    Results lie in `output`/STYLE/CONTENT with the names of their originals. Pictures that are already there, from an earlier
    call with the same model, styles and options, are kept. One bad file does not lose the rest.

    Args:
        engine: The model, on PyTorch or ONNX Runtime.
        contents: A folder, searched with all folders in it, or a picture.
        styles: Such a folder or picture, too.
        output: A folder outside of these.
        options: Options; a folder of styles is not blended, so there are no weights.
        suffix: What kind of files to write.
        keep_alpha: As for `stylize_picture`.
        source: What `processes` load the model from.
        processes: How many share the work, as for `ieast.stylization.jobs.carry_out`.

    Raises:
        ConfigError: An option does not fit, `output` holds results of other settings or of unknown ones, or Ray is not
            installed.
        ImageError: There are no pictures, two results would have the same name or one that of an original, the suffix is not a
            format, or `output` cannot be written or lies in one of the others.
    """
    if options.weights:
        raise ConfigError("weights blend the styles of one picture; with a folder of styles each is applied alone")
    options.check(1)
    check_writable_image_path(output / f"x{suffix}")
    if keep_alpha:
        check_keeps_alpha(Path(f"x{suffix}"))
    _check_outside(output, (contents, styles))
    (content_names, other_contents), (style_names, other_styles) = _names(contents), _names(styles)
    _check_apart(content_names, style_names)
    _check_no_original(content_names, style_names, output, suffix)
    failed: dict[Path, str] = {}
    content_digests, style_digests = (_digests(names, failed) for names in (content_names, style_names))
    content_names, style_names = (
        {path: name for path, name in names.items() if path not in failed} for names in (content_names, style_names)
    )
    place_for(output)
    with turn(output):  # of two that start at once, the second sees what the first notes
        _keep_settings(engine, options, suffix, keep_alpha, content_digests, style_digests, output)
    jobs, kept, unusable = [], 0, 0
    for style, style_name in style_names.items():
        targets = {content: output / style_name / f"{name}{suffix}" for content, name in content_names.items()}
        missing = [Job(content, style, target) for content, target in targets.items() if not _is_made(target)]
        kept += len(targets) - len(missing)
        try:
            if missing:
                place_for(output / style_name)
        except OutputError as error:
            failed[style] = about(style, error)
            unusable += len(missing)
        else:
            jobs += missing
    written = 0
    total = len(content_names) * len(style_names)
    with progress_bar(total=total, initial=kept + unusable, desc="stylizing", unit="picture") as bar:
        for outcome in carry_out(jobs, engine, options, keep_alpha=keep_alpha, source=source, processes=processes):
            if outcome.error is None:
                written += 1
            else:
                failed[outcome.culprit or outcome.job.content] = outcome.error
            bar.update()
    return FolderResult(written, kept, failed, passed_over=(*other_contents, *other_styles))


def stylize_video(
    engine: Engine,
    source: Path,
    styles: Sequence[Path],
    output: Path,
    options: StylizeOptions,
    masks: Sequence[Path] = (),
    frame_rate: Fraction | None = None,
) -> ClipResult:
    """Stylize a video file, or a folder of frames, frame by frame; see `ieast.io.video.stylize_clip`.

    Args:
        engine: The model, on PyTorch or ONNX Runtime.
        source: The clip.
        styles: Artworks; several are blended.
        output: A video file or a folder of frames.
        options: Options.
        masks: One a style, white where the style applies in every frame, of exactly the frames' size; or none.
        frame_rate: Frames a second of a folder of frames.

    Raises:
        ConfigError: An option does not fit, or `steady` is asked for without OpenCV.
        ImageError: A style, mask or frame cannot be read, or a mask has not the frames' size.
        VideoError: The video cannot be read or written.
        MemoryLimitError: There is not enough memory for a frame.
    """
    check_not_an_input(output, (*styles, *masks))
    options.check(len(styles), len(masks))
    mask_pictures = [read_mask(mask) for mask in masks]
    session = engine.open([read_style(style, options.style_size) for style in styles], options, mask_pictures, encode=True)

    def stylize(frame: Image.Image) -> Image.Image:
        _check_masks(masks, mask_pictures, source, frame.size)
        return session.stylize(frame)

    identity = _identity(engine, (*styles, *masks), options)
    stylize_next, memory = in_order(stylize, options.steady)
    return stylize_clip(source, output, stylize_next, identity=identity, frame_rate=frame_rate, memory=memory)


def is_video(path: Path) -> bool:
    """Whether `path` is named like a video file."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _names(place: Path) -> tuple[dict[Path, str], list[Path]]:
    """The pictures in `place` by what each is called in the results, its path without its suffix; and what else is there."""
    if not place.is_dir():
        return {place: place.stem}, []
    listing = find_pictures(place)
    paths = listing.pictures
    if not paths:
        raise ImageError(f"{place}: holds no pictures. Give a folder of pictures, or one picture")
    return {path: name for name, path in names_of(paths, place).items()}, listing.others


def _is_made(target: Path) -> bool:
    try:
        return target.is_file()
    except OSError:  # such as a name that is too long, which writing will say
        return False


def names_of(paths: Sequence[Path], place: Path) -> dict[str, Path]:
    """Pictures below `place` by their paths without suffixes, or with them where two would be called the same."""
    names = {path: path.relative_to(place).with_suffix("").as_posix() for path in paths}
    count = Counter(names.values())
    files = {path.relative_to(place).as_posix() for path in paths}
    # a.png and a.jpg side by side keep their suffixes, or one would overwrite the other; and so does a.png.gif beside them.
    shared = {name for name in names.values() if count[name] > 1 or name in files}
    return {path.relative_to(place).as_posix() if name in shared else name: path for path, name in names.items()}


def _digests(names: dict[Path, str], failed: dict[Path, str]) -> dict[str, str]:
    """What tells one state of a picture from another, by its name; those that cannot be read go into `failed`."""
    digests = {}
    for path, name in names.items():
        try:
            with explained(str(path)):
                digests[name] = sha256(path)
        except ImageError as error:
            failed[path] = str(error)
    return digests


def _check_apart(contents: dict[Path, str], styles: dict[Path, str]) -> None:
    """Raise if two results would have the same place, such as x/y/z for y/z in the style x and for z in the style x/y."""
    if not any("/" in name for name in contents.values()) or not any("/" in name for name in styles.values()):
        return
    places: dict[str, tuple[Path, Path]] = {}
    for (content, name), (style, style_name) in product(contents.items(), styles.items()):
        earlier = places.setdefault(f"{style_name}/{name}", (content, style))
        if earlier != (content, style):
            raise ImageError(
                f"{content} in the style of {style} would be written under the same name as {earlier[0]} in that of "
                f"{earlier[1]}, {style_name}/{name}. Rename a folder"
            )


def _check_no_original(contents: Mapping[Path, str], styles: Mapping[Path, str], output: Path, suffix: str) -> None:
    """Raise if a result would lie where a content or style does, which would be taken for that result."""
    place = output.resolve()
    originals = {path.resolve() for path in (*contents, *styles)}
    below = {path.relative_to(place).as_posix(): path for path in originals if place in path.parents}
    if not below:
        return
    for name, style_name in product(contents.values(), styles.values()):
        if (original := below.get(f"{style_name}/{name}{suffix}")) is not None:
            raise ImageError(f"{original}: lies where a result is to lie. Give another folder for the results")


def _check_outside(output: Path, inputs: Sequence[Path]) -> None:
    for path in inputs:
        if path.is_dir() and (path.resolve() == output.resolve() or path.resolve() in output.resolve().parents):
            raise ImageError(
                f"{output}: lies in {path}, where results would be taken for pictures to stylize the next time. Give a folder "
                "outside of it"
            )


def _identity(engine: Engine, files: Sequence[Path], options: StylizeOptions) -> str:
    """Changes with the model, the styles and masks, and every option: results with the same one are the same."""
    values = [
        float(options.alpha),
        [float(weight) for weight in options.weights],
        options.style_size,
        options.preserve_colour,
        options.precision,
        options.steady,
        options.content_noise,
    ]
    facts = [engine.digest(), [sha256(path) for path in files], values]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _keep_settings(
    engine: Engine,
    options: StylizeOptions,
    suffix: str,
    keep_alpha: bool,
    contents: dict[str, str],
    styles: dict[str, str],
    output: Path,
) -> None:
    """Note in `output` what its results are made with, and see that those that are there were made with the same.

    `contents` and `styles` are digests by name.
    """
    chosen: dict[str, object] = {
        "model": engine.digest(),
        "alpha": options.alpha,
        "style_size": options.style_size,
        "preserve_colour": options.preserve_colour,
        "precision": options.precision,
        "content_noise": options.content_noise,
        "suffix": suffix,
        "keep_alpha": keep_alpha,
    }
    path = output / SETTINGS
    before: dict[str, Any] = {"options": chosen, "contents": {}, "styles": {}}
    if path.exists():
        before = _read_settings(path)
    # What a call like this makes is noted before it is made.
    unnoted = (
        f"{style}/{content}{suffix}"
        for style, content in product(styles, contents)
        if style not in before["styles"] or content not in before["contents"]
    )
    if (unknown := next((name for name in unnoted if _is_made(output / name)), None)) is not None:
        raise _unknown_results(path, f"does not tell how {unknown} was made" if path.exists() else "is not there")
    all_contents, all_styles = before["contents"] | contents, before["styles"] | styles
    # A file that could not be read may be mended: only what has results, of this call or an earlier one, must stay.
    changed = [
        *(name for name, value in chosen.items() if before["options"].get(name) != value),
        *(
            f"content {name}"
            for name in _changed(before["contents"], contents)
            if any((output / style / f"{name}{suffix}").exists() for style in all_styles)
        ),
        *(
            f"style {name}"
            for name in _changed(before["styles"], styles)
            if any((output / name / f"{content}{suffix}").exists() for content in all_contents)
        ),
    ]
    if changed:
        raise ConfigError(
            f"{output}: holds results of another stylization: {', '.join(changed[:3])} changed since. Give another folder, or "
            "remove that one"
        )
    settings = {"options": chosen, "contents": all_contents, "styles": all_styles}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n")


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text())
        # older results had no choice of precision, nor of transparency
        return {
            "options": {"precision": "fp32", "keep_alpha": False, **settings["options"]},
            "contents": dict(settings["contents"]),
            "styles": dict(settings["styles"]),
        }
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _unknown_results(path, f"cannot be read ({error})") from error


def _unknown_results(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: {why}, so that nothing is known of the results beside it. Give another folder, or remove that one"
    )


def _changed(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return [name for name in now if name in before and before[name] != now[name]]


def _check_masks(masks: Sequence[Path], pictures: Sequence[Image.Image], content: Path, size: tuple[int, int]) -> None:
    for path, picture in zip(masks, pictures, strict=True):
        check_mask(str(path), picture, str(content), size)


def check_not_an_input(output: Path, inputs: Sequence[Path]) -> None:
    """Raise if `output` is one of `inputs`, which would be overwritten.

    Raises:
        ImageError: It is.
    """
    for path in inputs:
        if output.resolve() == path.resolve():
            raise ImageError(f"{output}: is one of the inputs and would be overwritten. Give the result another name")
