"""Dataset versions: DVC tracks the folder, git tracks `data.dvc`, and a revision of git names a version.

Everything goes through DVC's own Python API. DVC is imported inside functions because machines that only stylise lack it.
"""

import errno
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict

from ieast.config import DataConfig
from ieast.errors import DataError
from ieast.files import DiskFullError

WORKSPACE = "workspace"
CLIPS = "clips"
REQUIRED = ("content", "style")
MIN_FILES = 3  # fewer than three styles cannot be contrasted
MAX_COMMITTED_BYTES = 100_000_000  # beyond this a remote that is committed to git makes every clone suffer
STALE_SECONDS = 24 * 3600

logger = logging.getLogger(__name__)


class DataCounts(BaseModel):
    """Pictures per side, and clips."""

    model_config = ConfigDict(frozen=True)

    content: int
    style: int
    clips: int


class DataRef(BaseModel):
    """One version of the dataset, where it came from and where its files are; passes between steps as JSON.

    `folder` is shared by all runs and may share storage with DVC's cache, so its files are for reading only.
    """

    model_config = ConfigDict(frozen=True)

    repository: str  # as configured, less credentials
    revision: str  # as asked for
    commit: str | None  # none when data.dvc was read from disk
    head_commit: str | None = None  # of the repository whose working tree was read; none for a named revision
    differs_from_head: bool = False  # data.dvc on disk is not the one committed
    md5: str  # DVC's digest of the whole folder
    counts: DataCounts
    folder: Path
    source: str  # URL of the repository, or its folder when it has none, without credentials


class AddedDataset(BaseModel):
    """What `add_dataset` put under DVC, and the commands that publish it."""

    model_config = ConfigDict(frozen=True)

    md5: str
    counts: DataCounts
    next_steps: list[str]


@dataclass(frozen=True)
class _Version:
    """`data.dvc` at one revision."""

    workspace: Any  # dvc.repo.Repo of the working tree: owns the lock
    repo: Any  # the same at the revision asked for
    commit: str | None
    output: Any  # dvc.output.Output: the folder that data.dvc tracks


def load_dataset(config: DataConfig, work_folder: Path) -> DataRef:
    """Materialise one version of the dataset in `work_folder/datasets/<md5>`; instant when it is already there.

    Files come from DVC's cache, and into it from the remote where needed, so what two versions share is downloaded
    once and an interrupted download goes on where it stopped. They are reflinks or read-only hard links where the
    file system allows, else copies.

    Raises:
        DataError: No such repository, revision, data.dvc or files; or data/ on disk has changes DVC does not know.
        DiskFullError: No space was left on the disk.
    """
    _require_dvc()
    work_folder = Path(work_folder).absolute()
    config = config.model_copy(update={"path": Path(config.path).as_posix()})  # `data/` is as good as `data`
    repository = _without_credentials(config.repository)
    action = f"reading {config.path} at {config.revision} of {repository}"
    with _explained(action), _opened(config, work_folder) as version:
        md5 = version.output.hash_info.value
        folder = work_folder / "datasets" / md5.removesuffix(".dir")
        if not folder.is_dir():
            _fetch(version, f"{config.path}.dvc")
            _materialise(version.output, folder, where=f"{config.path} at {config.revision} of {repository}")
        return DataRef(
            repository=repository,
            revision=config.revision,
            commit=version.commit,
            **_head(version, config),
            md5=md5,
            counts=_count_folder(folder, version.output.meta.nfiles),
            folder=folder,
            source=_source(version.workspace, config),
        )


def add_dataset(repository: Path, content: Path, style: Path, clips: Path | None = None) -> AddedDataset:
    """Replace data/ of a repository by a user's own folders and put it under DVC.

    The originals are never touched. They are reflinked where the file system can, else copied, and never hard linked:
    with its usual settings DVC would replace the links by copies anyway, and with `cache.type hardlink` the originals
    would become objects of its cache, which an edit in place would corrupt. On a file system without reflinks,
    `dvc config cache.type hardlink` in the repository at least lets data/ and the cache share their storage.

    Args:
        repository: Folder of a DVC repository.
        content: Pictures, in subfolders or not.
        style: Pictures, in subfolders or not.
        clips: One subfolder of frames per clip, or the frames of a single clip.

    Raises:
        DataError: A folder is unfit, data/ holds changes that would be lost, or DVC failed; data/ is as it was.
        DiskFullError: No space was left on the disk; data/ is as it was.
    """
    _require_dvc()
    folders = {"content": Path(content).resolve(), "style": Path(style).resolve()}
    if clips is not None:
        folders[CLIPS] = Path(clips).resolve()
    with _explained(f"adding a dataset to {repository}"), _workspace(str(repository)) as repo:
        data = Path(repo.root_dir) / "data"
        _refuse_overlaps(folders, data)
        files = {key: file for role, folder in folders.items() for key, file in _source_files(role, folder).items()}
        _refuse_losses(repo, data)
        # Inside .dvc/tmp neither git nor DVC sees the unfinished folder, and moving it into place is a mere rename.
        with tempfile.TemporaryDirectory(prefix="ieast-", dir=repo.tmp_dir, ignore_cleanup_errors=True) as temporary:
            staging = Path(temporary) / "new"
            _place({staging.joinpath(*key): file for key, file in files.items()}, ["reflink", "copy"], "copying pictures")
            output = _swap_in(repo, staging, data, backup=Path(temporary) / "old")
        counts = _count(files)
        return AddedDataset(md5=output.hash_info.value, counts=counts, next_steps=_next_steps(repo, counts, output.meta.size))


def _require_dvc() -> None:
    try:
        import dvc.repo  # noqa: F401
    except ImportError as error:
        raise DataError(
            f"datasets are versioned with DVC, which is not installed ({error}). Type: pip install 'ieast[pipelines]'"
        ) from error


@contextmanager
def _explained(action: str) -> Iterator[None]:
    """Turn what DVC, git and the disk raise into errors that say what was being done."""
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        yield
    except (DvcException, SCMError) as error:
        raise DataError(f"{action} failed in DVC: {error}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"the disk filled up while {action}; what was there before is unchanged. Free some space and run the "
                "same command again."
            ) from error
        raise DataError(f"{action} failed: {error}") from error


# --- opening a repository at a revision


@contextmanager
def _opened(config: DataConfig, work_folder: Path) -> Iterator[_Version]:
    with ExitStack() as stack:
        commit = None
        if "://" in config.repository or re.match(r"[\w.-]+@[\w.-]+:", config.repository):
            if config.revision == WORKSPACE:
                raise DataError(
                    f"{_without_credentials(config.repository)} is a URL, which has no workspace: set data.revision to a "
                    "tag, branch or commit, such as data-v1"
                )
            # The cache outlives the temporary clone, or every run would download everything again.
            clone = _clone(config.repository, config.revision, work_folder / "dvc-cache")
            workspace, commit = stack.enter_context(clone)
            repo = workspace
        else:
            workspace = repo = stack.enter_context(_workspace(config.repository))
            if config.revision != WORKSPACE:
                commit = _resolve(workspace.scm, config.revision, workspace.root_dir)
                repo = stack.enter_context(_at_commit(workspace, commit, config))
        output = _tracked_folder(repo, config)
        if commit is None:
            _refuse_unrecorded(output, config)
        yield _Version(workspace, repo, commit, output)


@contextmanager
def _workspace(folder: str, config: Mapping[str, Any] | None = None) -> Iterator[Any]:
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import NoSCM, SCMError

    try:
        # The argument behind DVC's own --wait-for-lock: runs that start together take turns instead of failing.
        # Resolved, since DVC compares this path with the one that git reports.
        repo = Repo(str(Path(folder).resolve()), config=config, _wait_for_lock=True)
        if isinstance(repo.scm, NoSCM):
            raise SCMError("its DVC was set up without git")
    except (NotDvcRepoError, SCMError) as error:
        raise DataError(
            f"{Path(folder).absolute()} is not a git repository with DVC in it: {error}. Give the folder of one, or set one up "
            "there with `git init` and `dvc init`"
        ) from error
    with repo:
        yield repo


def _at_commit(workspace: Any, commit: str, config: DataConfig) -> Any:
    """Open the repository at a commit, with the remote as it is configured today: tags may be older than the remote."""
    from dvc.repo import Repo

    # DVC would take a revision without DVC for a repository that it should clone.
    if not workspace.scm.get_fs(commit).exists(f"{config.path}.dvc"):
        raise _nothing_tracked(config)
    return Repo.open(workspace.root_dir, rev=commit, remote=workspace.config["core"].get("remote"))


@contextmanager
def _clone(url: str, revision: str, cache: Path) -> Iterator[tuple[Any, str]]:
    """Clone and check out, since a remote that is a folder of the repository exists only in a working tree."""
    from dvc.scm import CloneError, clone

    with tempfile.TemporaryDirectory(prefix="ieast-clone-", ignore_cleanup_errors=True) as temporary:
        folder = str(Path(temporary) / "repository")
        try:
            git = clone(url, folder)
        except CloneError as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            shown = _without_credentials(url)
            # No chaining: the causes quote the URL with its credentials.
            raise DataError(
                f"cannot clone {shown}: {str(cause).replace(url, shown)}. Check data.repository, the network and your access"
            ) from None
        try:
            commit = _resolve(git, revision, _without_credentials(url))
            git.checkout(commit)
        finally:
            git.close()
        overrides = {"cache": {"dir": str(cache)}, "core": {"site_cache_dir": str(Path(temporary) / "site")}}
        with _workspace(folder, overrides) as repo:
            yield repo, commit


def _resolve(scm: Any, revision: str, where: str) -> str:
    from dvc.scm import RevError, resolve_rev

    try:
        return str(resolve_rev(scm, revision))
    except RevError as error:
        tags = sorted(scm.list_tags())[-8:]
        remote = (name.removeprefix("refs/remotes/origin/") for name in scm.iter_refs("refs/remotes/origin/"))
        branches = sorted({*scm.list_branches(), *remote} - {"HEAD"})[:8]
        raise DataError(
            f"{where} has no revision {revision!r}. Its tags: {', '.join(tags) or 'none'}; its branches: "
            f"{', '.join(branches) or 'none'}. If it was made elsewhere, type `git fetch --tags`"
        ) from error


def _tracked_folder(repo: Any, config: DataConfig) -> Any:
    file = repo.fs.join(repo.root_dir, f"{config.path}.dvc")
    if not repo.fs.exists(file):
        raise _nothing_tracked(config)
    output = repo.stage.load_one(file).outs[0]
    if not (output.hash_info and output.hash_info.isdir):
        raise DataError(f"{config.path}.dvc at {config.revision} does not record a folder; type `dvc add {config.path}`")
    return output


def _nothing_tracked(config: DataConfig) -> DataError:
    return DataError(
        f"there is no {config.path}.dvc at {config.revision} of {_without_credentials(config.repository)}, so DVC tracks no "
        f"dataset there. Choose a revision that has one, or type `dvc add {config.path}` (or `ieast data add`) and commit it"
    )


def _refuse_unrecorded(output: Any, config: DataConfig) -> None:
    if "modified" in output.workspace_status().values():
        raise DataError(
            f"{output.fs_path} is not what {config.path}.dvc records, so a run could not be repeated. If you changed the "
            f"pictures, type `dvc add {config.path}` (or `ieast data add`); if git moved {config.path}.dvc to another "
            "version, type `dvc checkout`"
        )


# --- from the remote through the cache to the folder


def _fetch(version: _Version, file: str) -> None:
    """Bring what is missing into DVC's cache."""
    from dvc.repo import lock_repo

    if not version.output.changed_cache():
        return
    remote = _remote(version.repo)
    if remote is None:
        raise DataError(
            f"{_missing(version.output)}, and the repository has no default remote to fetch from. Type `dvc remote add -d "
            "<name> <url>`, or `dvc push` where the files are"
        )
    logger.info("fetching %s files of %s from %s", version.output.meta.nfiles, file, remote)
    with lock_repo(version.workspace):
        _pull(version.repo, file, remote)
    if version.output.changed_cache() and version.commit and _is_committed(version.workspace, remote):
        # The remote's files of another branch are not in the working tree, but git has them.
        cache = Path(version.workspace.cache.local_cache_dir)
        with _clone(str(version.workspace.scm.root_dir), version.commit, cache) as (clone, _):
            _pull(clone, file, remote)
    if version.output.changed_cache():
        raise DataError(
            f"{_missing(version.output)} nor could be fetched from the remote {remote}. If DVC logged no other reason, "
            "`dvc push` was forgotten: type it on the machine where this version was added, then run the same command again"
        )


def _pull(repo: Any, file: str, remote: str) -> None:
    from dvc.exceptions import DownloadError

    try:
        repo.fetch(targets=[repo.fs.join(repo.root_dir, file)])
    except DownloadError:
        logger.warning("not every file of %s could be fetched from %s", file, remote)  # DVC has logged each with its reason
    except Exception as error:  # each kind of storage has its own
        raise DataError(
            f"fetching {file} from the remote {remote} failed: {error}. Check that it is reachable and that you may read it, "
            "then run the same command again: what has arrived is kept"
        ) from error


def _missing(output: Any) -> str:
    tree = output.get_obj()
    if tree is None:
        return f"the list of files {output.hash_info.value} is not in DVC's cache"
    absent = ["/".join(key) for key, _, file in tree if not output.cache.exists(file.value)]
    return f"{len(absent)} of {len(tree)} files, such as {absent[0]}, are not in DVC's cache"


def _remote(repo: Any) -> str | None:
    """Address of the default remote."""
    name = repo.config["core"].get("remote")
    if name in (None, "auto-generated-upstream"):  # DVC's stand-in, when it opens a revision, for having none
        return None
    return _without_credentials(str(repo.config["remote"][name]["url"]))


def _is_committed(repo: Any, remote: str) -> bool:
    return Path(remote).is_relative_to(repo.scm.root_dir)


def _materialise(output: Any, folder: Path, where: str) -> None:
    files = {key: output.cache.oid_to_path(file.value) for key, _, file in output.get_obj()}
    if any(".." in key for key in files):
        raise DataError(f"{where} names files outside its own folder; it was tampered with")
    counts = _count(files)
    for role in REQUIRED:
        if not getattr(counts, role):
            found = ", ".join(sorted({key[0] for key in files})[:8])
            raise DataError(f"{where} has no pictures in {role}/. It must hold content/ and style/; it holds {found}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        complete = temporary / "complete"
        targets = {complete.joinpath(*key): path for key, path in files.items()}
        _place(targets, ["reflink", "hardlink", "copy"], "preparing the dataset")
        for target in targets:
            target.chmod(0o444)  # as in DVC's cache, with which it may share storage
        _publish(complete, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(complete: Path, folder: Path) -> None:
    try:
        complete.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another run was faster, with the same files
            raise


def _sweep(folder: Path) -> None:
    """Remove what killed runs left, once it is older than any run takes."""
    for leftover in folder.parent.glob(f".{folder.name}-*"):
        if time.time() - leftover.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


def _place(files: Mapping[Path, str | Path], links: list[str], description: str) -> None:
    """Create each file from its source by the first kind of link that works here."""
    from dvc_objects.fs.generic import transfer
    from dvc_objects.fs.local import localfs
    from fsspec.callbacks import TqdmCallback  # type: ignore[import-untyped]

    for parent in {target.parent for target in files}:
        parent.mkdir(parents=True, exist_ok=True)
    # Logs keep every refresh of a bar; a terminal only the last.
    interval = 0.1 if sys.stderr.isatty() else 30.0
    with TqdmCallback({"desc": description, "unit": "file", "mininterval": interval}) as bar:
        bar.set_size(len(files))
        sources, targets = [str(path) for path in files.values()], [str(path) for path in files]
        transfer(localfs, sources, localfs, targets, links=links, callback=bar)


def _count(keys: Iterable[tuple[str, ...]]) -> DataCounts:
    shown = [key for key in keys if len(key) > 1 and not key[-1].startswith(".")]
    content, style = (sum(key[0] == role for key in shown) for role in REQUIRED)
    return DataCounts(content=content, style=style, clips=len({key[1] for key in shown if key[0] == CLIPS and key[2:]}))


def _count_folder(folder: Path, expected: int | None) -> DataCounts:
    keys = [(*Path(root).relative_to(folder).parts, name) for root, _, names in os.walk(folder) for name in names]
    if expected is not None and len(keys) != expected:
        raise DataError(
            f"{folder} holds {len(keys)} files instead of {expected}: it was changed after it was made. Delete it and run "
            "the same command again"
        )
    return _count(keys)


# --- provenance


def _head(version: _Version, config: DataConfig) -> dict[str, Any]:
    from scmrepo.exceptions import SCMError

    scm = version.workspace.scm
    if version.commit is not None:
        return {}
    try:
        head = scm.get_rev()
    except SCMError:  # nothing has been committed yet
        return {"head_commit": None, "differs_from_head": True}
    on_disk = Path(version.workspace.root_dir, f"{config.path}.dvc")
    committed, name = scm.get_fs(head), on_disk.relative_to(scm.root_dir).as_posix()
    same = committed.exists(name) and committed.cat_file(name) == on_disk.read_bytes()
    return {"head_commit": head, "differs_from_head": not same}


def _source(workspace: Any, config: DataConfig) -> str:
    from scmrepo.exceptions import SCMError

    if not Path(config.repository).exists():
        return _without_credentials(config.repository)
    try:
        return _without_credentials(workspace.scm.get_remote_url("origin"))
    except SCMError:
        return str(workspace.root_dir)


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "://" in url else url


# --- a user's own folders


def _refuse_overlaps(folders: Mapping[str, Path], data: Path) -> None:
    for (role, folder), (other, place) in combinations([*folders.items(), ("the repository's data", data)], 2):
        if folder == place and data not in (folder, place):
            raise DataError(f"{role} and {other} are the same folder {folder}; give two different ones")
        if folder.is_relative_to(place) or place.is_relative_to(folder):
            raise DataError(
                f"{role} {folder} and {other} {place} lie one inside the other; move the pictures so that they do not, since "
                "they are copied into data/, which is replaced"
            )


def _source_files(role: str, folder: Path) -> dict[tuple[str, ...], Path]:
    """The files to take, by their place in data/."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}, given as {role}")
    files = {path.relative_to(folder).parts: path for path in _walk(folder)}
    if len(files) < MIN_FILES:
        raise DataError(f"{folder}, given as {role}, holds {len(files)} files; at least {MIN_FILES} are needed")
    if role == CLIPS:
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
    file = data.with_suffix(".dvc")
    status = repo.stage.load_one(str(file)).outs[0].status() if file.exists() else {"data": "untracked"}
    if status:
        raise DataError(
            f"{data} has changes that DVC has not saved ({', '.join(status.values())}) and that would be lost. Type "
            "`dvc add data` to keep them as a version, or delete the folder to drop them"
        )


def _swap_in(repo: Any, staging: Path, data: Path, backup: Path) -> Any:
    """Put `staging` in the place of data/ and under DVC, or leave everything as it was."""
    touched = [data.with_suffix(".dvc"), data.with_name(".gitignore")]
    before = {path: path.read_bytes() if path.exists() else None for path in touched}
    had_data = data.exists()
    repo.scm_context.quiet = True  # the caller is told what to type next
    try:
        if had_data:
            data.rename(backup)
        staging.rename(data)
        return repo.add(str(data))[0].outs[0]
    except BaseException:  # Ctrl-C as well
        if backup.exists() or not had_data:
            shutil.rmtree(data, ignore_errors=True)
        if backup.exists():
            backup.rename(data)
        for path, content in before.items():
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content)
        raise


def _next_steps(repo: Any, counts: DataCounts, size: int) -> list[str]:
    remote, to_commit, steps = _remote(repo), "data.dvc .gitignore", []
    committed = remote is not None and _is_committed(repo, remote)
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
