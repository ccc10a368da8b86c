"""Small videos for tests, and a look into written ones that does not go through the code under test."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

NTSC = Fraction(30000, 1001)


def draw_frame(index, width, height):
    """A smooth picture that moves; uint8 of shape (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    red, green = 127 + 100 * np.sin((x + 3 * index) / 20), 127 + 100 * np.cos((y - 2 * index) / 16)
    return np.stack([red, green, 60 + 2 * x + y / 2], axis=-1).clip(0, 255).astype(np.uint8)


def write_video(
    path,
    frames=30,
    size=(64, 48),
    rate=NTSC,
    *,
    codec="libx264",
    audio="aac",
    stamps=None,
    container=None,
    muxer=None,
    **context,
):
    """`stamps` are milliseconds, `muxer` its options; `context` are attributes of the encoder, as `sample_aspect_ratio`."""
    width, height = size
    with av.open(str(path), "w", format=container, container_options=muxer) as output:
        video = output.add_stream(codec, rate=rate)
        video.width, video.height = size
        video.pix_fmt = "yuv444p" if codec == "libx264" and (width % 2 or height % 2) else "yuv420p"
        if codec == "libx264":
            video.codec_context.options = {"crf": "4", "preset": "veryfast"}
        for name, value in context.items():
            setattr(video.codec_context, name, value)
        if stamps:
            video.codec_context.time_base = Fraction(1, 1000)
        sound = output.add_stream(audio, rate=48_000, layout="stereo") if audio else None
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(draw_frame(index, *size), format="rgb24")
            if stamps:
                frame.pts, frame.time_base = stamps[index], Fraction(1, 1000)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if sound:
            wave = np.sin(np.arange(int(48_000 * frames / rate)) * 2 * np.pi * 440 / 48_000).astype(np.float32) * 0.3
            for start in range(0, len(wave), 1024):
                piece = wave[start : start + 1024]
                frame = av.AudioFrame.from_ndarray(np.stack([piece, piece]), format="fltp", layout="stereo")
                frame.rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
                output.mux(sound.encode(frame))
            output.mux(sound.encode(None))
    return Path(path)


def turned(source, path, matrix):
    """A copy of the MP4 `source` with the display matrix a, b, c, d."""
    data = bytearray(source.read_bytes())
    start = data.find(b"tkhd") + 44  # the matrix of a version 0 track header
    a, b, c, d = (value << 16 for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def stamps_of(path):
    """Exact seconds at which frames are shown."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def audio_packets_of(path, track=0):
    with av.open(str(path)) as container:
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(audio=track) if packet.size]


def audio_of(path):
    """Name of the codec, and seconds of decoded sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return stream.codec_context.name, sum(frame.samples / frame.rate for frame in container.decode(stream))
