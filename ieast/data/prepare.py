"""Source pictures to training pictures: one size, one format, unusable ones set aside with the reason.

The result lies in a folder named by what determines it, so it is made once and an interrupted run goes on where it was.
"""

import hashlib
import json
import logging
import math
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pandas as pd
from filelock import FileLock
from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from ieast.config import PrepareConfig
from ieast.data.pictures import SIDES, Record
from ieast.data.portions import forget_portions, portions, prepare_portion
from ieast.data.ray_preparing import prepare_by_ray
from ieast.errors import DataError
from ieast.io.clips import list_clips
from ieast.io.files import atomic_write
from ieast.io.listing import list_files

logger = logging.getLogger(__name__)

MIN_PICTURES = 3
"""Usable pictures that each side must have: the contrastive losses need negatives, hence three styles in a batch."""

MANIFEST = "manifest.csv"
"""One line per source file. It is written last, so that its presence says that the folder is complete."""

QUARANTINE = "quarantine.csv"
"""What becomes the manifest if enough files are usable, and otherwise stays to say which are not."""

# Part of the key: to be raised when the same settings lead to other pictures or another manifest.
_FORMAT_VERSION = 2

SHARD = "shard"
"""Column of the manifest that names the tar file a picture lies in; there is none where pictures are files of their own."""

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
        """The pictures of `side` to train on, in the same order every time, whether they lie in files or in shards.

        `ieast.io.images` reads both; the path of one in a shard goes on behind the shard's.
        """
        pictures = self._pictures(side)
        kept = set(self._held_out(pictures))
        return [path for name, path in pictures.items() if name not in kept]

    def scoring_paths(self, side: str) -> list[Path]:
        """The pictures of `side` that training does not see; all of them where none are held out."""
        pictures = self._pictures(side)
        return [pictures[name] for name in self._held_out(pictures) or pictures]

    def enlarged(self, side: str) -> set[Path]:
        """The pictures of `side` that have more pixels than their sources: what lies between those is no detail."""
        usable = self._usable(side)
        larger = usable[["width", "height"]].min(axis=1) > usable[["source_width", "source_height"]].min(axis=1)
        return set(self._paths(usable[larger]))

    def source_sides(self, side: str) -> dict[Path, int]:
        """Pixels of the smallest side of the source of each picture of `side`."""
        usable = self._usable(side)
        smallest = usable[["source_width", "source_height"]].min(axis=1).astype(int)
        return dict(zip(self._paths(usable), smallest, strict=True))

    def shards(self) -> list[Path]:
        """The tar files that hold the pictures; none where they are files of their own."""
        manifest = self._manifest()
        return [Path(self.folder, name) for name in sorted(set(manifest[SHARD]))] if SHARD in manifest else []

    def _held_out(self, names: Iterable[str]) -> list[str]:
        # By a digest of the name, so that pictures which come later change little of which are held out.
        by_chance = sorted(names, key=lambda name: hashlib.sha256(Path(name).name.encode()).digest())
        return sorted(by_chance[: math.ceil(self.held_out * len(by_chance))], key=Path)

    def _pictures(self, side: str) -> dict[str, Path]:
        """The usable pictures by their names in the manifest, in the order of these."""
        usable = self._usable(side).sort_values("prepared")
        return dict(zip(usable["prepared"], self._paths(usable), strict=True))

    def _paths(self, usable: pd.DataFrame) -> list[Path]:
        folders = usable[SHARD] if SHARD in usable else [""] * len(usable)
        return [Path(self.folder, folder, name) for folder, name in zip(folders, usable["prepared"], strict=True)]

    def _usable(self, side: str) -> pd.DataFrame:
        manifest = self._manifest()
        return manifest[(manifest["side"] == side) & (manifest["status"] == "ok")]

    def _manifest(self) -> pd.DataFrame:
        return pd.read_csv(Path(self.folder) / MANIFEST)


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
        ConfigError: `config.engine` is ray, and Ray is not installed.
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
    manifest = _make_manifest(_prepare_pictures(source, folder, config), config)
    with atomic_write(folder / QUARANTINE) as temporary:
        manifest.to_csv(temporary, index=False)
    _check_usable(manifest, config.max_bad_share, folder / QUARANTINE)
    (folder / QUARANTINE).replace(folder / MANIFEST)
    forget_portions(folder)
    return manifest


def preparation_key(config: PrepareConfig, data_digest: str) -> str:
    """16 hex digits that change with the data and with every setting that changes the prepared pictures."""
    alike = {"workers", "max_bad_share", "held_out", "engine", "processes"}
    if not config.shard_pictures:
        alike.add("shard_pictures")  # so that folders made before there were shards are still known
    facts = {"format": _FORMAT_VERSION, "data": data_digest, **config.model_dump(mode="json", exclude=alike)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def folder_digest(source: Path) -> str:
    """A digest of a dataset that is not under DVC: names, sizes and times of its pictures, so that a change is noticed.

    Of links, size and time are those of what they lead to.

    Raises:
        DataError: There is no such folder.
    """
    if not source.is_dir():
        raise DataError(f"there is no folder {source}; give one that holds content/ and style/")
    digest = hashlib.sha256()
    for side in SIDES:
        for path in list_files(source / side):
            facts = _state(path)
            digest.update(
                f"{path.relative_to(source)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    return digest.hexdigest()


def _state(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError:  # a link that leads nowhere
        return path.lstat()


def _prepare_pictures(source: Path, folder: Path, config: PrepareConfig) -> list[Record]:
    """What became of each picture; sides one after the other, and names in order."""
    work = [portion for side in SIDES for portion in portions(source, side, config)]
    records: list[list[Record]] = [[] for _ in work]
    with tqdm(total=sum(len(each.pictures) for each in work), desc="preparing", unit="picture", disable=None) as progress:
        if config.engine == "ray" and work:
            for number, done in prepare_by_ray(work, source, folder, config):
                records[number] = done
                progress.update(len(done))
        else:
            for portion, done in zip(work, records, strict=True):
                with closing(prepare_portion(portion, source, folder, config)) as made:
                    for record in made:
                        done.append(record)
                        progress.update()
    return [record for done in records for record in done]


def _make_manifest(records: list[Record], config: PrepareConfig) -> pd.DataFrame:
    # Int64, unlike int, has a missing value, which quarantined files need.
    columns = [name for name in Record.__dataclass_fields__ if name != SHARD or config.shard_pictures]
    return pd.DataFrame(records, columns=list(Record.__dataclass_fields__))[columns].astype(dict.fromkeys(_NUMBERS, "Int64"))


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
