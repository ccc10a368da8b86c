"""Clips made of photographs: a camera that pans and zooms over a still scene, for measuring how stable a stylization is."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ieast.data.prepare import PreparedDataset
from ieast.errors import DataError
from ieast.io.files import disk_full_explained, evenly
from ieast.io.images import read_image
from ieast.io.listing import distinct_stems, list_frames, some
from ieast.io.progress import progress_bar

JPEG_QUALITY = 95
WIDEST, NARROWEST = 0.95, 0.6
"""Shares of the picture's sides that the camera sees."""

Box = tuple[float, float, float, float]


def pan_and_zoom(size: tuple[int, int], frames: int, seed: int) -> list[Box]:
    """The camera's path: a box (left, top, right, bottom) in pixels for each frame, all of the picture's aspect.

    It moves along a line from one place and zoom to another at a speed that rises and falls smoothly, as (1 - cos πt) / 2.

    Args:
        size: The picture's width and height.
        frames: Two or more.
        seed: The same seed draws the same path.
    """
    random = np.random.default_rng(seed)
    shares = random.permutation([random.uniform(0.8, WIDEST), random.uniform(NARROWEST, 0.75)])  # one zooms in or out
    ends = []
    for share in shares:
        left, top = random.uniform(0, 1 - share, 2)
        ends.append(np.array([left, top, left + share, top + share]) * np.array([*size, *size]))
    times = (1 - np.cos(np.pi * np.linspace(0, 1, frames))) / 2
    return [tuple((1 - t) * ends[0] + t * ends[1]) for t in times]


def render(picture: Image.Image, path: Sequence[Box]) -> Iterator[Image.Image]:
    """What the camera sees: each box of `picture` at the size of the narrowest one, so that no frame is enlarged."""
    narrowest = min(path, key=lambda box: box[2] - box[0])
    size = (round(narrowest[2] - narrowest[0]), round(narrowest[3] - narrowest[1]))
    for box in path:
        yield picture.resize(size, Image.Resampling.LANCZOS, box)


def make_pans(prepared: PreparedDataset, output: Path, count: int, frames: int) -> list[Path]:
    """Write `count` clips of `frames` frames over photographs that training does not see.

    The photographs are spread evenly over those held out, and each one's path is drawn from its name: the same data gives the
    same clips.

    Args:
        prepared: Where photographs come from; with nothing held out, from all contents.
        output: Gets a folder of numbered JPEG files for each clip. One that is there is left as it is, and counts.
        count: Clips.
        frames: Frames of each, two or more.

    Raises:
        DataError: There are fewer photographs than `count`, or a clip that is there has not `frames` frames.
        ImageError: In the folder of a clip that is there, folders hold pictures, too.
        DiskFullError: The disk filled up; no half clip is left.
    """
    photographs = prepared.scoring_paths("content")
    if count > len(photographs):
        raise DataError(
            f"{count} clips are asked for, but only {len(photographs)} photographs are held out from training; ask for fewer, "
            "or raise prepare.held_out"
        )
    names = distinct_stems(photographs, Path(prepared.folder))
    folders = {photograph: output / f"pan_{names[photograph]}" for photograph in evenly(photographs, count)}
    _check_lengths(output, list(folders.values()), frames)
    return [_write(photograph, folder, frames) for photograph, folder in progress_bar(folders.items(), desc="clips")]


def _check_lengths(output: Path, folders: Sequence[Path], frames: int) -> None:
    lengths = {folder.name: len(list_frames(folder)) for folder in folders if folder.exists()}
    others = [f"{name} ({length})" for name, length in lengths.items() if length != frames]
    if others:
        raise DataError(
            f"{output}: holds clips of other lengths than the {frames} frames that are asked for, {some(others)}; delete them, "
            "or ask for as many frames as they have"
        )


def _write(photograph: Path, folder: Path, frames: int) -> Path:
    if folder.exists():
        return folder
    picture = read_image(photograph)
    seed = int.from_bytes(hashlib.sha256(photograph.name.encode()).digest()[:4])
    unfinished = folder.with_name(f".{folder.name}")  # hidden folders are no clips
    shutil.rmtree(unfinished, ignore_errors=True)  # frames that a killed run left may be more than these
    unfinished.mkdir(parents=True)
    with disk_full_explained(folder):
        for number, frame in enumerate(render(picture, pan_and_zoom(picture.size, frames, seed))):
            frame.save(unfinished / f"{number:04d}.jpg", quality=JPEG_QUALITY, subsampling=0)
    return unfinished.rename(folder)
