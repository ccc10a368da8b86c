"""Dataset versions: any revision of the dataset, read through DVC into a folder of its own."""

import logging
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ieast.config import DataConfig
from ieast.data.dvc_repository import (
    REQUIRED,
    DataCounts,
    Version,
    clone_of,
    count,
    drop_damaged,
    explained,
    full_disks_noticed,
    is_committed,
    missing,
    opened,
    place,
    remote_name,
    require_dvc,
    without_credentials,
)
from ieast.errors import DataError, IeastError

STALE_SECONDS = 24 * 3600

logger = logging.getLogger(__name__)


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
    path: str = "data"  # the dataset's folder in its repository


def check_version(config: DataConfig, work_folder: Path) -> None:
    """Raise unless a repository on this disk has the dataset at `config.revision`; others are asked when it is loaded.

    Raises:
        DataError: No such repository, revision or data.dvc; or data/ on disk has changes DVC does not know.
    """
    require_dvc()
    if Path(config.repository).exists():
        repository = without_credentials(config.repository)
        with explained(f"reading {config.path} at {config.revision} of {repository}"), opened(config, Path(work_folder)):
            pass


def load_dataset(config: DataConfig, work_folder: Path) -> DataRef:
    """Materialise one version of the dataset in `work_folder/datasets/<md5>`; instant when it is already there.

    Files come from DVC's cache, and into it from the remote where needed, so what two versions share is downloaded
    once and an interrupted download goes on where it stopped. They are reflinks or read-only hard links where the
    file system allows, else copies.

    Raises:
        DataError: No such repository, revision, data.dvc or files; or data/ on disk has changes DVC does not know.
        DiskFullError: No space was left on the disk.
    """
    require_dvc()
    work_folder = Path(work_folder).absolute()
    config = config.model_copy(update={"path": Path(config.path).as_posix()})  # `data/` is as good as `data`
    repository = without_credentials(config.repository)
    action = f"reading {config.path} at {config.revision} of {repository}"
    with explained(action), opened(config, work_folder) as version:
        md5 = version.output.hash_info.value
        folder = work_folder / "datasets" / md5.removesuffix(".dir")
        if not folder.is_dir():
            drop_damaged(version.output)
            fetched = _fetch(version, f"{config.path}.dvc")
            if fetched and (damaged := drop_damaged(version.output)):
                raise DataError(
                    f"{len(damaged)} files of {config.path} at {config.revision} of {repository}, such as {damaged[0]}, are "
                    f"damaged in the remote {remote_name(version.repo)}: they are not what {config.path}.dvc records. Delete "
                    "them there, and type `dvc push` on a machine that has them sound"
                )
            _materialize(version.output, folder, where=f"{config.path} at {config.revision} of {repository}")
        return DataRef(
            repository=repository,
            revision=config.revision,
            commit=version.commit,
            **_head(version, config),
            md5=md5,
            counts=_count_folder(folder, version.output.meta.nfiles),
            folder=folder,
            source=_source(version.workspace, config),
            path=config.path,
        )


def refetch(data: DataRef, work_folder: Path) -> DataRef:
    """`data` with its files on this machine, fetched again where another one has them.

    Raises:
        DataError: They are not here, and the version cannot be had again: no commit holds it, or `load_dataset` fails.
    """
    if data.folder.is_dir():
        return data
    if data.commit is None:
        raise DataError(
            f"{data.folder} is not on this machine, and the dataset was read from the working tree of {data.repository}, which "
            "other machines do not have: set data.revision to a tag, branch or commit"
        )
    again = load_dataset(DataConfig(repository=data.repository, revision=data.commit, path=data.path), work_folder)
    return data.model_copy(update={"folder": again.folder})


def _fetch(version: Version, file: str) -> bool:
    """Bring what is missing into DVC's cache; whether anything was."""
    from dvc.repo import lock_repo

    if not version.output.changed_cache():
        return False
    remote = remote_name(version.repo)
    if remote is None:
        raise DataError(
            f"{missing(version.output)}, and the repository has no default remote to fetch from. Type `dvc remote add -d "
            "<name> <url>`, or `dvc push` where the files are"
        )
    logger.info("fetching %s files of %s from %s", version.output.meta.nfiles, file, remote)
    with lock_repo(version.workspace):
        _pull(version.repo, file, remote)
    if version.output.changed_cache() and version.commit and is_committed(version.workspace, remote):
        # The remote's files of another branch are not in the working tree, but git has them.
        cache = Path(version.workspace.cache.local_cache_dir)
        with clone_of(str(version.workspace.scm.root_dir), version.commit, cache) as (clone, _):
            _pull(clone, file, remote)
    if version.output.changed_cache():
        raise DataError(
            f"{missing(version.output)} nor could be fetched from the remote {remote}. If DVC logged no other reason, "
            "`dvc push` was forgotten: type it on the machine where this version was added, then run the same command again"
        )
    return True


def _pull(repo: Any, file: str, remote: str) -> None:
    from dvc.exceptions import DownloadError

    try:
        with full_disks_noticed() as full:
            repo.fetch(targets=[repo.fs.join(repo.root_dir, file)])
    except DownloadError:
        if full:
            raise full[0] from None
        logger.warning("not every file of %s could be fetched from %s", file, remote)  # DVC has logged each with its reason
    except IeastError:
        raise
    except Exception as error:  # each kind of storage has its own
        raise DataError(
            f"fetching {file} from the remote {remote} failed: {error}. Check that it is reachable and that you may read it, "
            "then run the same command again: what has arrived is kept"
        ) from error


def _materialize(output: Any, folder: Path, where: str) -> None:
    files = {key: output.cache.oid_to_path(file.value) for key, _, file in output.get_obj()}
    if any(".." in key for key in files):
        raise DataError(f"{where} names files outside its own folder; it was tampered with")
    counts = count(files)
    for role in REQUIRED:
        if not getattr(counts, role):
            folders = ", ".join(sorted({key[0] for key in files})[:8])
            raise DataError(f"{where} has no pictures in {role}/. It must hold content/ and style/; it holds {folders}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        complete = temporary / "complete"
        targets = {complete.joinpath(*key): path for key, path in files.items()}
        place(targets, ["reflink", "hardlink", "copy"], "preparing the dataset")
        for target in targets:
            with suppress(PermissionError):  # linked from a cache that belongs to someone else
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


def _count_folder(folder: Path, expected: int | None) -> DataCounts:
    keys = [(*Path(root).relative_to(folder).parts, name) for root, _, names in os.walk(folder) for name in names]
    if expected is not None and len(keys) != expected:
        raise DataError(
            f"{folder} holds {len(keys)} files instead of {expected}: it was changed after it was made. Delete it and run "
            "the same command again"
        )
    return count(keys)


def _head(version: Version, config: DataConfig) -> dict[str, Any]:
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
        return without_credentials(config.repository)
    try:
        return without_credentials(workspace.scm.get_remote_url("origin"))
    except SCMError:
        return str(workspace.root_dir)
