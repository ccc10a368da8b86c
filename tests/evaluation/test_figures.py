import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from ieast.evaluation.figures import as_picture, pairs_sheet, stability_sheet
from ieast.io.contact_sheet import CAPTION, GAP

CELL = 32


class Brighter:
    """Stands for a model: adds a value to the content."""

    def __init__(self, by):
        self.by = by

    def encode_style(self, image):
        return image

    def stylize(self, content, style):
        return (content + self.by).clamp(0, 1)


def at(page, row, column):
    return np.asarray(page)[GAP + row * (CELL + GAP + CAPTION) + CELL // 2, GAP + column * (CELL + GAP) + CELL // 2]


def grey(value):
    return torch.full((3, CELL, CELL), value)


def test_pairs_stand_in_rows_content_style_then_models():
    page = pairs_sheet({"a": Brighter(0.2), "b": Brighter(0.4)}, [(grey(0.2), grey(1.0)), (grey(0.4), grey(0.0))], CELL)
    assert page.size == (4 * (CELL + GAP) + GAP, 2 * (CELL + GAP + CAPTION) + GAP)
    for row, values in enumerate([(0.2, 1.0, 0.4, 0.6), (0.4, 0.0, 0.6, 0.8)]):
        for column, value in enumerate(values):
            assert at(page, row, column) == pytest.approx([value * 255] * 3, abs=1)


def test_heat_maps_of_all_models_share_one_scale():
    class Flickering(Brighter):
        calls = 0

        def stylize(self, content, style):
            self.calls += 1
            return content + self.by * (self.calls % 2)

    page = stability_sheet({"calm": Brighter(0.1), "wild": Flickering(0.5)}, [grey(0.2), grey(0.2), grey(0.2)], grey(1.0), CELL)
    inputs, calm, wild = (at(page, row, 3).astype(int).sum() for row in range(3))  # after three frames, the first heat map
    assert inputs == calm
    assert wild > calm + 300


def test_a_plot_becomes_a_picture():
    figure = Figure(figsize=(2, 1), dpi=50, facecolor="red")
    page = as_picture(figure)
    assert (page.size, page.mode) == ((100, 50), "RGB")
    assert page.getpixel((0, 0)) == (255, 0, 0)
