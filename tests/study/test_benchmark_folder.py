import pytest
from helpers.datasets import draw_picture
from helpers.studies import METHODS, draw_benchmark
from PIL import Image

from ieast.errors import StudyError
from ieast.study.benchmark import Source, read_benchmark


@pytest.fixture
def folder(tmp_path):
    return draw_benchmark(tmp_path / "benchmark", contents=2, styles=2, artworks=2)


def test_a_benchmark_is_read_as_it_stands(folder):
    actual = read_benchmark(folder)
    assert actual.methods == METHODS
    assert actual.pairs == {"000": ("c0", "s0"), "001": ("c0", "s1"), "002": ("c1", "s0"), "003": ("c1", "s1")}
    assert sorted(actual.artworks) == ["a0.png", "a1.png"]
    assert actual.area == 40 * 32
    assert actual.path(Source("stylized", "adain+el+cl", "002")) == folder / "methods" / "adain+el+cl" / "002.png"
    assert actual.path(Source("content", "c1")) == folder / "contents" / "c1.png"
    assert actual.path(Source("style", "s0")) == folder / "styles" / "s0.png"
    assert actual.path(Source("artwork", "a1.png")) == folder / "artworks" / "a1.png"


def test_artworks_may_lie_elsewhere_in_folders_and_other_formats(folder, tmp_path):
    (tmp_path / "wikiart" / "cubism").mkdir(parents=True)
    draw_picture(1, 30, 30).save(tmp_path / "wikiart" / "cubism" / "one.jpg")
    actual = read_benchmark(folder, tmp_path / "wikiart")
    assert actual.path(Source("artwork", "cubism/one.jpg")) == tmp_path / "wikiart" / "cubism" / "one.jpg"
    assert list(actual.artworks) == ["cubism/one.jpg"]


def without(name):
    return lambda folder: (folder / name).unlink()


def pairs_csv(text):
    return lambda folder: (folder / "pairs.csv").write_text(text)


def picture(name, size):
    return lambda folder: Image.new("RGB", size).save(folder / name)


def only_one_method(folder):
    for method in METHODS[1:]:
        (folder / "methods" / method).rename(folder / method)


HEAD = "pair,content,style\n"
REFUSED = [
    (without("pairs.csv"), r"pairs\.csv: there is no such file"),
    (pairs_csv("pair,content\n000,c0\n"), r"pairs\.csv: has no column 'style'; its first line must be pair,content,style"),
    (pairs_csv(""), "has no column 'pair'"),
    (pairs_csv(HEAD), r"pairs\.csv: names no pairs"),
    (pairs_csv(HEAD + '000,c0,"s0\n'), "is not a CSV file"),
    (pairs_csv(HEAD + "000,c0,\n"), "style in line 2 is ''; it must be a file's name without its suffix"),
    (pairs_csv(HEAD + "000,c0,s0\n001,../c0,s0\n"), r"content in line 3 is '\.\./c0'"),
    (pairs_csv(HEAD + "000,c0,s0\n000,c0,s1\n"), "names pair 000 twice"),
    (pairs_csv(HEAD + "000,c0,s0\n001,c0,s0\n"), "two pairs of content and style c0, s0"),
    (pairs_csv(HEAD + "000,c0,s0\n"), r"adain\+el\+cl.001\.png: pairs\.csv has no pair '001'"),
    (without("contents/c1.png"), r"c1\.png: there is no such file.*pair 002 of .*pairs\.csv needs it"),
    (without("styles/s1.png"), r"s1\.png: there is no such file.*pair 001"),
    (without("methods/sanet/003.png"), r"sanet.003\.png: there is no such file.*every method must have stylized every pair"),
    (picture("methods/sanet/004.png", (40, 32)), r"sanet.004\.png: pairs\.csv has no pair '004'"),
    (picture("methods/sanet/003.png", (40, 30)), r"sanet.003\.png: is 40x30 pixels, and adain\+el\+cl's is 40x32"),
    (lambda folder: (folder / "methods/ieast/000.png").write_text("no picture"), r"ieast.000\.png: is not an image"),
    (lambda folder: (folder / "artworks/a0.png").write_text("no picture"), r"a0\.png: is not an image.*among the artworks"),
    (only_one_method, r"methods: has only adain\+el\+cl; a study compares two methods or more"),
    (lambda folder: (folder / "methods").rename(folder / "other"), "methods: has no folder of any method"),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_is_incomplete_is_refused(folder, spoil, message):
    spoil(folder)
    with pytest.raises(StudyError, match=message):
        read_benchmark(folder)


def test_folders_that_are_not_there_are_refused(folder, tmp_path):
    with pytest.raises(StudyError, match=r"nowhere: there is no such folder. Name the folder of a benchmark run"):
        read_benchmark(tmp_path / "nowhere")
    with pytest.raises(StudyError, match=r"nowhere: there is no such folder. Name a folder of real artworks with --artworks"):
        read_benchmark(folder, tmp_path / "nowhere")
