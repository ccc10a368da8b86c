"""Carrying a video's sound over: as it is wherever the new file can hold it."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from ieast.io.video.reading import open_video

_LAYOUTS = {1: "mono", 6: "5.1", 8: "7.1"}
"""By the number of channels, for an encoder; others are mixed down to stereo."""


@dataclass(frozen=True)
class AudioPlan:
    """How each audio track of a file is to be carried over.

    Attributes:
        path: The file; None if there is nothing to carry over.
        origin: Seconds on its clock that become 0.
        codecs: By the track's index in the file: None to copy its packets, else the name of the encoder.
    """

    path: Path | None = None
    origin: Fraction = Fraction(0)
    codecs: Mapping[int, str | None] = field(default_factory=dict)


def plan_audio(path: Path, origin: Fraction, container: str, encoder: str, warnings: list[str]) -> AudioPlan:
    """Find out which audio tracks of `path` a file of another format can hold as they are.

    Args:
        path: A video file.
        origin: Seconds on its clock that are to become 0.
        container: FFmpeg's name of the other format.
        encoder: What encodes tracks that it cannot hold.
        warnings: Gets a line a track that is lost.

    Raises:
        VideoError: `path` cannot be opened.
    """
    codecs: dict[int, str | None] = {}
    with open_video(path) as source:
        for stream in source.streams.audio:
            if stream.codec_context is None:
                warnings.append(f"{path}: audio track {stream.index} has an unknown codec and is not carried over")
            else:
                codecs[stream.index] = None if _holds(container, source, stream) else encoder
    return AudioPlan(path, origin, codecs)


@contextmanager
def audio_packets(plan: AudioPlan, output: OutputContainer) -> Iterator[Iterator[Packet]]:
    """Add the tracks of `plan` to `output`, whose header must not be written yet, and give their packets, by time.

    Raises:
        VideoError: The file cannot be opened.
    """
    if plan.path is None:
        yield iter(())
        return
    with open_video(plan.path) as source:
        tracks: dict[int, AudioStream] = {}
        for index, codec in plan.codecs.items():
            template = source.streams[index]
            assert isinstance(template, AudioStream)
            tracks[index] = output.add_stream_from_template(template) if codec is None else _encoder(output, template, codec)
            tracks[index].metadata.update({key: value for key, value in template.metadata.items() if key == "language"})
            tracks[index].disposition = template.disposition
        yield _packets(source, tracks, plan)


def _packets(source: InputContainer, tracks: Mapping[int, AudioStream], plan: AudioPlan) -> Iterator[Packet]:
    if not tracks:
        return
    packets = source.demux([source.streams[index] for index in tracks])
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.InvalidDataError):
            break  # pictures tell of a file that ends too early
        track = tracks[packet.stream.index]
        if plan.codecs[packet.stream.index] is not None:
            for frame in _decoded(packet):
                yield from track.encode(_shifted(frame, plan.origin))
        elif packet.size:
            shift = round(plan.origin / packet.time_base) if packet.time_base else 0
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = track
            yield packet
    for index, track in tracks.items():
        if plan.codecs[index] is not None:
            yield from track.encode(None)


def _decoded(packet: Packet) -> list[AudioFrame]:
    try:
        return cast("list[AudioFrame]", packet.decode())
    except av.error.InvalidDataError:
        return []  # a click; time stamps keep what follows in its place


def _shifted(frame: AudioFrame, origin: Fraction) -> AudioFrame:
    if frame.pts is not None and frame.time_base is not None:
        frame.pts -= round(origin / frame.time_base)
    return frame


def _encoder(output: OutputContainer, template: AudioStream, codec: str) -> AudioStream:
    rates = av.Codec(codec, "w").audio_rates or [template.rate]
    track = output.add_stream(codec, rate=template.rate if template.rate in rates else 48_000)
    assert isinstance(track, AudioStream)
    mixed_down = template.channels not in _LAYOUTS
    track.codec_context.layout = "stereo" if mixed_down else _LAYOUTS[template.channels]
    track.codec_context.bit_rate = 96_000 * (2 if mixed_down else template.channels)
    return track


def _holds(container: str, source: InputContainer, stream: AudioStream) -> bool:
    """Whether a file of that format takes the stream's header and first packet: FFmpeg has no table that is always right."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            copy = trial.add_stream_from_template(stream)
            source.seek(0)
            packet = next(source.demux(stream))
            packet.stream = copy
            trial.mux(packet)
    except (ValueError, av.error.FFmpegError):
        return False
    return True
