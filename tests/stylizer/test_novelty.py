import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.encoders import COMPACT, draw_pictures, make_compact
from pydantic import ValidationError

from ieast.models.vgg19 import STYLE_TAPS
from ieast.stylizer.novelty import Novelty, StyleRange, style_vector

LENGTH = 2 * sum(COMPACT)


@pytest.fixture(scope="module")
def vectors():
    """50 drawn styles' statistics, which spread differently by channel."""
    random = np.random.default_rng(0)
    return random.normal(random.normal(size=LENGTH), random.uniform(0.5, 2, LENGTH), (50, LENGTH))


def plainly(vector, vectors):
    """The distance, worked out tap by tap as the module says it."""
    spread = np.array([np.sqrt(np.mean((column - np.mean(column)) ** 2)) for column in vectors.T]) + 1e-3
    scores = [(value - np.mean(column)) / s for value, column, s in zip(vector, vectors.T, spread, strict=True)]
    taps, start = [], 0
    for width in COMPACT:
        part = scores[start : start + 2 * width]
        taps.append(np.sqrt(sum(score**2 for score in part) / len(part)))
        start += 2 * width
    return sum(taps) / 5


def test_distance_and_share_are_those_of_the_definition(vectors):
    known = StyleRange.of(vectors)
    assert known.count == 50
    own = np.array([plainly(row, vectors) for row in vectors])
    new = vectors[0] + 0.7 * (vectors[1] - vectors[0]) + 0.4
    actual = known.novelty(new)
    assert actual.distance == pytest.approx(plainly(new, vectors), rel=1e-3)  # numbers are kept with four digits
    for row, distance in zip(vectors, own, strict=True):
        assert known.novelty(row).share == pytest.approx((own < distance).sum() / 49, abs=0.011)
    assert known.quantile(0.5) == pytest.approx(np.median(own), abs=1e-3)


def test_what_is_beyond_all_is_further_than_all(vectors):
    known = StyleRange.of(vectors)
    far = known.novelty(vectors.mean(axis=0) + 100)
    assert far.share == 1
    assert far.distance > known.quantile(1)
    assert known.novelty(vectors.mean(axis=0)).share == 0
    assert str(Novelty(2.806, 0.991)) == "2.81, further than 99 % of the styles that the model was trained on"


@pytest.mark.parametrize(("height", "width"), [(64, 80), (13, 40)])
def test_a_styles_vector_holds_means_and_deviations_of_all_five_taps(height, width):
    encoder, picture = make_compact(), draw_pictures(height, width, batch=1)
    below = max(0, 17 - height)
    taps = encoder(F.pad(picture, (0, 0, 0, below), mode="replicate"))
    expected = []
    for tap in STYLE_TAPS:
        flat = taps[tap][0].flatten(1).double()
        expected += [flat.mean(dim=1), (flat.var(dim=1) + 1e-5).sqrt()]
    expected = torch.cat(expected).numpy()
    np.testing.assert_allclose(style_vector(encoder, picture), np.log(expected + 1e-3), rtol=1e-4, atol=1e-5)


def test_large_styles_are_looked_at_in_tiles(monkeypatch):
    encoder, picture = make_compact(), draw_pictures(96, 112, batch=1)
    whole = style_vector(encoder, picture)
    monkeypatch.setattr("ieast.stylizer.tiling.AUTO_PIXELS", 1)
    monkeypatch.setattr("ieast.stylizer.tiling.AUTO_TILE", 32)
    np.testing.assert_allclose(style_vector(encoder, picture), whole, atol=1e-4)


def test_a_style_of_another_encoder_is_refused(vectors):
    with pytest.raises(ValueError, match="the style has 10 statistics, those of training have 736"):
        StyleRange.of(vectors).novelty(np.zeros(10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"middle": (0.0,) * 10}, "do not belong together"),
        ({"spread": (0.0,) * LENGTH}, "spreads must be positive"),
        ({"distances": tuple(np.linspace(1, 0, 101))}, "distances in order"),
        ({"distances": (1.0,)}, "do not belong together"),
        ({"middle": (float("nan"),) * LENGTH}, "finite"),
    ],
)
def test_numbers_that_cannot_be_are_refused(vectors, change, message):
    values = StyleRange.of(vectors).model_dump() | change
    with pytest.raises(ValidationError, match=message):
        StyleRange.model_validate(values)
