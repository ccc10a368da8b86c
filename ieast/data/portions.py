"""Pictures prepared a portion at a time: as files of their own, or together in a shard.

A shard is an uncompressed tar file, each member named as its file would be: unpacked into one folder, shards are what files
would have been. It is WebDataset's form; single pictures are read from it by `ieast.io.members`.
"""

import io
import json
import shutil
import tarfile
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from ieast.config import PrepareConfig
from ieast.data.pictures import Record, Source, encode_picture, list_pictures, prepare_picture
from ieast.io.cores import usable_cores
from ieast.io.files import atomic_write
from ieast.io.members import SUFFIX

# Pictures submitted to the workers together: enough to keep them busy, few enough to take no memory to speak of.
_BATCH = 1024

# In the prepared folder until all is done: of each finished shard what became of its pictures.
_DONE = ".shards"


@dataclass(frozen=True)
class Portion:
    """Pictures of one side that are prepared together.

    Attributes:
        pictures: In order.
        shard: Name of the tar file that takes them; empty: files of their own.
    """

    pictures: tuple[Source, ...]
    shard: str = ""


def portions(source: Path, side: str, config: PrepareConfig) -> list[Portion]:
    """All pictures of a side, in order: the same files and settings give the same portions."""
    pictures = list_pictures(source, side)
    size = config.shard_pictures or _BATCH
    return [
        Portion(tuple(pictures[start : start + size]), f"{side}-{number:05d}{SUFFIX}" if config.shard_pictures else "")
        for number, start in enumerate(range(0, len(pictures), size))
    ]


def prepare_portion(portion: Portion, source: Path, folder: Path, config: PrepareConfig) -> Generator[Record, None, None]:
    """Prepare pictures by `config.workers` threads, those of a finished shard not again; what became of each, in order.

    Raises:
        DiskFullError: No space was left.
    """
    if portion.shard and (done := _done(folder, portion.shard)).exists():
        yield from (Record(**fields) for fields in json.loads(done.read_text()))
        return
    # Threads, because Pillow leaves Python's lock while it decodes, resizes and encodes: two of them on two cores
    # prepare 12-megapixel JPEGs 1.6 to 1.9 times as fast as one, and processes do no better. Threads need neither fork,
    # unsafe beside the other threads of a pipeline's step, nor spawn, which starts the main script anew.
    pool = ThreadPoolExecutor(config.workers or usable_cores(), thread_name_prefix="prepare")
    try:
        if not portion.shard:
            yield from pool.map(partial(prepare_picture, source=source, folder=folder, config=config), portion.pictures)
            return
        encode = partial(encode_picture, source=source, config=config, shard=portion.shard)
        yield from _write_shard(portion.shard, folder, pool.map(encode, portion.pictures))
    finally:
        # After an error or Ctrl-C only the pictures in work are finished.
        pool.shutdown(cancel_futures=True)


def forget_portions(folder: Path) -> None:
    """Remove what only an unfinished preparation needs."""
    shutil.rmtree(folder / _DONE, ignore_errors=True)


def _write_shard(name: str, folder: Path, made: Iterable[tuple[Record, bytes]]) -> Iterator[Record]:
    records = []
    with atomic_write(folder / name) as temporary, tarfile.open(temporary, "w") as archive:
        for record, data in made:
            if data:
                member = tarfile.TarInfo(record.prepared)  # neither times nor owners, so that equal pictures give equal shards
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            records.append(record)
            yield record
    with atomic_write(_done(folder, name)) as temporary:
        temporary.write_text(json.dumps([asdict(record) for record in records]))


def _done(folder: Path, shard: str) -> Path:
    return folder / _DONE / f"{shard}.json"
