"""Folders of frames, read and written like videos."""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

from PIL import Image

from ieast.errors import VideoError
from ieast.io.images import read_image, read_size
from ieast.io.listing import find_frames, list_frames, some
from ieast.io.video.pixels import Colour
from ieast.io.video.reading import ClipInfo, Frame

FRAME_RATE = Fraction(25)
"""Frames a second of a folder, which does not say itself."""

_NUMBERED = re.compile(r"frame_[0-9]{6,}\.png")

MARK = ".ieast"
"""A file in folders of frames that were made here: frames of two clips are often named alike, and only ours may be replaced."""


class FolderSource:
    """A folder of frames, with the attributes of a `VideoSource` that has neither sound nor an aspect of pixels."""

    pixel_aspect: Fraction | None = None
    colour = Colour()

    def __init__(self, path: Path, frame_rate: Fraction | None = None):
        """List the frames of `path` and look at their headers.

        Raises:
            VideoError: There are none, they differ in size, or the frame rate is not positive.
            ImageError: One of them is not an image, or a folder in there holds frames, too.
        """
        rate = FRAME_RATE if frame_rate is None else frame_rate
        if rate <= 0:
            raise VideoError(f"{path}: cannot have {rate} frames a second. Give a frame rate above 0")
        self.path = path
        self.warnings: list[str] = []
        self.paths = list_frames(path)
        if others := [other.name for other in find_frames(path).others if not other.is_dir()]:
            self.warnings.append(f"{path}: {len(others)} files passed over, because they are no pictures: {some(others)}")
        if not self.paths:
            raise VideoError(f"{path}: holds no frames. Give a video file, or a folder of images, one a frame")
        # Their headers tell sizes before rotation; those that still differ once rotated are found as they are read.
        first_size = sorted(read_size(self.paths[0]))
        for frame in self.paths:
            if sorted(size := read_size(frame)) != first_size:
                self._refuse_size(frame, size, read_size(self.paths[0]))
        self.time_base = 1 / rate
        width, height = read_image(self.paths[0]).size
        self.info = ClipInfo(width, height, rate, len(self.paths), float(len(self.paths) / rate), has_audio=False)

    def frames(self) -> Iterator[Frame]:
        """The frames, each a tick long."""
        for number, path in enumerate(self.paths):
            yield Frame(number, 1, partial(self._picture, path))

    def _picture(self, path: Path) -> Image.Image:
        picture = read_image(path)
        if picture.size != (self.info.width, self.info.height):
            self._refuse_size(path, picture.size, (self.info.width, self.info.height))
        return picture

    def _refuse_size(self, path: Path, size: tuple[int, int], first_size: tuple[int, int]) -> None:
        raise VideoError(
            f"{path}: this frame has {size[0]}x{size[1]} pixels, but the first one, {self.paths[0].name}, has "
            f"{first_size[0]}x{first_size[1]}. Export all frames at one size, or remove it"
        )


def numbered_name(index: int) -> str:
    """The file name of a video's frame, which count from 0 here and from 1 in names."""
    return f"frame_{index + 1:06d}.png"


def frame_names(source: FolderSource) -> list[str]:
    """The file names of stylized frames: those of the source's, as PNG.

    Raises:
        VideoError: Two frames differ in nothing but their suffix.
    """
    names: dict[str, Path] = {}
    for path in source.paths:
        earlier = names.setdefault(f"{path.stem}.png", path)
        if earlier is not path:
            raise VideoError(
                f"{path}: would be written under the same name as {earlier.name}, {path.stem}.png. Rename or remove one of them"
            )
    return list(names)


def check_replaceable(folder: Path, names: list[str] | None) -> None:
    """Raise unless an existing `folder` holds nothing but frames of an earlier result, which the new one may replace.

    Args:
        folder: Where frames are to go.
        names: Theirs, or None for those of `numbered_name`.

    Raises:
        VideoError: It holds something else.
    """
    entries = sorted(folder.iterdir())
    if entries and not (folder / MARK).is_file():
        raise VideoError(
            f"{folder}: holds {entries[0].name}, and it was not made by a stylization, so its files would be lost. Choose a "
            "folder that is empty or not there yet"
        )
    own = {MARK, *(names or ())}
    for path in entries:
        if path.name not in own and not (names is None and _NUMBERED.fullmatch(path.name)):
            raise VideoError(
                f"{folder}: holds {path.name}, which is not a frame of an earlier result and would be lost. "
                "Choose a folder that is empty or not there yet"
            )
