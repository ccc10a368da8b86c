import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("dvc")

from dvc.repo import Repo
from helpers.dvc_repositories import V1, changed, config, expected, files_under, git, new_repository, tree_state, write

from ieast.data import additions
from ieast.data.additions import add_dataset
from ieast.data.versions import load_dataset
from ieast.errors import DataError
from ieast.io.clips import list_clips
from ieast.io.files import DiskFullError

pytestmark = pytest.mark.usefixtures("environment")


def test_add_then_load(copy: Path, pictures: Path, tmp_path: Path) -> None:
    before = tree_state(pictures)
    added = add_dataset(copy, pictures / "coco", pictures / "wikiart", pictures / "films")
    assert added.counts.model_dump() == {"content": 5, "style": 3, "clips": 2}
    assert added.next_steps == [
        "dvc push",
        "git add data.dvc .gitignore datastore",
        'git commit -m "Dataset: 5 content and 3 style pictures, 2 clips"',
        "git tag data-v2",
    ]
    ref = load_dataset(config(copy), tmp_path / "work")
    assert (ref.md5, ref.counts, ref.differs_from_head) == (added.md5, added.counts, True)
    actual = files_under(ref.folder)
    assert actual["content/linked.jpg"] == "bytes of cubism/a.jpg"
    assert sorted(actual) == [
        *("clips/run/frame_1.jpg", "clips/walk/frame_1.jpg", "clips/walk/frame_2.jpg"),
        *("content/1.jpg", "content/2.jpg", "content/3.jpg", "content/linked.jpg", "content/more/4.jpg"),
        *("style/cubism/a.jpg", "style/cubism/b.jpg", "style/realism/a.jpg"),
    ]
    assert not any(path.is_symlink() for path in (copy / "data").rglob("*"))
    assert tree_state(pictures) == before
    assert not (copy / ".dvc/tmp/ieast-add").exists()
    assert git(copy, "status", "--short") == "M data.dvc"
    with Repo(str(copy)) as repo:
        repo.push()
    git(copy, "add", "-A")
    git(copy, "commit", "-qm", "own pictures")
    assert load_dataset(config(copy, "HEAD"), tmp_path / "work").folder == ref.folder
    assert files_under(load_dataset(config(copy, "data-v1"), tmp_path / "work").folder) == expected(V1)


@pytest.mark.parametrize("kind", ["hardlink", "symlink", "copy"])
def test_originals_stay_as_they_are_whatever_the_cache_links(tmp_path: Path, pictures: Path, kind: str) -> None:
    repository = new_repository(tmp_path / "repository", remote=None)
    (repository / ".dvc/config").write_text(f"[cache]\n    type = {kind}\n")
    before = tree_state(pictures)
    add_dataset(repository, pictures / "coco", pictures / "wikiart")
    assert tree_state(pictures) == before
    assert {path.stat().st_nlink for path in pictures.rglob("*.jpg") if not path.is_symlink()} == {1}
    ref = load_dataset(config(repository), tmp_path / "work")
    assert not any(path.is_symlink() for path in ref.folder.rglob("*"))


def test_first_dataset_of_a_repository_without_remote(tmp_path: Path, pictures: Path) -> None:
    repository = new_repository(tmp_path / "repository", remote=None)
    added = add_dataset(repository, pictures / "coco", pictures / "wikiart", pictures / "films/walk/..")
    assert added.next_steps[0].startswith("dvc remote add -d storage")
    assert added.next_steps[2] == "git add data.dvc .gitignore .dvc/config"
    assert added.next_steps[-1] == "git tag data-v1"


def test_large_dataset_is_kept_out_of_a_committed_remote(copy: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "MAX_COMMITTED_BYTES", 10)
    added = add_dataset(copy, pictures / "coco", pictures / "wikiart")
    assert added.next_steps[0].startswith("dvc remote add -d storage")


def test_folder_of_frames_is_one_clip(copy: Path, pictures: Path) -> None:
    write(pictures / "films/walk", "frame_3.jpg")
    added = add_dataset(copy, pictures / "coco", pictures / "wikiart", pictures / "films/walk")
    assert added.counts.clips == 1
    assert sorted(path.name for path in (copy / "data/clips/walk").iterdir()) == ["frame_1.jpg", "frame_2.jpg", "frame_3.jpg"]


def test_each_video_is_a_clip(copy: Path, pictures: Path, tmp_path: Path) -> None:
    films = tmp_path / "videos"
    write(films, "a.mp4", "b.MOV")
    added = add_dataset(copy, pictures / "coco", pictures / "wikiart", films)
    assert added.counts.clips == 2
    assert sorted(path.name for path in list_clips(copy / "data/clips")) == ["a.mp4", "b.MOV"]
    git(copy, "commit", "-qam", "videos")
    assert load_dataset(config(copy, "HEAD"), tmp_path / "work").counts.clips == 2


def test_videos_among_frames_and_names_that_are_not_utf_8_are_refused(copy: Path, pictures: Path, tmp_path: Path) -> None:
    mixed, old = tmp_path / "mixed_films", tmp_path / "old"
    write(mixed, "a.mp4", "b.mp4", "frame_1.jpg")
    write(old, "1.jpg", "2.jpg", "3.jpg")
    Path(os.fsdecode(os.fsencode(old) + b"/\xff.jpg")).write_text("of an old archive")
    coco, wikiart = pictures / "coco", pictures / "wikiart"
    unchanged(copy, lambda: add_dataset(copy, coco, wikiart, mixed), DataError, "holds a.mp4 and other videos or frames")
    unchanged(copy, lambda: add_dataset(copy, old, wikiart), DataError, r"\\xff.jpg' is not named in UTF-8")


def test_adding_says_nothing_on_its_own(
    copy: Path, pictures: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    add_dataset(copy, pictures / "coco", pictures / "wikiart")
    assert capsys.readouterr().out == ""
    assert "git add" not in caplog.text


def unchanged(repository: Path, call: Callable[[], object], error: type[BaseException], match: str) -> None:
    before = tree_state(repository / "data"), (repository / "data.dvc").read_bytes(), git(repository, "status", "--short")
    with pytest.raises(error, match=match):
        call()
    after = tree_state(repository / "data"), (repository / "data.dvc").read_bytes(), git(repository, "status", "--short")
    assert after == before
    assert not (repository / ".dvc/tmp/ieast-add").exists()


def test_unfit_folders_are_refused(copy: Path, pictures: Path, tmp_path: Path) -> None:
    coco, wikiart = pictures / "coco", pictures / "wikiart"
    few, mixed, broken, circle = (tmp_path / name for name in ("few", "mixed", "broken", "circle"))
    write(few, "1.jpg", "2.jpg")
    write(mixed, "1.jpg", "walk/1.jpg", "walk/2.jpg")
    write(broken, "1.jpg", "2.jpg", "3.jpg")
    (broken / "4.jpg").symlink_to("gone.jpg")
    write(circle, "1.jpg", "2.jpg", "3.jpg")
    (circle / "round").symlink_to(circle)
    cases: list[tuple[Path, Path, Path | None, str]] = [
        (tmp_path / "nowhere", wikiart, None, "there is no folder .*/nowhere, given as content"),
        (coco, few, None, "few, given as style, holds 2 files; at least 3 are needed"),
        (coco, coco, None, "content and style are the same folder .*/coco"),
        (coco, pictures / "films/../coco", None, "content and style are the same folder"),
        (pictures, wikiart, None, "content .*/pictures and style .*/wikiart lie one inside the other"),
        (copy / "data/content", wikiart, None, "lie one inside the other"),
        (copy / "data", wikiart, None, "lie one inside the other"),
        (copy, wikiart, None, "lie one inside the other"),
        (broken, wikiart, None, "broken/4.jpg is a broken link to gone.jpg"),
        (circle, wikiart, None, "circle/round is a link to a folder, which is not followed"),
        (coco, wikiart, mixed, "mixed, given as clips, must hold either frames or one subfolder of frames per clip"),
    ]
    for content, style, clips, match in cases:
        unchanged(copy, lambda c=content, s=style, k=clips: add_dataset(copy, c, s, k), DataError, match)  # type: ignore[misc]


def test_adding_refuses_to_lose_changes(copy: Path, pictures: Path) -> None:
    changed(copy / "data")
    unchanged(
        copy,
        lambda: add_dataset(copy, pictures / "coco", pictures / "wikiart"),
        DataError,
        r"has changes that DVC has not saved \(modified\).*`dvc add data`",
    )


def test_adding_refuses_to_lose_the_only_copy(copy: Path, pictures: Path) -> None:
    shutil.rmtree(copy / ".dvc/cache")
    unchanged(copy, lambda: add_dataset(copy, pictures / "coco", pictures / "wikiart"), DataError, r"\(not in cache\)")


def test_adding_refuses_a_folder_that_dvc_does_not_know(tmp_path: Path, pictures: Path) -> None:
    repository = new_repository(tmp_path / "repository")
    write(repository / "data", "mine.jpg")
    with pytest.raises(DataError, match=r"\(untracked\)"):
        add_dataset(repository, pictures / "coco", pictures / "wikiart")
    assert files_under(repository / "data") == expected(["mine.jpg"])


def test_adding_refuses_a_linked_data_folder(copy: Path, pictures: Path, tmp_path: Path) -> None:
    (copy / "data").rename(tmp_path / "elsewhere")
    (copy / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"data is a link to .*/elsewhere"):
        add_dataset(copy, pictures / "coco", pictures / "wikiart")


def test_adding_outside_a_repository(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(DataError, match=r"is not a git repository with DVC in it"):
        add_dataset(tmp_path, pictures / "coco", pictures / "wikiart")


@pytest.mark.parametrize(
    ("raised", "error", "match"),
    [
        (OSError(28, "No space left on device"), DiskFullError, "the disk filled up while adding a dataset"),
        (PermissionError(13, "Permission denied", "x"), DataError, "Permission denied"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_failing_in_dvc_restores_everything(
    copy: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, error: type[BaseException], match: str
) -> None:
    def fail(repo: Repo, target: str) -> None:
        assert (Path(target) / "content/more/4.jpg").exists()
        (copy / "data.dvc").write_text("half written")
        raise raised

    monkeypatch.setattr(Repo, "add", fail)
    unchanged(copy, lambda: add_dataset(copy, pictures / "coco", pictures / "wikiart"), error, match)


def test_failing_first_dataset_leaves_no_trace(tmp_path: Path, pictures: Path) -> None:
    repository = new_repository(tmp_path / "repository")
    write(repository, "data.dvc/in-the-way")  # makes DVC fail after data/ is in place
    with pytest.raises(DataError):
        add_dataset(repository, pictures / "coco", pictures / "wikiart")
    assert not (repository / "data").exists()


def test_full_disk_while_copying(copy: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dvc_objects.fs.generic.transfer", full)
    unchanged(copy, lambda: add_dataset(copy, pictures / "coco", pictures / "wikiart"), DiskFullError, "disk filled up")
