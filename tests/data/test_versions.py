import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("dvc")

from dvc.repo import Repo
from helpers.dvc_repositories import (
    MORE,
    V1,
    V2,
    Origin,
    changed,
    config,
    expected,
    files_under,
    git,
    new_repository,
    record,
    tree_state,
    write,
)

from ieast.config import DataConfig
from ieast.data import versions
from ieast.data.additions import add_dataset
from ieast.data.versions import DataRef, load_dataset
from ieast.errors import DataError
from ieast.io.files import DiskFullError

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize(
    ("revision", "name", "names"),
    [
        ("data-v1", "data-v1", V1),
        ("main", "main", V2),
        ("HEAD~1", "data-v1", V1),
        ("more-styles", "more-styles", MORE),
        ("sha", "data-v1", V1),
        ("short sha", "main", V2),
    ],
)
def test_fresh_clone_reads_every_kind_of_revision(
    origin: Origin, clone: Path, tmp_path: Path, revision: str, name: str, names: list[str]
) -> None:
    asked = {"sha": origin.commits["data-v1"], "short sha": origin.commits["main"][:8]}.get(revision, revision)
    ref = load_dataset(config(clone, asked), tmp_path / "work")
    assert files_under(ref.folder) == expected(names)
    assert ref.folder == tmp_path / "work/datasets" / origin.digests[name].removesuffix(".dir")
    assert (ref.revision, ref.commit, ref.md5) == (asked, origin.commits[name], origin.digests[name])
    assert (ref.head_commit, ref.differs_from_head) == (None, False)
    assert ref.counts.content == sum(file.startswith("content/") for file in names)
    assert ref.counts.style == sum(file.startswith("style/") for file in names)
    assert ref.counts.clips == len({file.split("/")[1] for file in names if file.startswith("clips/")})
    assert ref.source == str(origin.folder)
    assert not (clone / "data").exists()


def test_reference_survives_json(origin: Origin, tmp_path: Path) -> None:
    ref = load_dataset(config(origin.folder, "data-v1"), tmp_path)
    assert DataRef.model_validate_json(ref.model_dump_json()) == ref
    assert json.loads(ref.model_dump_json())["counts"] == {"content": 3, "style": 3, "clips": 1}


def test_workspace_of_fresh_clone_comes_from_the_remote(origin: Origin, clone: Path, tmp_path: Path) -> None:
    ref = load_dataset(config(clone), tmp_path / "work")
    assert files_under(ref.folder) == expected(V2)
    assert (ref.commit, ref.head_commit, ref.differs_from_head) == (None, origin.commits["main"], False)


def test_workspace_that_is_added_but_not_committed(origin: Origin, copy: Path, tmp_path: Path) -> None:
    write(copy / "data", "content/new.jpg")
    with Repo(str(copy)) as repo:
        repo.add(str(copy / "data"))
    ref = load_dataset(config(copy), tmp_path / "work")
    assert files_under(ref.folder) == expected([*V2, "content/new.jpg"])
    assert (ref.commit, ref.head_commit, ref.differs_from_head) == (None, origin.commits["main"], True)
    assert ref.source == "https://example.org/styles.git"


def test_workspace_without_any_commit(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repository", remote=None)
    write(repository / "data", *V1)
    with Repo(str(repository)) as repo:
        repo.add(str(repository / "data"))
    ref = load_dataset(config(repository), tmp_path / "work")
    assert (ref.head_commit, ref.differs_from_head, ref.source) == (None, True, str(repository))


def test_repository_defaults_to_where_one_stands(
    origin: Origin, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy)
    ref = load_dataset(DataConfig(), Path("work"))
    assert ref.md5 == origin.digests["main"]
    assert ref.folder.is_absolute()


def test_repository_reached_through_a_link(origin: Origin, copy: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(copy)
    ref = load_dataset(config(tmp_path / "link"), tmp_path / "work")
    assert (ref.md5, ref.differs_from_head) == (origin.digests["main"], False)
    assert load_dataset(config(tmp_path / "link", "data-v1"), tmp_path / "work").md5 == origin.digests["data-v1"]
    with pytest.raises(DataError, match="lie one inside the other"):
        add_dataset(tmp_path / "link", copy / "data/content", pictures / "wikiart")
    assert add_dataset(tmp_path / "link", pictures / "coco", pictures / "wikiart").next_steps[1].endswith(" datastore")


def test_url_is_cloned_and_its_committed_remote_read(origin: Origin, tmp_path: Path) -> None:
    url = origin.folder.as_uri()
    for revision, names in (("more-styles", MORE), ("data-v1", V1), (origin.commits["main"][:9], V2)):
        ref = load_dataset(config(url, revision), tmp_path)
        assert files_under(ref.folder) == expected(names)
        assert (ref.repository, ref.source) == (url, url)


def test_tag_older_than_the_remote(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repository", remote=None)
    write(repository / "data", *V1)
    record(repository, "version 1", push=False)
    git(repository, "tag", "data-v1")
    (repository / ".dvc/config").write_text("[core]\n    remote = sample\n['remote \"sample\"']\n    url = ../datastore\n")
    with Repo(str(repository)) as repo:
        repo.push()
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "remote")
    git(tmp_path, "clone", "-q", "repository", "clone")
    assert files_under(load_dataset(config(tmp_path / "clone", "data-v1"), tmp_path / "work").folder) == expected(V1)


def test_files_are_read_only_and_the_remote_is_never_linked(clone: Path, tmp_path: Path) -> None:
    store = tree_state(clone / "datastore")
    ref = load_dataset(config(clone), tmp_path / "work")
    assert {path.stat().st_mode & 0o777 for path in ref.folder.rglob("*.jpg")} == {0o444}
    assert {path.stat().st_nlink for path in (clone / "datastore").rglob("*") if path.is_file()} == {1}
    assert tree_state(clone / "datastore") == store


def test_second_read_needs_neither_cache_nor_remote(clone: Path, tmp_path: Path) -> None:
    first = load_dataset(config(clone, "data-v1"), tmp_path / "work")
    shutil.rmtree(clone / ".dvc/cache")
    shutil.rmtree(clone / "datastore")
    assert load_dataset(config(clone, "data-v1"), tmp_path / "work") == first


def test_damaged_folder_is_noticed(copy: Path, tmp_path: Path) -> None:
    ref = load_dataset(config(copy), tmp_path / "work")
    (ref.folder / "content/1.jpg").unlink()
    with pytest.raises(DataError, match=r"holds 9 files instead of 10.*Delete it and run the same command again"):
        load_dataset(config(copy), tmp_path / "work")


def test_killed_read_leaves_nothing_that_looks_complete(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(complete: Path, folder: Path) -> None:
        assert files_under(complete) == expected(V2)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(versions, "_publish", killed)
        with pytest.raises(KeyboardInterrupt):
            load_dataset(config(copy), tmp_path / "work")
    assert list((tmp_path / "work/datasets").iterdir()) == []
    assert files_under(load_dataset(config(copy), tmp_path / "work").folder) == expected(V2)


def test_leftovers_of_killed_runs_are_ignored_and_swept_when_old(origin: Origin, copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work/datasets"
    digest = origin.digests["main"].removesuffix(".dir")
    old, young = folder / f".{digest}-old", folder / f".{digest}-young"
    write(old, "complete/content/1.jpg")
    write(young, "complete/content/1.jpg")
    os.utime(old, (0, 0))
    assert files_under(load_dataset(config(copy), tmp_path / "work").folder) == expected(V2)
    assert (old.exists(), young.exists()) == (False, True)


def test_interrupted_download_is_resumed(clone: Path, tmp_path: Path) -> None:
    with Repo(str(clone)) as repo:
        repo.fetch()
        output = repo.stage.load_one(str(clone / "data.dvc")).outs[0]
        arrived, lost = [Path(output.cache.oid_to_path(file.value)) for _, _, file in output.get_obj()][:2]
    lost.unlink()
    inode = arrived.stat().st_ino
    assert files_under(load_dataset(config(clone), tmp_path / "work").folder) == expected(V2)
    assert arrived.stat().st_ino == inode


def test_concurrent_runs_agree(origin: Origin, clone: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from ieast.config import DataConfig; from ieast.data.versions import load_dataset\n"
        "load_dataset(DataConfig(repository=sys.argv[1], revision=sys.argv[2]), Path(sys.argv[3]))"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(clone), revision, str(tmp_path / "work")], stderr=subprocess.PIPE, text=True
        )
        for revision in ("workspace", "data-v1", "workspace", "data-v1")
    ]
    assert [(run.communicate()[1][-2000:] if run.wait() else "") for run in runs] == [""] * 4
    for name, names in (("main", V2), ("data-v1", V1)):
        assert files_under(tmp_path / "work/datasets" / origin.digests[name].removesuffix(".dir")) == expected(names)
    assert len(list((tmp_path / "work/datasets").iterdir())) == 2


def test_losing_the_race_to_publish_is_fine(tmp_path: Path) -> None:
    write(tmp_path / "mine", "content/1.jpg")
    write(tmp_path / "theirs", "content/1.jpg")
    versions._publish(tmp_path / "mine", tmp_path / "theirs")
    assert files_under(tmp_path / "theirs") == expected(["content/1.jpg"])


# --- refusals when reading


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def edited(folder: Path) -> None:
    path = folder / "content/1.jpg"
    path.unlink()
    path.write_text("retouched")


@pytest.mark.parametrize("spoil", [changed, emptied, edited])
def test_unrecorded_changes_are_refused(copy: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(copy / "data")
    with pytest.raises(DataError, match=r"is not what data.dvc records.*`dvc add data`.*`ieast data add`.*`dvc checkout`"):
        load_dataset(config(copy), tmp_path / "work")
    assert load_dataset(config(copy, "data-v1"), tmp_path / "work").counts.content == 3


def test_missing_data_folder_is_fine(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / "data")
    assert load_dataset(config(copy), tmp_path / "work").counts.content == 4


def test_not_a_repository(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=f"{folder} is not a git repository with DVC.*`git init` and `dvc init`"):
            load_dataset(config(folder), tmp_path / "work")


def test_git_repository_without_dvc(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(DataError, match=r"is not a git repository with DVC in it"):
        load_dataset(config(tmp_path, "HEAD"), tmp_path / "work")


def test_dvc_repository_without_git(tmp_path: Path) -> None:
    with Repo.init(str(tmp_path), no_scm=True):
        pass
    with pytest.raises(DataError, match=r"set up without git"):
        load_dataset(config(tmp_path), tmp_path / "work")


def test_unknown_revision_lists_what_there_is(origin: Origin, clone: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no revision 'data-v9'. Its tags: data-v1; its branches: main, more-styles"):
        load_dataset(config(clone, "data-v9"), tmp_path / "work")
    with pytest.raises(DataError, match=r"no revision 'data-v9'. Its tags: data-v1"):
        load_dataset(config(origin.folder.as_uri(), "data-v9"), tmp_path / "work")


def test_no_dataset_at_the_revision(copy: Path, tmp_path: Path) -> None:
    git(copy, "checkout", "-q", "--orphan", "bare")
    git(copy, "rm", "-rqf", ".")
    git(copy, "commit", "-qm", "nothing", "--allow-empty")
    git(copy, "checkout", "-q", "main")
    with pytest.raises(DataError, match=r"there is no data.dvc at bare of .*`dvc add data`"):
        load_dataset(config(copy, "bare"), tmp_path / "work")
    with pytest.raises(DataError, match=r"there is no pictures.dvc at workspace"):
        load_dataset(DataConfig(repository=str(copy), path="pictures/"), tmp_path / "work")


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repository")
    (repository / "data").write_text("not a folder")
    record(repository, "file")
    with pytest.raises(DataError, match=r"does not record a folder"):
        load_dataset(config(repository, "main"), tmp_path / "work")


def test_unreadable_data_dvc(copy: Path, tmp_path: Path) -> None:
    (copy / "data.dvc").write_text("<<<<<<< HEAD\n")
    with pytest.raises(DataError, match=r"reading data at workspace of .* failed in DVC"):
        load_dataset(config(copy), tmp_path / "work")


@pytest.mark.parametrize("revision", ["workspace", "data-v1"])
def test_no_remote_and_nothing_cached(copy: Path, tmp_path: Path, revision: str) -> None:
    shutil.rmtree(copy / ".dvc/cache")
    (copy / ".dvc/config").write_text("")
    with pytest.raises(DataError, match=r"list of files .* not in DVC's cache, and .* no default remote.*`dvc remote add -d"):
        load_dataset(config(copy, revision), tmp_path / "work")


@pytest.mark.parametrize("revision", ["workspace", "main"])
def test_forgotten_push(tmp_path: Path, revision: str) -> None:
    repository = new_repository(tmp_path / "repository", remote=str(tmp_path / "storage"))
    (tmp_path / "storage").mkdir()
    write(repository / "data", *V1)
    record(repository, "version 1", push=False)
    git(tmp_path, "clone", "-q", "repository", "clone")
    with pytest.raises(DataError, match=f"nor could be fetched from the remote {tmp_path}/storage.*`dvc push` was forgotten"):
        load_dataset(config(tmp_path / "clone", revision), tmp_path / "work")


def test_remote_that_lacks_some_files(clone: Path, tmp_path: Path) -> None:
    with Repo(str(clone)) as repo:
        repo.fetch()
        output = repo.stage.load_one(str(clone / "data.dvc")).outs[0]
        oid = next(file.value for key, _, file in output.get_obj() if key == ("content", "4.jpg"))
    Path(output.cache.oid_to_path(oid)).unlink()
    (clone / "datastore/files/md5" / oid[:2] / oid[2:]).unlink()
    with pytest.raises(
        DataError, match=r"1 of 10 files, such as content/4.jpg.* nor could be fetched from the remote .*datastore"
    ):
        load_dataset(config(clone), tmp_path / "work")


def test_remote_of_a_kind_that_is_not_installed(clone: Path, tmp_path: Path) -> None:
    text = (clone / ".dvc/config").read_text()
    (clone / ".dvc/config").write_text(text.replace("../datastore", "gs://bucket/styles"))
    with pytest.raises(DataError, match=r"from the remote gs://bucket/styles failed: .*Check that it is reachable"):
        load_dataset(config(clone), tmp_path / "work")


@pytest.mark.parametrize("role", ["content", "style"])
def test_dataset_without_a_side(tmp_path: Path, role: str) -> None:
    repository = new_repository(tmp_path / "repository")
    write(repository / "data", *(name for name in V1 if not name.startswith(role)))
    record(repository, "half")
    with pytest.raises(DataError, match=f"has no pictures in {role}/.*it holds clips"):
        load_dataset(config(repository), tmp_path / "work")
    assert not (tmp_path / "work/datasets").exists()


def test_url_has_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"https://example.org/x.git is a URL, which has no workspace"):
        load_dataset(config("https://example.org/x.git"), tmp_path)


def test_clone_that_fails_keeps_the_password_to_itself(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot clone ssh://localhost:1/x.git") as failure:
        load_dataset(config("ssh://me:secret@localhost:1/x.git", "main"), tmp_path)
    assert "secret" not in str(failure.value)
    assert failure.value.__suppress_context__


def test_full_disk_while_reading(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dvc_objects.fs.generic.transfer", full)
    with pytest.raises(DiskFullError, match=r"the disk filled up while reading data at workspace"):
        load_dataset(config(copy), tmp_path / "work")
    assert list((tmp_path / "work/datasets").iterdir()) == []


def test_without_dvc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name == "dvc" or name.startswith("dvc.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dvc", None)
    with pytest.raises(DataError, match=r"pip install .*\[pipelines\]'"):
        load_dataset(DataConfig(), tmp_path)
    with pytest.raises(DataError, match=r"pip install .*\[pipelines\]'"):
        add_dataset(tmp_path, tmp_path, tmp_path)


def test_waits_for_another_dvc_command(clone: Path, tmp_path: Path) -> None:
    from dvc.repo import lock_repo

    with Repo(str(clone)) as repo:
        done = threading.Thread(target=load_dataset, args=(config(clone), tmp_path / "work"))
        with lock_repo(repo):
            done.start()
            done.join(1)
            assert done.is_alive()
        done.join(30)
    assert len(list((tmp_path / "work/datasets").iterdir())) == 1


@pytest.mark.parametrize(
    ("relpath", "digest"),
    [("content/1.jpg", "../../../../victim"), ("../../victim", "0" * 32), ("content/1.jpg", "")],
    ids=["a path for a digest", "a path out of the folder", "no digest"],
)
def test_a_list_of_files_that_leads_elsewhere_is_refused_before_anything_is_fetched(copy, tmp_path, relpath, digest):
    for victim in (tmp_path / "victim", copy / "victim", copy / ".dvc" / "victim"):
        victim.write_text("untouched")
    listing = [{"md5": digest, "relpath": relpath}, {"md5": "1" * 32, "relpath": "style/a.jpg"}]
    data = json.dumps(listing, sort_keys=True)
    name = hashlib.md5(data.encode(), usedforsecurity=False).hexdigest()
    (place := copy / "datastore/files/md5" / name[:2]).mkdir(parents=True, exist_ok=True)
    (place / f"{name[2:]}.dir").write_text(data)
    (copy / "data.dvc").write_text(f"outs:\n- md5: {name}.dir\n  size: 9\n  nfiles: 2\n  hash: md5\n  path: data\n")
    git(copy, "commit", "-qam", "a trap")
    with pytest.raises(DataError, match=r"it was tampered with$"):
        load_dataset(config(copy, "HEAD"), tmp_path / "work")
    assert {path.read_text() for path in tmp_path.rglob("victim")} == {"untouched"}
    assert len(list(tmp_path.rglob("victim"))) == 3


def test_a_digest_of_a_folder_that_is_a_path_is_refused(copy, tmp_path):
    (copy / "data.dvc").write_text("outs:\n- md5: ../../x.dir\n  nfiles: 2\n  hash: md5\n  path: data\n")
    git(copy, "commit", "-qam", "a trap")
    with pytest.raises(DataError, match="which is no digest"):
        load_dataset(config(copy, "HEAD"), tmp_path / "work")
