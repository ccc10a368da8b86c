"""A user's own pictures, put under DVC as the repository's dataset."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from ieast.data.dvc_repository import (
    CLIPS,
    DataCounts,
    count,
    explained,
    full_disks_noticed,
    is_committed,
    missing,
    place,
    remote_name,
    require_dvc,
    workspace_of,
)
from ieast.errors import DataError
from ieast.io.files import atomic_write
from ieast.io.video import VIDEO_SUFFIXES

MIN_FILES = 3  # fewer than three styles cannot be contrasted
MAX_COMMITTED_BYTES = 100_000_000  # beyond this a remote that is committed to git makes every clone suffer
_JOURNAL = "journal.json"


class AddedDataset(BaseModel):
    """What `add_dataset` put under DVC, and the commands that publish it."""

    model_config = ConfigDict(frozen=True)

    md5: str
    counts: DataCounts
    next_steps: list[str]


def add_dataset(repository: Path, content: Path, style: Path, clips: Path | None = None) -> AddedDataset:
    """Replace data/ of a repository by a user's own folders and put it under DVC.

    The originals are never touched. They are reflinked where the file system can, else copied, and never hard linked:
    with its usual settings DVC would replace the links by copies anyway, and with `cache.type hardlink` the originals
    would become objects of its cache, which an edit in place would corrupt. On a file system without reflinks,
    `dvc config cache.type hardlink` in the repository at least lets data/ and the cache share their storage.

    What a killed process left half done is undone first, so that the same call then succeeds.

    Args:
        repository: Folder of a DVC repository.
        content: Pictures, in subfolders or not.
        style: Pictures, in subfolders or not.
        clips: One subfolder of frames per clip, the frames of a single clip, or videos.

    Raises:
        DataError: A folder is unfit, data/ holds changes that would be lost, another process adds a dataset, or DVC failed;
            data/ is as it was.
        DiskFullError: No space was left on the disk; data/ is as it was.
    """
    require_dvc()
    folders = {"content": Path(content).resolve(), "style": Path(style).resolve()}
    if clips is not None:
        folders[CLIPS] = Path(clips).resolve()
    with explained(f"adding a dataset to {repository}"), workspace_of(str(repository)) as repo:
        data = Path(repo.root_dir) / "data"
        _refuse_overlaps(folders, data)
        files = {key: file for role, folder in folders.items() for key, file in _source_files(role, folder).items()}
        # Inside .dvc/tmp neither git nor DVC sees the unfinished folder, and moving it into place is a mere rename.
        work = Path(repo.tmp_dir) / "ieast-add"
        try:
            held = FileLock(work.with_suffix(".lock")).acquire(timeout=0)
        except Timeout:
            raise DataError(f"another process is adding a dataset to {repo.root_dir}; wait for it or stop it") from None
        with held:
            _undo_interrupted(repo, work, data)
            _refuse_losses(repo, data)
            try:
                place(
                    {(work / "new").joinpath(*key): file for key, file in files.items()},
                    ["reflink", "copy"],
                    "copying pictures",
                )
                output = _swap_in(repo, work, data)
            finally:
                (work / _JOURNAL).unlink(missing_ok=True)  # first, because with it what lies beside it would count
                shutil.rmtree(work, ignore_errors=True)
        counts = count(files)
        return AddedDataset(md5=output.hash_info.value, counts=counts, next_steps=_next_steps(repo, counts, output.meta.size))


def _refuse_overlaps(folders: Mapping[str, Path], data: Path) -> None:
    for (role, folder), (other, elsewhere) in combinations([*folders.items(), ("the repository's data", data)], 2):
        if folder == elsewhere and data not in (folder, elsewhere):
            raise DataError(f"{role} and {other} are the same folder {folder}; give two different ones")
        if folder.is_relative_to(elsewhere) or elsewhere.is_relative_to(folder):
            raise DataError(
                f"{role} {folder} and {other} {elsewhere} lie one inside the other; move the pictures so that they do not, "
                "since they are copied into data/, which is replaced"
            )


def _source_files(role: str, folder: Path) -> dict[tuple[str, ...], Path]:
    """The files to take, by their place in data/."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}, given as {role}")
    files = {path.relative_to(folder).parts: path for path in _walk(folder)}
    videos = [path.name for path in files.values() if path.suffix.lower() in VIDEO_SUFFIXES] if role == CLIPS else []
    if videos and len(videos) == len(files) and all(len(key) == 1 for key in files):
        return {(role, *key): path for key, path in files.items()}  # each is a clip
    if len(files) < MIN_FILES:
        raise DataError(f"{folder}, given as {role}, holds {len(files)} files; at least {MIN_FILES} are needed")
    if role == CLIPS:
        if videos:
            raise DataError(
                f"{folder}, given as clips, holds {videos[0]} and other videos or frames; give videos alone, or frames"
            )
        depths = {len(key) for key in files}
        if depths == {1}:
            return {(role, folder.name, *key): path for key, path in files.items()}
        if depths != {2}:
            raise DataError(f"{folder}, given as clips, must hold either frames or one subfolder of frames per clip")
    return {(role, *key): path for key, path in files.items()}


def _walk(folder: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise error  # os.walk would pass over a folder that it may not read

    for root, folders, names in os.walk(folder, onerror=stop):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(root, name) for name in folders):
            if path.is_symlink():  # may lead round in a circle
                raise DataError(f"{path} is a link to a folder, which is not followed; put the folder itself in its place")
        for path in (Path(root, name) for name in sorted(names) if not name.startswith(".")):
            try:
                path.name.encode()
            except UnicodeEncodeError:
                raise DataError(f"{os.fsencode(path)!r} is not named in UTF-8, as DVC needs it; rename it") from None
            if path.is_file():
                yield path
            elif path.is_symlink():
                raise DataError(f"{path} is a broken link to {path.readlink()}; mend or delete it")


def _refuse_losses(repo: Any, data: Path) -> None:
    """Stop unless DVC could bring back the data/ that is about to be replaced."""
    if data.is_symlink():
        raise DataError(f"{data} is a link to {data.readlink()}, and would be replaced by a folder; delete the link first")
    if not data.exists():
        return
    if status := _unsaved(repo, data):
        raise DataError(
            f"{data} has changes that DVC has not saved ({status}) and that would be lost. Type "
            "`dvc add data` to keep them as a version, or delete the folder to drop them"
        )


def _swap_in(repo: Any, work: Path, data: Path) -> Any:
    """Put the folder `new` in `work` in the place of data/ and under DVC, or leave everything as it was.

    A process that is killed meanwhile leaves a journal in `work`, by which `_undo_interrupted` puts things back.
    """
    touched = [data.with_suffix(".dvc"), data.with_name(".gitignore")]
    before = {path.name: path.read_bytes().decode(errors="surrogateescape") if path.exists() else None for path in touched}
    had_data = data.exists()
    journal = {"new": _state(work / "new"), "files": before, "had_data": had_data}
    with atomic_write(work / _JOURNAL) as temporary:
        temporary.write_text(json.dumps(journal))
    repo.scm_context.quiet = True  # the caller is told what to type next
    try:
        if had_data:
            data.rename(work / "old")
        (work / "new").rename(data)
        return _add(repo, data)
    except BaseException:  # Ctrl-C as well
        _put_back(work, data, journal)
        raise


def _add(repo: Any, data: Path) -> Any:
    with full_disks_noticed() as errors:
        output = repo.add(str(data))[0].outs[0]
    if errors:
        raise errors[0]
    if output.changed_cache():
        raise DataError(f"{missing(output)}, though DVC reported no failure. Check the disk, then run the same command again")
    return output


def _put_back(work: Path, data: Path, journal: Mapping[str, Any]) -> None:
    old = work / "old"
    if old.exists() or not journal["had_data"]:
        shutil.rmtree(data, ignore_errors=True)
    if old.exists():
        old.rename(data)
    for name, content in journal["files"].items():
        path = data.with_name(name)
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content.encode(errors="surrogateescape"))


def _undo_interrupted(repo: Any, work: Path, data: Path) -> None:
    """Put back what a process that was killed in `_swap_in` left, unless somebody has put data/ in order since."""
    if (work / _JOURNAL).exists():
        journal = json.loads((work / _JOURNAL).read_text())
        is_half_done = data.is_dir() and _state(data) == journal["new"] and _unsaved(repo, data)
        if is_half_done or not data.exists():
            _put_back(work, data, journal)
    # What is still in it is a copy of the user's folders, or a data/ that was in DVC's cache before it was moved here.
    shutil.rmtree(work, ignore_errors=True)


def _state(folder: Path) -> dict[str, list[int]]:
    """Size and time of each file, which stay when the folder is moved."""
    states = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in sorted(states.items())}


def _unsaved(repo: Any, data: Path) -> str:
    """How data/ differs from what data.dvc says; empty if it does not."""
    from dvc.exceptions import DvcException

    file = data.with_suffix(".dvc")
    try:
        status = repo.stage.load_one(str(file)).outs[0].status() if file.exists() else {"data": "untracked"}
    except DvcException:  # half written
        return "unknown"
    return ", ".join(status.values())


def _next_steps(repo: Any, counts: DataCounts, size: int) -> list[str]:
    remote, to_commit, steps = remote_name(repo), "data.dvc .gitignore", []
    committed = remote is not None and is_committed(repo, remote)
    if remote is None or (committed and size > MAX_COMMITTED_BYTES):
        steps.append("dvc remote add -d storage <URL, or folder outside this repository>")
        to_commit += " .dvc/config"
    elif committed:
        to_commit += f" {Path(str(remote)).relative_to(repo.scm.root_dir).as_posix()}"
    numbers = [int(tag.removeprefix("data-v")) for tag in repo.scm.list_tags() if re.fullmatch(r"data-v\d+", tag)]
    return [
        *steps,
        "dvc push",
        f"git add {to_commit}",
        f'git commit -m "Dataset: {counts.content} content and {counts.style} style pictures, {counts.clips} clips"',
        f"git tag data-v{max(numbers, default=0) + 1}",
    ]
