import re
import shutil
import sqlite3
from itertools import pairwise

import pytest
from helpers.datasets import draw_picture
from helpers.studies import METHODS, draw_benchmark, flat, save, who
from PIL import Image, ImageOps

from ieast.errors import ImageError, StudyError
from ieast.study.build import build_study
from ieast.study.plan import Plan
from ieast.study.store import Store

SMALL = Plan(participants=4, pairs=3, per_method=2, real=2)


def tables(study):
    with sqlite3.connect(study / "study.db") as db:
        names = ("picture", "participant", "question", "choice", "vote")
        return {name: db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names}


def files(study):
    return {path.name: path.read_bytes() for path in (study / "pictures").iterdir()}


def test_a_study_holds_the_pictures_it_asks_about_under_names_that_tell_nothing(study):
    pictures = tables(study)["picture"]
    assert sorted(files(study)) == sorted(row[1] for row in pictures)
    for _, file, width, height, kind, name, pair in pictures:
        assert re.fullmatch(r"[0-9a-f]{16}\.jpg", file)
        image = Image.open(study / "pictures" / file)
        assert image.size == (width, height)
        if kind == "stylized":
            assert (METHODS[who(image)[0]], f"{who(image)[1]:03d}") == (name, pair)


def test_names_and_ids_do_not_follow_the_methods(study):
    pictures = [row for row in tables(study)["picture"] if row[4] == "stylized"]
    for by in (0, 1):
        methods = [row[5] for row in sorted(pictures, key=lambda row: row[by])]
        runs = 1 + sum(one != other for one, other in pairwise(methods))
        assert runs > 2 * len(METHODS)


def test_pictures_carry_no_metadata(tmp_path):
    folder = draw_benchmark(tmp_path / "benchmark", contents=1, styles=2)
    image = flat(0, 0)
    exif = image.getexif()
    exif[0x010E] = "made by ieast"
    image.info["comment"] = b"sanet"
    for method in METHODS:
        image.save(folder / "methods" / method / "000.png", exif=exif, pnginfo=None)
    image.save(folder / "artworks" / "a0.jpg", exif=exif, comment=b"by a human")
    build_study(folder, tmp_path / "study", Plan(participants=2, pairs=2, per_method=1, real=1))
    for content in files(tmp_path / "study").values():
        # A bare JPEG: JFIF's header and tables, but neither EXIF, ICC or other application data nor comments.
        assert content[:4] == b"\xff\xd8\xff\xe0"
        markers = set(re.findall(rb"\xff([\xe1-\xef\xfe])", content[: content.index(b"\xff\xda")]))
        assert not markers
        assert b"ieast" not in content


def test_artworks_and_styles_are_made_as_small_as_stylizations_and_smaller_ones_stay(tmp_path):
    folder = draw_benchmark(tmp_path / "benchmark", contents=1, styles=2, artworks=1, size=(60, 50))
    save(draw_picture(1, 20, 30), folder / "artworks" / "a1.png")
    build_study(folder, tmp_path / "study", Plan(participants=1, pairs=2, per_method=1, real=2))
    sizes = {(row[4], row[5]): row[2:4] for row in tables(tmp_path / "study")["picture"]}
    assert sizes["artwork", "a0.png"] == (63, 47)  # 200 x 150 scaled by sqrt(3000 / 30000)
    assert sizes["artwork", "a1.png"] == (20, 30)
    assert sizes["content", "c0"] == (63, 47)  # 120 x 90
    assert sizes["style", "s1"] == (45, 67)  # 60 x 90
    assert sizes["stylized", "ieast"] == (60, 50)


def test_the_same_seed_gives_the_same_study(benchmark_folder, tmp_path):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        build_study(benchmark_folder, tmp_path / name, Plan(4, 3, 2, 2, seed))
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    assert tables(one) == tables(same)
    assert files(one) == files(same)
    assert tables(one)["choice"] != tables(other)["choice"]
    assert not files(one).keys() & files(other).keys()


def test_pictures_that_are_others_have_other_names(benchmark_folder, tmp_path):
    """Browsers keep them for days."""
    build_study(benchmark_folder, tmp_path / "one", Plan(4, 3, 2, 2, 1))
    changed = shutil.copytree(benchmark_folder, tmp_path / "benchmark")
    retrained = sorted((changed / "methods" / "ieast").iterdir())
    for path in retrained:
        save(ImageOps.invert(Image.open(path).convert("RGB")), path)
    build_study(changed, tmp_path / "two", Plan(4, 3, 2, 2, 1))
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    assert 0 < len(one.keys() - two.keys()) <= len(retrained)
    assert all(one[name] == two[name] for name in one.keys() & two.keys() if name.endswith(".jpg"))


def test_questions_are_those_of_the_layout(study):
    rows = tables(study)
    assert len(rows["participant"]) == 6
    assert len(rows["question"]) == 6 * (9 + 4)
    assert len(rows["choice"]) == 6 * (9 + 4 * 3)
    assert rows["vote"] == []
    pictures = {row[0]: row for row in rows["picture"]}
    for participant, number, kind, content, style in rows["question"]:
        shown = [pictures[row[3]] for row in rows["choice"] if row[:2] == (participant, number)]
        if kind == "preference":
            pair = int(shown[0][6])
            assert pictures[content][4:6] == ("content", f"c{pair // 3}")
            assert pictures[style][4:6] == ("style", f"s{pair % 3}")
            assert {row[6] for row in shown} == {f"{pair:03d}"}
        else:
            assert (content, style, len(shown)) == (None, None, 1)


def test_a_picture_damaged_beyond_its_header_leaves_nothing_behind(tmp_path):
    folder = draw_benchmark(tmp_path / "benchmark")
    draw_picture(0, 40, 32).save(folder / "methods" / "ieast" / "000.png")
    path = folder / "methods" / "ieast" / "000.png"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ImageError, match=r"000\.png: is damaged or truncated"):
        build_study(folder, tmp_path / "study", Plan(4, 9, 9, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["benchmark"]


@pytest.mark.parametrize("votes", [0, 2])
def test_a_study_is_never_overwritten(benchmark_folder, study, votes):
    if votes:
        store = Store(study)
        token = store.claim("0" * 32)
        for number in range(1, votes + 1):
            store.vote(token, number, 1)
    before = tables(study), files(study)
    message = f"a study already, begun by {int(votes > 0)} people, with {votes} votes. Name another folder with -o"
    with pytest.raises(StudyError, match=message):
        build_study(benchmark_folder, study, SMALL)
    assert (tables(study), files(study)) == before


def test_a_study_made_meanwhile_is_not_overwritten_either(benchmark_folder, tmp_path, monkeypatch):
    import ieast.study.build as build

    def somebody_else_is_faster(*arguments):
        monkeypatch.setattr(build, "_write_pictures", write)
        build_study(benchmark_folder, tmp_path / "study", SMALL)
        return write(*arguments)

    write = build._write_pictures
    monkeypatch.setattr(build, "_write_pictures", somebody_else_is_faster)
    with pytest.raises(StudyError, match="is a study already"):
        build_study(benchmark_folder, tmp_path / "study", Plan(2, 1, 1, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["study"]
    assert len(tables(tmp_path / "study")["participant"]) == 4


def test_a_new_study_is_a_folder_of_pictures_and_one_file(study):
    assert sorted(path.name for path in study.iterdir()) == ["pictures", "study.db"]


def test_a_folder_with_something_else_is_left_alone(benchmark_folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(StudyError, match=r"mine: is there already and is not a study\. Name another folder with -o"):
        build_study(benchmark_folder, tmp_path / "mine", SMALL)
    with pytest.raises(StudyError, match=r"notes.txt: is there already"):
        build_study(benchmark_folder, tmp_path / "mine" / "notes.txt", SMALL)
    (tmp_path / "empty").mkdir()
    build_study(benchmark_folder, tmp_path / "empty", SMALL)
    assert Store(tmp_path / "empty").has_room()


@pytest.mark.parametrize("there", [True, False], ids=["empty", "dangling"])
def test_a_link_is_followed(benchmark_folder, tmp_path, there):
    place, link = tmp_path / "elsewhere" / "place", tmp_path / "link"
    if there:
        place.mkdir(parents=True)
    link.symlink_to("elsewhere/place")
    build_study(benchmark_folder, link, SMALL)
    assert link.is_symlink()
    assert Store(place).has_room()
    assert [path.name for path in place.parent.iterdir()] == ["place"]
    with pytest.raises(StudyError, match="link: is a study already"):
        build_study(benchmark_folder, link, SMALL)


def test_what_cannot_be_laid_out_leaves_nothing_behind(benchmark_folder, tmp_path):
    with pytest.raises(StudyError, match="there are 4 artworks"):
        build_study(benchmark_folder, tmp_path / "deep" / "study", Plan(4, 3, 2, 5))
    assert list(tmp_path.iterdir()) == []
