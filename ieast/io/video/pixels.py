"""Between the samples of a video and upright RGB pictures."""

from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from PIL import Image

from ieast.io.images import lay

# Without these flags chroma is shifted by a fraction of a pixel and results are rounded down, by 2 levels together.
_PRECISE = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP

_BT709, _BT601, _BT2020 = 1, 6, 9
_MATRICES = {_BT709: Colorspace.ITU709, _BT601: Colorspace.ITU601, _BT2020: Colorspace.BT2020}
_SAME_MATRIX = {5: _BT601, 10: _BT2020}
_UNSPECIFIED = 2

HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""Names of transfer functions whose pictures look pale if taken for ordinary ones."""

_TRANSPOSES = {
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
"""What the signs of a display matrix (a, b, c, d), where x' = ax + cy and y' = bx + dy, ask for."""

QUARTER_TURNS = frozenset(
    {Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270, Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE}
)
"""Those that swap width and height."""


@dataclass(frozen=True)
class Colour:
    """How a video's samples stand for colours, in the numbers of ITU-T H.273, which FFmpeg uses; by default BT.709.

    Attributes:
        matrix: Coefficients of Y'CbCr: 1 for BT.709, 6 for BT.601, 9 for BT.2020.
        primaries: Which red, green and blue; 2 if the file does not say.
        transfer: From samples to light; 2 if the file does not say.
    """

    matrix: int = _BT709
    primaries: int = 1
    transfer: int = 1


def colour_of(frame: VideoFrame) -> Colour:
    """What `frame` says of its colours, completed as players do it."""
    matrix = _SAME_MATRIX.get(frame.colorspace, frame.colorspace)
    if not _is_coded(frame):
        matrix = _BT709
    elif matrix not in _MATRICES:
        matrix = _BT709 if frame.width >= 1280 or frame.height > 576 else _BT601
    primaries, transfer = (value if value > 0 else _UNSPECIFIED for value in (frame.color_primaries, frame.color_trc))
    return Colour(matrix, primaries, transfer)


def transpose_of(frame: VideoFrame) -> Image.Transpose | None:
    """What puts the stored `frame` upright, by its display matrix."""
    try:
        matrix = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)  # type: ignore[typeddict-item]
    except (KeyError, ValueError):  # none, or side data of a kind that PyAV does not know
        return None
    a, b, c, d = (int(np.sign(matrix[index])) for index in (0, 1, 3, 4))
    return _TRANSPOSES.get((a, b, c, d))


def to_picture(
    frame: VideoFrame, colour: Colour, transpose: Image.Transpose | None, reformatter: VideoReformatter
) -> Image.Image:
    """A decoded frame as an upright picture in mode RGB, what is transparent laid on white like that of pictures."""
    full_range = not _is_coded(frame) or frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    has_alpha = frame.format.has_palette or any(component.is_alpha for component in frame.format.components)
    samples = reformatter.reformat(
        frame,
        format="rgba" if has_alpha else "rgb24",
        src_colorspace=_MATRICES[colour.matrix] if _is_coded(frame) else None,
        src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=_PRECISE,
        threads=1,
    )
    picture = Image.fromarray(samples.to_ndarray())
    if has_alpha:
        picture = lay(picture.convert("RGB"), picture.getchannel("A"))
    return picture if transpose is None else picture.transpose(transpose)


def to_frame(picture: Image.Image, colour: Colour, pixel_format: str, reformatter: VideoReformatter) -> VideoFrame:
    """A picture as a frame of limited range in the Y'CbCr format `pixel_format`."""
    frame = reformatter.reformat(
        VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24"),
        format=pixel_format,
        src_color_range=ColorRange.JPEG,
        dst_colorspace=_MATRICES[colour.matrix],
        dst_color_range=ColorRange.MPEG,
        interpolation=_PRECISE,
        threads=1,
    )
    frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
    return frame


def _is_coded(frame: VideoFrame) -> bool:
    """Whether samples are Y'CbCr and not RGB."""
    return not (frame.format.is_rgb or frame.format.has_palette)
