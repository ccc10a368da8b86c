"""The repository's own sample dataset: pictures drawn by rule, the same for the same seed.

Nothing is downloaded and nobody's rights are touched: every photograph, artwork and clip is computed here.
"""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from ieast.data.sample.artworks import artwork_kind, draw_artwork
from ieast.data.sample.clips import clip_kind, draw_clip
from ieast.data.sample.photographs import draw_photograph, photograph_kind
from ieast.data.sample.shading import Pixels
from ieast.errors import DataError
from ieast.io.files import atomic_write
from ieast.io.progress import progress_bar

__all__ = ["draw_artwork", "draw_clip", "draw_photograph", "draw_sample"]

_FOLDERS = ("content", "style", "clips")
_QUALITY = 88


def draw_sample(
    out: Path | str, *, seed: int = 0, contents: int = 24, styles: int = 24, clips: int = 4, frames: int = 16
) -> dict[str, int]:
    """Draw the sample dataset into a folder.

    Args:
        out: The folder; it gets `content/NN_kind.jpg`, `style/NN_kind.jpg` and `clips/NN_kind/frame_0000.jpg` and so on.
        seed: Another seed gives other pictures of the same kinds.
        contents: How many photographs.
        styles: How many artworks.
        clips: How many clips.
        frames: How many frames in each clip.

    Returns:
        How many pictures were written: "content", "style", "clips" and "frames".

    Raises:
        DataError: A number is negative, or one of the folders already has something in it.
    """
    out = Path(out)
    if min(seed, contents, styles, clips, frames) < 0:
        raise DataError("the sample's seed and its numbers of pictures must not be negative.")
    for folder in (out / name for name in _FOLDERS):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder} already has something in it; name another folder, or empty this one first.")
    for name in _FOLDERS:
        (out / name).mkdir(parents=True, exist_ok=True)
    with progress_bar(total=contents + styles + clips * frames, desc="drawing the sample", unit="picture") as bar:
        for path, picture in _pictures(seed, contents, styles, clips, frames):
            _save(picture, out / path)
            bar.update()
    return {"content": contents, "style": styles, "clips": clips, "frames": clips * frames}


def _pictures(seed: int, contents: int, styles: int, clips: int, frames: int) -> Iterator[tuple[str, Pixels]]:
    for index in range(contents):
        name, size = photograph_kind(index)
        yield f"content/{index:02d}_{name}.jpg", draw_photograph(index, seed, size)
    for index in range(styles):
        name, size = artwork_kind(index)
        yield f"style/{index:02d}_{name}.jpg", draw_artwork(index, seed, size)
    for index in range(clips):
        for frame, picture in enumerate(draw_clip(index, seed, frames)):
            yield f"clips/{index:02d}_{clip_kind(index)}/frame_{frame:04d}.jpg", picture


def _save(picture: Pixels, path: Path) -> None:
    with atomic_write(path) as temporary:
        Image.fromarray(picture).save(temporary, quality=_QUALITY)
