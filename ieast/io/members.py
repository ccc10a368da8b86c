"""Pictures that lie in tar files: their paths go on behind the tar file's, as `FOLDER/content-00000.tar/content/sea.jpg`."""

import io
import tarfile
from functools import cache
from pathlib import Path

from ieast.errors import ImageError

SUFFIX = ".tar"


def archive_of(path: Path) -> tuple[Path, str] | None:
    """The tar file that `path` leads into, and the member's name there; None if it leads into none."""
    for parent in path.parents:
        if parent.suffix == SUFFIX and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def read_member(archive: Path, name: str) -> io.BytesIO:
    """A member of an uncompressed tar file, of which only that is read, but for all headers once in each process.

    The file is opened for each, so that processes that were forked, and threads, share no place in it.

    Raises:
        FileNotFoundError: There is no such member.
        ImageError: The archive is damaged; the message does not begin with its name.
    """
    try:
        begins, size = _places(archive, archive.stat().st_mtime_ns)[name]
    except KeyError:
        raise FileNotFoundError(name) from None
    except tarfile.TarError as error:
        raise ImageError(f"lies in {archive}, which is damaged ({error})") from error
    with archive.open("rb") as file:
        file.seek(begins)
        return io.BytesIO(file.read(size))


@cache
def _places(archive: Path, _changed: int) -> dict[str, tuple[int, int]]:
    """Where the content of each member begins, and how many bytes it has: some 250 bytes of memory each."""
    with tarfile.open(archive, "r:") as headers:
        return {member.name: (member.offset_data, member.size) for member in headers if member.isreg()}
