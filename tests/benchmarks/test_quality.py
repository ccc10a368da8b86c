import re

import numpy as np
import pandas as pd
import pytest
import scipy
import typer
import yaml
from helpers.configurations import QUICKSTART, SMALL, merge
from helpers.datasets import draw_dataset, draw_picture
from PIL import Image
from typer.testing import CliRunner

from benchmarks import quality
from benchmarks.quality import deceptions, held_out_pairs, intervals, main
from ieast.data.prepare import prepare_dataset
from ieast.evaluation.distances import content_distance, style_distance
from ieast.evaluation.noise import fine_structure
from ieast.evaluation.references import REFERENCES
from ieast.evaluation.weave import weave
from ieast.io.images import read_image, resize_smallest_side, to_tensor
from ieast.methods import new_model


@pytest.fixture(scope="module")
def collections(tmp_path_factory, make_config):
    """20 tiny styles whose names come first, and 20 larger ones."""
    folder = tmp_path_factory.mktemp("collections")
    draw_dataset(folder / "source", 5, 0)
    for number in range(20):
        draw_picture(number, 40, 40 + number % 3).save(folder / "source" / "style" / f"faces_{number:02d}.png")
        draw_picture(50 + number, 90, 70 + number).save(folder / "source" / "style" / f"paintings_{number:02d}.png")
    return prepare_dataset(folder / "source", folder / "work", make_config().prepare, "collections")


def test_pairs_are_of_all_collections_and_the_same_every_time(collections):
    pairs = held_out_pairs(collections, 20)
    assert pairs == held_out_pairs(collections, 20)
    assert 5 <= sum("faces" in style.name for _, style in pairs) <= 15
    assert len({style for _, style in pairs}) == 20
    assert len({style for _, style in held_out_pairs(collections, 80)}) == 40  # every style as often as the others


def test_pairs_after_those_that_are_passed_over_are_in_other_styles(collections):
    first, after = held_out_pairs(collections, 20), held_out_pairs(collections, 20, skip=20)
    assert first + after == held_out_pairs(collections, 40)
    assert not {style for _, style in first} & {style for _, style in after}


def test_intervals_are_those_of_the_median_over_styles():
    """Beside scipy's bootstrap, where every style is in one pair."""
    scores = np.random.default_rng(1).normal(size=64)
    table = pd.DataFrame(
        {"model": "mine", "size": 512, "content": "one", "style": [f"{n:02d}" for n in range(64)], "detail": scores}
    )
    low, high = (float(word) for word in intervals(table).loc[("mine", 512), "detail ↑"].split(" to "))
    settings = {"method": "percentile", "n_resamples": 5000, "rng": np.random.default_rng(2)}
    expected = scipy.stats.bootstrap((scores,), np.median, **settings).confidence_interval
    assert [low, high] == pytest.approx(list(expected), abs=0.03)
    twice = intervals(pd.concat([table, table]))  # the same styles twice say no more than once
    assert twice.equals(intervals(table))


def test_styles_can_be_asked_to_be_large_or_of_a_name(collections):
    # All are 48 pixels as they were prepared; what counts is what they were before.
    assert all("paintings" in style.name for _, style in held_out_pairs(collections, 30, min_side=43))
    assert {style.name for _, style in held_out_pairs(collections, 30, min_side=80)} == {
        f"paintings_{number:02d}.png.jpg" for number in range(10, 20)
    }
    assert all("faces" in style.name for _, style in held_out_pairs(collections, 30, match="faces"))
    with pytest.raises(typer.BadParameter, match="no held-out style of 99 pixels and more has 'faces' in its name"):
        held_out_pairs(collections, 3, match="faces", min_side=99)


def test_contents_can_be_asked_to_be_large(collections):
    sides = collections.source_sides("content")
    least = sorted(sides[path] for path in collections.scoring_paths("content"))[-1]
    pairs = held_out_pairs(collections, 10, content_side=least)
    assert {sides[content] for content, _ in pairs} == {least}
    with pytest.raises(typer.BadParameter, match=f"no held-out content has {least + 1} pixels and more"):
        held_out_pairs(collections, 3, content_side=least + 1)


def test_the_table_has_medians_of_every_score_and_the_honest_rows(tmp_path, make_config, encoder, monkeypatch):
    data = draw_dataset(tmp_path / "data", 4, 4)
    document = yaml.safe_load(QUICKSTART.read_text())
    document["parameters"]["config"] = merge(document["parameters"]["config"], SMALL)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    model = new_model("sanet", encoder, make_config().model).eval()
    monkeypatch.setattr(quality, "released_or_folder", lambda name: name)
    monkeypatch.setattr(quality, "load_model", lambda _: (model, None))
    app = typer.Typer()
    app.command()(main)
    options = ["--config", tmp_path / "config.yaml", "-o", tmp_path / "out", "--model", "mine", "--size", 48, "--pairs", 3]
    result = CliRunner().invoke(app, [str(word) for word in (data, *options, "--perceptual", "encoder-taps")])
    assert result.exception is None, result.output
    table = pd.read_csv(tmp_path / "out" / "quality.csv")
    assert list(table["model"].unique()) == ["mine", *REFERENCES]
    distances = ["style_distance", "style_mismatch", "content_distance", "content_encoder_tap_distance"]
    names = [*distances, "detail", "colour_noise", "weave"]
    assert list(table)[4:] == names
    copies = table[table["model"] == "content as it is"]
    assert (copies["content_distance"] == 0).all()
    picture = to_tensor(read_image(tmp_path / "out" / "pictures" / "48" / "02_mine.png"))
    row = table[table["model"] == "mine"].iloc[2]
    assert row["colour_noise"] == pytest.approx(fine_structure(picture).colour_noise)
    assert row["weave"] == pytest.approx(weave(picture))
    for name, arrow in zip(names, "↓↓↓↓↑↓↓", strict=True):
        assert f"{name} {arrow}" in result.output
    shown = re.search(r"^mine +48 +(.*)$", result.output, re.MULTILINE)[1].split()
    expected = table[table["model"] == "mine"][names].median()
    assert [float(value) for value in shown] == pytest.approx(list(expected), abs=6e-4)
    assert "medians of 3 pairs" in result.output
    assert "bootstrap intervals over styles" in result.output
    assert "deception" not in result.output  # of three styles it would say nothing


def test_pictures_can_be_made_as_large_as_contents_are(collections, encoder, tmp_path):
    """Distances are of all three enlarged, as files, and detail and noise of what was made."""
    content, style = next((c, s) for c, s in held_out_pairs(collections, 20, min_side=70))
    assert min(read_image(content).size) == min(read_image(style).size) == 48  # which the configuration shrinks to
    (row,) = quality.score("flip", lambda c, s, _: c.flip(3), [(content, style)], 96, encoder, None, tmp_path, as_found=True)
    made = read_image(tmp_path / "00_flip.png")
    assert made.size == read_image(content).size
    at_96 = [resize_smallest_side(read_image(path), 96) for path in (content, style)]
    enlarged = to_tensor(made.resize(at_96[0].size, Image.Resampling.LANCZOS))
    assert row["style_distance"] == pytest.approx(float(style_distance(encoder, enlarged, to_tensor(at_96[1]))))
    assert row["content_distance"] == pytest.approx(float(content_distance(encoder, enlarged, to_tensor(at_96[0]))))
    assert row["detail"] == pytest.approx(fine_structure(to_tensor(made)).detail)
    (copy,) = quality.score("copy", lambda c, s, _: c, [(content, style)], 96, encoder, None, tmp_path, as_found=True)
    assert copy["content_distance"] == 0
    (small,) = quality.score("flip", lambda c, s, _: c.flip(3), [(content, style)], 32, encoder, None, tmp_path, as_found=True)
    assert min(read_image(tmp_path / "00_flip.png").size) == 32  # larger ones are shrunk as ever
    assert small["size"] == 32


def test_the_deception_score_is_of_the_pictures_in_the_folder(collections, encoder, tmp_path):
    """Copies of the artworks are taken for real, and black pictures are not."""
    pairs = held_out_pairs(collections, 30)
    (tmp_path / "48").mkdir()
    rows = []
    for name in ("a copy", "black"):
        for number, (content, style) in enumerate(pairs):
            picture = read_image(style)
            (picture if name == "a copy" else picture.point(lambda _: 0)).save(
                tmp_path / "48" / f"{number:02d}_{name.replace(' ', '_')}.png"
            )
            rows.append({"model": name, "size": 48, "content": content.stem, "style": style.stem})
    judged = deceptions(pd.DataFrame(rows), tmp_path, collections.scoring_paths("style"), encoder)
    score = judged["deception ↑"]
    assert score["black", 48] == 0
    assert score["a copy", 48] > 0.3
    assert judged.loc[("black", 48), "accuracy"] == 1
    assert (judged["low"] <= score).all()
    assert (score <= judged["high"]).all()
