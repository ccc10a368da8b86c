"""Pictures that lie in tar files: their paths go on behind the tar file's, as `FOLDER/content-00000.tar/content/sea.jpg`."""

import io
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
    """A member of an uncompressed tar file; only its own bytes are read, and once for each process and thread all headers.

    Raises:
        FileNotFoundError: There is no such member.
        ImageError: The archive is damaged; the message does not begin with its name.
    """
    from fsspec.implementations.tar import TarFileSystem  # beside PyTorch, so that the lean package does not have it

    try:
        # fsspec keeps one for each process and thread, whose place in the file is its own.
        data = TarFileSystem(str(archive)).cat_file(name)
    except FileNotFoundError:
        raise
    except Exception as error:  # of tarfile, and of what it runs into
        raise ImageError(f"lies in {archive}, which is damaged ({error})") from error
    return io.BytesIO(data)
