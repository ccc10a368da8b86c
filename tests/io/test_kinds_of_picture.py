"""Every kind of picture through every way in: what is to be seen of it, or said, is the same in all of them."""

import io
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.kinds_of_picture import DRAWN, KINDS, encoded
from helpers.studies import METHODS, draw_benchmark
from PIL import Image
from typer.testing import CliRunner

from ieast.checkpoint import save_model
from ieast.cli.main import app
from ieast.config import PrepareConfig
from ieast.data.prepare import MANIFEST, prepare_dataset
from ieast.errors import ImageError, StudyError
from ieast.io.images import decode_bytes, read_image, read_mask, to_tensor
from ieast.registry.pyfunc import StylizerModel
from ieast.study.build import build_study
from ieast.study.plan import Plan

GOOD = [kind for kind in KINDS if kind.seen is not None]
BAD = [kind for kind in KINDS if kind.seen is None]

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def check(kind, picture):
    assert picture.mode == "RGB"
    assert picture.size == kind.size
    assert np.abs(np.asarray(picture).astype(float) - kind.seen).max() <= kind.tolerance


@every_kind
def test_in_python(kind, tmp_path):
    path = kind.write(tmp_path)
    for name, read in ((str(path), lambda: read_image(path)), ("upload", lambda: decode_bytes(kind.data, name="upload"))):
        if kind.says:
            with pytest.raises(ImageError, match=rf"^{re.escape(name)}: {kind.says}"):
                read()
        else:
            check(kind, read())


def test_there_are_forty_kinds():
    assert len(KINDS) >= 40
    assert len({kind.name for kind in KINDS}) == len(KINDS)


OPAQUE = [kind for kind in GOOD if not re.search("alpha|transparent|rgba", kind.name)]


@pytest.mark.parametrize("kind", OPAQUE, ids=lambda kind: kind.name)
def test_a_mask_without_transparency_is_read_like_a_picture(kind, tmp_path):
    check(kind, read_mask(kind.write(tmp_path)))


@pytest.mark.parametrize("size", [(20_000, 500), (1, 20_000)])
def test_elongated_pictures_keep_their_size(size, tmp_path):
    Image.new("RGB", size, (10, 20, 30)).save(tmp_path / "long.png")
    assert read_image(tmp_path / "long.png").size == size


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """All kinds, and an artwork."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "contents").mkdir()
    for kind in KINDS:
        kind.write(folder / "contents")
    (folder / "artwork.png").write_bytes(encoded(DRAWN[::-1], "PNG"))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, stylizer):
    folder = tmp_path_factory.mktemp("model") / "model"
    save_model(stylizer, folder, method="ieast", encoder_source="untrained", provenance={})
    return folder


def expected(stylizer, kind):
    """What the model makes of the kind's picture, from its definition and not from its file."""
    style = to_tensor(Image.fromarray(DRAWN[::-1]))
    picture = stylizer.stylize(to_tensor(Image.fromarray(kind.seen.round().astype(np.uint8))), style)
    return picture[0].permute(1, 2, 0).numpy() * 255


def difference(picture, other):
    return np.abs(np.asarray(picture).astype(float) - other).mean()


def test_by_the_command_for_a_folder(folders, model, stylizer):
    places = [str(folders / name) for name in ("contents", "artwork.png")]
    answer = CliRunner().invoke(
        app, ["stylize", *places, "-o", str(folders / "out"), "--model", str(model), "--content-noise", "0"]
    )
    assert isinstance(answer.exception, ImageError)
    assert f"{len(GOOD)} pictures made, 0 kept from before" in answer.output
    said = str(answer.exception).splitlines()
    assert said[0] == f"{len(BAD)} pictures could not be stylized; all others are there:"
    for kind in BAD:
        (line,) = (line for line in said[1:] if line.startswith(f"  {folders / 'contents' / kind.name}: "))
        assert re.search(kind.says, line)
    outputs = {path.name: path for path in (folders / "out" / "artwork").iterdir()}
    for kind in GOOD:
        stem, suffix = kind.name.rpartition(".")[::2]
        (name,) = {f"{stem or suffix}.png", f"{kind.name}.png"} & set(outputs)
        with Image.open(outputs[name]) as picture:
            assert picture.size == kind.size
            if not kind.tolerance:
                assert difference(picture, expected(stylizer, kind)) <= 0.5, kind.name


def test_by_the_served_model(folders, model, stylizer):
    server = StylizerModel()
    server.load_context(SimpleNamespace(artifacts={"model": str(model)}))
    artwork = (folders / "artwork.png").read_bytes()
    rows = pd.DataFrame([{"content": kind.data, "style": artwork} for kind in KINDS])
    answer = server.predict(None, rows, {"content_noise": 0.0})
    for number, kind in enumerate(KINDS):
        row = answer.iloc[number]
        if kind.says:
            assert row["stylized"] is None
            assert re.match(rf"row {number}, content: the picture: {kind.says}", row["error"]), row["error"]
        else:
            assert row["error"] is None
            picture = Image.open(io.BytesIO(row["stylized"]))
            assert picture.size == kind.size
            if not kind.tolerance:
                assert difference(picture, expected(stylizer, kind)) <= 0.5, kind.name


def test_by_a_study(tmp_path):
    benchmark = draw_benchmark(tmp_path / "benchmark", contents=1, styles=1, artworks=0)
    (benchmark / "artworks").mkdir()
    for kind in GOOD:
        kind.write(benchmark / "artworks")
    build_study(benchmark, tmp_path / "study", Plan(participants=1, pairs=1, per_method=1, real=len(GOOD), seed=0))
    shown = [Image.open(path) for path in (tmp_path / "study" / "pictures").iterdir()]
    assert len(shown) == len(METHODS) + 2 + len(GOOD)
    assert {(picture.format, picture.mode) for picture in shown} == {("JPEG", "RGB")}


@pytest.mark.parametrize("kind", BAD, ids=lambda kind: kind.name)
def test_a_study_names_what_it_cannot_show(kind, tmp_path):
    benchmark = draw_benchmark(tmp_path / "benchmark", contents=1, styles=1, artworks=0)
    (benchmark / "artworks").mkdir()
    path = kind.write(benchmark / "artworks")
    with pytest.raises((StudyError, ImageError), match=rf"^{re.escape(str(path))}: {kind.says}"):
        build_study(benchmark, tmp_path / "study", Plan(participants=1, pairs=1, per_method=1, real=1, seed=0))
    assert not (tmp_path / "study").exists()


def test_by_preparation(tmp_path):
    for side in ("content", "style"):
        (tmp_path / "source" / side).mkdir(parents=True)
    for kind in KINDS:
        kind.write(tmp_path / "source" / "content")
    for number in range(3):
        (tmp_path / "source" / "style" / f"{number}.png").write_bytes(encoded(DRAWN, "PNG"))
    config = PrepareConfig(size=32, min_side=1, enlarge=False, workers=1, max_bad_share=1.0, jpeg_quality=95)
    prepared = prepare_dataset(tmp_path / "source", tmp_path / "work", config, "drawn")
    assert prepared.counts == {"content": len(GOOD), "style": 3}
    manifest = pd.read_csv(f"{prepared.folder}/{MANIFEST}").set_index("source")
    for kind in KINDS:
        row = manifest.loc[f"content/{kind.name}"]
        assert row["status"] == ("quarantined" if kind.says else "ok")
        if kind.says:
            assert re.match(kind.says, row["reason"])
        else:
            assert min(row["width"], row["height"]) == min(32, *kind.size)
