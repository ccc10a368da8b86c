"""Reading video files as streams of upright RGB frames, opening no other file than the one that was named."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from ieast.errors import VideoError
from ieast.io.images import MAX_PIXELS
from ieast.io.video.pixels import HDR_TRANSFERS, QUARTER_TURNS, colour_of, to_picture, transpose_of

VIDEO_SUFFIXES = frozenset(
    {".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
"""Suffixes of video files in a folder of clips, where GIF is an image; a file given by name is judged by its content."""

# FFmpeg knows hundreds more, among them playlists (hls, dash, concat), which open what a stranger's file tells them to.
# The second part holds sound only; it is there so that the error can say that.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif,mxf," + "mp3,wav,flac,aac"


_DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass(frozen=True)
class ClipInfo:
    """What is known of a clip before its frames are read.

    Attributes:
        width: Pixels of an upright frame.
        height: Pixels of an upright frame.
        frame_rate: Frames a second; the average, where the rate varies.
        frames: As the file announces or its duration suggests; None where it does neither.
        seconds: Duration; None if unknown.
        has_audio: Whether there is any sound.
    """

    width: int
    height: int
    frame_rate: Fraction
    frames: int | None
    seconds: float | None
    has_audio: bool


@dataclass(frozen=True)
class Frame:
    """A frame of a clip, converted or loaded only when `image` is called, and only while it is the current one.

    Attributes:
        time: When it is shown, in ticks of the source's `time_base`, later than the frame before.
        duration: For how long, in ticks; that of an average frame where the file does not say.
        image: Makes the upright RGB picture.
    """

    time: int
    duration: int
    image: Callable[[], Image.Image]


class VideoSource:
    """A video file that was opened, and whose first frame was decoded, to learn what it holds.

    Attributes:
        path: The file.
        info: Size, rate, duration.
        time_base: Seconds a tick.
        origin: Seconds on the file's own clock at which it starts; `Frame.time` counts from there.
        pixel_aspect: Width of a pixel over its height, upright; None if the file does not say.
        colour: Of the samples.
        warnings: What the user should know; reading all frames may add to it.
    """

    def __init__(self, path: Path):
        """Learn what `path` holds.

        Raises:
            VideoError: It is not there, is not a video in a format that is read, is damaged, too large or without frames.
        """
        self.path = path
        self.warnings: list[str] = []
        self._reached = 0  # bytes of the file up to the last packet
        with open_video(path) as container:
            stream = self._stream(container)
            self.origin = Fraction(container.start_time or 0, av.time_base)
            assert stream.time_base is not None
            self.time_base = stream.time_base
            self._check_size(stream.codec_context.width, stream.codec_context.height)
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            seconds = _announced_seconds(container, stream)
            frames = stream.frames or (round(seconds * rate) if seconds else None)
            has_audio = bool(container.streams.audio)
            if container.streams.subtitles:
                self.warnings.append(f"{path}: its subtitles are not carried over")
            aspect = stream.sample_aspect_ratio or None
            first = next(self._decoded(container, stream), None)
            if first is None:
                raise VideoError(f"{path}: holds no frame that can be read. Export it again from where it came")
        self._check_size(first.width, first.height)  # which the header need not have known
        self._transpose = transpose_of(first)
        width, height = first.width, first.height
        if self._transpose in QUARTER_TURNS:
            width, height, aspect = height, width, 1 / aspect if aspect else None
        self.pixel_aspect = aspect
        self.colour = colour_of(first)
        self.info = ClipInfo(width, height, rate, frames, float(seconds) if seconds else None, has_audio)
        if self.colour.transfer in HDR_TRANSFERS:
            kind = HDR_TRANSFERS[self.colour.transfer]
            self.warnings.append(
                f"{path}: is HDR ({kind}); its frames are taken as 8-bit pictures as they are, not tone-mapped"
            )

    def frames(self) -> Iterator[Frame]:
        """The frames in the order in which they are shown; one at a time is in memory.

        Broken time stamps are mended: a frame that claims to be no later than the one before is put a tick after it.

        Raises:
            VideoError: A frame other than the last ones cannot be decoded, or has another size. A file that merely ends too
                early is read up to there, one that begins between two key frames is read from the second, as players do it, and
                both add to `warnings`.
        """
        reformatter = VideoReformatter()
        average = max(1, round(1 / self.info.frame_rate / self.time_base))
        time, start, end, number = -1, None, 0, 0
        with open_video(self.path) as container:
            stream = self._stream(container)
            # AVI keeps no time stamps, only the order in which frames are stored, which is late by what the codec reorders.
            is_avi = container.format.name == "avi"
            shift = None if is_avi else round(self.origin / self.time_base)
            size = None
            for number, frame in enumerate(self._decoded(container, stream, self.warnings), 1):
                size = size or (frame.width, frame.height)
                if (frame.width, frame.height) != size:
                    raise VideoError(
                        f"{self.path}: frame {number} has {frame.width}x{frame.height} pixels, but those before have "
                        f"{size[0]}x{size[1]}. Export it again at one size"
                    )
                stamp = frame.dts if is_avi or frame.pts is None else frame.pts
                shift = stamp if shift is None else shift
                time = max(time + 1, end if stamp is None else stamp - (shift or 0))
                start = time if start is None else start
                duration = frame.duration or average
                end = time + duration
                yield Frame(time, duration, partial(to_picture, frame, self.colour, self._transpose, reformatter))
            lead = Fraction(0)
            if start is not None and stream.start_time is not None and not is_avi:
                lead = max(lead, (start + (shift or 0) - stream.start_time) * self.time_base)
            announced = stream.frames * average * self.time_base if is_avi else _announced_seconds(container, stream)
        shown = (number * average if is_avi else end - (start or 0)) * self.time_base
        tolerated = max(2 / self.info.frame_rate, Fraction(1, 10))
        if lead > tolerated:
            self.warnings.append(
                f"{self.path}: begins in the middle, {float(lead):.2f} s before its first key frame; the result begins there"
            )
        if announced is not None and announced - shown - lead > tolerated:
            short = f"has pictures for {float(shown):.2f} s, though it announces {float(announced):.2f} s"
            # What was cut off is not there; much that is there but was not found is damage.
            if self.path.stat().st_size - self._reached > 0.1 * self.path.stat().st_size:
                raise VideoError(f"{self.path}: {short}. It is damaged; export or fetch it again, or cut it before there")
            self.warnings.append(f"{self.path}: {short}; it is truncated or damaged")

    def _stream(self, container: InputContainer) -> VideoStream:
        # Covers of music files are video streams too.
        videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        if not videos:
            has = "only sound" if container.streams.audio else "neither pictures nor sound"
            raise VideoError(f"{self.path}: is not a video, because it holds {has}. Give a file with a video track")
        if videos[0].codec_context is None:
            raise VideoError(f"{self.path}: its video codec is not known here. Convert it to H.264, for instance")
        return videos[0]

    def _check_size(self, width: int, height: int) -> None:
        if width * height > MAX_PIXELS:
            raise VideoError(
                f"{self.path}: has too many pixels: {width}x{height} is more than {MAX_PIXELS:,} in all. Make it smaller"
            )

    def _decoded(
        self, container: InputContainer, stream: VideoStream, warnings: list[str] | None = None
    ) -> Iterator[VideoFrame]:
        """Decoded frames as stored; a tolerated failure at the end adds to `warnings`."""
        good, failure = 0, None
        has_begun = False  # before the first key frame there is nothing that these could build on
        decode = _decoder(stream)
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.error.FFmpegError as error:
                self._refuse_system_error(error)
                failure = failure or f"frame {good + 1} ({error.strerror})"
                break
            self._reached = max(self._reached, (packet.pos or 0) + packet.size)
            has_begun = has_begun or packet.is_keyframe
            try:
                frames = decode(packet)
            except av.error.FFmpegError as error:
                self._refuse_system_error(error)
                if has_begun:
                    failure = failure or f"frame {good + 1}{self._when(packet.pts)} ({error.strerror})"
                continue
            for frame in frames:
                if frame.is_corrupt:
                    if not has_begun:
                        continue
                    failure = failure or f"frame {good + 1}{self._when(frame.pts)} (damaged)"
                    continue
                if failure:
                    raise VideoError(f"{self.path}: {failure} cannot be read. Export or fetch it again, or cut it before there")
                good += 1
                yield frame
        if failure and warnings is not None:
            warnings.append(f"{self.path}: {failure} and what follows cannot be read; the result ends before it")

    def _when(self, stamp: int | None) -> str:
        return "" if stamp is None else f" at {float(stamp * self.time_base - self.origin):.2f} s"

    def _refuse_system_error(self, error: av.error.FFmpegError) -> None:
        if error.errno == errno.ENOMEM:
            raise MemoryError(f"{self.path}: {error.strerror}") from error
        if error.errno == errno.EIO:
            raise VideoError(f"{self.path}: cannot be read ({error.strerror}). Check the disk") from error


def _decoder(stream: VideoStream) -> Callable[[Packet], list[VideoFrame]]:
    """What decodes the packets of `stream`, with the transparency that FFmpeg's own decoders of VP8 and VP9 leave out."""
    name = _DECODERS_WITH_ALPHA.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return stream.decode
    context = av.CodecContext.create(name, "r")
    assert isinstance(context, VideoCodecContext)
    context.extradata = stream.codec_context.extradata
    return context.decode


def probe(path: Path) -> ClipInfo:
    """What the video file `path` holds.

    Raises:
        VideoError: It is not there, or not a video that can be read.
    """
    return VideoSource(path).info


def read_video_frames(path: Path) -> Iterator[Image.Image]:
    """The frames of the video file `path`, upright, in mode RGB; one at a time is in memory.

    Raises:
        VideoError: It is not there, not a video, or a frame of it cannot be read.
    """
    for frame in VideoSource(path).frames():
        yield frame.image()


@contextmanager
def open_video(path: Path) -> Iterator[InputContainer]:
    """Open `path` for demuxing, whatever its name, as long as its content has one of the formats that are read.

    Raises:
        VideoError: It is not there, not in one of those formats, or damaged.
    """
    if not path.is_file():
        raise VideoError(f"{path}: there is no such video file. Check the path")
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    try:
        # The protocol in front keeps names such as "concat:a|b" from being taken for one.
        container = av.open(f"file:{path.absolute()}", "r", options=options, metadata_errors="replace")
    except av.error.FFmpegError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EIO):
            raise VideoError(f"{path}: cannot be read ({error.strerror}). Check its permissions and the disk") from error
        raise VideoError(
            f"{path}: is damaged, or not a video in a format that is read here (MP4, MOV, Matroska, WebM, AVI, MPEG, GIF and "
            f"others, but no playlists): {error.strerror}. Fetch or export it again"
        ) from error
    with container:
        yield container


def _announced_seconds(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Duration of the video track as the file gives it, or of the file."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    try:  # Matroska keeps as text when a track ends
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        end = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
        return end - (stream.start_time or 0) * (stream.time_base or 0)
    except (KeyError, ValueError):
        return Fraction(container.duration, av.time_base) if container.duration else None
