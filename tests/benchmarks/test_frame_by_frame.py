import numpy as np
import pytest
import torch
import typer
from helpers.datasets import draw_picture
from PIL import Image
from typer.testing import CliRunner

from benchmarks.frame_by_frame import Ruder, by_model, cells, main
from benchmarks.steady import Scores
from ieast.config import StylizeOptions
from ieast.io.images import to_tensor
from ieast.methods.gatys import Gatys
from ieast.models.vgg19 import STYLE_TAPS
from ieast.stylization.session import StyleSession


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """12 frames of a picture that moves by a pixel each."""
    folder = tmp_path_factory.mktemp("clip")
    scene = draw_picture(3, 80, 60)
    for number in range(12):
        scene.crop((number, 0, number + 57, 49)).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def artwork(tmp_path_factory):
    path = tmp_path_factory.mktemp("style") / "artwork.png"
    draw_picture(1, 50, 50).save(path)
    return path


def frames(clip):
    return [Image.open(path).convert("RGB") for path in sorted(clip.iterdir())]


def test_ruders_term_is_the_distance_from_what_was_shown_where_that_is_seen(encoder, clip):
    first, second, *_ = (to_tensor(frame) for frame in frames(clip))
    ruder = Ruder(encoder, Gatys.Options(iterations=1))
    ruder.follow(first[0])
    assert ruder.trusted.max() == 0
    ruder.before = first[0], 1 - first[0]
    ruder.follow(second[0])
    inner = (..., slice(8, -8), slice(8, -8))
    assert ruder.trusted[inner].mean() > 0.9
    # What was shown, a negative, has moved as the frame has.
    assert (ruder.moved[inner] - (1 - second)[inner]).abs().mean() < 0.02
    taps = encoder(second, (*STYLE_TAPS, ruder.options.content_layer))
    grams = {name: torch.zeros(1, taps[name].shape[1], taps[name].shape[1]) for name in STYLE_TAPS}
    target = taps[ruder.options.content_layer]
    plain = Gatys(encoder, ruder.options).loss(second, target, grams)
    held = 200 * (ruder.trusted * (second - ruder.moved) ** 2).mean()
    torch.testing.assert_close(ruder.loss(second, target, grams), plain + held)


def test_each_frame_is_stylized_by_itself_with_the_noise_asked_for(stylizer, clip):
    style = draw_picture(1, 50, 50)
    for noise in (0, 0.1):
        shown = by_model(stylizer, noise)(frames(clip)[:2], style)
        session = StyleSession(stylizer, [style], StylizeOptions(content_noise=noise))
        for frame, picture in zip(frames(clip), shown, strict=False):
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(session.stylize(frame)))


def test_a_row_is_the_means_of_its_clips_and_what_was_not_measured_is_empty():
    one = Scores({1: 0.1, 10: 0.3}, 0.0, [0.2, 0.4], style=1.0, content=0.5)
    other = Scores({1: 0.3, 10: 0.5}, 0.0, [0.6, 0.6], style=2.0, content=0.7)
    assert cells("a", [one, other]) == ["a", "0.2000", "0.4000", "0.4500", "1.500", "0.600", ""]


def test_the_table_has_the_clips_the_models_and_both_optimizations(clip, artwork):
    app = typer.Typer()
    app.command()(main)
    words = f"--style {artwork} --model mine=ieast --frames 12 --size 49 --gatys 2 --distance encoder-taps".split()
    result = CliRunner().invoke(app, [str(clip), *words])
    assert result.exception is None, result.output
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["", "---", "the clips", "mine", "Gatys", "Gatys, as Ruder et al."]
    assert rows[2][4:] == ["", "", ""]  # a clip has no style
    assert all(float(cell) > 0 for cell in rows[3][1:])
    assert all(float(row[4]) > 1 for row in rows[4:])  # two evaluations bring a content hardly nearer to the style
    assert float(rows[3][1]) > float(rows[2][1])  # a model's strokes flicker
