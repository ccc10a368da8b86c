"""Noise on contents: what it is, and what it does to even areas."""

import numpy as np
import pytest
from PIL import Image

from ieast.checkpoint import load_model
from ieast.config import StylizeOptions
from ieast.data.sample import draw_artwork, draw_photograph
from ieast.errors import ConfigError
from ieast.io.content_noise import STEPS, with_noise
from ieast.io.images import to_image, to_tensor
from ieast.models.pretrained import MODELS
from ieast.onnx.engine import OnnxEngine
from ieast.onnx.folder import INSIDE
from ieast.stylization.session import StyleSession
from ieast.stylizer.style import Style


@pytest.fixture(scope="module")
def model():
    return load_model(MODELS["ieast"])[0]


@pytest.fixture(scope="module")
def style():
    return Image.fromarray(draw_artwork(2, seed=0)).resize((96, 96))


def noise(width, height, deviation):
    grey = Image.new("RGB", (width, height), (128, 128, 128))
    return np.asarray(with_noise(grey, deviation)).astype(float) - 128


def test_it_is_grey_with_the_deviation_asked_for_and_the_same_every_time():
    made = noise(1200, 900, 0.1)
    assert (made[..., 0] == made[..., 1]).all()
    assert (made[..., 0] == made[..., 2]).all()
    assert abs(made.mean()) < 0.05 * 25.5
    assert made.std() == pytest.approx(25.5, rel=0.02)
    np.testing.assert_array_equal(made, noise(1200, 900, 0.1))


def test_a_place_has_the_same_noise_in_pictures_of_all_sizes():
    np.testing.assert_array_equal(noise(70, 41, 0.1), noise(200, 130, 0.1)[:41, :70])


def test_it_varies_over_positions_of_the_features_and_hardly_from_pixel_to_pixel():
    made = noise(1200, 900, 0.1)[..., 0]

    def correlation(shift):
        return np.corrcoef(made[:, :-shift].ravel(), made[:, shift:].ravel())[0, 1]

    assert correlation(1) > 0.97
    assert abs(correlation(2 * max(STEPS))) < 0.05


def test_what_is_white_stays_within_range_and_without_noise_the_picture_is_the_same():
    white = Image.new("RGB", (64, 48), "white")
    assert np.asarray(with_noise(white, 0.1)).min() < 255
    assert np.asarray(with_noise(white, 0.1)).max() == 255
    assert with_noise(white, 0) is white


@pytest.mark.parametrize("alpha", [1.0, 0.4, 0.0])
def test_both_engines_take_it_in_proportion_to_alpha(model, style, alpha):
    photo = Image.fromarray(draw_photograph(5, seed=0, size=(72, 88)))
    options = StylizeOptions(alpha, content_noise=0.05)
    expected = to_image(model.stylize(to_tensor(with_noise(photo, alpha * 0.05)), to_tensor(style), alpha))
    by_torch = StyleSession(model, [style], options).stylize(photo)
    np.testing.assert_array_equal(np.asarray(by_torch), np.asarray(expected))
    by_onnx = OnnxEngine(MODELS["ieast"] / INSIDE).open([style], options).stylize(photo)
    assert np.abs(np.asarray(by_onnx).astype(int) - np.asarray(expected).astype(int)).max() <= 2


def test_an_even_content_is_painted_in_many_colours_and_not_in_one(model, style):
    even = Image.new("RGB", (128, 128), (90, 140, 200))
    plain, uneven = (
        np.asarray(StyleSession(model, [style], StylizeOptions(content_noise=deviation)).stylize(even))
        for deviation in (0, 0.01)
    )
    assert plain.std(axis=(0, 1)).max() < 3
    assert uneven.std(axis=(0, 1)).min() > 10


@pytest.mark.parametrize("amount", [-0.01, 0.3, float("nan")])
def test_other_amounts_are_refused(amount):
    with pytest.raises(ConfigError, match=r"content_noise is .*; it must lie between 0 and 0\.2"):
        StylizeOptions(content_noise=amount).check(1)


def test_what_a_mask_keeps_as_it_is_gets_no_noise(model, style):
    photo = Image.fromarray(draw_photograph(5, seed=0, size=(72, 88)))
    mask = Image.new("RGB", photo.size)
    mask.paste((255, 255, 255), (0, 0, 40, 72))
    where = np.zeros((72, 88), np.float32)
    where[:, :40] = 0.05
    uneven = np.asarray(with_noise(photo, where)).astype(int) - np.asarray(photo)
    assert np.abs(uneven[:, 40:]).max() == 0
    assert uneven[:, :40].std() > 5
    stylized = StyleSession(model, [style], StylizeOptions(content_noise=0.05), [mask]).stylize(photo)
    shown = Style(to_tensor(style), mask=to_tensor(mask)[:, :1])
    expected = to_image(model.stylize(to_tensor(with_noise(photo, where)), shown))
    np.testing.assert_array_equal(np.asarray(stylized), np.asarray(expected))


def test_no_band_begins_where_another_ends():
    made = noise(40, 1100, 0.1)[..., 0]
    down = np.abs(np.diff(made, axis=0)).mean(axis=1)
    assert down.max() < 3 * down.mean()
    assert np.abs(made[:256] - made[256:512]).mean() > 10  # nor is it the same again
