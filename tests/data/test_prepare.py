import errno
import hashlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import ieast.data.pictures
import ieast.data.prepare
from ieast.config import PrepareConfig
from ieast.data.prepare import PreparedDataset, folder_digest, preparation_key, prepare_dataset
from ieast.errors import DataError
from ieast.io.files import DiskFullError

CONFIG = PrepareConfig(size=32, min_side=16, max_bad_share=0.5, workers=2)


def save(path: Path, width: int, height: int, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(samples).resize((width, height)).save(path)


@pytest.fixture
def source(tmp_path) -> Path:
    folder = tmp_path / "source"
    for number, name in enumerate(("a.jpg", "a.png", "sea/b.PNG", "sea/c.jpeg")):
        save(folder / "content" / name, 100, 50, number)
    for number in range(3):
        save(folder / "style" / f"{number}.jpg", 24, 60, number)
    return folder


def prepare(source: Path, config: PrepareConfig = CONFIG, work: str = "work", digest: str = "abc") -> PreparedDataset:
    return prepare_dataset(source, source.parent / work, config, digest)


def with_settings(**changes) -> PrepareConfig:
    return CONFIG.model_copy(update=changes)


def outputs(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time of change and content of every file, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_pictures_are_scaled_and_named_after_their_sources(source, tmp_path):
    dataset = prepare(source)
    folder = Path(dataset.folder)
    assert folder == tmp_path / "work" / "prepared" / dataset.key
    assert dataset.counts == {"content": 4, "style": 3}
    assert dataset.quarantined == 0
    assert dataset.data_digest == "abc"
    names = ["a.jpg", "a.png.jpg", "sea/b.PNG.jpg", "sea/c.jpeg.jpg"]
    assert dataset.training_paths("content") == [folder / "content" / name for name in names]
    assert dataset.training_paths("style") == [folder / "style" / f"{number}.jpg" for number in range(3)]
    for paths, size in ((dataset.training_paths("content"), (64, 32)), (dataset.training_paths("style"), (32, 80))):
        for path in paths:
            with Image.open(path) as image:
                assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
    assert len(outputs(folder)) == 8  # seven pictures and the manifest


def test_smaller_pictures_stay_as_they_are_where_enlarging_is_off(source):
    dataset = prepare(source, with_settings(enlarge=False))
    assert {Image.open(path).size for path in dataset.training_paths("content")} == {(64, 32)}
    assert {Image.open(path).size for path in dataset.training_paths("style")} == {(24, 60)}
    square = prepare(source, with_settings(enlarge=False, resize="square"))
    assert {Image.open(path).size for path in square.training_paths("style")} == {(24, 24)}


def test_square(source):
    dataset = prepare(source, with_settings(resize="square"))
    assert {Image.open(path).size for path in dataset.training_paths("content") + dataset.training_paths("style")} == {(32, 32)}


def test_dataset_passes_as_json(source):
    dataset = prepare(source)
    assert PreparedDataset.model_validate_json(dataset.model_dump_json()) == dataset


def test_manifest_has_sizes_and_reasons(source):
    (source / "content" / "NA").write_text("not a picture")
    save(source / "content" / "tiny.png", 100, 15)
    save(source / "content" / "long.png", 16, 40_000)
    dataset = prepare(source)
    assert dataset.quarantined == 3
    assert dataset.counts == {"content": 4, "style": 3}
    manifest = pd.read_csv(Path(dataset.folder) / "manifest.csv", keep_default_na=False, dtype=str)
    rows = {row.pop("source"): row for row in manifest.to_dict("records")}
    assert rows["content/sea/b.PNG"] == {
        "side": "content",
        "prepared": "content/sea/b.PNG.jpg",
        "width": "64",
        "height": "32",
        "source_width": "100",
        "source_height": "50",
        "status": "ok",
        "reason": "",
    }
    assert rows["content/NA"]["status"] == "quarantined"
    assert rows["content/NA"]["reason"].startswith("is not an image in a known format")
    assert rows["content/NA"]["source_width"] == rows["content/NA"]["width"] == ""
    assert rows["content/tiny.png"]["reason"].startswith("is too small: 100x15 pixels")
    assert rows["content/tiny.png"]["source_height"] == "15"
    assert rows["content/long.png"]["reason"].startswith("is too elongated: 16x40000 pixels")


def test_names_that_could_collide_or_mislead(source):
    for number, name in enumerate(("x.png", "x.png.jpg", "x.png.jpg.jpg", "null", 'com,ma "q".png', "nan")):
        path = source / "content" / name
        save(path.with_name("tmp.png"), 40, 40, number)
        path.with_name("tmp.png").rename(path)
    dataset = prepare(source)
    names = [path.name for path in dataset.training_paths("content")]
    assert dataset.counts["content"] == len(set(names)) == 10
    assert all(path.is_file() for path in dataset.training_paths("content"))
    assert {"x.png.jpg.jpg.jpg", "x.png.jpg", "x.png.jpg.jpg", "nan.jpg", 'com,ma "q".png.jpg'} <= set(names)


def test_unusable_names_are_quarantined(source):
    save(source / "content" / ("n" * 250 + ".png"), 40, 40)
    save(source / "content" / os.fsdecode(b"latin-\xe9.png"), 40, 40)
    dataset = prepare(source)
    assert dataset.quarantined == 2
    manifest = pd.read_csv(Path(dataset.folder) / "manifest.csv")
    reasons = manifest["reason"].dropna().tolist()
    assert any("not UTF-8" in reason for reason in reasons)
    assert any("name too long" in reason for reason in reasons)


def test_too_large_a_share_of_unusable_files_stops(source):
    for number in range(2):
        (source / "content" / f"{number}.txt").write_text("text")
    config = with_settings(max_bad_share=0.3)
    with pytest.raises(DataError) as caught:
        prepare(source, config)
    folder = source.parent / "work" / "prepared" / preparation_key(config, "abc")
    message = str(caught.value)
    assert "2 of 6 files in content/ are unusable (33.3%), and prepare.max_bad_share allows 30.0%" in message
    assert "\n  content/0.txt: is not an image" in message
    assert f"All are listed in {folder / 'quarantine.csv'}. Mend or remove them" in message
    assert not (folder / "manifest.csv").exists()
    assert len(pd.read_csv(folder / "quarantine.csv")) == 9

    # The limit is not part of the key: once it is met, what was made is used, and then holds for the finished folder.
    dataset = prepare(source, with_settings(max_bad_share=1 / 3))
    assert dataset.folder == str(folder)
    assert not (folder / "quarantine.csv").exists()
    with pytest.raises(DataError, match=r"max_bad_share allows 30\.0%.*(?s:.*)manifest\.csv"):
        prepare(source, config)


def test_too_few_usable_pictures_stop(source):
    (source / "style" / "0.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"style/ has 2 usable pictures among 3 files, and training needs at least 3"):
        prepare(source)
    (folder,) = (source.parent / "work" / "prepared").iterdir()
    assert not (folder / "manifest.csv").exists()


def test_empty_side(source):
    for path in (source / "style").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="style/ has 0 usable pictures among 0 files"):
        prepare(source)


@pytest.mark.parametrize("side", ["content", "style"])
def test_missing_side(source, side):
    (source / side).rename(source / "elsewhere")
    with pytest.raises(DataError, match=rf"source: has no folder {side}/"):
        prepare(source)


def test_complete_dataset_is_reused_untouched(source, caplog):
    (source / "content" / "bad.txt").touch()
    first = prepare(source)
    before = outputs(Path(first.folder))
    with caplog.at_level(logging.INFO, "ieast.data.prepare"):
        assert prepare(source) == first
    assert outputs(Path(first.folder)) == before
    assert caplog.messages == [f"reusing the prepared dataset {first.folder}"]


def test_interrupted_run_continues(source, monkeypatch):
    (source / "content" / "zz.txt").touch()
    calls = []
    write = ieast.data.pictures.write_image

    def write_three(image, path, **options):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(path)
        write(image, path, **options)

    monkeypatch.setattr(ieast.data.pictures, "write_image", write_three)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, with_settings(workers=1))
    (folder,) = (source.parent / "work" / "prepared").iterdir()
    before = outputs(folder)
    assert len(before) == 3
    monkeypatch.undo()

    dataset = prepare(source)
    after = outputs(folder)
    assert {name: after[name] for name in before} == before
    whole = prepare(source, work="other")
    pictures = [name for name in after if name.endswith(".jpg")]
    assert len(pictures) == 7
    assert {name: after[name][1] for name in after} == {n: c for n, (_, c) in outputs(Path(whole.folder)).items()}
    assert dataset.counts == whole.counts


def test_interrupt_drops_pending_pictures(source, monkeypatch):
    for number in range(200):
        save(source / "content" / f"more-{number}.png", 16, 16)
    calls = []

    def interrupt(*args, **kwargs):
        calls.append(args)
        time.sleep(0.02)  # else a worker is through all of them before the first interruption has been heard of
        raise KeyboardInterrupt

    monkeypatch.setattr(ieast.data.pictures, "read_image", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, with_settings(workers=1))
    assert len(calls) < 200


def test_lost_output_is_made_again(source):
    dataset = prepare(source)
    folder = Path(dataset.folder)
    before = outputs(folder)
    (folder / "manifest.csv").unlink()
    (folder / "content" / "a.jpg").unlink()
    assert prepare(source) == dataset
    after = outputs(folder)
    assert {name for name in before if before[name][0] != after[name][0]} == {"manifest.csv", "content/a.jpg"}
    assert {name: content for name, (_, content) in before.items()} == {n: c for n, (_, c) in after.items()}


def test_full_disk_stops_and_leaves_nothing_half_done(source, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError):
        prepare(source)
    assert [name for name in outputs(source.parent / "work") if not name.startswith(".locks/")] == []


def test_number_of_workers_does_not_matter(source):
    def contents(workers):
        dataset = prepare(source, with_settings(workers=workers), work=f"work-{workers}")
        return dataset.key, {name: content for name, (_, content) in outputs(Path(dataset.folder)).items()}

    assert contents(0) == contents(1) == contents(2)


@pytest.mark.parametrize(
    "changes",
    [{"resize": "square"}, {"size": 33}, {"min_side": 17}, {"max_pixels": 99}, {"jpeg_quality": 94}, {"enlarge": False}],
)
def test_settings_that_change_the_result_change_the_key(changes):
    assert preparation_key(with_settings(**changes), "abc") != preparation_key(CONFIG, "abc")


def test_key():
    key = preparation_key(CONFIG, "abc")
    assert len(key) == 16
    assert int(key, 16) >= 0
    assert preparation_key(CONFIG, "abd") != key
    assert preparation_key(with_settings(workers=7, max_bad_share=0.1), "abc") == key


def test_a_folder_of_links_has_another_digest_when_what_they_lead_to_changes(source, tmp_path):
    original = tmp_path / "original.jpg"
    save(original, 40, 40)
    (source / "style" / "linked.jpg").symlink_to(original)
    (source / "style" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    before = folder_digest(source)
    assert folder_digest(source) == before
    save(original, 80, 80)
    assert folder_digest(source) != before


def test_the_digest_of_ordinary_files_stays_what_it_was(tmp_path):
    for side in ("content", "style"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "a.jpg").write_bytes(b"abc")
        os.utime(tmp_path / side / "a.jpg", ns=(1, 2))
    facts = b"content/a.jpg\x003\x002\nstyle/a.jpg\x003\x002\n"
    assert folder_digest(tmp_path) == hashlib.sha256(facts).hexdigest()


def test_clips_folder(source):
    assert prepare(source).clips_folder is None
    (source / "clips" / "one").mkdir(parents=True)
    assert prepare(source).clips_folder is None
    for number in range(2):
        save(source / "clips" / "one" / f"{number}.png", 20, 20)
    assert prepare(source).clips_folder == str(source / "clips")


def test_held_out_pictures_are_kept_from_training_and_stay_so_when_others_come(source, tmp_path):
    def split(share):
        return prepare(source, with_settings(held_out=share))

    whole = split(0.0)
    assert whole.scoring_paths("content") == whole.training_paths("content")
    some = split(0.3)
    assert some.key == whole.key  # the same prepared pictures
    for side, kept in (("content", 2), ("style", 1)):  # 0.3 of 4 and of 3, rounded up
        held_out, training = some.scoring_paths(side), some.training_paths(side)
        assert len(held_out) == kept
        assert sorted(held_out + training) == whole.training_paths(side)
    assert set(some.scoring_paths("content")) <= set(split(0.6).scoring_paths("content"))


def test_two_at_once_prepare_it_once(source, monkeypatch):
    calls = []
    ours = ieast.data.prepare._prepare_pictures

    def slow(*args):
        calls.append(1)
        time.sleep(0.3)
        return ours(*args)

    monkeypatch.setattr(ieast.data.prepare, "_prepare_pictures", slow)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: prepare(source), range(3)))
    assert results[0] == results[1] == results[2]
    assert len(calls) == 1
