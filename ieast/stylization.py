"""Stylising files: one picture, every picture of a folder in every style of another, and clips."""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ieast.colour import PreserveColour
from ieast.errors import ConfigError, ImageError, MemoryLimitError
from ieast.files import atomic_write, sha256
from ieast.images import (
    check_writable_image_path,
    list_images,
    read_image,
    resize_smallest_side,
    to_image,
    to_tensor,
    write_image,
)
from ieast.models.blending import check_weights
from ieast.models.encoder import weights_digest
from ieast.models.stylizer import Style, Stylizer
from ieast.models.tiling import StyleTaps
from ieast.video import VIDEO_SUFFIXES, ClipResult, stylize_clip

SETTINGS = "stylization.json"
"""In a folder of results: what they were made with."""


@dataclass(frozen=True)
class Look:
    """What is done to a content, but for the styles themselves.

    Attributes:
        alpha: 0 keeps the content, 1 stylises fully.
        weights: One a style, or none for equal ones; only proportions matter.
        masks: One picture a style, white where the style applies, of exactly the content's size; or none.
        style_size: Smallest side in pixels at which styles are looked at; smaller ones are taken as they are.
        preserve_colour: As for `Stylizer.stylize`.
    """

    alpha: float = 1.0
    weights: tuple[float, ...] = ()
    masks: tuple[Path, ...] = ()
    style_size: int = 512
    preserve_colour: PreserveColour = "none"

    def check(self, styles: int) -> None:
        """See that this fits as many styles.

        Raises:
            ConfigError: Names the option that does not.
        """
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha is {self.alpha}; it must lie between 0 and 1")
        for name, given in (("weights", self.weights), ("masks", self.masks)):
            if given and len(given) != styles:
                raise ConfigError(f"{len(given)} {name} for {styles} styles; give one for each, in the same order, or none")
        if self.weights:
            try:
                check_weights(self.weights)
            except ValueError as error:
                raise ConfigError(str(error)) from None


class Brush:
    """A stylizer with its styles read and, where that can be, encoded: paints any number of contents.

    Attributes:
        identity: Changes with the model, the styles and every option: results with the same one are the same.
    """

    def __init__(self, stylizer: Stylizer, styles: Sequence[Path], look: Look):
        """Read the styles and masks.

        Raises:
            ConfigError: An option does not fit.
            ImageError: A style or mask cannot be read, or masks differ in size.
            MemoryLimitError: There is not enough memory to encode a style.
        """
        look.check(len(styles))
        self.stylizer, self.look = stylizer, look
        self.device = next(stylizer.parameters()).device
        self.masks = [_read_mask(path).to(self.device) for path in look.masks]
        for path, mask in zip(look.masks, self.masks, strict=True):
            if mask.shape != self.masks[0].shape:
                raise ImageError(
                    f"{path}: is {_extent(mask)} pixels, but {look.masks[0]} is {_extent(self.masks[0])}; masks must have the "
                    "content's size"
                )
        self.styles = [self._style(read_style(path, look.style_size)) for path in styles]
        facts = [sha256(path) for path in (*styles, *look.masks)]
        options = [look.alpha, look.weights, look.style_size, look.preserve_colour]
        self.identity = hashlib.sha256(json.dumps([weights_digest(stylizer.state_dict()), facts, options]).encode()).hexdigest()

    def _style(self, image: Image.Image) -> Tensor | StyleTaps:
        pixels = to_tensor(image).to(self.device)
        # CORAL changes a style for each content, so there is nothing to encode beforehand.
        return pixels if self.look.preserve_colour == "coral" else self.stylizer.encode_style(pixels)

    def check(self, content: Path, size: tuple[int, int]) -> None:
        """See that the masks fit `content`, which is `size` (width, height) pixels when upright.

        Raises:
            ImageError: They do not.
        """
        for path, mask in zip(self.look.masks, self.masks, strict=True):
            if (mask.shape[-1], mask.shape[-2]) != size:
                raise ImageError(
                    f"{path}: is {_extent(mask)} pixels, but {content} is {size[0]}x{size[1]}; a mask must have exactly the "
                    "content's size"
                )

    def paint(self, content: Image.Image) -> Image.Image:
        """`content` stylised, at its own size.

        Raises:
            MemoryLimitError: There is not enough memory; nothing was computed yet.
        """
        weights = self.look.weights or (1.0,) * len(self.styles)
        masks: Sequence[Tensor | None] = self.masks or [None] * len(self.styles)
        styles = [Style(s, w, m) for s, w, m in zip(self.styles, weights, masks, strict=True)]
        stylized = self.stylizer.stylize(
            to_tensor(content).to(self.device), styles, self.look.alpha, preserve_colour=self.look.preserve_colour
        )
        return to_image(stylized.cpu())


def read_style(path: Path, size: int) -> Image.Image:
    """The artwork at `path`, scaled down so that its smallest side has `size` pixels if it has more.

    Raises:
        ImageError: It cannot be read.
    """
    image = read_image(path, smallest_side=size)
    return resize_smallest_side(image, size) if min(image.size) > size else image


def stylize_picture(stylizer: Stylizer, content: Path, styles: Sequence[Path], output: Path, look: Look) -> tuple[int, int]:
    """Stylise one picture.

    Returns:
        Width and height of the result, which are the content's.

    Raises:
        ConfigError: An option does not fit.
        ImageError: A picture cannot be read, the output's name says no format, or the output is one of the inputs.
        MemoryLimitError: There is not enough memory.
    """
    check_writable_image_path(output)
    _check_not_an_input(output, (content, *styles, *look.masks))
    look.check(len(styles))
    picture = read_image(content)
    brush = Brush(stylizer, styles, look)
    brush.check(content, picture.size)
    write_image(brush.paint(picture), output)
    return picture.size


@dataclass(frozen=True)
class FolderResult:
    """What `stylize_folder` did.

    Attributes:
        made: Pictures made by this call.
        kept: Pictures that were there from an earlier, interrupted one.
        failed: Contents that could not be stylised, with the reason.
    """

    made: int
    kept: int
    failed: dict[Path, str]


def stylize_folder(
    stylizer: Stylizer, contents: Path, styles: Path, output: Path, look: Look, suffix: str = ".png"
) -> FolderResult:
    """Stylise every picture in `contents` in every style in `styles`; either may also be a single picture.

    Results lie in `output`/STYLE/CONTENT with the names of their originals. Pictures that are already there, from an earlier
    call with the same model, styles and options, are kept.

    Args:
        stylizer: The model.
        contents: A folder, searched with all folders in it, or a picture.
        styles: Likewise.
        output: A folder.
        look: Options; a folder of styles is not blended, so there are neither weights nor masks.
        suffix: What kind of files to write.

    Raises:
        ConfigError: An option does not fit, or `output` holds results of other settings.
        ImageError: There are no pictures, a style cannot be read, or the suffix is not a format.
    """
    if look.weights or look.masks:
        raise ConfigError("weights and masks blend the styles of one picture; with a folder of styles each is applied alone")
    look.check(1)
    check_writable_image_path(output / f"x{suffix}")
    content_names, style_names = _names(contents), _names(styles)
    _keep_settings(output / SETTINGS, _settings(stylizer, look, suffix, content_names, style_names))
    made, kept = 0, 0
    failed: dict[Path, str] = {}
    bar = tqdm(total=len(content_names) * len(style_names), desc="stylising", unit="picture", mininterval=_interval())
    with bar:
        for style, style_name in style_names.items():
            targets = {content: output / style_name / f"{name}{suffix}" for content, name in content_names.items()}
            missing = {content: target for content, target in targets.items() if not target.exists()}
            kept += len(targets) - len(missing)
            bar.update(len(targets) - len(missing))
            if not missing:
                continue
            brush = Brush(stylizer, [style], look)
            for content, target in missing.items():
                try:
                    write_image(brush.paint(read_image(content)), target)
                    made += 1
                except (ImageError, MemoryLimitError) as error:  # one bad file among thousands must not lose the rest
                    failed[content] = str(error)
                bar.update()
    return FolderResult(made=made, kept=kept, failed=failed)


def stylize_video(
    stylizer: Stylizer, source: Path, styles: Sequence[Path], output: Path, look: Look, frame_rate: Fraction | None = None
) -> ClipResult:
    """Stylise a video file, or a folder of frames, frame by frame; see `ieast.video.stylize_clip`.

    Raises:
        ConfigError: An option does not fit.
        ImageError: A style, mask or frame cannot be read, or a mask has not the frames' size.
        VideoError: The video cannot be read or written.
        MemoryLimitError: There is not enough memory for a frame.
    """
    _check_not_an_input(output, (*styles, *look.masks))
    brush = Brush(stylizer, styles, look)

    def paint(frame: Image.Image) -> Image.Image:
        brush.check(source, frame.size)
        return brush.paint(frame)

    return stylize_clip(source, output, paint, identity=brush.identity, frame_rate=frame_rate)


def is_video(path: Path) -> bool:
    """Whether `path` is named like a video file."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _names(place: Path) -> dict[Path, str]:
    """The pictures in `place`, and what each is called in the results: its path in there without its suffix."""
    if not place.is_dir():
        return {place: place.stem}
    paths = list_images(place)
    if not paths:
        raise ImageError(f"{place}: holds no pictures. Give a folder of pictures, or one picture")
    names = {path: path.relative_to(place).with_suffix("").as_posix() for path in paths}
    count = Counter(names.values())
    # a.png and a.jpg side by side keep their suffixes, or one would overwrite the other.
    return {path: name if count[name] == 1 else path.relative_to(place).as_posix() for path, name in names.items()}


def _settings(
    stylizer: Stylizer, look: Look, suffix: str, contents: dict[Path, str], styles: dict[Path, str]
) -> dict[str, str]:
    facts = {
        "model": weights_digest(stylizer.state_dict()),
        "alpha": str(look.alpha),
        "style_size": str(look.style_size),
        "preserve_colour": look.preserve_colour,
        "suffix": suffix,
    }
    for side, names in (("content", contents), ("style", styles)):
        facts |= {f"{side} {name}": sha256(path) for path, name in names.items()}
    return facts


def _keep_settings(path: Path, settings: dict[str, str]) -> None:
    before = json.loads(path.read_text()) if path.exists() else {}
    changed = [name for name in settings if name in before and before[name] != settings[name]]
    if changed:
        raise ConfigError(
            f"{path.parent} holds results of another stylisation: {', '.join(changed[:3])} changed since. Give another folder, "
            "or remove that one"
        )
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(before | settings, indent=1) + "\n")


def _read_mask(path: Path) -> Tensor:
    """(1, 1, H, W) in [0, 1]: white 1, black 0."""
    return to_tensor(read_image(path)).mean(dim=1, keepdim=True)


def _check_not_an_input(output: Path, inputs: Sequence[Path]) -> None:
    for path in inputs:
        if output.resolve() == path.resolve():
            raise ImageError(f"{output}: is one of the inputs and would be overwritten. Give the result another name")


def _extent(mask: Tensor) -> str:
    return f"{mask.shape[-1]}x{mask.shape[-2]}"


def _interval() -> float:
    return 0.2 if sys.stderr.isatty() else 20.0
