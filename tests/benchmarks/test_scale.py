import hashlib
from pathlib import Path

import pytest

from benchmarks import scale


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scale")
    scale.draw_files(folder / "source", 40)
    return folder


def test_no_two_files_are_equal(folder):
    files = [path for path in (folder / "source").rglob("*") if path.is_file()]
    assert len(files) == len({hashlib.md5(path.read_bytes()).hexdigest() for path in files}) == 40


def test_stages_without_dvc(folder, monkeypatch):
    monkeypatch.setattr(scale, "BATCHES", 2)
    for stage in list(scale.STAGES)[:-4]:
        figures = scale.measure_here(stage, folder)
        assert figures["seconds"] > 0, stage
        assert figures["peak_mib"] > 50, stage
    prepared = {path.name for path in (folder / "work" / "prepared").iterdir()}
    assert {path.name for path in (folder / "elsewhere" / "prepared").iterdir()} == prepared
    assert len(prepared) == 2
