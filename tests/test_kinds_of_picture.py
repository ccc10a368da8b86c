"""Every kind of picture through every way in: each is read as what it shows, or refused with the same sentence everywhere.

Reading is compared with what was drawn; the other ways with what they make of the same picture as a plain PNG.
"""

import re

import numpy as np
import pandas as pd
import pytest
from helpers.datasets import draw_picture
from helpers.kinds_of_picture import kinds
from helpers.studies import draw_benchmark
from PIL import Image
from typer.testing import CliRunner

import ieast
from ieast.cli.main import app
from ieast.config import PrepareConfig
from ieast.data.prepare import prepare_dataset
from ieast.errors import IeastError, ImageError
from ieast.io.images import encode_jpeg, encode_png, read_image, resize_smallest_side
from ieast.study.build import build_study
from ieast.study.plan import Plan
from ieast.stylization.files import stylize_folder
from ieast.stylization.session import StyleSession, StylizeOptions

KINDS = kinds()
READ = sorted(name for name, kind in KINDS.items() if kind.seen is not None)
REFUSED = sorted(name for name, kind in KINDS.items() if kind.seen is None)
OPTIONS = StylizeOptions(style_size=16)
PREPARED_SIDE = 16

pytestmark = pytest.mark.filterwarnings("error:::PIL")  # what libraries say of a file is for us to say


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    for name, kind in KINDS.items():
        (folder / name).write_bytes(kind.data)
    return folder


@pytest.fixture(scope="module")
def style():
    return draw_picture(7, 20, 16)  # no larger than styles are looked at


@pytest.fixture(scope="module")
def expected(folder, stylizer, style):
    """What a kind is stylized to, as samples."""
    session = StyleSession(stylizer, [style], OPTIONS)
    made = {}

    def stylized(name):
        if name not in made:
            made[name] = np.asarray(session.stylize(read_image(folder / name)))
        return made[name]

    return stylized


@pytest.fixture(scope="module")
def _quick_model(stylizer):
    """The model of these tests in place of a shipped one, which takes longer to read than a picture to stylize."""
    card = type("Card", (), {"method": "ieast"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ieast.checkpoint.load_model", lambda folder: (stylizer, card))
        yield


@pytest.fixture(scope="module")
def done(folder, stylizer, style, tmp_path_factory):
    work = tmp_path_factory.mktemp("folder")
    style.save(work / "style.png")
    return stylize_folder(stylizer, folder, work / "style.png", work / "out", OPTIONS), work / "out" / "style"


@pytest.fixture(scope="module")
def answers(stylizer, style):
    pyfunc = pytest.importorskip("ieast.registry.pyfunc")
    model = pyfunc.StylizerModel()
    model.stylizer, model.max_pixels = stylizer, pyfunc.MAX_PIXELS
    rows = pd.DataFrame([{"content": KINDS[name].data, "style": encode_png(style)} for name in KINDS])
    answers = model.predict(None, rows, {"style_size": OPTIONS.style_size})
    return dict(zip(KINDS, answers.to_dict("records"), strict=True))


@pytest.fixture(scope="module")
def manifest(folder, tmp_path_factory):
    source = tmp_path_factory.mktemp("prepare")
    (source / "content").symlink_to(folder)
    (source / "style").mkdir()
    for number in range(3):
        draw_picture(number, 24, 20).save(source / "style" / f"{number}.png")
    config = PrepareConfig(size=PREPARED_SIDE, min_side=1, max_bad_share=0.9, workers=1)
    dataset = prepare_dataset(source, source / "work", config, "kinds")
    manifest = pd.read_csv(f"{dataset.folder}/manifest.csv", keep_default_na=False)
    return dataset.folder, manifest.set_index("source")


def message(name):
    return f"{name}: {KINDS[name].message}"


def test_there_are_enough_kinds():
    assert len(READ) >= 40
    assert len(REFUSED) >= 15


@pytest.mark.parametrize("name", READ)
def test_python_reads(folder, name):
    kind = KINDS[name]
    picture = ieast.read_image(folder / name)
    assert (picture.mode, picture.info) == ("RGB", {})
    assert (picture.height, picture.width) == kind.seen.shape[:2]
    assert np.abs(np.asarray(picture).astype(float) - kind.seen).max() <= kind.within + 0.51  # rounding


@pytest.mark.parametrize("name", REFUSED)
def test_python_refuses(folder, name):
    with pytest.raises(ImageError, match=re.escape(message(name))):
        ieast.read_image(folder / name)


@pytest.mark.usefixtures("_quick_model")
class TestCommand:
    @staticmethod
    def _run(folder, style, name, output):
        style.save(output.parent / "style.png")
        arguments = ["stylize", str(folder / name), str(output.parent / "style.png"), "-o", str(output), "--style-size", "16"]
        return CliRunner().invoke(app, arguments)

    @pytest.mark.parametrize("name", READ)
    def test_stylizes(self, folder, style, expected, tmp_path, name):
        answer = self._run(folder, style, name, tmp_path / "out.png")
        assert answer.exit_code == 0, answer.exception
        assert (np.asarray(Image.open(tmp_path / "out.png")) == expected(name)).all()

    @pytest.mark.parametrize("name", REFUSED)
    def test_refuses(self, folder, style, tmp_path, name):
        answer = self._run(folder, style, name, tmp_path / "out.png")
        assert isinstance(answer.exception, ImageError)
        assert message(name) in str(answer.exception)
        assert not (tmp_path / "out.png").exists()


class TestFolder:
    def test_every_file_is_accounted_for(self, folder, done):
        result, _ = done
        passed_over = {path.name for path in result.passed_over}
        assert result.made == len(READ)
        assert {path.name for path in result.failed} | passed_over == set(REFUSED)
        assert passed_over == {"drawing.svg"}

    @pytest.mark.parametrize("name", READ)
    def test_stylizes(self, done, expected, name):
        _, made = done
        stem = name.rpartition(".")[0]
        path = made / (f"{name}.png" if sum(other.startswith(f"{stem}.") for other in KINDS) > 1 else f"{stem}.png")
        assert (np.asarray(Image.open(path)) == expected(name)).all()

    @pytest.mark.parametrize("name", sorted(set(REFUSED) - {"drawing.svg"}))
    def test_refuses(self, folder, done, name):
        result, _ = done
        assert message(name) in result.failed[folder / name]


class TestServedModel:
    @pytest.mark.parametrize("name", READ)
    def test_stylizes(self, answers, expected, name, tmp_path):
        assert answers[name]["error"] is None
        (tmp_path / "out.png").write_bytes(answers[name]["stylized"])
        assert (np.asarray(Image.open(tmp_path / "out.png")) == expected(name)).all()

    @pytest.mark.parametrize("name", REFUSED)
    def test_refuses(self, answers, name):
        assert answers[name]["stylized"] is None
        assert re.match(rf"row \d+, content: (the picture: )?{re.escape(KINDS[name].message)}", answers[name]["error"])


class TestPrepare:
    @pytest.mark.parametrize("name", READ)
    def test_prepares(self, folder, manifest, name, tmp_path):
        where, lines = manifest
        line = lines.loc[f"content/{name}"]
        assert (line["status"], line["reason"]) == ("ok", "")
        prepared = Image.open(f"{where}/{line['prepared']}")
        whole = resize_smallest_side(read_image(folder / name, smallest_side=PREPARED_SIDE), PREPARED_SIDE)
        (tmp_path / "expected.jpg").write_bytes(encode_jpeg(whole))
        assert (np.asarray(prepared) == np.asarray(Image.open(tmp_path / "expected.jpg"))).all()

    @pytest.mark.parametrize("name", REFUSED)
    def test_sets_aside(self, manifest, name):
        line = manifest[1].loc[f"content/{name}"]
        assert line["status"] == "quarantined"
        assert line["reason"].startswith(KINDS[name].message)


class TestStudy:
    @staticmethod
    def _benchmark(folder, names, where):
        benchmark = draw_benchmark(where / "benchmark", contents=1, styles=2, artworks=0)
        (benchmark / "artworks").mkdir()
        for name in names:
            (benchmark / "artworks" / name).symlink_to(folder / name)
        return benchmark

    def test_shows(self, folder, tmp_path):
        benchmark = self._benchmark(folder, READ, tmp_path)
        build_study(benchmark, tmp_path / "study", Plan(participants=2, pairs=1, per_method=1, real=len(READ)))
        shown = {path.read_bytes() for path in (tmp_path / "study" / "pictures").iterdir()}
        small = [name for name in READ if np.prod(KINDS[name].seen.shape[:2]) <= 40 * 32]  # larger ones are made smaller
        assert len(small) > 40
        assert not [name for name in small if encode_jpeg(read_image(folder / name)) not in shown]

    @pytest.mark.parametrize("name", sorted(set(REFUSED) - {"drawing.svg"}))
    def test_refuses(self, folder, tmp_path, name):
        benchmark = self._benchmark(folder, [name, "colour.png"], tmp_path)
        with pytest.raises(IeastError, match=re.escape(f"{name}: {KINDS[name].message}")):
            build_study(benchmark, tmp_path / "study", Plan(participants=2, pairs=1, per_method=1, real=2))
        assert not (tmp_path / "study").exists()


def test_an_elongated_style_is_scaled_down_and_one_of_which_too_little_would_remain_is_refused(stylizer, tmp_path):
    draw_picture(0, 40, 24).save(tmp_path / "content.png")
    (tmp_path / "styles").mkdir()
    Image.new("RGB", (20_000, 500), (10, 200, 30)).save(tmp_path / "styles" / "long.png")
    thread = tmp_path / "styles" / "thread.png"
    Image.new("RGB", (100_000, 20)).save(thread)
    result = stylize_folder(stylizer, tmp_path / "content.png", tmp_path / "styles", tmp_path / "out", OPTIONS)
    assert (result.made, set(result.failed)) == (1, {thread})
    assert f"{thread}: is too elongated: 100000x20 pixels would become 80000x16" in result.failed[thread]
