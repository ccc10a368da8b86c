import errno
import hashlib
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import time
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from filelock import FileLock
from helpers.videos import NTSC, audio_of, audio_packets_of, draw_frame, stamps_of, turned, write_video
from PIL import Image, ImageOps

import ieast.io.video.stylizing as stylizing
from ieast.errors import DataError, ImageError, OutputError, VideoError
from ieast.io.clips import list_clips, read_frames
from ieast.io.files import DiskFullError
from ieast.io.listing import list_frames
from ieast.io.video import ClipInfo, probe, read_video_frames, stylize_clip
from ieast.io.video.audio import _encoder
from ieast.io.video.folders import MARK

LOSS = 3
"""Levels of 255 that frames may differ by on average: what H.264 costs pictures as small as these."""

UNEVEN = [0, 40, 80, 200, 210, 215, 400, 433, 466, 500, 777, 1000]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4")


def keep(image):
    return image


class Counting:
    """Inverts pictures, counts them, and stops with KeyboardInterrupt before number `stop`."""

    def __init__(self, stop=None):
        self.calls, self.stop = 0, stop

    def __call__(self, image):
        if self.calls == self.stop:
            raise KeyboardInterrupt
        self.calls += 1
        return ImageOps.invert(image)


def convert(source, destination, stylize=keep, identity="model", **options):
    return stylize_clip(source, destination, stylize, identity=identity, progress=False, **{"segment_frames": 8, **options})


def pictures(path):
    return [np.asarray(picture).astype(int) for picture in read_video_frames(path)]


def difference(one, other):
    return float(np.mean([np.abs(a - b).mean() for a, b in zip(one, other, strict=True)]))


def left_behind(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def make_frames(folder, count=5, size=(64, 48), suffix=".png"):
    folder.mkdir(parents=True)
    for index in range(count):
        Image.fromarray(draw_frame(index, *size)).save(folder / f"shot_{index}{suffix}")
    return folder


def test_probe(clip, tmp_path):
    assert probe(clip) == ClipInfo(64, 48, NTSC, 30, 1.001, True)
    silent = write_video(tmp_path / "silent.mkv", 10, (32, 16), Fraction(25), audio=None)
    assert probe(silent) == ClipInfo(32, 16, Fraction(25), 10, 0.4, False)


def test_frames_are_read_as_they_were_drawn(clip):
    assert difference(pictures(clip), [draw_frame(index, 64, 48).astype(int) for index in range(30)]) < LOSS


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_the_identity_keeps_everything(clip, tmp_path, suffix):
    result = convert(clip, tmp_path / f"new{suffix}")
    assert (result.path, result.frames, result.stylized, result.warnings) == (tmp_path / f"new{suffix}", 30, 30, ())
    new = probe(result.path)
    assert (new.width, new.height, new.frames, new.has_audio) == (64, 48, 30, True)
    assert float(new.frame_rate) == pytest.approx(float(NTSC), abs=0.01)
    assert difference(pictures(result.path), pictures(clip)) < LOSS
    first, *_ = shown = stamps_of(result.path)
    deviation = max(abs(stamp - first - index / NTSC) for index, stamp in enumerate(shown))
    assert deviation == 0 if suffix in (".mp4", ".mov") else deviation <= Fraction(1, 1000)  # Matroska counts milliseconds
    assert left_behind(tmp_path) == []


def test_the_result_is_stylized(clip, tmp_path):
    convert(clip, tmp_path / "new.mp4", ImageOps.invert)
    assert difference(pictures(tmp_path / "new.mp4"), [255 - picture for picture in pictures(clip)]) < LOSS


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_uneven_time_stamps_are_kept(tmp_path, suffix):
    source = write_video(tmp_path / "source.mp4", len(UNEVEN), stamps=UNEVEN, audio=None)
    convert(source, tmp_path / f"new{suffix}")
    assert [1000 * stamp for stamp in stamps_of(tmp_path / f"new{suffix}")] == UNEVEN


@pytest.mark.parametrize(("suffix", "pixels"), [(".mp4", "yuv444p"), (".webm", "yuv420p")])
def test_odd_sizes_are_kept(tmp_path, suffix, pixels):
    source = write_video(tmp_path / "source.mp4", 10, (65, 49), audio=None)
    convert(source, tmp_path / f"new{suffix}")
    assert difference(pictures(tmp_path / f"new{suffix}"), pictures(source)) < LOSS  # which also compares sizes
    with av.open(str(tmp_path / f"new{suffix}")) as container:
        assert container.streams.video[0].pix_fmt == pixels


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), Image.Transpose.ROTATE_270),
        ((-1, 0, 0, -1), Image.Transpose.ROTATE_180),
        ((0, -1, 1, 0), Image.Transpose.ROTATE_90),
        ((-1, 0, 0, 1), Image.Transpose.FLIP_LEFT_RIGHT),
    ],
)
def test_rotated_videos_come_out_upright(tmp_path, matrix, turn):
    flat = write_video(tmp_path / "flat.mp4", 9, sample_aspect_ratio=Fraction(4, 3))
    source = turned(flat, tmp_path / "turned.mp4", matrix)
    upright = [np.asarray(picture.transpose(turn)).astype(int) for picture in read_video_frames(flat)]
    assert difference(pictures(source), upright) == 0
    convert(source, tmp_path / "new.mp4")
    assert difference(pictures(tmp_path / "new.mp4"), upright) < LOSS
    with av.open(str(tmp_path / "new.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0
        quarter = turn in (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)
        assert container.streams.video[0].sample_aspect_ratio == (Fraction(3, 4) if quarter else Fraction(4, 3))


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mov", "png", "rgba"),
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("a.mov", "qtrle", "argb"),
        ("a.mkv", "ffv1", "yuva420p"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("a.gif", "gif", "pal8"),
    ],
)
def test_transparency_is_laid_on_white_like_that_of_pictures(tmp_path, name, codec, pixels):
    layer = np.zeros((48, 64, 4), np.uint8)
    layer[:] = 200, 60, 90, 255
    layer[:, 32:, 3] = 0
    with av.open(str(tmp_path / name), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for _ in range(3):
            if pixels == "pal8":
                palette = np.zeros((256, 4), np.uint8)
                palette[0], palette[1] = (255, 200, 60, 90), (0, 200, 60, 90)  # as A, R, G, B
                frame = av.VideoFrame.from_ndarray((np.uint8(layer[..., 3] == 0), palette), format="pal8")
            else:
                frame = av.VideoFrame.from_ndarray(layer, format="rgba")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    shown = pictures(tmp_path / name)
    assert len(shown) == 3
    for picture in shown:
        assert np.abs(picture[:, :28] - [200, 60, 90]).max() <= 4
        assert np.abs(picture[:, 36:] - 255).max() <= 1


@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_are_kept_whatever_their_matrix_and_range(tmp_path, matrix, full_range):
    """The source is made by hand from the definition of Y'CbCr, so that reading cannot share a mistake with writing."""
    red, blue = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}[matrix]
    r, g, b = np.array([200, 60, 90]) / 255
    luma = red * r + (1 - red - blue) * g + blue * b
    chroma = (b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)
    scale, offset, chroma_scale = (255, 0, 255) if full_range else (219, 16, 224)
    with av.open(str(tmp_path / "source.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full_range else 1
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane, value in zip(frame.planes, (offset + scale * luma, *(128 + chroma_scale * c for c in chroma)), strict=True):
            plane.update(bytes([round(value)]) * plane.buffer_size)
        frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    convert(tmp_path / "source.mkv", tmp_path / "new.mp4")
    for name in ("source.mkv", "new.mp4"):
        assert np.abs(pictures(tmp_path / name)[0] - [200, 60, 90]).max() <= 3
    with av.open(str(tmp_path / "new.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (matrix, 1)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_is_copied_bit_by_bit_and_in_sync(clip, tmp_path, suffix):
    result = convert(clip, tmp_path / f"new{suffix}")
    assert (result.audio_copied, result.audio_encoded) == (1, 0)
    before, after = audio_packets_of(clip), audio_packets_of(result.path)
    assert [data for _, data in before] == [data for _, data in after]
    offset = stamps_of(result.path)[0] - stamps_of(clip)[0]  # Matroska has no time before 0, where AAC starts
    assert max(abs(new - old - offset) for (old, _), (new, _) in zip(before, after, strict=True)) <= Fraction(1, 1000)


def test_sound_that_does_not_fit_is_encoded(clip, tmp_path):
    result = convert(clip, tmp_path / "new.webm")
    assert (result.audio_copied, result.audio_encoded) == (0, 1)
    (codec, seconds), (_, before) = audio_of(result.path), audio_of(clip)
    assert codec == "opus"
    assert seconds == pytest.approx(before, abs=0.03)


@pytest.mark.parametrize(("channels", "kept"), [(1, 1), (2, 2), (6, 6), (7, 2), (8, 8), (9, 2), (16, 2)])
def test_sound_of_channels_that_a_webm_does_not_take_is_mixed_down(tmp_path, channels, kept):
    with av.open(str(tmp_path / "new.webm"), "w") as output:
        track = _encoder(output, SimpleNamespace(channels=channels, rate=48_000), "libopus")
        track.codec_context.open()
        assert track.codec_context.layout.nb_channels == kept


def test_every_audio_track_is_carried_over_with_its_language(clip, tmp_path):
    with av.open(str(clip)) as source, av.open(str(tmp_path / "two.mkv"), "w") as output:
        streams = [source.streams.video[0], source.streams.audio[0]]
        copies = {stream.index: [output.add_stream_from_template(stream, opaque=True)] for stream in streams}
        copies[1].append(output.add_stream_from_template(streams[1]))
        for copy, language in zip(copies[1], ("eng", "deu"), strict=True):
            copy.metadata["language"] = language
        for packet in source.demux(streams):
            for copy in copies[packet.stream.index] if packet.size else ():
                packet.stream = copy
                output.mux(packet)
    assert convert(tmp_path / "two.mkv", tmp_path / "new.mp4").audio_copied == 2
    with av.open(str(tmp_path / "new.mp4")) as container:
        assert [stream.language for stream in container.streams.audio] == ["eng", "deu"]
    assert [data for _, data in audio_packets_of(tmp_path / "new.mp4", 1)] == [data for _, data in audio_packets_of(clip)]


def test_a_clock_that_does_not_start_at_zero_is_set_to_zero(tmp_path):
    source = write_video(tmp_path / "source.ts", len(UNEVEN), stamps=[9000 + stamp for stamp in UNEVEN], audio=None)
    assert stamps_of(source)[0] == 9
    convert(source, tmp_path / "new.mp4")
    assert [1000 * stamp for stamp in stamps_of(tmp_path / "new.mp4")] == UNEVEN


def test_avi_without_time_stamps_is_evenly_timed(tmp_path):
    source = write_video(tmp_path / "source.avi", audio="mp3")  # H.264 with reordered frames
    convert(source, tmp_path / "new.mp4")
    assert stamps_of(tmp_path / "new.mp4") == [index / NTSC for index in range(30)]
    assert difference(pictures(tmp_path / "new.mp4"), [draw_frame(index, 64, 48).astype(int) for index in range(30)]) < LOSS


def test_what_somebody_puts_into_the_folder_meanwhile_stays(tmp_path):
    source = make_frames(tmp_path / "source", 2)
    convert(source, tmp_path / "out")

    def stylize(frame):
        (tmp_path / "out" / "notes.txt").write_text("precious")
        return frame

    with pytest.raises(VideoError, match=r"holds notes\.txt, which is not a frame of an earlier result"):
        convert(source, tmp_path / "out", stylize, identity="another")
    assert (tmp_path / "out" / "notes.txt").read_text() == "precious"
    (tmp_path / "out" / "notes.txt").unlink()
    assert convert(source, tmp_path / "out", lambda frame: frame, identity="another").frames == 2


def test_folders_of_frames(clip, tmp_path):
    result = convert(clip, tmp_path / "frames")
    assert (result.frames, result.audio_copied) == (30, 0)
    paths = list_frames(tmp_path / "frames")
    assert [path.name for path in paths] == [f"frame_{number:06d}.png" for number in range(1, 31)]
    frames = [np.asarray(Image.open(path)).astype(int) for path in paths]
    assert difference(frames, pictures(clip)) == 0
    convert(tmp_path / "frames", tmp_path / "new.mp4", frame_rate=Fraction(10))
    assert probe(tmp_path / "new.mp4") == ClipInfo(64, 48, Fraction(10), 30, 3.0, False)
    assert difference(pictures(tmp_path / "new.mp4"), frames) < LOSS


def test_frames_keep_their_names_and_come_in_counting_order(tmp_path):
    source = make_frames(tmp_path / "source", 12, suffix=".bmp")
    seen = []
    convert(source, tmp_path / "new", lambda image: seen.append(np.asarray(image)) or image)
    assert all((seen[index] == draw_frame(index, 64, 48)).all() for index in range(12))
    assert {path.name for path in list_frames(tmp_path / "new")} == {f"shot_{index}.png" for index in range(12)}


@pytest.mark.parametrize("name", ["new.mp4", "new"])
def test_a_link_as_destination_is_followed_and_stays(tmp_path, name):
    source = make_frames(tmp_path / "source", 2)
    (tmp_path / "far").mkdir()
    (tmp_path / name).symlink_to(f"far/{name}")
    for _ in range(2):
        convert(source, tmp_path / name)
    assert (tmp_path / name).is_symlink()
    assert [path.name for path in (tmp_path / "far").iterdir()] == [name]


def test_the_longest_names_can_be_written_and_longer_ones_are_refused(tmp_path):
    source = make_frames(tmp_path / "source", 2)
    long = "n" * 251 + ".mp4"
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / long, Counting(stop=1), segment_frames=1)
    assert convert(source, tmp_path / long, Counting(), segment_frames=1).stylized == 1
    assert left_behind(tmp_path) == []
    refused("because the disk does not take names that long", source, tmp_path / f"n{long}", error=OutputError)


def test_an_earlier_result_is_replaced(clip, tmp_path):
    source = make_frames(tmp_path / "source")
    for destination in (tmp_path / "new", tmp_path / "new.mp4"):
        convert(source, destination)
        convert(source, destination, ImageOps.invert)
    assert difference(pictures(tmp_path / "new.mp4"), [255 - draw_frame(i, 64, 48).astype(int) for i in range(5)]) < LOSS
    assert (np.asarray(Image.open(tmp_path / "new" / "shot_0.png")) == 255 - draw_frame(0, 64, 48)).all()
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(("name", "again"), [("new.mp4", 14), ("new.webm", 14), ("new", 10)])
def test_a_stopped_job_continues_to_the_same_result(clip, tmp_path, name, again):
    whole = tmp_path / "whole" / name
    convert(clip, whole, Counting())
    with pytest.raises(KeyboardInterrupt):
        convert(clip, tmp_path / name, Counting(stop=20))
    assert not (tmp_path / name).exists()
    stylize = Counting()
    result = convert(clip, tmp_path / name, stylize)
    assert (result.frames, result.stylized, stylize.calls) == (30, again, again)  # 16 of 20 were in complete pieces
    if whole.is_dir():
        assert all((tmp_path / name / path.name).read_bytes() == path.read_bytes() for path in whole.iterdir())
    else:
        assert difference(pictures(tmp_path / name), pictures(whole)) == 0
        assert stamps_of(tmp_path / name) == stamps_of(whole)
        assert [data for _, data in audio_packets_of(tmp_path / name)] == [data for _, data in audio_packets_of(whole)]
    assert left_behind(tmp_path) == []


class Averaging:
    """Means over this frame and those before: every frame depends on all, to bits that a picture does not hold."""

    def __init__(self, stop=None):
        self.counting, self.total, self.frames = Counting(stop), np.zeros((48, 64, 3)), 0

    def __call__(self, image):
        self.total = self.total * 0.9 + np.asarray(self.counting(image), float)
        self.frames += 1
        return Image.fromarray(np.uint8(self.total % 256))

    def state(self):
        return {"total": self.total, "frames": np.asarray(self.frames)}

    def restore(self, state):
        self.total, self.frames = state["total"], int(state["frames"])


@pytest.mark.parametrize("suffix", [".mkv", ""])
@pytest.mark.parametrize("stops", [(20,), (3, 4), (9, 1, 12)])
def test_a_stopped_job_whose_frames_depend_on_those_before_continues_to_the_same_result(clip, tmp_path, suffix, stops):
    whole = Averaging()
    convert(clip, tmp_path / f"whole{suffix}", whole, memory=whole)
    for stop in stops:
        stopped = Averaging(stop)
        with pytest.raises(KeyboardInterrupt):
            convert(clip, tmp_path / f"new{suffix}", stopped, memory=stopped)
    last = Averaging()
    convert(clip, tmp_path / f"new{suffix}", last, memory=last)
    assert last.counting.calls == 30 - {(20,): 16, (3, 4): 0, (9, 1, 12): 16}[stops]
    assert last.frames == 30
    assert (last.total == whole.total).all()
    if suffix:
        assert difference(pictures(tmp_path / f"new{suffix}"), pictures(tmp_path / f"whole{suffix}")) == 0
    else:
        names = [path.name for path in list_frames(tmp_path / "whole")]
        assert all((tmp_path / "new" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes() for name in names)
    assert left_behind(tmp_path) == []


def test_equal_pictures_are_encoded_equally_whatever_the_memory_held_before(tmp_path):
    source = make_frames(tmp_path / "source", 24, (66, 50))
    random = np.random.default_rng(0)
    digests = set()
    for _ in range(40):
        rubbish = [random.bytes(length) for length in random.integers(1000, 400_000, size=30)]
        del rubbish[::2]
        convert(source, tmp_path / "new.mkv")
        with av.open(str(tmp_path / "new.mkv")) as video:
            digests.add(hashlib.sha256(b"".join(bytes(packet) for packet in video.demux(video=0))).hexdigest())
    assert len(digests) == 1


def test_of_a_memory_one_moment_is_kept_on_disk(clip, tmp_path):
    stopped = Averaging(stop=29)
    with pytest.raises(KeyboardInterrupt):
        convert(clip, tmp_path / "new.mp4", stopped, memory=stopped)
    assert [path.name for path in (tmp_path / ".new.mp4.partial").glob("*.npz")] == ["000024.npz"]


KILLED = """
import sys, time
from pathlib import Path
from PIL import ImageOps
from ieast.io.video import stylize_clip
def stylize(image):
    time.sleep(0.03)
    return ImageOps.invert(image)
stylize_clip(Path(sys.argv[1]), Path(sys.argv[2]), stylize, identity="model", segment_frames=8, progress=False)
"""


def test_a_killed_process_loses_one_piece_at_most(clip, tmp_path):
    (tmp_path / "new.mp4").write_bytes(b"an earlier result")
    process = subprocess.Popen([sys.executable, "-c", KILLED, clip, tmp_path / "new.mp4"])
    work = tmp_path / ".new.mp4.partial"
    deadline = time.monotonic() + 60
    while not (work / "000001.json").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "new.mp4").read_bytes() == b"an earlier result"
    result = convert(clip, tmp_path / "new.mp4", ImageOps.invert)
    assert result.stylized <= 14
    assert difference(pictures(tmp_path / "new.mp4"), [255 - picture for picture in pictures(clip)]) < LOSS
    assert left_behind(tmp_path) == []


def test_another_identity_source_or_form_starts_afresh(clip, tmp_path):
    source = tmp_path / "source.mp4"
    source.write_bytes(clip.read_bytes())

    def stop_after(count, **options):
        with pytest.raises(KeyboardInterrupt):
            convert(source, tmp_path / "new.mp4", Counting(stop=count), **options)

    stop_after(20)
    stop_after(0, identity="other model")  # nothing could be taken over, so its first frame is stylized at once
    stop_after(20, identity="other model")
    os.utime(source, ns=(0, 0))
    stylize = Counting()
    assert convert(source, tmp_path / "new.mp4", stylize, identity="other model").stylized == stylize.calls == 30


MEASURED = """
import resource, sys
from pathlib import Path
from ieast.io.video import stylize_clip
for source in sys.argv[1:]:
    stylize_clip(Path(source), Path(source).with_suffix(".mkv"), lambda image: image, identity="", progress=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_clip(tmp_path):
    sources = [write_video(tmp_path / f"{frames}.mp4", frames, (240, 180), audio=None) for frames in (60, 400)]
    command = [sys.executable, "-c", MEASURED, *sources]
    short, long = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert long - short < 15_000  # KiB; the other 340 frames are 43,000


def test_a_size_that_changed_is_a_mistake_of_the_caller(clip, tmp_path):
    with pytest.raises(ValueError, match=r"the stylized frame has \(32, 24\) pixels, but the frame has \(64, 48\)"):
        convert(clip, tmp_path / "new.mp4", lambda image: image.resize((32, 24)))


def refused(match, source, destination, stylize=None, error=VideoError, **options):
    """Check that it is refused, if no `stylize` is given before any frame is stylized, and that nothing is written."""
    stylize = stylize or Counting(stop=0)
    with pytest.raises(error, match=match):
        convert(source, destination, stylize, **options)


def test_destinations_that_are_refused(clip, tmp_path):
    refused(
        r"new\.avi: the name must end in .*\(\.mkv, \.mov, \.mp4, \.webm\), or have none for a folder",
        clip,
        tmp_path / "new.avi",
    )
    refused(r"clip\.mp4: is the source itself\. Choose another name", clip, clip)
    link = tmp_path / "link.mp4"
    link.symlink_to(clip)
    refused("is the source itself", clip, link)
    source = make_frames(tmp_path / "source")
    refused("source: is the source itself", source, source)
    (tmp_path / "folder.mp4").mkdir()
    refused(r"folder\.mp4: is a folder, though its name is that of a video", clip, tmp_path / "folder.mp4")
    (tmp_path / "file").touch()
    refused("file: exists and is neither a folder nor named like a video", clip, tmp_path / "file")
    refused(r"new\.mp4: cannot be written, because .*file is not a folder", clip, tmp_path / "file" / "new.mp4")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").touch()
    refused(r"foreign: holds thesis\.txt, and it was not made by a stylization, so its files would be lost", clip, foreign)
    (foreign / MARK).touch()
    refused(r"foreign: holds thesis\.txt, which is not a frame of an earlier result and would be lost", clip, foreign)
    (tmp_path / ".new.mp4.partial").mkdir()
    (tmp_path / ".new.mp4.partial" / "letter").touch()
    refused(r"\.new\.mp4\.partial: is in the way", clip, tmp_path / "new.mp4")
    assert (foreign / "thesis.txt").exists()
    assert left_behind(tmp_path) == [".new.mp4.partial"]


def test_two_processes_do_not_work_on_the_same_result(clip, tmp_path):
    work = tmp_path / ".new.mp4.partial"
    work.mkdir()
    with FileLock(work / ".lock"):
        refused("another process is at work on the same result", clip, tmp_path / "new.mp4")


def test_what_a_process_killed_while_tidying_up_left_is_no_hindrance(clip, tmp_path):
    work = tmp_path / ".new.mp4.partial"
    (work / "replaced").mkdir(parents=True)
    for name in ("000000.mkv", "000000.json", ".job-abc.json"):  # and job.json was removed already
        (work / name).write_text("stale")
    assert convert(clip, tmp_path / "new.mp4").stylized == 30
    assert left_behind(tmp_path) == []


def test_sources_that_are_refused(clip, tmp_path):
    def refuse(match, name, data=None):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        refused(match, tmp_path / name, tmp_path / "new.mp4")

    refuse(r"none\.mp4: there is no such video file", "none.mp4")
    refuse(r"junk\.mp4: is damaged, or not a video in a format that is read here", "junk.mp4", b"junk" * 1000)
    refuse(r"empty\.mp4: is damaged", "empty.mp4", b"")
    refuse(r"cut\.mp4: is damaged", "cut.mp4", clip.read_bytes()[:5000])  # its index was at the end
    with av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), format="fltp", layout="stereo")
        frame.rate = 48_000
        output.mux([*stream.encode(frame), *stream.encode(None)])
    refuse(r"sound\.m4a: is not a video, because it holds only sound", "sound.m4a")
    with av.open(str(tmp_path / "none.avi"), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        output.start_encoding()
    refuse(r"none\.avi: holds no frame that can be read", "none.avi")
    (tmp_path / "folder").mkdir()
    refuse("folder: holds no frames", "folder")
    refused(
        "is not a folder of frames, and a video keeps its own frame rate", clip, tmp_path / "new.mp4", frame_rate=Fraction(5)
    )
    wide = write_video(tmp_path / "wide.mp4", 2, sample_aspect_ratio=Fraction(4, 3))
    refused(r"new\.webm: WebM cannot keep pixels that are not square", wide, tmp_path / "new.webm")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{0}'\n"],
    ids=["hls", "concat"],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8", "list.ffconcat"])
def test_a_list_of_files_is_not_followed(tmp_path, text, name):
    source = write_video(tmp_path / "secret.ts", 5, container="mpegts")
    (tmp_path / name).write_text(text.format(source))
    refused(rf"{re.escape(name)}: is damaged, or not a video .* but no playlists", tmp_path / name, tmp_path / "new.mp4")


def test_a_name_is_never_a_protocol(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a|b.mp4", "http:.mp4", "100%d.mp4", "-i.mp4"):
        (tmp_path / name).write_bytes(clip.read_bytes())
        assert convert(type(clip)(name), type(clip)(f"new {name}")).frames == 30


def test_too_many_pixels(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("ieast.io.video.reading.MAX_PIXELS", 3000)
    refused(r"clip\.mp4: has too many pixels: 64x48 is more than 3,000", clip, tmp_path / "new.mp4")


def spoilt(source, path, start, length):
    data = bytearray(source.read_bytes())
    begin = int(len(data) * start)
    data[begin : begin + length] = np.random.default_rng(1).bytes(length)
    path.write_bytes(data)
    return path


def test_a_frame_that_cannot_be_read_is_named(tmp_path):
    source = spoilt(write_video(tmp_path / "source.mp4", 120, audio=None), tmp_path / "spoilt.mp4", 0.5, 3000)
    refused(r"spoilt\.mp4: frame \d+ at \d\.\d\d s \(.*\) cannot be read", source, tmp_path / "new.mp4", keep)
    refused(r"spoilt\.mp4: frame \d+ at", source, tmp_path / "new", keep)
    assert not (tmp_path / "new.mp4").exists()
    assert not (tmp_path / "new").exists()


def test_a_file_damaged_where_reading_stops_is_refused(tmp_path):
    source = spoilt(write_video(tmp_path / "source.mkv", 120, audio=None), tmp_path / "spoilt.mkv", 0.4, 3000)
    refused(r"spoilt\.mkv: .* damaged", source, tmp_path / "new.mp4", keep)


def test_a_truncated_file_is_taken_as_far_as_it_goes_and_reported(tmp_path, caplog):
    whole = write_video(tmp_path / "whole.mkv", 120)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        result = convert(cut, tmp_path / "new.mp4")
    assert 20 < result.frames < 100
    assert probe(result.path).frames == result.frames
    (warning,) = result.warnings
    assert re.search(r"cut\.mkv: has pictures for \d\.\d\d s, though it announces 4\.00 s; it is truncated or damaged", warning)
    assert warning in caplog.text


@pytest.mark.parametrize(("codec", "gap", "cut"), [("libx264", 200, 0.1), ("libx264", 30, 0.1), ("mpeg2video", 30, 0.05)])
def test_a_clip_that_begins_in_the_middle_is_taken_from_its_first_key_frame(tmp_path, codec, gap, cut):
    whole = write_video(tmp_path / "whole.ts", 2 * gap, (64, 48), Fraction(25), codec=codec, gop_size=gap, audio=None)
    data = whole.read_bytes()
    source = tmp_path / "cut.ts"
    source.write_bytes(data[int(len(data) * cut) // 188 * 188 :])
    result = convert(source, tmp_path / "new.mp4")
    assert gap <= result.frames < 1.5 * gap
    assert difference(pictures(result.path), pictures(whole)[-result.frames :]) < LOSS
    (warning,) = result.warnings
    lead = re.search(
        r"cut\.ts: begins in the middle, (\d\.\d\d) s before its first key frame; the result begins there", warning
    )[1]
    assert float(stamps_of(result.path)[0]) == pytest.approx(float(lead), abs=0.01)  # in time with the file's own clock


def test_frames_of_a_folder_that_do_not_go_together(tmp_path):
    source = make_frames(tmp_path / "source")
    Image.new("RGB", (60, 48)).save(source / "shot_3.png")
    refused(
        r"shot_3\.png: this frame has 60x48 pixels, but the first one, shot_0\.png, has 64x48", source, tmp_path / "new.mp4"
    )
    (source / "shot_3.png").write_bytes(b"junk")
    refused(r"shot_3\.png: is not an image", source, tmp_path / "new.mp4", error=ImageError)
    (source / "shot_3.png").unlink()
    Image.new("RGB", (64, 48)).save(source / "shot_4.bmp")
    refused(r"shot_4\.png: would be written under the same name as shot_4\.bmp", source, tmp_path / "new")
    refused("source: cannot have 0 frames a second", source, tmp_path / "new", frame_rate=Fraction(0))
    assert left_behind(tmp_path) == []


def test_frames_are_known_by_their_content_and_what_is_none_is_named(tmp_path):
    source = make_frames(tmp_path / "source", 4)
    for index in range(3):
        (source / f"shot_{index}.png").rename(source / f"shot_{index}.jfif")
    (source / "notes.txt").write_text("?")
    result = convert(source, tmp_path / "new")
    assert (result.frames, result.warnings) == (
        4,
        (f"{source}: 1 files passed over, because they are no pictures: notes.txt",),
    )
    make_frames(source / "more", 2)
    refused(r"source: holds frames, and so does the folder more in it", source, tmp_path / "again", error=ImageError)


def limit_files(size):
    # Beyond it writing fails with "file too large", which stands for a full disk here.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("name", ["new.mp4", "new"])
def test_a_full_disk_is_said_and_the_job_continues(clip, tmp_path, monkeypatch, name):
    monkeypatch.setattr(errno, "ENOSPC", errno.EFBIG)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.getsignal(signal.SIGXFSZ)
    try:
        limit_files(2000)
        refused("the disk is full", clip, tmp_path / name, keep, error=DiskFullError)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, previous)
    assert not (tmp_path / name).exists()
    assert convert(clip, tmp_path / name).frames == 30


def test_the_bar_knows_the_total(clip, tmp_path, monkeypatch):
    bars = []
    real = stylizing.progress_bar
    monkeypatch.setattr(stylizing, "progress_bar", lambda **options: bars.append(real(**options)) or bars[-1])
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    stylize_clip(clip, tmp_path / "new.mp4", keep, identity="")
    assert (bars[0].total, bars[0].n, bars[0].mininterval) == (30, 30, 20.0)


def test_video_files_are_clips_of_the_evaluation(clip, tmp_path):
    (tmp_path / "walk.mp4").write_bytes(clip.read_bytes())
    make_frames(tmp_path / "run")
    (tmp_path / "notes.txt").touch()
    assert list_clips(tmp_path) == [tmp_path / "run", tmp_path / "walk.mp4"]
    frames = list(read_frames(tmp_path / "walk.mp4", 24, limit=3))
    assert [tuple(frame.shape) for frame in frames] == [(3, 24, 32)] * 3
    assert len(list(read_frames(tmp_path / "walk.mp4", 24))) == 30
    single = write_video(tmp_path / "single.mp4", 1)
    with pytest.raises(DataError, match=r"single\.mp4: is not a clip, because it holds 1 frames"):
        list(read_frames(single, 24))


def test_another_clips_frames_of_the_same_names_are_not_replaced(tmp_path):
    for number, name in enumerate(("one", "two")):
        for frame in range(3):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (16, 16), (100 * number, 0, 0)).save(tmp_path / name / f"{frame}.png")
    with pytest.raises(VideoError, match=r"two: holds 0\.png, and it was not made by a stylization"):
        stylize_clip(tmp_path / "one", tmp_path / "two", lambda frame: frame, identity="x", progress=False)
    assert Image.open(tmp_path / "two" / "0.png").getpixel((0, 0)) == (100, 0, 0)
