"""A batch: contents times styles as a versioned folder of results with a manifest, in which only what is new is computed."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from ieast.config.batch import BatchConfig
from ieast.errors import ConfigError, ImageError, VideoError
from ieast.io.contact_sheet import Cell, sheet
from ieast.io.files import evenly, place_for, replace_folder, sha256, temporary_folder
from ieast.io.images import check_writable_image_path, explained, read_image
from ieast.io.listing import MIN_FRAMES, find_frames, find_pictures, list_frames
from ieast.io.progress import progress_bar
from ieast.stylization.files import is_video
from ieast.stylization.in_order import require_opencv
from ieast.stylization.jobs import Job, Outcome, carry_out
from ieast.stylization.loading import EngineSource

MANIFEST, SHEET, STORE = "manifest.csv", "contact_sheet.jpg", "store"
_SHOWN = 8
"""Contents and styles on the contact sheet, at most."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """What a batch came to.

    Attributes:
        folder: This version of the results: STYLE/CONTENT, `manifest.csv` and `contact_sheet.jpg`.
        version: Its name, which changes with contents, styles, settings and model, and with nothing else.
        manifest: A row a content and style.
        made: Results that this call computed.
        kept: Results that were there from earlier calls, whatever version they were made for.
        failed: Rows without a result.
        passed_over: Files in the folders that are neither pictures nor videos, and pictures that lie beside clips.
    """

    folder: Path
    version: str
    manifest: pd.DataFrame
    made: int
    kept: int
    failed: int
    passed_over: tuple[Path, ...]


@dataclass(frozen=True)
class _Source:
    """A content or style: its file or folder of frames, its name in the results, and what tells its state."""

    path: Path
    name: str
    digest: str
    error: str | None = None
    is_clip: bool = False


def check_batch(config: BatchConfig) -> None:
    """Raise unless `config` can work as far as can be seen without the model and the dataset.

    Raises:
        ConfigError: An option does not fit, Ray or OpenCV is needed and not installed, or results would become contents.
        ImageError: A folder is not there, or the suffix is no format.
    """
    config.check()
    _check_output_apart(config)
    check_writable_image_path(Path(f"x{config.suffix}"))
    for path in (config.contents, config.styles):
        if path is not None and not Path(path).exists():
            raise ImageError(f"{path}: there is no such file or folder. Check the path")
    if config.settings.steady:
        require_opencv()
    if config.engine == "ray":
        from ieast.io.ray_cluster import require_ray

        require_ray()


def stylize_batch(
    config: BatchConfig, source: EngineSource, dataset: Path | None, model: Mapping[str, str] | None = None
) -> Batch:
    """Stylize every content in every style, as far as that was not done before.

    Results lie once in `output`/store, by what they were made of; a version is a folder of hard links to them, where the file
    system has such, and is put in place when it is complete. One bad file does not lose the rest.

    Args:
        config: The batch.
        source: What the model is loaded from.
        dataset: Folder of the dataset version, with content/, style/ and maybe clips/; none where `config` names folders.
        model: What the manifest is to say of the model, such as its version.

    Raises:
        ConfigError: An option does not fit, or the model has no such control.
        ImageError: There are no contents or no styles, or two results would have the same name.
        DiskFullError: No space is left; the same call goes on.
    """
    check_batch(config)
    engine, method = source.load()
    contents, other_contents = _contents(config, dataset)
    styles, other_styles = _styles(config, dataset)
    if not contents or not styles:
        side, asked = ("contents", config.contents) if not contents else ("styles", config.styles)
        raise ImageError(f"{asked or dataset}: holds no {side}. Give a folder of pictures")
    made_by = engine.digest()
    store = Path(config.output) / STORE
    planned: list[tuple[_Source, _Source, Path]] = []
    jobs = []
    for style in styles:
        for content in contents:
            key = _key(content, style, config, made_by)
            place = store / key[:2] / f"{key}{_suffix(content, config)}"
            planned.append((content, style, place))
            if not (content.error or style.error or place.exists()):
                job = Job(content.path, style.path, place, clip=key if content.is_clip else None)
                jobs.append(job)
    _check_apart(planned, config)
    jobs = list({job.target: job for job in jobs}.values())  # equal files are one content
    outcomes: dict[Path, Outcome] = {}
    processes = config.processes if config.engine == "ray" else 1
    with progress_bar(total=len(jobs), desc="stylizing", unit="result") as bar:
        for outcome in carry_out(jobs, engine, config.settings.options, source=source, processes=processes):
            outcomes[outcome.job.target] = outcome
            bar.update()
    facts = {"method": method, "model_digest": made_by, **(model or {"model": config.model})}
    rows = [_row(content, style, place, outcomes.get(place), config, facts) for content, style, place in planned]
    manifest = pd.DataFrame(rows)
    version = _version(manifest)
    folder = Path(config.output) / version
    _assemble(folder, manifest, planned)
    new = sum(outcome.error is None for outcome in outcomes.values())
    failed = int(manifest["error"].notna().sum())
    return Batch(folder, version, manifest, new, len(manifest) - failed - new, failed, (*other_contents, *other_styles))


def _contents(config: BatchConfig, dataset: Path | None) -> tuple[list[_Source], list[Path]]:
    if config.contents is not None:
        place = Path(config.contents)
    else:
        assert dataset is not None
        place = dataset / "content"
    pictures, others = _files(place)
    videos = [path for path in others if is_video(path)]
    pairs = [(path, False) for path in pictures] + [(path, True) for path in videos]
    named = dict(zip((path for path, _ in pairs), _names([path for path, _ in pairs], place), strict=True))
    chosen = evenly(sorted(pairs), config.most_contents)
    sources = [_source(path, named[path], is_clip) for path, is_clip in progress_bar(chosen, desc="contents", unit="file")]
    others = [path for path in others if path not in set(videos)]
    if config.contents is None and config.clips and dataset is not None and (dataset / "clips").is_dir():
        clips, strays = _clips(dataset / "clips")
        named = dict(zip(clips, _names(clips, dataset), strict=True))
        sources += [_source(path, named[path], True) for path in evenly(clips, config.most_contents)]
        others += strays
    return sources, others


def _clips(place: Path) -> tuple[list[Path], list[Path]]:
    """The clips in `place` that `list_clips` would find, and files that are none.

    Every folder is taken: one that `list_clips` would stop at or pass over is to be a row that says what is wrong.
    """
    found = find_frames(place)
    if len(found.pictures) >= MIN_FRAMES:
        return [place], found.others
    clips = sorted(path for path in found.others if path.is_dir() or is_video(path))
    if found.pictures and not clips:
        return [place], found.others
    return clips, [*found.pictures, *(path for path in found.others if path not in clips)]


def _styles(config: BatchConfig, dataset: Path | None) -> tuple[list[_Source], list[Path]]:
    if config.styles is not None:
        place = Path(config.styles)
    else:
        assert dataset is not None
        place = dataset / "style"
    pictures, others = _files(place)
    named = dict(zip(pictures, _names(pictures, place), strict=True))
    return [_source(path, named[path]) for path in evenly(pictures, config.most_styles)], others


def _files(place: Path) -> tuple[list[Path], list[Path]]:
    if place.is_dir():
        listing = find_pictures(place)
        return listing.pictures, listing.others
    return ([], [place]) if is_video(place) else ([place], [])


def _names(paths: list[Path], place: Path) -> list[str]:
    """Paths below `place`, those of files without suffixes; with them where two would be the same."""
    if not place.is_dir():
        return [path.stem for path in paths]
    relative = [path.relative_to(place) for path in paths]
    bare = [(short if path.is_dir() else short.with_suffix("")).as_posix() for path, short in zip(paths, relative, strict=True)]
    taken = {path.as_posix() for path in relative}
    return [
        path.as_posix() if bare.count(name) > 1 or name in taken else name for path, name in zip(relative, bare, strict=True)
    ]


def _source(path: Path, name: str, is_clip: bool = False) -> _Source:
    name = _printable(name)
    try:
        with explained(str(path)):
            if path.is_dir():
                frames = "".join(sha256(frame) for frame in list_frames(path))
                return _Source(path, name, hashlib.sha256(frames.encode()).hexdigest(), None, is_clip)
            return _Source(path, name, sha256(path), None, is_clip)
    except (ImageError, VideoError) as error:
        return _Source(path, name, "", str(error), is_clip)


def _printable(text: str) -> str:
    """With escapes for bytes that are not UTF-8, which no table can hold."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _suffix(content: _Source, config: BatchConfig) -> str:
    """Of the result: a picture's, a video's, or none for a folder of frames."""
    if not content.is_clip:
        return config.suffix
    return "" if content.path.is_dir() else ".mp4"


def _result(content: _Source, style: _Source, config: BatchConfig) -> str:
    """Where it lies in the version's folder."""
    return f"{style.name}/{content.name}{_suffix(content, config)}"


def _check_apart(planned: list[tuple[_Source, _Source, Path]], config: BatchConfig) -> None:
    """Raise if folders in folders make two names one, as a content in b/ in the style a does of one in the style a/b.

    Raises:
        ImageError: They do.
    """
    places: dict[str, tuple[_Source, _Source]] = {}
    for content, style, _ in planned:
        name = _result(content, style, config)
        if name in places:
            others = places[name]
            raise ImageError(
                f"{content.path} in the style of {style.path} would be written under the same name as {others[0].path} in that "
                f"of {others[1].path}, {name}. Rename a folder"
            )
        places[name] = (content, style)


def _key(content: _Source, style: _Source, config: BatchConfig, model: str) -> str:
    """Changes with all that a result is made of, and with nothing else."""
    settings = config.settings.model_dump(mode="json")
    steady = settings.pop("steady") and content.is_clip  # pictures are the same without
    facts = [content.digest, style.digest, model, settings, _suffix(content, config), *["steady"] * steady]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _row(
    content: _Source, style: _Source, place: Path, outcome: Outcome | None, config: BatchConfig, facts: Mapping[str, str]
) -> dict[str, Any]:
    error = style.error or content.error or (outcome.error if outcome else None)
    error = None if error is None else _printable(error)
    return {
        "content": content.name,
        "style": style.name,
        "result": None if error else _result(content, style, config),
        "error": error,
        "seconds": round(outcome.seconds, 3) if outcome and not error else None,
        "content_digest": content.digest,
        "style_digest": style.digest,
        "result_digest": None if error or place.is_dir() else sha256(place),
        **config.settings.model_dump(mode="json"),
        **facts,
    }


def _version(manifest: pd.DataFrame) -> str:
    """Of all that is in the manifest, but for how long it took and where files had lain."""
    told = manifest.drop(columns=["seconds", "error", "result_digest"]).assign(there=manifest["error"].isna())
    return hashlib.sha256(told.to_csv(index=False).encode()).hexdigest()[:12]


def _assemble(folder: Path, manifest: pd.DataFrame, planned: list[tuple[_Source, _Source, Path]]) -> None:
    """Put the version's folder in place: links to results, the manifest and the contact sheet."""
    place_for(folder.parent)
    if (folder / MANIFEST).is_file():
        # Seconds of what was made before are worth keeping.
        before = pd.read_csv(folder / MANIFEST)
        if len(before) == len(manifest):
            manifest["seconds"] = manifest["seconds"].fillna(before["seconds"])
    with temporary_folder(folder) as temporary:
        for result, (_, _, place) in zip(manifest["result"], planned, strict=True):
            if not isinstance(result, str):  # pandas has several words for nothing
                continue
            target = temporary / result
            target.parent.mkdir(parents=True, exist_ok=True)
            if place.is_dir():
                shutil.copytree(place, target, ignore=shutil.ignore_patterns(".*"), copy_function=_link)
            else:
                _link(place, target)
        manifest.to_csv(temporary / MANIFEST, index=False)
        contact_sheet(manifest, planned).save(temporary / SHEET, quality=88)
        replace_folder(temporary, folder)


def _link(source: Path | str, target: Path | str) -> None:
    try:
        os.link(source, target)
    except FileExistsError:  # what is there may be a link to another result, which a copy would be written into
        raise
    except OSError:
        shutil.copy2(source, target)


def contact_sheet(manifest: pd.DataFrame, planned: list[tuple[_Source, _Source, Path]], cell: int = 160) -> Image.Image:
    """Some contents by some styles: the first row shows styles, the first column contents."""
    by_pair = {(content.name, style.name): place for content, style, place in planned if place.is_file()}
    contents = evenly(list({content.name: content for content, _, _ in planned if not content.is_clip}.values()), _SHOWN)
    styles = evenly(list({style.name: style for _, style, _ in planned}.values()), _SHOWN)
    there = set(manifest.loc[manifest["error"].isna(), ["content", "style"]].itertuples(index=False, name=None))
    rows = [[Cell(None, ""), *(Cell(_shown(style), Path(style.name).name) for style in styles)]]
    for content in contents:
        row = [Cell(_shown(content), Path(content.name).name)]
        for style in styles:
            pair = (content.name, style.name)
            row.append(Cell(read_image(by_pair[pair]) if pair in there else None, "" if pair in there else "failed"))
        rows.append(row)
    return sheet(rows, cell)


def _shown(source: _Source) -> Image.Image | None:
    try:
        return read_image(source.path)
    except ImageError:
        return None


def _check_output_apart(config: BatchConfig) -> None:
    """Raise if results would become contents or styles of the next run.

    Raises:
        ConfigError: The output lies in a folder that is read.
    """
    output = Path(config.output).resolve()
    for side in (config.contents, config.styles):
        if side is not None and Path(side).is_dir():
            place = Path(side).resolve()
            if place == output or place in output.parents:
                raise ConfigError(
                    f"output {config.output} lies in {side}, where results would be stylized the next time. Give a folder "
                    "outside of it"
                )
