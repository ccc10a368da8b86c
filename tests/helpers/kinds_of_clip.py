"""Video files as people have them, each with what it is to be shown as, or with what is said of it.

They show the frames of `draw_frame`, so that what is expected is drawn, not read.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from helpers.videos import draw_frame, turned, write_video
from PIL import Image

SIZE = WIDTH, HEIGHT = 64, 48
FRAMES = 10
RATE = Fraction(25)
EVEN = tuple(Fraction(index) / RATE for index in range(FRAMES))
UNEVEN = (0, 40, 80, 200, 210, 215, 400, 433, 466, 500)
GREY = np.array([0.299, 0.587, 0.114])

Draw = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Kind:
    """A kind of clip.

    Attributes:
        write: Makes the file at a path.
        draw: What is seen of a frame, uint8 of shape (H, W, 3).
        times: Seconds at which frames are shown in the result, of which the first is 0.
        within: Levels that frames may differ by on average.
        warnings: What each thing that is said begins with, behind the file's name.
        sound: Tracks that are carried over.
        message: In place of the rest: what the reason for refusing it begins with, behind the file's name.
    """

    write: Callable[[Path], object]
    draw: Draw = lambda index: draw_frame(index, WIDTH, HEIGHT)
    times: Sequence[Fraction] = EVEN
    within: float = 3
    warnings: tuple[str, ...] = ()
    sound: int = 0
    message: str = ""


def kinds() -> dict[str, Kind]:
    """All kinds by the names of files."""
    return {
        "plain.mp4": Kind(_plain),
        "plain.mkv": Kind(_plain),
        "plain.mov": Kind(_plain),
        "plain.avi": Kind(_plain),
        "plain.ts": Kind(_plain),
        "plain.webm": Kind(_with("libvpx-vp9"), within=4),
        "plain.mpg": Kind(_with("mpeg2video", bit_rate=4_000_000), within=6),
        "plain.gif": Kind(_pictures("gif", "rgb8"), within=30, times=_hundredths(EVEN)),
        "misnamed.avi": Kind(lambda path: _renamed(path, "a.mp4", _plain)),
        "sound.mp4": Kind(_with("libx264", audio="aac"), sound=1),
        "two-sounds.mkv": Kind(_two_sounds, sound=2),
        "subtitles.mkv": Kind(_subtitled, warnings=("its subtitles are not carried over",)),
        "uneven.mp4": Kind(_with("libx264", stamps=UNEVEN), times=[Fraction(stamp, 1000) for stamp in UNEVEN]),
        "late.ts": Kind(
            _with("libx264", stamps=[9000 + stamp for stamp in UNEVEN]), times=[Fraction(stamp, 1000) for stamp in UNEVEN]
        ),
        "before-zero.ts": Kind(_before_zero, times=[Fraction(stamp, 1000) for stamp in UNEVEN]),
        # Whose edit list leaves out what is shown before 0, as players do.
        "before-zero.mp4": Kind(
            _before_zero,
            draw=lambda index: draw_frame(index + 3, WIDTH, HEIGHT),
            times=[Fraction(stamp - 200, 1000) for stamp in UNEVEN[3:]],
        ),
        "turned.mp4": Kind(_turned, draw=lambda index: np.rot90(draw_frame(index, WIDTH, HEIGHT), -1)),
        "portrait.mp4": Kind(_sized(48, 64), draw=lambda index: draw_frame(index, 48, 64)),
        "odd.mp4": Kind(_sized(61, 47), draw=lambda index: draw_frame(index, 61, 47)),
        "wide-pixels.mp4": Kind(_with("libx264", sample_aspect_ratio=Fraction(4, 3))),
        "half-colour.mkv": Kind(_pictures("ffv1", "yuv422p"), within=1.5),
        "ten-bits.mkv": Kind(_pictures("ffv1", "yuv444p10le"), within=1),
        "grey.mkv": Kind(_pictures("ffv1", "gray"), draw=_grey, within=1.5),
        "red-green-blue.mkv": Kind(_pictures("ffv1", "bgr0"), within=1),
        "hdr.mkv": Kind(_pictures("ffv1", "yuv444p10le", transfer=16), within=1, warnings=("is HDR (PQ)",)),
        "alpha.mov": Kind(_half_transparent, draw=_half_white, within=1),
        "interlaced.mpg": Kind(_with("mpeg2video", bit_rate=4_000_000, flags=1 << 29), within=6),
        "one-frame.mp4": Kind(_with("libx264", frames=1), times=EVEN[:1]),
        "cover-first.mp4": Kind(_cover_first),
        "cut.mkv": Kind(_cut(0.6), within=2, times=EVEN[:5], warnings=("has pictures for 0.20 s, though it announces 0.40 s",)),
        "cut.mp4": Kind(_cut(0.6), message="is damaged, or not a video"),
        "empty.mp4": Kind(Path.touch, message="is damaged, or not a video"),
        "text.mp4": Kind(lambda path: path.write_text("this is text\n"), message="is damaged, or not a video"),
        "only-sound.mp4": Kind(_only_sound, message="is not a video, because it holds only sound"),
        "sizes-that-change.ts": Kind(_growing, message="frame 11 has 80x60 pixels, but those before have 64x48"),
        "playlist.m3u8": Kind(_playlist, message="is damaged, or not a video"),
    }


def _with(codec: str, frames: int = FRAMES, audio: str | None = None, **options) -> Callable[[Path], object]:
    return lambda path: write_video(path, frames, SIZE, RATE, codec=codec, audio=audio, **options)


def _plain(path: Path) -> None:
    write_video(path, FRAMES, SIZE, RATE, audio=None)


def _sized(width: int, height: int) -> Callable[[Path], object]:
    return lambda path: write_video(path, FRAMES, (width, height), RATE, audio=None)


def _hundredths(times: Sequence[Fraction]) -> list[Fraction]:
    return [Fraction(round(time * 100), 100) for time in times]


def _renamed(path: Path, name: str, write: Callable[[Path], object]) -> None:
    other = path.with_name(f"{path.stem}-{name}")
    write(other)
    other.rename(path)


def _pictures(codec: str, pixels: str, transfer: int | None = None) -> Callable[[Path], object]:
    """Writes with an encoder for samples of one kind, of BT.601 with full range where they are luma and chroma."""

    def write(path: Path) -> None:
        coded = pixels.startswith("yuv")
        with av.open(str(path), "w") as output:
            stream = output.add_stream(codec, rate=RATE)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
            if coded:
                stream.codec_context.colorspace, stream.codec_context.color_range = 6, 2
            if transfer is not None:
                stream.codec_context.color_trc = transfer
            for index in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(draw_frame(index, WIDTH, HEIGHT), format="rgb24")
                options = {"dst_colorspace": Colorspace.ITU601, "dst_color_range": ColorRange.JPEG} if coded else {}
                output.mux(stream.encode(frame.reformat(format=pixels, **options)))
            output.mux(stream.encode(None))

    return write


def _grey(index: int) -> np.ndarray:
    return np.repeat((draw_frame(index, WIDTH, HEIGHT) @ GREY)[..., None], 3, axis=-1)


def _turned(path: Path) -> None:
    other = path.with_name("upright.mp4")
    _plain(other)
    turned(other, path, (0, 1, -1, 0))
    other.unlink()


def _half_transparent(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("qtrle", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "argb"
        for index in range(FRAMES):
            layer = np.dstack([draw_frame(index, WIDTH, HEIGHT), np.full((HEIGHT, WIDTH), 255, np.uint8)])
            layer[:, WIDTH // 2 :, 3] = 0
            output.mux(stream.encode(av.VideoFrame.from_ndarray(layer, format="rgba")))
        output.mux(stream.encode(None))


def _half_white(index: int) -> np.ndarray:
    picture = draw_frame(index, WIDTH, HEIGHT)
    picture[:, WIDTH // 2 :] = 255
    return picture


def _two_sounds(path: Path) -> None:
    single = write_video(path.with_name("single.mkv"), FRAMES, SIZE, RATE)
    with av.open(str(single)) as source, av.open(str(path), "w") as output:
        video, sound = source.streams.video[0], source.streams.audio[0]
        copies = {video.index: [output.add_stream_from_template(video, opaque=True)]}
        copies[sound.index] = [output.add_stream_from_template(sound) for _ in range(2)]
        for packet in source.demux(video, sound):
            for copy in copies[packet.stream.index] if packet.size else ():
                packet.stream = copy
                output.mux(packet)
    single.unlink()


def _cover_first(path: Path) -> None:
    """Like the films of shops: the poster is the file's first stream."""
    plain = path.with_name("plain-below.mp4")
    _plain(plain)
    with av.open(str(plain)) as source, av.open(str(path), "w") as output:
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        copy = output.add_stream_from_template(source.streams.video[0], opaque=True)
        output.mux(cover.encode(av.VideoFrame.from_image(Image.new("RGB", (16, 16), "red"))))
        output.mux(cover.encode(None))
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    plain.unlink()


def _before_zero(path: Path) -> None:
    stamps = [stamp - 200 for stamp in UNEVEN]
    write_video(path, FRAMES, SIZE, RATE, audio=None, stamps=stamps, muxer={"avoid_negative_ts": "disabled"})


def _cut(share: float) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        # Of equally large frames in the order in which they are shown, so that it is known where the cut falls.
        write_video(path, FRAMES, SIZE, RATE, codec="ffv1", audio=None)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return write


def _only_sound(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), format="fltp", layout="stereo")
        frame.rate = 48_000
        output.mux([*stream.encode(frame), *stream.encode(None)])


def _growing(path: Path) -> None:
    parts = [write_video(path.with_name(f"{size[0]}.ts"), FRAMES, size, RATE, audio=None) for size in (SIZE, (80, 60))]
    with path.open("wb") as output:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, output)
            part.unlink()


def _playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nplain.ts\n#EXT-X-ENDLIST\n")


def _subtitled(path: Path) -> None:
    plain, words = path.with_name("plain-below.mkv"), path.with_suffix(".srt")
    _plain(plain)
    words.write_text("1\n00:00:00,000 --> 00:00:00,300\nHello\n")
    with av.open(str(plain)) as source, av.open(str(words)) as said, av.open(str(path), "w") as output:
        for container in (source, said):
            output.add_stream_from_template(container.streams[0], opaque=True)
        for container in (said, source):
            for packet in container.demux(0):
                if packet.size:
                    packet.stream = output.streams[0 if container is source else 1]
                    output.mux(packet)
    plain.unlink()
    words.unlink()
