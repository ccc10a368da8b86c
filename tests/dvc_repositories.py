"""Git repositories with datasets under DVC, for tests."""

import subprocess
from pathlib import Path

import pytest

pytest.importorskip("dvc")

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
