"""Pictures in shards: the same as in files, in the same order, whoever reads them."""

import io
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
import webdataset
from fsspec.implementations.local import LocalFileSystem
from helpers.datasets import PICTURES, draw_dataset
from helpers.trainings import checkpoint, curves
from PIL import Image

import ieast.data.portions
from ieast.data.batches import PairBatches, iteration_loader
from ieast.data.handover import located, pack, unpack
from ieast.data.pictures import SIDES
from ieast.data.prepare import PreparedDataset, preparation_key, prepare_dataset
from ieast.errors import DataError, ImageError, InterruptedTrainingError
from ieast.io.images import read_image, read_size
from ieast.training.callbacks import OrderlyStop
from ieast.training.fit import fit

PER_SHARD = 5
FORMS = {"files": 0, "shards": PER_SHARD}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = draw_dataset(tmp_path_factory.mktemp("dataset") / "source", PICTURES, PICTURES, clips=1)
    (folder / "content" / "03.bad.png").write_text("no picture")
    (folder / "style" / "sea").mkdir()
    (folder / "style" / "07.png").rename(folder / "style" / "sea" / "Ü 7.a.PNG")
    return folder


@pytest.fixture(scope="module")
def settings(make_config):
    def of(form: str):
        changes = {"shard_pictures": FORMS[form], "held_out": 0.2, "max_bad_share": 0.5}
        return make_config().prepare.model_copy(update=changes)

    return of


@pytest.fixture(scope="module")
def both(source, settings) -> dict[str, PreparedDataset]:
    return {form: prepare_dataset(source, source.parent / "work", settings(form), "drawn") for form in FORMS}


def names(dataset: PreparedDataset, paths: list[Path]) -> list[str]:
    """What the pictures are called in the manifest."""
    folders = [*dataset.shards(), Path(dataset.folder)]
    return [next(path.relative_to(folder).as_posix() for folder in folders if path.is_relative_to(folder)) for path in paths]


def test_shards_hold_what_files_would_in_the_same_order(both):
    files, shards = both["files"], both["shards"]
    assert files.key != shards.key
    assert (files.counts, files.quarantined) == (shards.counts, shards.quarantined) == ({"content": 13, "style": 13}, 1)
    held = {path.relative_to(shards.folder).as_posix() for path in Path(shards.folder).rglob("*") if path.is_file()}
    assert held == {"manifest.csv", *(f"{side}-{number:05d}.tar" for side in SIDES for number in range(3))}
    for side in SIDES:
        for one, other in (
            (files.training_paths(side), shards.training_paths(side)),
            (files.scoring_paths(side), shards.scoring_paths(side)),
            (sorted(files.source_sides(side)), sorted(shards.source_sides(side))),
        ):
            assert names(files, one) == names(shards, other)
            assert [path.name for path in one] == [path.name for path in other]
            assert [read_image(path).tobytes() for path in one] == [read_image(path).tobytes() for path in other]
            assert [read_size(path) for path in one] == [read_size(path) for path in other]
    tables = [pd.read_csv(Path(dataset.folder) / "manifest.csv") for dataset in (files, shards)]
    assert tables[1].pop("shard").value_counts().to_dict() == {
        "content-00000.tar": 5, "content-00001.tar": 5, "content-00002.tar": 4,
        "style-00000.tar": 5, "style-00001.tar": 5, "style-00002.tar": 3,
    }  # fmt: skip
    pd.testing.assert_frame_equal(*tables)
    assert tables[0].loc[tables[0]["status"] != "ok", "source"].tolist() == ["content/03.bad.png"]


def test_webdataset_reads_the_shards(both):
    dataset = both["shards"]
    urls = [str(path) for path in dataset.shards()]
    read = {}
    for sample in webdataset.WebDataset(urls, shardshuffle=False):
        (field,) = (name for name in sample if not name.startswith("__"))
        read[sample["__key__"].split("/")[-1]] = Image.open(io.BytesIO(sample[field])).convert("RGB").tobytes()
    # To WebDataset a name ends at its first dot, and both sides have the same names.
    paths = dataset.training_paths("style") + dataset.scoring_paths("style")
    assert {path.name.split(".")[0]: read_image(path).tobytes() for path in paths} == {
        name: read[name] for name in (path.name.split(".")[0] for path in paths)
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_shards_are_those_from_files(both, workers):
    def batches(form):
        sides = (both[form].training_paths(side) for side in SIDES)
        return PairBatches(*sides, distinct=3, crop=32, seed=4)

    # A parent that has read from shards, too, shares no place in them with its workers.
    batches("shards")[0]
    loaded = [list(iteration_loader(batches(form), 2, 12, workers=workers, pin_memory=False)) for form in FORMS]
    assert len(loaded[0]) == 10
    for one, other in zip(*loaded, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_from_shards_is_that_from_files_also_when_it_was_interrupted(both, make_config, tmp_path, monkeypatch):
    config = make_config(training={"iterations": 4, "reconstruction_iterations": 2, "loader_workers": 1})
    fit(config, both["files"], tmp_path / "files")
    ours = OrderlyStop.on_train_batch_start

    def interrupt(self, trainer, module, *rest):
        ours(self, trainer, module, *rest)
        if module.finished == 3:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(OrderlyStop, "on_train_batch_start", interrupt)
        with pytest.raises(InterruptedTrainingError):
            fit(config, both["shards"], tmp_path / "shards")
    assert fit(config, both["shards"], tmp_path / "shards").started_at == 4
    one, other = (checkpoint(tmp_path / form)["state_dict"] for form in FORMS)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert curves(tmp_path / "files") == curves(tmp_path / "shards")


def test_an_interrupted_preparation_keeps_its_finished_shards(both, source, settings, tmp_path, monkeypatch):
    ours = ieast.data.portions.encode_picture
    calls, most = [], [PER_SHARD + 3]

    def encode(picture, **options):
        calls.append(picture.source)
        if len(calls) == most[0]:
            raise KeyboardInterrupt
        return ours(picture, **options)

    monkeypatch.setattr(ieast.data.portions, "encode_picture", encode)
    one_thread = settings("shards").model_copy(update={"workers": 1})
    with pytest.raises(KeyboardInterrupt):
        prepare_dataset(source, tmp_path, one_thread, "drawn")
    (folder,) = (tmp_path / "prepared").iterdir()
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["content-00000.tar"]
    calls.clear()
    most[0] = 10 * PICTURES
    before = (folder / "content-00000.tar").stat()
    prepare_dataset(source, tmp_path, one_thread, "drawn")
    assert (folder / "content-00000.tar").stat() == before
    assert calls[0] == "content/04.png"  # the sixth, behind 03.bad.png
    expected = Path(both["shards"].folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in expected.iterdir())
    for path in expected.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()


def test_shards_are_handed_over_as_they_are(both, tmp_path):
    dataset = both["shards"]
    store, root = LocalFileSystem(auto_mkdir=True), str(tmp_path / "store")
    pack(dataset, store, root)
    there = {path.name for path in (tmp_path / "store" / "prepared" / dataset.key).iterdir()}
    assert there == {"index.json", "shard-00000.tar", *(path.name for path in dataset.shards())}
    folder = unpack(dataset.key, tmp_path / "elsewhere", store, root)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(path.name for path in dataset.shards()), "clips", "manifest.csv"]
    )
    here = located(dataset.model_copy(update={"clips_folder": "/nowhere"}), folder)
    assert here.clips_folder == str(folder / "clips")
    for side in SIDES:
        one, other = dataset.training_paths(side), here.training_paths(side)
        assert [read_image(path).tobytes() for path in one] == [read_image(path).tobytes() for path in other]


def test_files_are_packed_and_unpacked(both, tmp_path):
    dataset = both["files"]
    store, root = LocalFileSystem(auto_mkdir=True), str(tmp_path / "store")
    pack(dataset, store, root, shard_bytes=4000)
    assert len(list((tmp_path / "store" / "prepared" / dataset.key).glob("shard-*.tar"))) > 2
    folder = unpack(dataset.key, tmp_path / "elsewhere", store, root)
    for path in (path for path in Path(dataset.folder).rglob("*") if path.is_file()):
        assert (folder / path.relative_to(dataset.folder)).read_bytes() == path.read_bytes()


def test_the_key_of_a_dataset_in_files_is_that_of_before_there_were_shards(make_config):
    config = make_config().prepare
    known = config.model_dump(mode="json")
    assert preparation_key(config, "abc") == preparation_key(config.model_copy(update={"processes": 9, "engine": "ray"}), "abc")
    assert preparation_key(config, "abc") != preparation_key(config.model_copy(update={"shard_pictures": 5}), "abc")
    assert known["shard_pictures"] == 0


def test_what_is_wrong_with_a_shard_is_said(both, tmp_path):
    whole = both["shards"].shards()[0]
    torn = tmp_path / "torn.tar"
    torn.write_bytes(whole.read_bytes()[:700])
    with pytest.raises(
        ImageError, match=r"torn\.tar/content/00\.png\.jpg: lies in .*torn\.tar, which is damaged \(unexpected end"
    ):
        read_image(torn / "content" / "00.png.jpg")
    with pytest.raises(ImageError, match=r"nothing\.jpg: there is no such file"):
        read_image(whole / "content" / "nothing.jpg")
    (tmp_path / "plain.txt").touch()
    with pytest.raises(ImageError, match=r"cannot be read \(Not a directory\)"):
        read_image(tmp_path / "plain.txt" / "a.jpg")
    paths = [torn / "content" / "00.png.jpg"] * 3
    with pytest.raises(DataError, match="cannot be read"):
        PairBatches(paths, paths, distinct=3, crop=32, seed=0)[0]
