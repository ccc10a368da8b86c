"""Reading pictures as they come, and writing them whole or not at all.

Every picture becomes 8-bit sRGB, the right way up, and without transparency unless that is asked for. A file that cannot
become that is an `ImageError` whose message starts with the file's name and says what to do.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

from ieast.errors import ImageError, TooManyPixelsError
from ieast.io.files import atomic_write, check_name
from ieast.io.opening import READ_FORMATS, opened, quietly
from ieast.io.profiles import eight_bits, to_srgb

if TYPE_CHECKING:
    import torch

MAX_PIXELS = 150_000_000
"""Pictures with more pixels are refused undecoded, unless the caller says otherwise."""

MAX_SIDE = 65_500
"""Longest side in pixels that a resized picture may have: what libjpeg encodes."""

Behind = Literal["white", "black"]
"""What is seen through transparency."""

_WRITE_FORMATS = {
    ".bmp": "BMP",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}


def read_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels as stored, before any EXIF orientation; only the header is read.

    Raises:
        ImageError: The file is not there, is not an image, or exceeds Pillow's own limit on pixels.
    """
    with explained(str(path)), opened(path) as image:
        return image.size


def read_image(
    path: Path,
    *,
    smallest_side: int | None = None,
    min_side: int = 1,
    max_pixels: int = MAX_PIXELS,
    behind: Behind | None = "white",
) -> Image.Image:
    """Read a picture as upright 8-bit sRGB; of an animation, the first frame.

    Embedded colour profiles are applied, 16-bit grey is scaled to 8 bits, and transparency is laid on white, as it is in the
    frames of videos.

    Args:
        path: The file; its content, not its name, decides the format.
        smallest_side: Pixels that both sides must keep. A JPEG is then decoded at the smallest of 1/8, 1/4, 1/2 and 1
            of its size that keeps them, which saves most of the time on large ones; the result is not yet resized.
        min_side: Pixels of the smaller side below which the picture is refused.
        max_pixels: Pixels above which it is refused; like `min_side` judged by the header, before decoding.
            Pillow has its own limit (`2 * PIL.Image.MAX_IMAGE_PIXELS`, 179 million), which this cannot lift.
        behind: What is seen through transparency; `read_mask` has black. With None it is kept.

    Returns:
        A picture in mode RGB without metadata; in mode RGBA if `behind` is None and it is transparent anywhere.

    Raises:
        ImageError: The file is not there, is not an image, is damaged, too small or too large, or has samples
            without a defined range.
    """
    return _read(Path(path), str(path), smallest_side, min_side, max_pixels, behind)


def read_mask(path: Path) -> Image.Image:
    """Read a mask, white where something applies: not where it is black, and not where it is transparent.

    Raises:
        ImageError: As `read_image`.
    """
    return read_image(path, behind="black")


def decode_bytes(
    data: bytes,
    *,
    name: str = "the picture",
    smallest_side: int | None = None,
    min_side: int = 1,
    max_pixels: int = MAX_PIXELS,
    behind: Behind | None = "white",
) -> Image.Image:
    """`read_image` for a file's content in memory; errors call it `name`.

    Raises:
        ImageError: As `read_image`.
    """
    return _read(io.BytesIO(data), name, smallest_side, min_side, max_pixels, behind)


def lay(colour: Image.Image, alpha: Image.Image, behind: Behind = "white") -> Image.Image:
    """An RGB picture that is as opaque as `alpha`, in mode L, says, in front of white or black."""
    canvas = Image.new("RGB", colour.size, behind)
    canvas.paste(colour, mask=alpha)
    return canvas


def resize_smallest_side(image: Image.Image, size: int) -> Image.Image:
    """Scale up or down, keeping the aspect, so that the smaller side is exactly `size` pixels.

    Raises:
        ImageError: The picture is so elongated that its longer side would exceed `MAX_SIDE` pixels.
    """
    width, height = image.size
    smallest = min(width, height)
    if smallest == size:
        return image
    target = (round(width * size / smallest), round(height * size / smallest))
    if max(target) > MAX_SIDE:
        raise ImageError(
            f"is too elongated: {width}x{height} pixels would become {target[0]}x{target[1]}, and a side may have at "
            f"most {MAX_SIDE}. Crop it, or remove it"
        )
    return image.resize(target, Image.Resampling.LANCZOS)


def resize_square(image: Image.Image, size: int) -> Image.Image:
    """Scale to `size` x `size` pixels, whatever the aspect was."""
    if image.size == (size, size):
        return image
    return image.resize((size, size), Image.Resampling.LANCZOS)


def to_tensor(image: Image.Image) -> "torch.Tensor":
    """An RGB picture as float32 of shape (1, 3, H, W) in [0, 1]."""
    import torch

    samples = torch.from_numpy(np.array(image, dtype=np.uint8))
    return samples.permute(2, 0, 1).unsqueeze(0).to(torch.float32, memory_format=torch.contiguous_format) / 255


def to_image(tensor: "torch.Tensor") -> Image.Image:
    """Floats of shape (3, H, W) or (1, 3, H, W) as an RGB picture, clamped to [0, 1] and rounded to 8 bits.

    Raises:
        ValueError: The tensor has another shape.
    """
    import torch

    picture = tensor.squeeze(0) if tensor.dim() == 4 else tensor
    if picture.dim() != 3 or picture.shape[0] != 3:
        raise ValueError(f"a picture has shape (3, H, W) or (1, 3, H, W), not {tuple(tensor.shape)}")
    samples = picture.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(samples.permute(1, 2, 0).cpu().numpy())


def check_writable_image_path(path: Path) -> None:
    """Raise unless a picture could be written to `path`, before work is spent on it.

    Raises:
        ImageError: The suffix is not that of a format we write, `path` is a folder, or its folder cannot be written.
        OutputError: Its name is too long.
    """
    _format_for(path)
    check_name(path)
    if path.is_dir():
        raise ImageError(f"{path}: is a folder. Give the name of a file in it, such as {path / 'result.png'}")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ImageError(f"{path}: cannot be written, because {folder} is not a folder you may write to. Choose another")


def write_image(image: Image.Image, path: Path, *, quality: int = 95) -> None:
    """Write an RGB or RGBA picture in the format that the suffix of `path` names, making missing folders.

    An earlier file at `path` is replaced only once the new one is complete and on disk. JPEG keeps full colour
    resolution (4:4:4).

    Args:
        image: The picture.
        path: Where to.
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        ImageError: The suffix is not that of a format we write, or the format cannot hold a picture of this size.
        OutputError: There can be no file at `path`.
        DiskFullError: No space was left.
    """
    name = _format_for(path)
    try:
        data = _encode(image, name, quality)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    # Pillow's encoders lose the reason when they write to a full disk themselves; write_bytes reports it.
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def encode_image(image: Image.Image, suffix: str, quality: int = 95) -> bytes:
    """An RGB picture as the content of a file with such a name.

    Args:
        image: The picture.
        suffix: As `.png`.
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        ImageError: The suffix is not that of a format we write, or the format cannot hold a picture of this size.
    """
    return _encode(image, _format_for(Path(f"picture{suffix}")), quality)


def encode_png(image: Image.Image) -> bytes:
    """An RGB picture as the content of a PNG file."""
    return _encode(image, "PNG", quality=100)


def encode_jpeg(image: Image.Image, quality: int = 95) -> bytes:
    """An RGB picture as the content of a JPEG file in full colour resolution (4:4:4), without metadata.

    Args:
        image: The picture, with no side above `MAX_SIDE` pixels.
        quality: 1 to 100.
    """
    return _encode(image, "JPEG", quality)


def encode_webp(image: Image.Image, quality: int = 95) -> bytes:
    """An RGB picture as the content of a WebP file.

    Args:
        image: The picture, with no side above 16,383 pixels, the format's limit.
        quality: 1 to 100.
    """
    return _encode(image, "WEBP", quality)


def central_square(images: "torch.Tensor") -> "torch.Tensor":
    """As much of pictures (B, 3, H, W) as a square of their smaller side holds."""
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]


def _encode(image: Image.Image, name: str, quality: int) -> bytes:
    options = {"JPEG": {"quality": quality, "subsampling": 0}, "WEBP": {"quality": quality}}.get(name, {})
    buffer = io.BytesIO()
    try:
        image.save(buffer, name, **options)
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{name} cannot hold this picture of {image.width}x{image.height} pixels ({error}). "
            "Use another format, or make the picture smaller"
        ) from error
    return buffer.getvalue()


def _format_for(path: Path) -> str:
    try:
        return _WRITE_FORMATS[path.suffix.lower()]
    except KeyError:
        known = ", ".join(sorted(_WRITE_FORMATS))
        raise ImageError(f"{path}: the name must end in the suffix of a format that can be written: {known}") from None


def _read(
    source: Path | io.BytesIO, name: str, smallest_side: int | None, min_side: int, max_pixels: int, behind: Behind | None
) -> Image.Image:
    with explained(name), opened(source) as image:
        _check_size(image.size, name, min_side, max_pixels)
        if smallest_side is not None:
            image.draft(None, (smallest_side, smallest_side))
        image.load()
        _turn_upright(image)
        colour, alpha = _separated(image, name)
        rgb = to_srgb(colour, image.info.get("icc_profile"))
        if alpha is not None and behind is not None:
            rgb = lay(rgb, alpha, behind)
        elif alpha is not None and alpha.getextrema() != (255, 255):
            rgb.putalpha(alpha)
        # Writers would copy what is left, such as a colour profile that no longer applies.
        rgb.info.clear()
        return rgb


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn whatever goes wrong while a picture is read into an `ImageError` about `name`."""
    try:
        yield
    except MemoryError:
        raise
    except ImageError as error:
        if str(error).startswith(f"{name}: "):
            raise
        raise ImageError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        if Path(name).is_symlink():
            there = f"is a link to {Path(name).readlink()}, which is not there. Mend or remove it"
        else:
            there = "there is no such file. Check the path, or fetch the data again"
        raise ImageError(f"{name}: {there}") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: is not an image in a known format ({', '.join(READ_FORMATS)}). Save it as PNG or JPEG, or remove it"
        ) from error
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(
            f"{name}: has too many pixels for Pillow, which takes it for a decompression bomb ({error}). "
            "Make it smaller, or remove it"
        ) from error
    # Pillow's decoders raise OSError as well as ValueError, SyntaxError, struct.error and more on malformed data; only
    # errors of the system have a number.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ImageError(f"{name}: cannot be read ({error.strerror}). Check its permissions and the disk") from error
        raise ImageError(
            f"{name}: is damaged or truncated ({error}). Fetch it again from where it came, or remove it"
        ) from error


def _check_size(size: tuple[int, int], name: str, min_side: int, max_pixels: int) -> None:
    width, height = size
    if min(size) < min_side:
        raise ImageError(
            f"{name}: is too small: {width}x{height} pixels, and the smaller side must have at least {min_side}. "
            "Use a larger version, or remove it"
        )
    if width * height > max_pixels:
        raise TooManyPixelsError(
            f"{name}: has too many pixels: {width}x{height} is more than {max_pixels:,} in all. Make it smaller, or remove it"
        )


def _turn_upright(image: Image.Image) -> None:
    try:
        with quietly():
            image.getexif()  # kept, so that what follows does not parse it again
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # metadata is parsed with as little rigour as pictures; the picture itself can still be good
        return


def _separated(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """Its samples in a mode that `to_srgb` takes, and how opaque they are if not fully, in mode L."""
    if image.mode == "F":
        raise ImageError(f"{name}: holds floating-point samples, whose range the file does not say. Convert it to 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _sixteen_bits(image, name)
    if image.has_transparency_data:
        if image.mode in ("1", "L", "LA"):
            grey = image.convert("LA")
            return grey.getchannel("L"), grey.getchannel("A")
        transparent = image.info.get("transparency")
        if image.mode == "RGB" and isinstance(transparent, tuple) and max(transparent) > 255:
            # Pillow reads PNGs of 16 bits a sample as their upper 8, but leaves the transparent colour as it is.
            image.info["transparency"] = tuple(value >> 8 for value in transparent)
        layer = image.convert("RGBA")
        return layer.convert("RGB"), layer.getchannel("A")
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        # Adobe stores CMYK inverted. Pillow takes every CMYK JPEG for one of Adobe's; this one lacks their marker.
        return ImageChops.invert(image), None
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _sixteen_bits(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    samples = np.asarray(image)
    if samples.min() < 0 or samples.max() > 65535:
        raise ImageError(f"{name}: holds 32-bit samples, whose range the file does not say. Convert it to 8 or 16 bits")
    alpha = None
    if isinstance(transparent := image.info.get("transparency"), int):
        alpha = Image.fromarray(np.where(samples == transparent, 0, 255).astype(np.uint8))
    if image.info.get("icc_profile"):
        return Image.fromarray(samples.astype("<u2")), alpha
    return eight_bits(samples), alpha
