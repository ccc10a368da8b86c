"""Writing a video of which nobody knows beforehand how long it will be."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

from PIL import Image

from ieast.errors import VideoError
from ieast.io.files import check_name, place_for, temporary_folder
from ieast.io.video.audio import AudioPlan
from ieast.io.video.pixels import Colour
from ieast.io.video.writing import TARGETS, SegmentWriter, VideoFormat, join

_TICKS = 1000
"""A second: what Matroska and WebM keep."""

_KEY_FRAMES = 48
"""Their distance, in frames."""


def check_recordable(path: Path) -> None:
    """Raise unless a video can be recorded to `path`.

    Raises:
        VideoError: Its suffix is not that of a video, or it is a folder.
        OutputError: Its name is too long.
    """
    check_name(path)
    if path.suffix.lower() not in TARGETS or path.is_dir():
        raise VideoError(f"{path}: must be a file named as a video ({', '.join(sorted(TARGETS))})")


def record(path: Path, frames: Iterator[tuple[float, Image.Image]], frame_rate: Fraction) -> int:
    """Write `frames`, RGB pictures of one size with their times in seconds, to `path` once the last of them has come.

    Args:
        path: Where to; its suffix is one of `TARGETS`.
        frames: Pictures and times, which do not fall.
        frame_rate: Of the camera, by which the encoder spends bits, and for how long the last frame is shown.

    Returns:
        How many frames there were.

    Raises:
        VideoError: There are none, or they cannot be encoded in their size.
        DiskFullError: No space was left.
    """
    check_recordable(path)
    target = TARGETS[path.suffix.lower()]
    first = next(frames, None)
    if first is None:
        raise VideoError(f"{path}: there was no picture to record")
    picture = VideoFormat(*first[1].size, frame_rate, None, Colour())
    writer = SegmentWriter(target, picture, _KEY_FRAMES)
    place_for(path.absolute().parent)
    with temporary_folder(path.absolute()) as folder:
        piece = folder / "piece.mkv"
        count = writer.write(piece, _ticking(chain([first], frames), max(1, round(_TICKS / frame_rate))))
        join(path, target, [piece], Fraction(1, _TICKS), AudioPlan())
    return count


def _ticking(frames: Iterator[tuple[float, Image.Image]], duration: int) -> Iterator[tuple[int, int, Image.Image]]:
    time = -1
    for seconds, picture in frames:
        time = max(time + 1, round(seconds * _TICKS))
        yield time, duration, picture
