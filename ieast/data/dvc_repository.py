"""DVC repositories opened at a revision, and what reading and adding datasets share."""

import errno
import logging
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict

from ieast.config import DataConfig
from ieast.errors import DataError
from ieast.installation import install_with
from ieast.io.files import DiskFullError
from ieast.io.progress import progress_bar, refresh_seconds
from ieast.io.video import VIDEO_SUFFIXES

WORKSPACE = "workspace"
CLIPS = "clips"
REQUIRED = ("content", "style")
_DIGEST = re.compile(r"[0-9a-f]{32}(\.dir)?")
"""What DVC knows files and lists of files by: MD5."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TRANSFERRING = ("dvc_data.hashfile.transfer", "dvc_data.index.fetch", "dvc_objects.fs.generic")
"""Loggers of what copies files in DVC."""


class DataCounts(BaseModel):
    """Pictures per side, and clips."""

    model_config = ConfigDict(frozen=True)

    content: int
    style: int
    clips: int


@dataclass(frozen=True)
class Version:
    """`data.dvc` at one revision."""

    workspace: Any  # dvc.repo.Repo of the working tree: owns the lock
    repo: Any  # the same at the revision asked for
    commit: str | None
    output: Any  # dvc.output.Output: the folder that data.dvc tracks


def require_dvc() -> None:
    """Raise unless DVC is installed."""
    try:
        import dvc.repo  # noqa: F401
    except ImportError as error:
        raise DataError(
            f"datasets are versioned with DVC, which is not installed ({error}). Type: {install_with('pipelines')}"
        ) from error


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn what DVC, git and the disk raise into errors that say what was being done."""
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        yield
    except (DvcException, SCMError) as error:
        raise DataError(f"{action} failed in DVC: {error}") from error
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(
                f"the disk filled up while {action}; what was there before is unchanged. Free some space and run the "
                "same command again."
            ) from error
        raise DataError(f"{action} failed: {error}") from error


@contextmanager
def opened(config: DataConfig, work_folder: Path) -> Iterator[Version]:
    """The version that `config` names, open for reading."""
    with ExitStack() as stack:
        stack.enter_context(_listings_checked())
        commit = None
        if "://" in config.repository or re.match(r"[\w.-]+@[\w.-]+:", config.repository):
            if config.revision == WORKSPACE:
                raise DataError(
                    f"{without_credentials(config.repository)} is a URL, which has no workspace: set data.revision to a "
                    "tag, branch or commit, such as data-v1"
                )
            # The cache outlives the temporary clone, or every run would download everything again.
            clone = clone_of(config.repository, config.revision, work_folder / "dvc-cache")
            workspace, commit = stack.enter_context(clone)
            repo = workspace
        else:
            workspace = repo = stack.enter_context(workspace_of(config.repository))
            if config.revision != WORKSPACE:
                commit = _resolve(workspace.scm, config.revision, workspace.root_dir)
                repo = stack.enter_context(_at_commit(workspace, commit, config))
        output = tracked_folder(repo, config)
        if commit is None:
            _refuse_unrecorded(output, config)
        yield Version(workspace, repo, commit, output)


@contextmanager
def _listings_checked() -> Iterator[None]:
    """Refuse lists of files in which digests are none, or names lead elsewhere: DVC makes paths in its cache of both."""
    from dvc_data.hashfile.tree import Tree

    add = Tree.add

    def add_checked(self: Any, key: tuple[str, ...], meta: Any, oid: Any) -> None:
        value = oid.value if oid is not None else None
        if any(part in ("", ".", "..") or "/" in part for part in key) or (value is not None and not _DIGEST.fullmatch(value)):
            raise DataError(f"a list of files in DVC has {'/'.join(key)!r} with the digest {value!r}: it was tampered with")
        add(self, key, meta, oid)

    with patch.object(Tree, "add", add_checked):
        yield


@contextmanager
def workspace_of(folder: str, config: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """The DVC repository in `folder`, as its working tree stands."""
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
def clone_of(url: str, revision: str, cache: Path) -> Iterator[tuple[Any, str]]:
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
            shown = without_credentials(url)
            # No chaining: the causes quote the URL with its credentials.
            raise DataError(
                f"cannot clone {shown}: {str(cause).replace(url, shown)}. Check data.repository, the network and your access"
            ) from None
        try:
            commit = _resolve(git, revision, without_credentials(url))
            git.checkout(commit)
        finally:
            git.close()
        overrides = {"cache": {"dir": str(cache)}, "core": {"site_cache_dir": str(Path(temporary) / "site")}}
        with workspace_of(folder, overrides) as repo:
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


def tracked_folder(repo: Any, config: DataConfig) -> Any:
    """The folder that data.dvc tracks, as DVC's output."""
    file = repo.fs.join(repo.root_dir, f"{config.path}.dvc")
    if not repo.fs.exists(file):
        raise _nothing_tracked(config)
    output = repo.stage.load_one(file).outs[0]
    if not (output.hash_info and output.hash_info.isdir):
        raise DataError(f"{config.path}.dvc at {config.revision} does not record a folder; type `dvc add {config.path}`")
    if not _DIGEST.fullmatch(output.hash_info.value):  # of which paths are made
        raise DataError(f"{config.path}.dvc at {config.revision} records {output.hash_info.value!r}, which is no digest")
    return output


def _nothing_tracked(config: DataConfig) -> DataError:
    return DataError(
        f"there is no {config.path}.dvc at {config.revision} of {without_credentials(config.repository)}, so DVC tracks no "
        f"dataset there. Choose a revision that has one, or type `dvc add {config.path}` (or `ieast data add`) and commit it"
    )


def _refuse_unrecorded(output: Any, config: DataConfig) -> None:
    if "modified" in output.workspace_status().values():
        raise DataError(
            f"{output.fs_path} is not what {config.path}.dvc records, so a run could not be repeated. If you changed the "
            f"pictures, type `dvc add {config.path}` (or `ieast data add`); if git moved {config.path}.dvc to another "
            "version, type `dvc checkout`"
        )


def missing(output: Any) -> str:
    """What to say of files that the remote does not hold."""
    tree = output.get_obj()
    if tree is None:
        return f"the list of files {output.hash_info.value} is not in DVC's cache"
    absent = ["/".join(key) for key, _, file in tree if not output.cache.exists(file.value)]
    return f"{len(absent)} of {len(tree)} files, such as {absent[0]}, are not in DVC's cache"


def drop_damaged(output: Any) -> list[str]:
    """Remove from DVC's cache what is not what its name, a digest, says; DVC trusts files that are there and read-only.

    Returns:
        Which of the output's files these were; where it is the list of files itself, its digest.
    """
    listing = output.hash_info
    if not output.cache.exists(listing.value):
        return []
    if _digest(output, listing.value, "md5") != listing.value.removesuffix(".dir"):
        Path(output.cache.oid_to_path(listing.value)).unlink()
        output.obj = None
        return [listing.value]
    files = {file.value: (key, file) for key, _, file in output.get_obj() or () if output.cache.exists(file.value)}
    damaged = []
    for key, file in progress_bar(files.values(), desc="checking the dataset", unit="file"):
        if _digest(output, file.value, file.name) != file.value:
            Path(output.cache.oid_to_path(file.value)).unlink()
            damaged.append("/".join(key))
    return damaged


def _digest(output: Any, name: str, algorithm: str) -> str:
    from dvc_data.hashfile.hash import file_md5

    return str(file_md5(output.cache.oid_to_path(name), output.cache.fs, name=algorithm))


@contextmanager
def full_disks_noticed() -> Iterator[list[OSError]]:
    """Collect the errors of files for which there was no space, which DVC logs, each with a traceback, and goes on."""
    errors: list[OSError] = []

    def is_other(entry: logging.LogRecord) -> bool:
        error = entry.exc_info[1] if entry.exc_info else None
        if isinstance(error, OSError) and error.errno in _FULL:
            errors.append(error)
            return False
        return True

    loggers = [logging.getLogger(name) for name in _TRANSFERRING]
    for logger in loggers:
        logger.addFilter(is_other)
    try:
        yield errors
    finally:
        for logger in loggers:
            logger.removeFilter(is_other)


def remote_name(repo: Any) -> str | None:
    """Address of the default remote."""
    name = repo.config["core"].get("remote")
    if name in (None, "auto-generated-upstream"):  # DVC's stand-in, when it opens a revision, for having none
        return None
    return without_credentials(str(repo.config["remote"][name]["url"]))


def is_committed(repo: Any, remote: str) -> bool:
    """Whether `remote` is a folder of the repository itself."""
    return Path(remote).is_relative_to(repo.scm.root_dir)


def place(files: Mapping[Path, str | Path], links: list[str], description: str) -> None:
    """Create each file from its source by the first kind of link that works here."""
    from dvc_objects.fs.generic import transfer
    from dvc_objects.fs.local import localfs
    from fsspec.callbacks import TqdmCallback

    for parent in {target.parent for target in files}:
        parent.mkdir(parents=True, exist_ok=True)
    with TqdmCallback({"desc": description, "unit": "file", "mininterval": refresh_seconds()}) as bar:
        bar.set_size(len(files))
        sources, targets = [str(path) for path in files.values()], [str(path) for path in files]
        transfer(localfs, sources, localfs, targets, links=links, callback=bar)


def count(keys: Iterable[tuple[str, ...]]) -> DataCounts:
    """Pictures and clips among `keys`, the files' paths in the dataset as tuples."""
    shown = [key for key in keys if len(key) > 1 and not key[-1].startswith(".")]
    content, style = (sum(key[0] == role for key in shown) for role in REQUIRED)
    # A clip is a folder of frames, or a video.
    clips = {key[1] for key in shown if key[0] == CLIPS and (key[2:] or Path(key[1]).suffix.lower() in VIDEO_SUFFIXES)}
    return DataCounts(content=content, style=style, clips=len(clips))


def without_credentials(url: str) -> str:
    """`url` without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "://" in url else url
