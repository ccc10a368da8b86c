"""Video clips: folders of frame images, in the order of their names (2 before 10), or video files."""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from PIL import Image

from ieast.errors import DataError
from ieast.io.images import read_image, resize_smallest_side, to_tensor
from ieast.io.listing import MIN_FRAMES, list_frames, some

log = logging.getLogger(__name__)


def list_clips(folder: Path) -> list[Path]:
    """The clips in `folder`, sorted: the folder itself if it holds frames, otherwise subfolders that do and video files.

    What else is in there is named in a warning.

    Raises:
        DataError: There is no such folder.
        ImageError: Frames lie in a clip's folder and in one below it.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: there is no such folder of clips. Give a folder that holds one folder of frames, or video, per clip"
        )
    if _is_clip(folder):
        return [folder]
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    clips = [entry for entry in entries if _is_clip(entry)]
    if others := [entry.name for entry in entries if entry not in clips]:
        log.warning("%s: %d entries passed over, because they are no clips: %s", folder, len(others), some(others))
    return clips


def read_frames(clip: Path, smallest_side: int, limit: int | None = None) -> Iterator[torch.Tensor]:
    """Read the frames of `clip` one by one, each scaled so that its smaller side has `smallest_side` pixels.

    Args:
        clip: A folder or file as `list_clips` returns it.
        smallest_side: Pixels.
        limit: Read at most this many frames, from the first.

    Yields:
        float32 of shape (3, H, W) in [0, 1], H and W the same for all.

    Raises:
        DataError: The clip has fewer than two frames, or a frame's size after scaling differs from the first one's.
        ImageError: A frame of a folder cannot be read.
        VideoError: A video file cannot be read.
    """
    frames = _read_folder(clip, smallest_side) if clip.is_dir() else _read_video(clip)
    first_name, first_size = "", (0, 0)
    for name, frame in islice(frames, limit):
        image = resize_smallest_side(frame, smallest_side)
        if not first_name:
            first_name, first_size = name, image.size
        if image.size != first_size:
            raise DataError(
                f"{clip / name}: this frame becomes {image.width}x{image.height} pixels, but the clip's first frame "
                f"{first_name} becomes {first_size[0]}x{first_size[1]}. Export all frames at one size, or remove it"
            )
        yield to_tensor(image).squeeze(0)


def _read_folder(clip: Path, smallest_side: int) -> Iterator[tuple[str, Image.Image]]:
    frames = list_frames(clip)
    _refuse_few(clip, len(frames))
    for path in frames:
        yield path.name, read_image(path, smallest_side=smallest_side)


def _read_video(clip: Path) -> Iterator[tuple[str, Image.Image]]:
    from ieast.io.video import read_video_frames  # PyAV is large, and only films need it

    number = 0
    for number, image in enumerate(read_video_frames(clip), 1):
        yield f"frame {number}", image
    _refuse_few(clip, number)


def _refuse_few(clip: Path, frames: int) -> None:
    if frames < MIN_FRAMES:
        raise DataError(f"{clip}: is not a clip, because it holds {frames} frames and not at least {MIN_FRAMES}")


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return len(list_frames(path)) >= MIN_FRAMES
    from ieast.io.video import VIDEO_SUFFIXES

    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
