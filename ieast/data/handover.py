"""Prepared pictures handed from one machine to another through a store of files, packed into a few large ones.

What lies there is named by the preparation's key, so it is packed once, whichever run made it. Shards go as they are.
"""

import json
import logging
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from filelock import FileLock

from ieast.data.prepare import MANIFEST, PreparedDataset
from ieast.errors import DataError
from ieast.io.listing import list_files

SHARD_BYTES = 256 << 20
INDEX = "index.json"
"""Names the tar files, and shards, which stay whole. It is written last, so that its presence says that all are there."""
CLIPS = "clips"
_COPIED_BYTES = 8 << 20  # at a time

log = logging.getLogger(__name__)


class Store(Protocol):
    """Files elsewhere: the part of ZenML's artifact stores that is needed here."""

    def open(self, path: Any, mode: str = "r") -> Any:
        """A file of `path`, to be read or written in one go."""

    def exists(self, path: Any) -> bool:
        """Whether there is one."""


def pack(prepared: PreparedDataset, store: Store, root: str, shard_bytes: int = SHARD_BYTES) -> None:
    """Put `prepared`, with its clips, below `root` in `store`, unless it is there.

    Args:
        prepared: Whose folder is on this machine.
        store: Where to.
        root: A folder in it, such as `s3://bucket/ieast`.
        shard_bytes: Of pictures, after which another file is begun.
    """
    place = _place(root, prepared.key)
    if store.exists(f"{place}/{INDEX}"):
        return
    names = []
    for number, files in enumerate(_packs(prepared, shard_bytes)):
        names.append(f"shard-{number:05d}.tar")
        with store.open(f"{place}/{names[-1]}", "wb") as target, tarfile.open(fileobj=target, mode="w|") as archive:
            for name, path in files:
                archive.add(path, name, recursive=False)
    whole = prepared.shards()
    for path in whole:
        with path.open("rb") as source, store.open(f"{place}/{path.name}", "wb") as target:
            shutil.copyfileobj(source, target, _COPIED_BYTES)
    with store.open(f"{place}/{INDEX}", "w") as target:
        target.write(json.dumps({"shards": names, "whole": [path.name for path in whole]}))
    log.info("handed over %s in %d files", place, len(names) + len(whole))


def unpack(key: str, work_folder: Path, store: Store, root: str) -> Path | None:
    """Bring the prepared pictures of `key` to `work_folder`/prepared/`key`, where the store has them.

    Returns:
        That folder, or None.

    Raises:
        DataError: A shard is damaged.
    """
    place, folder = _place(root, key), work_folder.absolute() / "prepared" / key
    locks = work_folder / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"prepare-{key}.lock"):
        if (folder / MANIFEST).exists():
            return folder
        if not store.exists(f"{place}/{INDEX}"):
            return None
        with store.open(f"{place}/{INDEX}", "r") as source:
            index = json.loads(source.read())
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder.parent))
        try:
            for name in index["shards"]:
                _extract(store.open(f"{place}/{name}", "rb"), temporary / "complete", f"{place}/{name}")
            for name in (Path(each).name for each in index.get("whole", ())):  # nothing outside the folder
                with store.open(f"{place}/{name}", "rb") as source, (temporary / "complete" / name).open("wb") as target:
                    shutil.copyfileobj(source, target, _COPIED_BYTES)
            if folder.exists():  # begun by a preparation that was killed, which made the same pictures
                shutil.rmtree(folder)
            (temporary / "complete").rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def located(prepared: PreparedDataset, folder: Path) -> PreparedDataset | None:
    """`prepared` with its pictures and clips in `folder`, or None where they are not all there."""
    if not (folder / MANIFEST).exists():
        return None
    clips = prepared.clips_folder
    if clips is not None and not Path(clips).is_dir():
        if not (folder / CLIPS).is_dir():
            return None
        clips = str(folder / CLIPS)
    return prepared.model_copy(update={"folder": str(folder), "clips_folder": clips})


def _extract(source: IO[bytes], folder: Path, name: str) -> None:
    try:
        with source, tarfile.open(fileobj=source, mode="r|") as archive:
            archive.extractall(folder, filter="data")  # nothing outside the folder, no links, no devices
    except tarfile.TarError as error:
        raise DataError(f"{name} is damaged ({error}): delete its folder, and run the same command again") from error


def _place(root: str, key: str) -> str:
    return f"{root.rstrip('/')}/prepared/{key}"


def _packs(prepared: PreparedDataset, shard_bytes: int) -> Iterator[list[tuple[str, Path]]]:
    pack: list[tuple[str, Path]] = []
    size = 0
    for name, path in _files(prepared):
        pack.append((name, path))
        size += path.stat().st_size
        if size >= shard_bytes:
            yield pack
            pack, size = [], 0
    if pack:
        yield pack


def _files(prepared: PreparedDataset) -> Iterator[tuple[str, Path]]:
    folder = Path(prepared.folder)
    for side in () if prepared.shards() else prepared.counts:
        for path in list_files(folder / side):
            yield path.relative_to(folder).as_posix(), path
    if prepared.clips_folder is not None:
        clips = Path(prepared.clips_folder)
        for path in list_files(clips):
            yield f"{CLIPS}/{path.relative_to(clips).as_posix()}", path
    yield MANIFEST, folder / MANIFEST
