"""Video clips as folders of frame images, in the order of their names."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch

from ieast.errors import DataError
from ieast.images import IMAGE_SUFFIXES, read_image, resize_smallest_side, to_tensor

MIN_FRAMES = 2
"""A clip is there to measure change between frames, so it has two at least."""


def list_clips(folder: Path) -> list[Path]:
    """The clips in `folder`, sorted: the folder itself if it holds frames, otherwise those of its subfolders that do.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of clips. Give a folder that holds one folder of frames per clip")
    if _is_clip(folder):
        return [folder]
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".") and _is_clip(entry))


def read_frames(clip: Path, smallest_side: int, limit: int | None = None) -> Iterator[torch.Tensor]:
    """Read the frames of `clip` one by one, each scaled so that its smaller side has `smallest_side` pixels.

    Args:
        clip: A folder as `list_clips` returns it.
        smallest_side: Pixels.
        limit: Read at most this many frames, from the first.

    Yields:
        float32 of shape (3, H, W) in [0, 1], H and W the same for all.

    Raises:
        DataError: The folder has fewer than two frames, or a frame's size after scaling differs from the first one's.
        ImageError: A frame cannot be read.
    """
    frames = _list_frames(clip)
    if len(frames) < MIN_FRAMES:
        raise DataError(f"{clip}: is not a clip, because it holds {len(frames)} frames and not at least {MIN_FRAMES}")
    first_size: tuple[int, int] | None = None
    for path in islice(frames, limit):
        image = resize_smallest_side(read_image(path, smallest_side=smallest_side), smallest_side)
        first_size = first_size or image.size
        if image.size != first_size:
            raise DataError(
                f"{path}: this frame becomes {image.width}x{image.height} pixels, but the clip's first frame "
                f"{frames[0].name} becomes {first_size[0]}x{first_size[1]}. Export all frames at one size, or remove it"
            )
        yield to_tensor(image).squeeze(0)


def _is_clip(folder: Path) -> bool:
    return folder.is_dir() and len(_list_frames(folder)) >= MIN_FRAMES


def _list_frames(clip: Path) -> list[Path]:
    return sorted(
        path
        for path in clip.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
