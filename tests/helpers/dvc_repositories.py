"""Git repositories with datasets under DVC, and fixtures of them, for the tests of versions and additions."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo

from ieast.config import DataConfig


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"bytes of {name}")


def record(repository: Path, message: str, push: bool = True) -> str:
    """`dvc add data`, `dvc push` and a commit; gives the digest."""
    with Repo(str(repository)) as repo:
        digest = repo.add(str(repository / "data"))[0].outs[0].hash_info.value
        if push:
            repo.push()
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", message)
    return str(digest)


def files_under(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def tree_state(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Everything about each file that an innocent reader leaves alone."""
    return {
        str(path): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def config(repository: Path | str, revision: str = "workspace") -> DataConfig:
    return DataConfig(repository=str(repository), revision=revision)


def new_repository(folder: Path, remote: str | None = "../datastore") -> Path:
    folder.mkdir()
    git(folder, "init", "-qb", "main")
    with Repo.init(str(folder)):
        pass
    if remote:
        (folder / ".dvc/config").write_text(f"[core]\n    remote = sample\n['remote \"sample\"']\n    url = {remote}\n")
    return folder


V1 = ["content/1.jpg", "content/2.jpg", "content/3.jpg", "style/a.jpg", "style/b.jpg", "style/c.jpg", "clips/walk/frame_1.jpg"]
V2 = [*V1, "content/4.jpg", "clips/run/frame_1.jpg", "clips/run/frame_2.jpg"]
MORE = [*V2, "style/d.jpg"]


class Origin:
    """A repository with version 1 tagged, version 2 on main and another on a branch, in a committed remote."""

    def __init__(self, folder: Path) -> None:
        self.folder = new_repository(folder)
        git(folder, "remote", "add", "origin", "https://user:secret@example.org/styles.git")
        write(folder / "data", *V1)
        self.digests = {"data-v1": record(folder, "version 1")}
        git(folder, "tag", "-am", "version 1", "data-v1")
        write(folder / "data", *V2)
        self.digests["main"] = record(folder, "version 2")
        git(folder, "checkout", "-qb", "more-styles")
        write(folder / "data", *MORE)
        self.digests["more-styles"] = record(folder, "more styles")
        self.commits = {name: git(folder, "rev-parse", f"{name}^{{commit}}") for name in self.digests}
        git(folder, "checkout", "-q", "main")
        with Repo(str(folder)) as repo:
            repo.checkout()


def expected(names: list[str]) -> dict[str, str]:
    return {name: f"bytes of {name}" for name in sorted(names)}


def changed(folder: Path) -> None:
    write(folder, "content/extra.jpg")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A bare machine: no identity, no settings, nothing shared with the user's own DVC."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
            patch.setenv(name, str(home / name))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "Tester")
            patch.setenv(f"GIT_{role}_EMAIL", "tester@example.org")
        yield


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, environment: None) -> Origin:
    return Origin(tmp_path_factory.mktemp("origin") / "repository")


@pytest.fixture
def copy(origin: Origin, tmp_path: Path) -> Path:
    """The origin, to be changed at will."""
    return Path(shutil.copytree(origin.folder, tmp_path / "copy"))


@pytest.fixture
def clone(origin: Origin, tmp_path: Path) -> Path:
    """A fresh clone: neither data/ nor a cache."""
    git(tmp_path, "clone", "-q", str(origin.folder), "clone")
    return tmp_path / "clone"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A user's folders outside the repository."""
    folder = tmp_path / "pictures"
    write(folder / "coco", "1.jpg", "2.jpg", "3.jpg", "more/4.jpg", ".DS_Store", ".hidden/5.jpg")
    write(folder / "wikiart", "cubism/a.jpg", "cubism/b.jpg", "realism/a.jpg")
    write(folder / "films", "walk/frame_1.jpg", "walk/frame_2.jpg", "run/frame_1.jpg")
    (folder / "coco/linked.jpg").symlink_to(folder / "wikiart/cubism/a.jpg")
    (folder / "coco/1.jpg").chmod(0o640)
    return folder
