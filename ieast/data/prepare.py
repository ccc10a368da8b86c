"""Source pictures to training pictures: one size, one format, unusable ones set aside with the reason.

The result lies in a folder named by what determines it, so it is made once and an interrupted run goes on where it was.
"""

import hashlib
import json
import logging
import math
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from filelock import FileLock
from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from ieast.config import PrepareConfig
from ieast.errors import DataError, ImageError
from ieast.io.clips import list_clips
from ieast.io.files import atomic_write
from ieast.io.images import read_image, read_size, resize_smallest_side, resize_square, write_image
from ieast.io.listing import list_files

logger = logging.getLogger(__name__)

SIDES = ("content", "style")
MIN_PICTURES = 3
"""Usable pictures that each side must have: the contrastive losses need negatives, hence three styles in a batch."""

MANIFEST = "manifest.csv"
"""One line per source file. It is written last, so that its presence says that the folder is complete."""

QUARANTINE = "quarantine.csv"
"""What becomes the manifest if enough files are usable, and otherwise stays to say which are not."""

# Part of the key: to be raised when the same settings lead to other pictures or another manifest.
_FORMAT_VERSION = 2

# Pictures submitted to the workers together: enough to keep them busy, few enough to take no memory to speak of.
_BATCH = 1024

_MAX_NAME_BYTES = 255  # of one file, on every common file system

_NUMBERS = ("width", "height", "source_width", "source_height")


class PreparedDataset(BaseModel):
    """A complete folder of training pictures; JSON-serializable, to be passed between pipeline steps."""

    model_config = ConfigDict(frozen=True)

    folder: str
    key: str
    data_digest: str
    counts: dict[str, int]
    """Usable pictures by side, `content` and `style`."""
    quarantined: int
    """Files that could not be used, on both sides."""
    clips_folder: str | None
    """The source's clips/, if it holds any clip."""
    held_out: float = 0.0
    """Share of each side that is kept from training."""

    def training_paths(self, side: str) -> list[Path]:
        """The pictures of `side` to train on, in the same order every time."""
        kept = set(self._held_out(side))
        return [path for path in self._paths(side) if path not in kept]

    def scoring_paths(self, side: str) -> list[Path]:
        """The pictures of `side` that training does not see; all of them where none are held out."""
        return self._held_out(side) or self._paths(side)

    def enlarged(self, side: str) -> set[Path]:
        """The pictures of `side` that have more pixels than their sources: what lies between those is no detail."""
        usable = self._usable(side)
        larger = usable[["width", "height"]].min(axis=1) > usable[["source_width", "source_height"]].min(axis=1)
        return {Path(self.folder) / name for name in usable.loc[larger, "prepared"]}

    def source_sides(self, side: str) -> dict[Path, int]:
        """Pixels of the smallest side of the source of each picture of `side`."""
        usable = self._usable(side)
        smallest = usable[["source_width", "source_height"]].min(axis=1).astype(int)
        return {Path(self.folder) / name: pixels for name, pixels in zip(usable["prepared"], smallest, strict=True)}

    def _held_out(self, side: str) -> list[Path]:
        # By a digest of the name, so that pictures which come later change little of which are held out.
        paths = self._paths(side)
        count = math.ceil(self.held_out * len(paths))
        return sorted(sorted(paths, key=lambda path: hashlib.sha256(path.name.encode()).digest())[:count])

    def _paths(self, side: str) -> list[Path]:
        return [Path(self.folder) / name for name in sorted(self._usable(side)["prepared"])]

    def _usable(self, side: str) -> pd.DataFrame:
        manifest = pd.read_csv(Path(self.folder) / MANIFEST)
        return manifest[(manifest["side"] == side) & (manifest["status"] == "ok")]


def prepare_dataset(source: Path, work_folder: Path, config: PrepareConfig, data_digest: str) -> PreparedDataset:
    """Make training pictures of all files in `source`/content and `source`/style, or reuse those made before.

    They go to `work_folder`/prepared/<key>, where the key stands for the data and for every setting that changes the
    result. Files already made there are kept, so a run that was killed continues.

    Args:
        source: Folder with content/, style/ and perhaps clips/, which is not touched; not looked at if all was made before.
        work_folder: Where prepared datasets are kept.
        config: Size, limits and workers.
        data_digest: Identifies the version of the data in `source`.

    Raises:
        DataError: A side's folder is missing, too large a share of its files is unusable, or fewer than three are
            usable. In the latter cases quarantine.csv in the prepared folder lists every file and what is wrong.
        DiskFullError: No space was left; the same call continues once there is.
    """
    key = preparation_key(config, data_digest)
    folder = work_folder.absolute() / "prepared" / key
    locks = work_folder / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"prepare-{key}.lock"):  # whoever comes second waits, and finds it done
        manifest = _manifest(source, folder, config)

    usable = Counter(manifest.loc[manifest["status"] == "ok", "side"])
    # Of pictures that were made on another machine, the clips lie beside them.
    clips = next((place / "clips" for place in (source.absolute(), folder) if (place / "clips").is_dir()), source / "clips")
    return PreparedDataset(
        folder=str(folder),
        key=key,
        data_digest=data_digest,
        counts={side: usable[side] for side in SIDES},
        quarantined=len(manifest) - usable.total(),
        clips_folder=str(clips) if clips.is_dir() and list_clips(clips) else None,
        held_out=config.held_out,
    )


def _manifest(source: Path, folder: Path, config: PrepareConfig) -> pd.DataFrame:
    """What became of each picture, after making those that are not there yet."""
    if (folder / MANIFEST).exists():
        logger.info("reusing the prepared dataset %s", folder)
        manifest = pd.read_csv(folder / MANIFEST)
        _check_usable(manifest, config.max_bad_share, folder / MANIFEST)
        return manifest
    for side in SIDES:
        if not (source / side).is_dir():
            raise DataError(f"{source}: has no folder {side}/. A dataset holds its pictures in content/ and style/")
    manifest = _make_manifest(_prepare_pictures(source, folder, config))
    with atomic_write(folder / QUARANTINE) as temporary:
        manifest.to_csv(temporary, index=False)
    _check_usable(manifest, config.max_bad_share, folder / QUARANTINE)
    (folder / QUARANTINE).replace(folder / MANIFEST)
    return manifest


def preparation_key(config: PrepareConfig, data_digest: str) -> str:
    """16 hex digits that change with the data and with every setting that changes the prepared pictures."""
    facts = {
        "format": _FORMAT_VERSION,
        "data": data_digest,
        **config.model_dump(mode="json", exclude={"workers", "max_bad_share", "held_out"}),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def folder_digest(source: Path) -> str:
    """A digest of a dataset that is not under DVC: names, sizes and times of its pictures, so that a change is noticed.

    Raises:
        DataError: There is no such folder.
    """
    if not source.is_dir():
        raise DataError(f"there is no folder {source}; give one that holds content/ and style/")
    digest = hashlib.sha256()
    for side in SIDES:
        for path in list_files(source / side):
            facts = path.lstat()
            digest.update(
                f"{path.relative_to(source)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Source:
    side: str
    source: str
    """Path relative to the source folder, such as content/sea/a.png."""
    prepared: str
    """Path relative to the prepared folder, such as content/sea/a.png.jpg."""


@dataclass(frozen=True, slots=True)
class _Record:
    """A line of the manifest. Sizes are in pixels, the source's as stored, before any EXIF orientation."""

    side: str
    source: str
    prepared: str
    width: int | None = None
    height: int | None = None
    source_width: int | None = None
    source_height: int | None = None
    status: str = "ok"
    reason: str = ""


def _list_pictures(source: Path, side: str) -> list[_Source]:
    names = [path.relative_to(source).as_posix() for path in list_files(source / side)]
    taken = frozenset(names)
    return [_Source(side, name, _prepared_name(name, taken)) for name in names]


def _prepared_name(name: str, taken: frozenset[str]) -> str:
    """`name` with .jpg after it unless it ends so, and once more as long as another source has that name already."""
    prepared = name
    while not prepared.endswith(".jpg") or (prepared != name and prepared in taken):
        prepared += ".jpg"
    return prepared


def _prepare_pictures(source: Path, folder: Path, config: PrepareConfig) -> list[_Record]:
    pictures = [picture for side in SIDES for picture in _list_pictures(source, side)]
    prepare = partial(_prepare_picture, source=source, folder=folder, config=config)
    records: list[_Record] = []
    # Threads, because Pillow leaves Python's lock while it decodes, resizes and encodes: two of them on two cores
    # prepare 12-megapixel JPEGs 1.6 to 1.9 times as fast as one, and processes do no better. Threads need neither fork,
    # unsafe beside the other threads of a pipeline's step, nor spawn, which starts the main script anew.
    pool = ThreadPoolExecutor(config.workers or usable_cores(), thread_name_prefix="prepare")
    try:
        with tqdm(total=len(pictures), desc="preparing", unit="picture", disable=None) as progress:
            for start in range(0, len(pictures), _BATCH):
                for record in pool.map(prepare, pictures[start : start + _BATCH]):
                    records.append(record)
                    progress.update()
    finally:
        # After an error or Ctrl-C only the pictures in work are finished.
        pool.shutdown(cancel_futures=True)
    return records


def _prepare_picture(picture: _Source, source: Path, folder: Path, config: PrepareConfig) -> _Record:
    """Make one training picture, unless it is there already, or say why it cannot be made."""
    origin, target = source / picture.source, folder / picture.prepared
    width = height = source_width = source_height = None
    try:
        _check_name(picture.prepared)
        source_width, source_height = read_size(origin)
        if not target.exists():
            image = read_image(origin, smallest_side=config.size, min_side=config.min_side, max_pixels=config.max_pixels)
            resize = resize_square if config.resize == "square" else resize_smallest_side
            size = config.size if config.enlarge else min(config.size, *image.size)
            write_image(resize(image, size), target, quality=config.jpeg_quality)
        width, height = read_size(target)
    except ImageError as error:
        status, reason = "quarantined", str(error).removeprefix(f"{origin}: ")
    else:
        status, reason = "ok", ""
    return _Record(
        side=picture.side,
        source=_printable(picture.source),
        prepared=_printable(picture.prepared),
        width=width,
        height=height,
        source_width=source_width,
        source_height=source_height,
        status=status,
        reason=reason,
    )


def _check_name(path: str) -> None:
    if path != _printable(path):
        raise ImageError("has a name that is not UTF-8. Rename it")
    if len(os.fsencode(Path(path).name)) > _MAX_NAME_BYTES:
        raise ImageError(f"has a name too long to append .jpg: {_MAX_NAME_BYTES} bytes are the most. Rename it")


def _printable(path: str) -> str:
    """`path` with a replacement character for each byte that is not UTF-8, so that it can be written down."""
    return os.fsencode(path).decode(errors="replace")


def _make_manifest(records: list[_Record]) -> pd.DataFrame:
    # Int64, unlike int, has a missing value, which quarantined files need.
    columns = list(_Record.__dataclass_fields__)
    return pd.DataFrame(records, columns=columns).astype(dict.fromkeys(_NUMBERS, "Int64"))


def _check_usable(manifest: pd.DataFrame, max_bad_share: float, listing: Path) -> None:
    for side in SIDES:
        files = manifest[manifest["side"] == side]
        bad = files[files["status"] != "ok"]
        if len(files) and len(bad) / len(files) > max_bad_share:
            reasons = [f"  {row.source}: {row.reason}" for row in bad.head(3).itertuples()]
            raise DataError(
                f"{len(bad)} of {len(files)} files in {side}/ are unusable ({len(bad) / len(files):.1%}), and "
                f"prepare.max_bad_share allows {max_bad_share:.1%}. The first of them:\n"
                + "\n".join(reasons)
                + f"\nAll are listed in {listing}. Mend or remove them, or raise prepare.max_bad_share"
            )
        usable = len(files) - len(bad)
        if usable < MIN_PICTURES:
            raise DataError(
                f"{side}/ has {usable} usable pictures among {len(files)} files, and training needs at least "
                f"{MIN_PICTURES}. Add some; what is wrong with unusable ones is listed in {listing}"
            )


def usable_cores() -> int:
    """Cores this process may use, which in containers and batch jobs are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
