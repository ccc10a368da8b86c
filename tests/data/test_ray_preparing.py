"""Preparation by several processes of Ray Data: what one process makes, file by file."""

import os
from pathlib import Path

import pytest
from helpers.datasets import draw_dataset

from ieast.config import PrepareConfig
from ieast.data.prepare import prepare_dataset
from ieast.errors import ConfigError, DataError
from ieast.io import ray_cluster

CONFIG = PrepareConfig(size=32, min_side=16, max_bad_share=0.5)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = draw_dataset(tmp_path_factory.mktemp("dataset") / "source", 7, 5)
    (folder / "content" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "content" / os.fsdecode(b"latin-\xe9.png")).write_bytes((folder / "content" / "00.png").read_bytes())
    (folder / "style" / "none.jpg").symlink_to("nowhere.jpg")
    return folder


def made(folder: str) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("shard_pictures", [0, 4])
def test_several_processes_prepare_the_same(source, tmp_path, shard_pictures):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    alone, shared = (
        prepare_dataset(source, tmp_path / engine, config, "drawn")
        for engine in ("embedded", "ray")
        for config in [CONFIG.model_copy(update={"engine": engine, "shard_pictures": shard_pictures})]
    )
    assert alone.quarantined == shared.quarantined == 3
    assert alone.model_copy(update={"folder": shared.folder}) == shared
    assert made(alone.folder) == made(shared.folder)
    assert len(made(shared.folder)) == (6 if shard_pictures else 13)


def test_too_many_bad_files_are_named_alike(source, tmp_path):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    said = []
    for engine in ("embedded", "ray"):
        with pytest.raises(DataError, match="2 of 9 files in content/ are unusable") as caught:
            prepare_dataset(source, tmp_path, CONFIG.model_copy(update={"engine": engine, "max_bad_share": 0.1}), "drawn")
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_without_ray_it_is_said_how_to_install_it(source, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"share the work by Ray, which is not installed: pip install .*\[ray\]'"):
        prepare_dataset(source, tmp_path, CONFIG.model_copy(update={"engine": "ray"}), "drawn")
