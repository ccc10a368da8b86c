from itertools import islice, pairwise

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from helpers.datasets import draw_picture
from torch import nn
from typer.testing import CliRunner

from benchmarks.standing import PERIOD, main, offsets, seen_by_both
from ieast.checkpoint import save_model
from ieast.io.images import to_tensor


class Stub(nn.Module):
    """Stylizes by a function of the picture, (1, 3, H, W)."""

    def __init__(self, paint):
        super().__init__()
        self.paint = paint

    def stylize(self, content, style):
        return self.paint(content)


def weave(content):
    """Adds what repeats with the period of an upsampling, wherever the content lies."""
    rows = torch.arange(content.shape[2])[:, None] % 8 < 4
    return content + 0.1 * rows.expand(content.shape[2:])


@pytest.fixture(scope="module")
def frames():
    scene = to_tensor(draw_picture(3, 90, 70))[0]
    return [scene[:, k : k + 60, 2 * k : 2 * k + 70] for k in range(5)]


def seen(paint, frames, moves):
    return torch.stack(list(seen_by_both(Stub(paint), frames, torch.zeros(1, 3, 8, 8), moves)))


def test_the_window_comes_to_every_phase_and_goes_on_in_every_frame():
    places = list(islice(offsets(moves=True), PERIOD))
    assert [sorted(axis) for axis in zip(*places, strict=True)] == [list(range(PERIOD))] * 2
    assert all(a != b for a, b in pairwise(places))
    assert len(set(islice(offsets(moves=False), PERIOD))) == 1


@pytest.mark.parametrize("moves", [False, True])
def test_what_every_window_has_seen_is_the_inner_part_of_the_frames(frames, moves):
    expected = torch.stack(frames)[:, :, PERIOD:-PERIOD, PERIOD:-PERIOD]
    assert torch.equal(seen(lambda content: content, frames, moves), expected)


def test_what_looks_at_single_pixels_is_the_same_through_both(frames):
    assert torch.equal(seen(torch.square, frames, moves=True), seen(torch.square, frames, moves=False))


def test_what_stands_on_the_screen_changes_only_when_the_window_moves(frames):
    still = [frames[0]] * 4
    assert seen(weave, still, moves=False).diff(dim=0).abs().max() == 0
    changes = seen(weave, still, moves=True).diff(dim=0).abs()
    # By 5 rows of a period of 8, of which half is brighter by 0.1: three quarters of them change.
    assert changes.mean(dim=(1, 2, 3)).numpy() == pytest.approx(np.full(3, 0.075), abs=0.01)


def test_the_table_has_a_row_for_each_clip_and_model(stylizer, tmp_path):
    for name in ("a", "b"):
        folder = tmp_path / "clips" / name
        folder.mkdir(parents=True)
        scene = draw_picture(4, 120, 100)
        for k in range(3):
            scene.crop((k, 0, k + 100, 80)).save(folder / f"{k}.png")
        draw_picture(7, 64, 64).save(tmp_path / f"{name}.png")
    save_model(stylizer, tmp_path / "model", method="ieast", encoder_source="untrained", provenance={})
    app = typer.Typer()
    app.command()(main)
    styles = [word for name in ("a", "b") for word in ("--style", str(tmp_path / f"{name}.png"))]
    models = ["--model", f"one={tmp_path / 'model'}", "--model", f"other={tmp_path / 'model'}"]
    more = ["--distance", "encoder-taps", "--size", "64", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [str(tmp_path / "clips"), *styles, *models, *more], catch_exceptions=False)
    table = pd.read_csv(tmp_path / "out" / "clips.csv")
    assert table[["variant", "clip"]].values.tolist() == [["one", "a"], ["other", "a"], ["one", "b"], ["other", "b"]]
    assert (table["stays"] > 0).all()
    assert (table["rise"] == table["moves"] - table["stays"]).all()
    one, other = (table[table["variant"] == name].drop(columns="variant").reset_index(drop=True) for name in ("one", "other"))
    assert one.equals(other)
    assert "times as much when the window moves" in result.output
