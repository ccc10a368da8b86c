"""The shipped styles are the drawn sample's."""

import io

import numpy as np
import pytest
from PIL import Image

from ieast.data.sample import draw_artwork
from ieast.data.sample.artworks import artwork_kind
from ieast.styles import shipped_styles


def test_there_are_two_dozen_in_the_order_of_drawing():
    assert [artwork_kind(number)[0] for number in range(24)] == list(shipped_styles())


@pytest.mark.parametrize("number", [5, 13])
def test_they_are_what_is_drawn(number):
    name, size = artwork_kind(number)
    buffer = io.BytesIO()
    Image.fromarray(draw_artwork(number, 0, size)).save(buffer, "JPEG", quality=88)
    shipped = np.asarray(Image.open(shipped_styles()[name])).astype(int)
    assert abs(np.asarray(Image.open(buffer)).astype(int) - shipped).mean() < 0.5  # libraries round differently
