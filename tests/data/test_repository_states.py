"""DVC repositories and machines as people leave them: each state gives the dataset, or a sentence that says what to do."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("dvc")

from dvc.repo import Repo
from helpers.dvc_repositories import V2, Origin, config, expected, files_under, git
from helpers.hunting import environment_of

from ieast.data.versions import load_dataset
from ieast.errors import DataError

pytestmark = pytest.mark.usefixtures("environment")

PICTURE = ("content", "4.jpg")


def fetched(repository: Path) -> tuple[Path, Path]:
    """Where DVC's cache has a picture, and the list of files, after `dvc fetch`."""
    with Repo(str(repository)) as repo:
        repo.fetch()
        output = repo.stage.load_one(str(repository / "data.dvc")).outs[0]
        (digest,) = (file.value for key, _, file in output.get_obj() if key == PICTURE)
        return Path(output.cache.oid_to_path(digest)), Path(output.cache.oid_to_path(output.hash_info.value))


def in_remote(repository: Path, path: Path) -> Path:
    return repository / "datastore" / path.relative_to(repository / ".dvc/cache")


def overwrite(path: Path, text: str, mode: int = 0o444) -> None:
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(mode)


def damaged_in_cache(repository: Path) -> None:
    overwrite(fetched(repository)[0], "damaged")


def damaged_and_writable(repository: Path) -> None:
    overwrite(fetched(repository)[0], "damaged", 0o644)


def emptied_in_cache(repository: Path) -> None:
    overwrite(fetched(repository)[0], "")


def damaged_list(repository: Path) -> None:
    overwrite(fetched(repository)[1], "[{")


def emptied_list(repository: Path) -> None:
    overwrite(fetched(repository)[1], "[]")


def missing_in_cache(repository: Path) -> None:
    for path in fetched(repository):
        path.unlink()


def damaged_in_remote(repository: Path) -> None:
    path = fetched(repository)[0]
    overwrite(in_remote(repository, path), "damaged")
    path.unlink()


def damaged_in_remote_and_cached(repository: Path) -> None:
    overwrite(in_remote(repository, fetched(repository)[0]), "damaged")


def damaged_everywhere(repository: Path) -> None:
    damaged_in_cache(repository)
    damaged_in_remote(repository)


def damaged_without_remote(repository: Path) -> None:
    damaged_in_cache(repository)
    (repository / ".dvc/config").write_text("")


def remote_gone(repository: Path) -> None:
    shutil.rmtree(repository / "datastore")


def remote_gone_but_cached(repository: Path) -> None:
    fetched(repository)
    remote_gone(repository)


def detached(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")


def dirty(repository: Path) -> None:
    (repository / "notes.txt").write_text("mine")
    (repository / ".gitignore").write_text("/data\n/mine\n")


def git_at_work(repository: Path) -> None:
    (repository / ".git/index.lock").touch()


def conflict(repository: Path) -> None:
    (repository / "data.dvc").write_text("<<<<<<< HEAD\nouts:\n=======\nouts:\n>>>>>>> other\n")


def broken_settings(repository: Path) -> None:
    (repository / ".dvc/config").write_text("[core\n")


def broken_git(repository: Path) -> None:
    (repository / ".git/HEAD").write_text("nothing of git's")


@dataclass(frozen=True)
class State:
    """How a clone is left, the revision that is read, and what is said instead, if it cannot be."""

    leave: Callable[[Path], None]
    says: str | None = None
    revision: str = "workspace"


STATES = [
    State(damaged_in_cache),
    State(damaged_and_writable),
    State(emptied_in_cache),
    State(damaged_list),
    State(emptied_list),
    State(missing_in_cache),
    State(
        damaged_in_remote,
        r"1 files of data at workspace of .*, such as content/4.jpg, are damaged in the remote .*datastore: th",
    ),
    State(damaged_in_remote_and_cached),
    State(damaged_everywhere, r"such as content/4.jpg, are damaged in the remote .*type `dvc push` on a machine that has them"),
    State(
        damaged_without_remote,
        r"1 of 10 files, such as content/4.jpg, are not in DVC's cache, and the repository has no default",
    ),
    State(remote_gone, r"list of files .* nor could be fetched from the remote .*`dvc push` was forgotten"),
    State(remote_gone_but_cached),
    State(detached),
    State(detached, revision="HEAD"),
    State(dirty),
    State(git_at_work),
    State(conflict, r"failed in DVC: unable to read: .*data.dvc', YAML file structure is corrupted"),
    State(broken_settings, r"failed in DVC: config file error"),
    State(broken_git, r"failed in DVC: unknown Git revision 'nothing of git's'"),
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: f"{state.leave.__name__} {state.revision}")
def test_a_repository_as_it_was_left(state, clone, tmp_path):
    state.leave(clone)
    if state.says is None:
        assert files_under(load_dataset(config(clone, state.revision), tmp_path / "work").folder) == expected(V2)
        return
    with pytest.raises(DataError, match=state.says):
        load_dataset(config(clone, state.revision), tmp_path / "work")
    for folder in (tmp_path / "work").glob("datasets/*"):  # said only after all was there
        assert files_under(folder) == expected(V2)


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        ("workspace", None),
        ("HEAD", None),
        (
            "data-v1",
            r"has no revision 'data-v1'. Its tags: none; its branches: main. If it was made elsewhere, type `git fetch",
        ),
        ("HEAD~1", r"has no revision 'HEAD~1'"),
    ],
)
def test_a_shallow_clone(origin, tmp_path, revision, says):
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{origin.folder}", "shallow")
    if says is None:
        loaded = load_dataset(config(tmp_path / "shallow", revision), tmp_path / "work")
        assert files_under(loaded.folder) == expected(V2)
    else:
        with pytest.raises(DataError, match=says):
            load_dataset(config(tmp_path / "shallow", revision), tmp_path / "work")


PROGRAM = """
import os, sys
os.umask(int(sys.argv[1], 8))  # before anything looks at it
from pathlib import Path
from ieast.cli.main import main
from ieast.config import DataConfig
from ieast.data.versions import load_dataset
for revision in ("workspace", "data-v1"):
    print("pictures", load_dataset(DataConfig(repository="clone", revision=revision), Path("work")).counts.content)
sys.argv = ["ieast", "data", "add", "--repository", "clone", "--content", sys.argv[2], "--style", sys.argv[3]]
main()
"""


@pytest.mark.parametrize(
    ("changes", "mask"),
    [
        ({"HOME": None, "USER": None, "LOGNAME": None}, "022"),
        # Root, too, cannot write there.
        ({"HOME": "/proc/1", "XDG_CACHE_HOME": "/proc/1", "XDG_CONFIG_HOME": "/proc/1"}, "022"),
        ({}, "077"),
        ({"LC_ALL": "C", "LANG": "C"}, "022"),
    ],
    ids=["no HOME", "read-only HOME", "umask 077", "locale C"],
)
def test_a_machine_as_it_is(origin: Origin, tmp_path, changes, mask):
    """Read and added to, in a new process, in a folder whose name has spaces and letters of other scripts."""
    folder = tmp_path / "Bilder für Æther 写真 it's"
    folder.mkdir()
    git(folder, "clone", "-q", str(origin.folder), "clone")
    for side in ("ä b", "c"):
        (folder / "Fotos" / side).mkdir(parents=True)
        for number in range(3):
            (folder / "Fotos" / side / f"ü{number}.jpg").write_bytes(f"{side} {number}".encode())
    values = environment_of(folder) | changes
    environment = {key: value for key, value in values.items() if value is not None}
    command = [sys.executable, "-c", PROGRAM, mask, "Fotos/ä b", "Fotos/c"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"pictures (\d)", done.stdout) == ["4", "3"]
    assert "Traceback" not in done.stdout + done.stderr
    assert len(files_under(folder / "clone/data")) == 6
    assert git(folder / "clone", "status", "--porcelain") == "M data.dvc"
