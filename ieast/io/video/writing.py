"""Encoding pieces of a video, and joining them and the sound into one file without encoding the pictures again."""

import heapq
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from ieast.errors import VideoError
from ieast.io.files import atomic_write
from ieast.io.video.audio import AudioPlan, audio_packets
from ieast.io.video.pixels import Colour, to_frame


@dataclass(frozen=True)
class Target:
    """A kind of file that can be written.

    Attributes:
        container: FFmpeg's name of its format.
        codec: FFmpeg's name of the encoder of its pictures.
        audio_codec: The same for sound that it cannot hold as it is.
        options: Of the encoder.
    """

    container: str
    codec: str
    audio_codec: str
    options: dict[str, str]


# Visually lossless. Without macroblock trees, for which x264 looks at memory that nobody wrote on CPUs with AVX-512: of some
# dozens of encodings of the same pictures one came out otherwise. It also holds no frames back then.
_X264 = {"crf": "15", "preset": "medium", "mbtree": "0"}
_VP9 = {"crf": "20", "deadline": "good", "cpu-used": "3", "row-mt": "1", "lag-in-frames": "16"}

TARGETS = {
    ".mkv": Target("matroska", "libx264", "aac", _X264),
    ".mov": Target("mov", "libx264", "aac", _X264),
    ".mp4": Target("mp4", "libx264", "aac", _X264),
    ".webm": Target("webm", "libvpx-vp9", "libopus", _VP9),
}
"""By suffix."""


@dataclass(frozen=True)
class VideoFormat:
    """What the encoder must know of the pictures.

    Attributes:
        width: Pixels.
        height: Pixels.
        frame_rate: Frames a second, by which the encoder spends bits; time stamps are set when pieces are joined.
        pixel_aspect: Width of a pixel over its height; None if unknown.
        colour: Of the samples.
    """

    width: int
    height: int
    frame_rate: Fraction
    pixel_aspect: Fraction | None
    colour: Colour

    def pixel_format(self, target: Target) -> str:
        """4:2:0, which everything plays, unless H.264 cannot hold it: it counts chroma in whole 2x2 blocks."""
        odd = self.width % 2 or self.height % 2
        return "yuv444p" if odd and target.codec == "libx264" else "yuv420p"


class SegmentWriter:
    """Encodes pictures into pieces of video that can be joined, each decodable by itself."""

    def __init__(self, target: Target, picture: VideoFormat, frames: int):
        """Raise unless the encoder takes such pictures.

        Args:
            target: The kind of file that the pieces will be joined to.
            picture: What all pictures have in common.
            frames: At most as many a piece.

        Raises:
            VideoError: It does not.
        """
        self.target, self.picture, self.frames = target, picture, frames
        context = av.CodecContext.create(target.codec, "w")
        assert isinstance(context, VideoCodecContext)
        self._configure(context)
        try:
            context.open()
        except av.error.FFmpegError as error:
            raise VideoError(
                f"{picture.width}x{picture.height} pixels cannot be encoded by {target.codec} ({error.strerror}). "
                "Choose another size, or a folder of frames as the result"
            ) from error

    def write(self, path: Path, shown: Iterable[tuple[int, int, Image.Image]]) -> int:
        """Encode pictures into the Matroska file `path`, and keep their times beside it; it counts once these are there.

        Args:
            path: The piece, whose suffix is not `.json`.
            shown: For each picture when it is shown and for how long, in ticks.

        Returns:
            How many pictures there were.

        Raises:
            DiskFullError: No space was left.
        """
        reformatter = VideoReformatter()
        times: list[int] = []
        last = 0
        with atomic_write(path) as temporary, av.open(f"file:{temporary}", "w", format="matroska") as output:
            stream = output.add_stream(self.target.codec, rate=self.picture.frame_rate)
            assert isinstance(stream, VideoStream)
            self._configure(stream.codec_context)
            for time, duration, picture in shown:
                frame = to_frame(picture, self.picture.colour, self.picture.pixel_format(self.target), reformatter)
                frame.pts, frame.time_base = len(times), 1 / self.picture.frame_rate
                output.mux(stream.encode(frame))
                times.append(time)
                last = duration
            output.mux(stream.encode(None))
        with atomic_write(_times_path(path)) as temporary:
            temporary.write_text(json.dumps({"times": times, "last_duration": last}))
        return len(times)

    def _configure(self, context: VideoCodecContext) -> None:
        picture, colour = self.picture, self.picture.colour
        context.width, context.height = picture.width, picture.height
        context.pix_fmt = picture.pixel_format(self.target)
        context.framerate = picture.frame_rate
        context.time_base = 1 / picture.frame_rate
        context.gop_size = self.frames
        # Packets then come in the order in which they are shown, so that any time stamps can be given to them.
        context.max_b_frames = 0
        if picture.pixel_aspect is not None:
            context.sample_aspect_ratio = picture.pixel_aspect
        context.color_range = ColorRange.MPEG
        context.colorspace, context.color_primaries, context.color_trc = colour.matrix, colour.primaries, colour.transfer
        context.options = dict(self.target.options)


def count_frames(piece: Path) -> int:
    """How many frames the complete piece at `piece` has; 0 if there is none."""
    return len(_load_times(piece)[0]) if _times_path(piece).exists() else 0


def join(path: Path, target: Target, pieces: list[Path], time_base: Fraction, audio: AudioPlan) -> None:
    """Write a video from its pieces and its sound to `path`, whole or not at all.

    Args:
        path: Where to.
        target: What kind of file.
        pieces: Files of `SegmentWriter.write`, in order.
        time_base: Seconds a tick.
        audio: What to put beside the pictures.

    Raises:
        DiskFullError: No space was left.
    """
    with atomic_write(path) as temporary, av.open(f"file:{temporary}", "w", format=target.container) as output:
        with av.open(f"file:{pieces[0]}", "r") as first:
            stream = output.add_stream_from_template(first.streams.video[0], opaque=True)
        stream.time_base = time_base
        with audio_packets(audio, output) as sound:
            for packet in heapq.merge(_video_packets(pieces, stream, time_base), sound, key=_when):
                output.mux(packet)


def _when(packet: Packet) -> Fraction:
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * (packet.time_base or Fraction(0))


def _video_packets(pieces: list[Path], stream: VideoStream, time_base: Fraction) -> Iterator[Packet]:
    for place, piece in enumerate(pieces):
        times, last_duration = _load_times(piece)
        following = _load_times(pieces[place + 1])[0][0] if place + 1 < len(pieces) else times[-1] + last_duration
        ends = [*times[1:], following]
        with av.open(f"file:{piece}", "r") as container:
            coded = (packet for packet in container.demux(video=0) if packet.size)
            for packet, start, end in zip(coded, times, ends, strict=True):
                packet.time_base = time_base
                packet.pts = packet.dts = start
                packet.duration = end - start
                packet.stream = stream
                yield packet


def _times_path(piece: Path) -> Path:
    return piece.with_suffix(".json")


def _load_times(piece: Path) -> tuple[list[int], int]:
    """When the frames of a piece are shown, and for how long the last of them is, in ticks."""
    kept = json.loads(_times_path(piece).read_text())
    return kept["times"], kept["last_duration"]
