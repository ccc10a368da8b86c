"""Files that are either complete or absent, and a choice of them."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from ieast.errors import IeastError, OutputError

Item = TypeVar("Item")


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# Read once: reading it means setting it for a moment, which another thread would see.
_UMASK = _read_umask()


_SHORT = 40
"""Letters of a name that a temporary one beside it begins with: all of them could make it too long."""

_MARK = "-ieast-"
_TEMPORARY = re.compile(rf"\..*{_MARK}[a-z0-9_]{{8}}(\..*)?", re.DOTALL)
"""Names of temporary files and folders, which nothing else has."""

_OF_SYSTEMS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What file managers leave in folders that were looked at."""

_ASIDE = "replaced"
"""In a temporary folder: where another folder waits while its place is taken."""

# Folders in which this process has looked for what killed ones left: once is enough, and folders can be large.
_swept: set[Path] = set()
_sweeping = threading.Lock()


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

    Whatever happens before that, an earlier file at `path` stays as it was and nothing is left behind. A link is followed, as
    it is by whatever else writes files: what it leads to is written, and it stays.

    Raises:
        OutputError: There can be no file at `path`.
        DiskFullError: No space was left on the disk.
    """
    path = Path(path)
    check_name(path)
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    with _explained(path), disk_full_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept because Pillow and others choose the format by it.
        _sweep(path.parent)
        temporary, handle = _held(lambda: tempfile.mkstemp(dir=path.parent, prefix=_prefix(path.stem), suffix=path.suffix))
    try:
        with disk_full_explained(path):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            # mkstemp makes private files; what we write follows the user's umask like any other file.
            temporary.chmod(0o666 & ~_UMASK)
            with _explained(path):
                temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _prefix(name: str) -> str:
    return f".{name[:_SHORT]}{_MARK}"


def _held(make: Callable[[], tuple[int, str]]) -> tuple[Path, int]:
    """What `make` makes, and a handle on it whose lock says that this process lives."""
    while True:
        handle, name = make()
        with suppress(OSError):  # a file system without locks, where nothing is swept either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if Path(name).exists():
            return Path(name), handle
        os.close(handle)  # swept by another process before it was locked


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until no other process or thread is in `turn` with this folder; on file systems without locks, do not.

    The folder itself is locked, for which nobody has to be able to write to it, and nothing is left behind.

    Raises:
        OSError: There is no such folder, or it may not be looked into.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove temporary files and folders of processes that were killed, the first time that this process writes there."""
    with _sweeping:
        if folder in _swept:
            return
        _swept.add(folder)
    for path in folder.iterdir():
        if not _TEMPORARY.fullmatch(path.name):
            continue
        with suppress(OSError):  # in use, gone meanwhile, or somebody else's
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.is_dir():
                    _give_back(path)
                    shutil.rmtree(path)
                else:
                    path.unlink()
            finally:
                os.close(handle)


def check_name(path: Path) -> None:
    """Raise unless the file system can have a file of this name.

    Raises:
        OutputError: It cannot.
    """
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise OutputError(
                f"{path}: cannot be written, because the disk does not take names that long. Give a shorter one"
            ) from error


def _means_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def place_for(folder: Path) -> None:
    """Make `folder` unless it is there.

    Raises:
        OutputError: Something else is in its place, or it must not be made.
        DiskFullError: No space was left on the disk.
    """
    with _explained(folder), disk_full_explained(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the system says when `path` cannot be into an `OutputError`, but for a full disk."""
    try:
        yield
    except OSError as error:
        if _means_full(error):
            raise
        raise OutputError(f"{path}: cannot be written ({error.strerror}). Choose another place, or make room there") from error


@contextmanager
def disk_full_explained(path: Path) -> Iterator[None]:
    """Turn the system's "no space left" while `path` is being written into a `DiskFullError`."""
    try:
        yield
    except OSError as error:
        if _means_full(error):
            raise DiskFullError(
                f"the disk is full: {path} was not written, and what was there before is unchanged. "
                f"Free some space on {path.parent} and run the same command again."
            ) from error
        raise


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """Give an empty folder next to `beside`, on the same disk; whatever is still in it at the end is removed."""

    def make() -> tuple[int, str]:
        name = tempfile.mkdtemp(dir=beside.parent, prefix=_prefix(beside.name))
        return os.open(name, os.O_RDONLY), name

    _sweep(beside.parent)
    temporary, handle = _held(make)
    try:
        temporary.chmod(0o755)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


def replaceable(folder: Path, own: Set[str]) -> Path:
    """Where a model's folder is to be put: at `folder`, or where it leads if it is a link.

    Args:
        folder: The place that was asked for.
        own: Names of what an earlier one at that place may hold, and nothing else.

    Raises:
        OutputError: There is something that would be lost.
    """
    place = folder.resolve() if folder.is_symlink() else folder
    if place.exists():
        others = sorted({path.name for path in place.iterdir()} - own - _OF_SYSTEMS) if place.is_dir() else [place.name]
        if others:
            held = f"holds {others[0]}" if place.is_dir() else "is a file"
            raise OutputError(f"{folder}: {held}, which would be lost. Give a folder that is empty or not there yet")
    return place


def replace_folder(new: Path, old: Path) -> None:
    """Put `new` in the place of `old`; a folder cannot be replaced in one call, so the old one steps aside first."""
    if not old.exists():
        new.rename(old)
        return
    with temporary_folder(old) as temporary:
        aside = temporary / _ASIDE / old.name
        aside.parent.mkdir()
        old.rename(aside)
        try:
            new.rename(old)
        except BaseException:  # Ctrl-C too must leave something whole at this path
            aside.rename(old)
            raise


def _give_back(temporary: Path) -> None:
    """Put back what a process had moved into the folder `temporary` when it was killed before anything came in its place."""
    for aside in temporary.glob(f"{_ASIDE}/*"):
        place = temporary.with_name(aside.name)
        if not place.exists():
            aside.rename(place)


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
