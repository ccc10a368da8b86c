"""Files that are either complete or absent, and a choice of them."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from ieast.errors import IeastError

Item = TypeVar("Item")


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# Read once: reading it means setting it for a moment, which another thread would see.
_UMASK = _read_umask()


class DiskFullError(IeastError):
    """The disk filled up while writing; what was there before is intact."""


def evenly(items: Sequence[Item], count: int | None) -> list[Item]:
    """At most `count` of `items`, evenly spread over them from the first to the last; all without a count."""
    if count is None:
        return list(items)
    return [items[k] for k in np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)]


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to, and move it into place once it is complete and on disk.

    Whatever happens before that, an earlier file at `path` stays as it was and nothing is left behind.

    Raises:
        DiskFullError: No space was left on the disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept because Pillow and others choose the format by it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:40]}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        with disk_full_explained(path):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            # mkstemp makes private files; what we write follows the user's umask like any other file.
            temporary.chmod(0o666 & ~_UMASK)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def disk_full_explained(path: Path) -> Iterator[None]:
    """Turn the system's "no space left" while `path` is being written into a `DiskFullError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"the disk is full: {path} was not written, and what was there before is unchanged. "
                f"Free some space on {path.parent} and run the same command again."
            ) from error
        raise


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """Give an empty folder next to `beside`, on the same disk; whatever is still in it at the end is removed."""
    temporary = Path(tempfile.mkdtemp(dir=beside.parent, prefix=f".{beside.name}-"))
    try:
        temporary.chmod(0o755)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: Path, old: Path) -> None:
    """Put `new` in the place of `old`; a folder cannot be replaced in one call, so the old one steps aside first."""
    if not old.exists():
        new.rename(old)
        return
    aside = old.with_name(f".{old.name}-replaced-{os.getpid()}")
    old.rename(aside)
    try:
        new.rename(old)
    except BaseException:  # Ctrl-C too must leave something whole at this path
        aside.rename(old)
        raise
    shutil.rmtree(aside)


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
