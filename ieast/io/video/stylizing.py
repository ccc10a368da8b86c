"""Stylizing a clip frame by frame, so that it can be stopped at any time and continued by the same command."""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
from filelock import FileLock, Timeout
from PIL import Image
from tqdm import tqdm

from ieast.errors import OutputError, VideoError
from ieast.io.files import atomic_write, check_name, disk_full_explained
from ieast.io.images import write_image
from ieast.io.progress import progress_bar
from ieast.io.video.audio import AudioPlan, plan_audio
from ieast.io.video.folders import MARK, FolderSource, check_replaceable, frame_names, numbered_name
from ieast.io.video.memory import Memory, MemoryFiles
from ieast.io.video.reading import Frame, VideoSource
from ieast.io.video.writing import TARGETS, SegmentWriter, Target, VideoFormat, count_frames, join

log = logging.getLogger(__name__)

Stylize = Callable[[Image.Image], Image.Image]

_OWN = re.compile(r"\..*|job\.json|frames|replaced|whole\.[a-z0-9]+|[0-9]{6,}\.(mkv|json|npz)")
"""Names in the folder of work in progress."""

SEGMENT_FRAMES = 48
"""Frames a piece of video: what a killed process loses at most, and the distance of key frames."""


@dataclass(frozen=True)
class ClipResult:
    """What became of a clip.

    Attributes:
        path: The stylized clip.
        frames: How many it has.
        stylized: How many of them this call made; the others were there from an earlier one.
        audio_copied: Audio tracks carried over as they are.
        audio_encoded: Audio tracks encoded anew, because the new file cannot hold them as they are.
        warnings: What the user should know, such as that the source is truncated; logged as well.
    """

    path: Path
    frames: int
    stylized: int
    audio_copied: int
    audio_encoded: int
    warnings: tuple[str, ...]


def stylize_clip(
    source: Path,
    destination: Path,
    stylize: Stylize,
    *,
    identity: str,
    frame_rate: Fraction | None = None,
    segment_frames: int = SEGMENT_FRAMES,
    progress: bool = True,
    memory: Memory | None = None,
) -> ClipResult:
    """Stylize a video file or a folder of frames into a video file or a folder of frames.

    Videos keep size, time stamps, pixel aspect, matrix coefficients and, as far as the new format allows, their sound as it
    is. They are written upright and with limited range, as H.264 4:2:0 (4:4:4 where a side is odd, which some players cannot
    show) or, for `.webm`, as VP9. Matroska and WebM round time stamps to milliseconds. A folder gets one PNG a frame, named as
    the source's frame, or `frame_000001.png` and so on; sound is dropped.

    Work in progress is kept beside the destination, in the hidden folder `.NAME.partial`. If the process is stopped, the same
    call continues from there: every frame of a folder, and every complete piece of a video, is kept. The destination appears,
    or is replaced, when it is complete, and the hidden folder then goes.

    Args:
        source: A video file, or a folder of frames in the order of their names (2 before 10).
        destination: A file whose suffix is one of `TARGETS`, or a folder: a name without suffix, or a folder that is empty or
            holds an earlier result.
        stylize: Maps an RGB picture to one of the same size.
        identity: What decides the outcome beside the source, such as the model's digest, styles and options. Work in progress
            of another identity is discarded.
        frame_rate: Frames a second of a folder, 25 by default; a video has its own.
        segment_frames: Frames a piece of video, at least 1; what a killed process loses at most; with `memory`, of a
            folder, too.
        progress: Whether to show a bar.
        memory: Of the frames before, where `stylize` depends on them. It is kept on disk after each piece, or after as many
            frames of a folder, so that the same call goes on to the same result.

    Raises:
        OutputError: The destination's name is too long.
        VideoError: The source cannot be read, the destination cannot be written or must not be replaced, or another process
            is at work on it.
        ImageError: A frame of a folder cannot be read.
        DiskFullError: No space was left; the same call continues once there is some.
        ValueError: `stylize` changed the size of a frame.
    """
    if segment_frames < 1:
        raise ValueError(f"segment_frames is {segment_frames}; a piece has at least one frame")
    target = _check_destination(source, destination)
    clip = _open_source(source, frame_rate)
    names = frame_names(clip) if isinstance(clip, FolderSource) else None
    place = destination.resolve()
    work = _work_place(place)
    kept = {
        "source": _describe(source, clip),
        "identity": identity,
        "form": place.suffix.lower() if target else "folder",
        "frame_rate": str(clip.info.frame_rate),
        "segment_frames": segment_frames if target or memory else None,
        "av": av.__version__,
    }
    audio = AudioPlan()
    if target is None:
        if place.exists():
            check_replaceable(place, names)
        with disk_full_explained(destination), _work_folder(work, kept):
            frames, stylized = _stylize_to_folder(clip, work, names, stylize, memory, segment_frames, progress)
            _put_in_place(work, place, names)
    else:
        if target.container == "webm" and clip.pixel_aspect not in (None, 1):
            raise VideoError(
                f"{destination}: WebM cannot keep pixels that are not square, as {source} has. Choose .mp4, for instance"
            )
        info = clip.info
        picture = VideoFormat(info.width, info.height, info.frame_rate, clip.pixel_aspect, clip.colour)
        writer = SegmentWriter(target, picture, segment_frames)
        if isinstance(clip, VideoSource):
            audio = plan_audio(source, clip.origin, target.container, target.audio_codec, clip.warnings)
        with disk_full_explained(destination), _work_folder(work, kept):
            pieces, frames, stylized = _stylize_to_pieces(clip, writer, work, stylize, memory, progress)
            whole = work / f"whole{place.suffix}"
            join(whole, target, pieces, clip.time_base, audio)
            whole.replace(place)
    warnings = tuple(dict.fromkeys(clip.warnings))
    for warning in warnings:
        log.warning(warning)
    copied = sum(codec is None for codec in audio.codecs.values())
    return ClipResult(destination, frames, stylized, copied, len(audio.codecs) - copied, warnings)


def _check_destination(source: Path, destination: Path) -> Target | None:
    """The kind of file to write, None for a folder of frames."""
    suffix = destination.suffix.lower()
    known = ", ".join(sorted(TARGETS))
    check_name(destination)
    if destination.exists() and source.exists() and destination.samefile(source):
        raise VideoError(f"{destination}: is the source itself. Choose another name for the result")
    if destination.is_dir():
        if suffix in TARGETS:
            raise VideoError(f"{destination}: is a folder, though its name is that of a video. Choose another name")
    elif destination.exists() and suffix not in TARGETS:
        raise VideoError(f"{destination}: exists and is neither a folder nor named like a video ({known}). Choose another name")
    elif suffix and suffix not in TARGETS:
        raise VideoError(
            f"{destination}: the name must end in the suffix of a video that can be written ({known}), or have none for a "
            "folder of frames"
        )
    folder = next(parent for parent in destination.resolve().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise VideoError(f"{destination}: cannot be written, because {folder} is not a folder you may write to. Choose another")
    return None if destination.is_dir() else TARGETS.get(suffix)


def _work_place(place: Path) -> Path:
    work = place.with_name(f".{place.name}.partial")
    try:
        check_name(work)
    except OutputError:  # the destination's own name is just short enough
        digest = hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]
        return place.with_name(f".{digest}.partial")
    return work


def _open_source(source: Path, frame_rate: Fraction | None) -> VideoSource | FolderSource:
    if source.is_dir():
        return FolderSource(source, frame_rate)
    if frame_rate is not None:
        raise VideoError(f"{source}: is not a folder of frames, and a video keeps its own frame rate. Leave the frame rate out")
    return VideoSource(source)


def _describe(source: Path, clip: VideoSource | FolderSource) -> list[list[Any]]:
    """What tells one state of the source from another without reading it."""
    files = clip.paths if isinstance(clip, FolderSource) else [source]
    states = ((path, path.stat()) for path in files)
    return [[str(path.resolve()), state.st_size, state.st_mtime_ns] for path, state in states]


@contextmanager
def _work_folder(work: Path, kept: dict[str, Any]) -> Iterator[None]:
    """Hold the folder of work in progress: as an earlier call with the same `kept` left it, or empty.

    It goes on success, and on failure when there is nothing in it that could be continued.
    """
    description = work / "job.json"
    # Without its description it can still be ours: a process may have been killed as it made or removed the folder.
    if work.exists() and not (work.is_dir() and all(_OWN.fullmatch(path.name) for path in work.iterdir())):
        raise VideoError(f"{work}: is in the way, and was not made for work in progress. Move it elsewhere")
    work.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(work / ".lock").acquire(timeout=0)
    except Timeout:
        raise VideoError(f"{work}: another process is at work on the same result. Wait for it, or stop it") from None
    with held:
        if not description.exists() or json.loads(description.read_text()) != kept:
            for path in work.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != ".lock":
                    path.unlink()
            with atomic_write(description) as temporary:
                temporary.write_text(json.dumps(kept))
        try:
            yield
        except BaseException:
            if {path.name for path in work.rglob("*") if path.is_file()} <= {description.name, ".lock"}:
                shutil.rmtree(work)
            raise
        shutil.rmtree(work)


def _stylize_to_folder(
    clip: VideoSource | FolderSource,
    work: Path,
    names: list[str] | None,
    stylize: Stylize,
    memory: Memory | None,
    segment_frames: int,
    progress: bool,
) -> tuple[int, int]:
    """Complete the frames in `work`; returns how many there are, and how many of them were stylized now."""
    frames = stylized = 0
    kept = MemoryFiles(work, memory)
    remembered = kept.latest()
    kept.recall(remembered)
    with _bar(clip, progress) as bar:
        for index, frame in enumerate(clip.frames()):
            path = work / "frames" / (names[index] if names else numbered_name(index))
            # With a memory, frames after the last that it was kept of are made again: those to come depend on them.
            if path.exists() and (memory is None or index < remembered):
                bar.update()
            else:
                write_image(_stylized(frame, stylize, bar), path)
                stylized += 1
            frames += 1
            if memory is not None and frames > remembered and frames % segment_frames == 0:
                kept.keep(frames)
                kept.forget_before(frames)
    return frames, stylized


def _put_in_place(work: Path, place: Path, names: list[str] | None) -> None:
    (work / "frames" / MARK).touch()
    if place.exists():
        check_replaceable(place, names)  # once more: somebody may have put files there meanwhile
        # Of a process that was killed after it had put its frames in place, which are what is replaced now.
        shutil.rmtree(work / "replaced", ignore_errors=True)
        place.rename(work / "replaced")
    (work / "frames").rename(place)


def _stylize_to_pieces(
    clip: VideoSource | FolderSource, writer: SegmentWriter, work: Path, stylize: Stylize, memory: Memory | None, progress: bool
) -> tuple[list[Path], int, int]:
    """Complete the pieces in `work`; returns them, how many frames they have, and how many of these were stylized now."""
    pieces: list[Path] = []
    frames = stylized = 0
    coming = clip.frames()
    kept = MemoryFiles(work, memory)
    is_recalled = False
    with _bar(clip, progress) as bar:
        while True:
            piece = work / f"{len(pieces):06d}.mkv"
            if done := count_frames(piece):
                # Decoded again, because what follows may build on them, but not converted.
                bar.update(sum(1 for _ in islice(coming, done)))
            else:
                first = next(coming, None)
                if first is None:
                    return pieces, frames, stylized
                shown = chain([first], islice(coming, writer.frames - 1))
                del first  # a decoded frame is large
                if not is_recalled:
                    kept.recall(frames)
                    is_recalled = True
                done = writer.write(piece, _stylized_and_kept(shown, stylize, bar, kept, frames))
                kept.forget_before(frames + done)
                stylized += done
            frames += done
            pieces.append(piece)


def _stylized_and_kept(
    shown: Iterable[Frame], stylize: Stylize, bar: tqdm, kept: MemoryFiles, frames: int
) -> Iterator[tuple[int, int, Image.Image]]:
    """Time, duration and picture of each frame; after the last, and so before the piece counts, the memory is kept."""
    for frame in shown:
        yield frame.time, frame.duration, _stylized(frame, stylize, bar)
        frames += 1
    kept.keep(frames)


def _stylized(frame: Frame, stylize: Stylize, bar: tqdm) -> Image.Image:
    before = frame.image()
    after = stylize(before)
    if after.size != before.size:
        raise ValueError(f"the stylized frame has {after.size} pixels, but the frame has {before.size}")
    bar.update()
    return after


def _bar(clip: VideoSource | FolderSource, progress: bool) -> tqdm:
    return progress_bar(total=clip.info.frames, desc="stylizing", unit="frame", disable=not progress)
