"""Which files of a folder are pictures: by their content, whatever they are called, and nothing passed over unsaid."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ieast.errors import ImageError
from ieast.io.opening import READ_FORMATS, is_heif, quietly, signed_as

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm"}
    | {".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Suffixes of pictures: files named so are taken unseen, because one that is broken is to be named and not passed over."""

MIN_FRAMES = 2
"""A clip is there to measure change between frames, so it has two at least."""

_NAMED = 20


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes:
        pictures: Files whose name or content is that of a picture, whether or not it can be read, and folders that may not be
            looked into: whoever reads them learns what is wrong.
        others: Everything else, but for what is hidden.
    """

    pictures: list[Path]
    others: list[Path]


def list_files(folder: Path) -> list[Path]:
    """All files below `folder`, sorted, but for hidden ones and those in hidden folders. Links to folders are followed.

    A dangling link, and a folder that may not be looked into, count as files: whoever reads them learns what is wrong, where
    skipping would lose them silently. Pipes and devices do not count, because reading them need not end.
    """
    return sorted(path for path in _walk(folder, frozenset()) if not _is_device(path))


def find_pictures(folder: Path) -> Found:
    """The pictures below `folder`, and what else is there, sorted."""
    paths = sorted(_walk(folder, frozenset()))
    return _sorted_out(paths, {path for path in paths if _is_folder(path)})


def find_frames(folder: Path) -> Found:
    """The pictures directly in `folder` in the order of their names, where 2 comes before 10, and what else is there."""
    return _sorted_out(sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=_counting_order))


def list_frames(folder: Path) -> list[Path]:
    """The pictures of `find_frames`, if they are all that is below `folder`.

    Raises:
        ImageError: A folder in `folder` holds pictures, too, so that these would be a part of the clip only, or may not be
            looked into.
    """
    frames = find_frames(folder)
    for path in frames.others if frames.pictures else ():
        if _is_folder(path) and (deeper := find_pictures(path).pictures):
            if deeper[0] == path:
                raise ImageError(
                    f"{path}: may not be looked into, and could hold frames. Check its permissions, or move it elsewhere"
                )
            raise ImageError(
                f"{folder}: holds frames, and so does the folder {path.name} in it ({deeper[0].name}, for one). Put all frames "
                "of a clip into one folder, and those of another clip elsewhere"
            )
    return frames.pictures


def is_picture(path: Path) -> bool:
    """Whether `path` is a file that is named like a picture, or has the content of one, or cannot be looked into."""
    if _is_device(path) or _is_folder(path):
        return False
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            if is_heif(file) or signed_as(file) is not None:
                return True
            with quietly(), Image.open(file, formats=READ_FORMATS):
                return True
    except UnidentifiedImageError:
        return False
    except Exception:  # of the system, or of a decoder on a header that is broken: reading it will say what is wrong
        return True


def distinct_stems(paths: Sequence[Path], folder: Path) -> dict[Path, str]:
    """The stem of each of `paths`, followed where several have the same by six hex digits drawn from its path in `folder`."""
    times = Counter(path.stem for path in paths)
    return {path: path.stem if times[path.stem] == 1 else f"{path.stem}_{_mark(path, folder)}" for path in paths}


def some(names: Sequence[str | Path]) -> str:
    """The first of many names, for a sentence."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(str, names[:_NAMED])) + more


def _mark(path: Path, folder: Path) -> str:
    return hashlib.sha256(os.fsencode(path.relative_to(folder).as_posix())).hexdigest()[:6]


def _sorted_out(paths: list[Path], closed: Set[Path] = frozenset()) -> Found:
    pictures = [path for path in paths if path in closed or is_picture(path)]
    taken = set(pictures)
    return Found(pictures, [path for path in paths if path not in taken])


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """Everything below `folder` that is not a folder; `above` are those that led here, into which no link may lead back."""
    here = folder.resolve()
    if here in above:
        return
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        yield folder
        return
    for path in entries:
        if _is_folder(path):
            yield from _walk(path, above | {here})
        else:
            yield path


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # what it is cannot be known
        return False


def _is_device(path: Path) -> bool:
    try:
        return path.exists() and not (path.is_file() or path.is_dir())
    except OSError:
        return False


def _counting_order(path: Path) -> tuple[list[int | str], str]:
    # Every second part is a number, so that like is compared with like.
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], path.name
