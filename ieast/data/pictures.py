"""One source picture to one training picture, and the line that says what became of it."""

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ieast.config import PrepareConfig
from ieast.errors import ImageError
from ieast.io.images import encode_jpeg, read_image, read_size, resize_smallest_side, resize_square, write_image
from ieast.io.listing import list_files

SIDES = ("content", "style")

Size = tuple[int, int] | tuple[None, None]
"""Width and height in pixels, as far as they are known."""

_MAX_NAME_BYTES = 255  # of one file, on every common file system


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is to become a training picture.

    Attributes:
        side: One of `SIDES`.
        source: Path relative to the source folder, such as content/sea/a.png.
        prepared: Path relative to the prepared folder, such as content/sea/a.png.jpg.
    """

    side: str
    source: str
    prepared: str


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the manifest. Sizes are in pixels, the source's as stored, before any EXIF orientation.

    Attributes:
        side: One of `SIDES`.
        source: As in `Source`, with a replacement character for each byte that is not UTF-8.
        prepared: The same.
        width: Of the training picture.
        height: The same.
        source_width: Of the source.
        source_height: The same.
        status: `ok` or `quarantined`.
        reason: Why it is quarantined.
        shard: The tar file in the prepared folder that holds it; empty where it is a file of its own.
    """

    side: str
    source: str
    prepared: str
    width: int | None = None
    height: int | None = None
    source_width: int | None = None
    source_height: int | None = None
    status: str = "ok"
    reason: str = ""
    shard: str = ""


def list_pictures(source: Path, side: str) -> list[Source]:
    """All files of a side, sorted."""
    names = [path.relative_to(source).as_posix() for path in list_files(source / side)]
    taken = frozenset(names)
    return [Source(side, name, _prepared_name(name, taken)) for name in names]


def prepare_picture(picture: Source, source: Path, folder: Path, config: PrepareConfig) -> Record:
    """Make one training picture as a file in `folder`, unless it is there already, or say why it cannot be made.

    Raises:
        DiskFullError: No space was left.
    """
    origin, target = source / picture.source, folder / picture.prepared
    made: Size = None, None
    original: Size = None, None
    reason = ""
    try:
        original = _checked_size(picture, origin)
        if not target.exists():
            write_image(_resized(origin, config), target, quality=config.jpeg_quality)
        made = read_size(target)
    except ImageError as error:
        reason = _without_name(error, origin)
    return _record(picture, original, made, reason)


def encode_picture(picture: Source, source: Path, config: PrepareConfig, shard: str) -> tuple[Record, bytes]:
    """As `prepare_picture`, with the content of the file in the place of a file; of what cannot be used none."""
    origin = source / picture.source
    original: Size = None, None
    try:
        original = _checked_size(picture, origin)
        image = _resized(origin, config)
        return _record(picture, original, image.size, "", shard), _encoded(image, config.jpeg_quality)
    except ImageError as error:
        return _record(picture, original, (None, None), _without_name(error, origin), shard), b""


def _prepared_name(name: str, taken: frozenset[str]) -> str:
    """`name` with .jpg after it unless it ends so, and once more as long as another source has that name already."""
    prepared = name
    while not prepared.endswith(".jpg") or (prepared != name and prepared in taken):
        prepared += ".jpg"
    return prepared


def _checked_size(picture: Source, origin: Path) -> tuple[int, int]:
    path = picture.prepared
    if path != _printable(path):
        raise ImageError("has a name that is not UTF-8. Rename it")
    if len(os.fsencode(Path(path).name)) > _MAX_NAME_BYTES:
        raise ImageError(f"has a name too long to append .jpg: {_MAX_NAME_BYTES} bytes are the most. Rename it")
    return read_size(origin)


def _resized(origin: Path, config: PrepareConfig) -> Image.Image:
    image = read_image(origin, smallest_side=config.size, min_side=config.min_side, max_pixels=config.max_pixels)
    resize = resize_square if config.resize == "square" else resize_smallest_side
    return resize(image, config.size if config.enlarge else min(config.size, *image.size))


def _encoded(image: Image.Image, quality: int) -> bytes:
    try:
        return encode_jpeg(image, quality)
    except (OSError, ValueError) as error:
        raise ImageError(
            f"is too elongated: JPEG cannot hold {image.width}x{image.height} pixels ({error}). Crop it, or remove it"
        ) from error


def _without_name(error: ImageError, origin: Path) -> str:
    return str(error).removeprefix(f"{origin}: ")


def _record(picture: Source, original: Size, made: Size, reason: str, shard: str = "") -> Record:
    return Record(
        side=picture.side,
        source=_printable(picture.source),
        prepared=_printable(picture.prepared),
        width=made[0],
        height=made[1],
        source_width=original[0],
        source_height=original[1],
        status="quarantined" if reason else "ok",
        reason=reason,
        shard=shard,
    )


def _printable(path: str) -> str:
    """`path` with a replacement character for each byte that is not UTF-8, so that it can be written down."""
    return os.fsencode(path).decode(errors="replace")
