"""Repositories that the tests of dataset versions and additions share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("dvc")


from dvc_repositories import Origin, git, write


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
