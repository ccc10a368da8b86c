"""Opening a picture's file, whatever strange but sound things it holds beside the picture."""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from ieast.errors import ImageError
from ieast.io.jpeg import ends
from ieast.io.members import archive_of, read_member
from ieast.io.png import is_png, sifted

# Pillow knows more, but some of the rest start programs (EPS runs Ghostscript), and pictures may come from strangers.
READ_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000", "PPM")

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

# Theirs are two letters of text, with which what is no picture can begin, too.
_BRIEF_SIGNATURES = frozenset({"BMP", "PPM"})

_NEW_SUBFILE_TYPE, _DNG_VERSION = 254, 50706

# `warnings` keeps its state for the whole process.
_WARNINGS = threading.Lock()


@contextmanager
def opened(source: Path | io.BytesIO) -> Iterator[Image.Image]:
    """Open a picture without decoding it, in a file or in a tar file; its colour profile is in `info["icc_profile"]`.

    Raises:
        ImageError: It is of a kind that something must be installed for, or of which only a preview could be read, or nothing
            behind its signature can be read; the message does not begin with its name.
        UnidentifiedImageError: It has not even the signature of a format that is read.
    """
    with nullcontext(source) if isinstance(source, io.BytesIO) else _file(Path(source)) as file:
        if is_heif(file):
            with _heif(file) as image:
                yield image
            return
        profile, stream = sifted(file) if is_png(file) else (None, file)
        try:
            with quietly():
                image = Image.open(stream, formats=READ_FORMATS)
        except UnidentifiedImageError as error:
            if (name := signed_as(file)) is None:
                raise
            raise ImageError(
                f"has the signature of {name}, but is damaged or truncated, or of a kind of {name} that is not read. Fetch it "
                "again from where it came, save it as PNG or JPEG, or remove it"
            ) from error
        with image:
            if image.format == "TIFF":
                _refuse_raw(image, file)
            if image.format in ("JPEG", "MPO") and not ends(file):
                raise ImageError("is damaged or truncated (it has no end). Fetch it again from where it came, or remove it")
            if profile is not None:
                image.info["icc_profile"] = profile
            if image.format == "PNG":
                _scale_transparent_grey(image)
            yield image


def _scale_transparent_grey(image: Image.Image) -> None:
    """Pillow spreads greys of 2 and 4 bits over 8, but leaves the one that is transparent as it is stored."""
    tiles = getattr(image, "tile", None)
    factor = {"L;2": 85, "L;4": 17}.get(str(tiles[0].args)) if tiles else None
    if factor is not None and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= factor


def _file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except NotADirectoryError:
        if (member := archive_of(path)) is None:
            raise
        return read_member(*member)


def is_heif(file: BinaryIO) -> bool:
    """Whether `file` is a HEIF container of another codec than AV1, which Pillow reads itself; leaves it at its beginning."""
    head = file.read(64)
    file.seek(0)
    if head[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, end, 4))}
    return bool(brands & _HEIF_BRANDS) and not brands & _AVIF_BRANDS


def signed_as(file: BinaryIO) -> str | None:
    """The format that `file` begins like, whether or not the rest of it can be read; leaves it at its beginning."""
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    Image.init()
    for name in READ_FORMATS:
        _, accepts = Image.OPEN[name]
        if name not in _BRIEF_SIGNATURES and accepts is not None and accepts(head):
            return name
    return None


def _heif(file: BinaryIO) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ModuleNotFoundError:
        raise ImageError(
            "is a HEIC picture, for which a package is missing: `pip install pillow-heif`, or save it as PNG or JPEG"
        ) from None
    # By its class and not by its name, because telling Pillow of it would change what others open in the same process.
    return HeifImageFile(file)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep Pillow's own warnings back: what is too large is said here, and broken metadata do not make a picture unreadable."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _refuse_raw(image: Image.Image, file: BinaryIO) -> None:
    """Raw files of cameras are TIFF files whose first picture is a small preview; nobody means that one."""
    tags = getattr(image, "tag_v2", {})
    position = file.tell()
    file.seek(8)
    is_canon = file.read(2) == b"CR"
    file.seek(position)
    if is_canon or _DNG_VERSION in tags or tags.get(_NEW_SUBFILE_TYPE, 0) & 1:
        raise ImageError(
            "is a camera's raw file, of which only a small preview could be read. Develop it, and save it as TIFF or JPEG"
        )
