import numpy as np
import pytest
import torch
from helpers.trainings import draw
from scipy.spatial.distance import cdist

from ieast.layers.colour import luminance
from ieast.layers.palette import mixed, palette_of, within
from ieast.layers.sampling import sampled

Y = np.array([0.299, 0.587, 0.114])  # of YIQ (NTSC)
ONE = torch.ones(1, 1, 1, 1, 1)


def chrominances(images):
    """(B - Y, R - Y) of the first picture, (H·W, 2) in float64."""
    pixels = images[0].double().flatten(1).T.numpy()
    return pixels[:, [2, 0]] - (pixels @ Y)[:, None]


def ellipse(palette):
    """Centre (2,) and shape (2, 2) of (1, 5, 1, 1)."""
    blue, red, bb, br, rr = palette.double().flatten().tolist()
    return np.array([blue, red]), np.array([[bb, br], [br, rr]])


def distances(images, palette):
    centre, shape = ellipse(palette)
    return cdist(chrominances(images), centre[None], "mahalanobis", VI=np.linalg.inv(shape))[:, 0]


def tinted(seed, colours=(0.6, 0.3, 0.2), size=(40, 50)):
    return draw(1, *size, seed=seed) * torch.tensor(colours)[None, :, None, None] + 0.1


def test_a_palette_has_the_moments_of_the_chrominances_and_holds_99_of_100():
    images = tinted(0)
    centre, shape = ellipse(palette_of(images))
    expected = np.cov(chrominances(images).T, bias=True)
    np.testing.assert_allclose(centre, chrominances(images).mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(shape / shape[0, 0], expected / expected[0, 0], rtol=0.02, atol=0.02)  # but for what is added
    assert (distances(images, palette_of(images)) > 1).mean() == pytest.approx(0.01, abs=0.001)


def test_each_picture_of_a_batch_has_its_own():
    one, other = tinted(0), tinted(1, (0.1, 0.2, 0.8))
    torch.testing.assert_close(palette_of(torch.cat([one, other])), torch.cat([palette_of(one), palette_of(other)]))


def test_what_lies_inside_stays_and_what_lies_outside_comes_to_the_edge():
    style, images = tinted(0, (0.3, 0.15, 0.1)), draw(1, 30, 40, seed=2)
    palette = palette_of(style)
    before, actual = distances(images, palette), within(images, palette)
    inside = before <= 1
    assert 0.01 < inside.mean() < 0.9
    pixels, kept = (each[0].flatten(1).T for each in (images, actual))
    torch.testing.assert_close(kept[inside], pixels[inside], rtol=0, atol=1e-6)
    # Where no picture has the chrominance at this luminance it is cut off; elsewhere nearer, by the formula, the same way off.
    whole = ((kept > 0) & (kept < 1)).all(dim=1).numpy()
    expected = np.where(inside, before, 1 + 0.3 * (1 - np.exp((1 - before) / 0.3)))
    np.testing.assert_allclose(distances(actual, palette)[whole], expected[whole], rtol=1e-3)
    centre, _ = ellipse(palette)
    np.testing.assert_allclose(
        ((chrominances(actual) - centre) * before[:, None])[whole],
        ((chrominances(images) - centre) * expected[:, None])[whole],
        atol=1e-4,
    )
    torch.testing.assert_close(luminance(actual).flatten()[whole], luminance(images).flatten()[whole], rtol=0, atol=1e-5)


def test_in_a_grey_style_pictures_are_grey():
    grey = draw(1, 32, 32)[:, :1].expand(-1, 3, -1, -1)
    actual = within(draw(1, 30, 40, seed=2), palette_of(grey))
    assert (actual - luminance(actual)).abs().max() < 4 / 255


def test_a_small_signature_in_red_opens_no_palette():
    ink = draw(1, 100, 100)[:, :1].expand(-1, 3, -1, -1).clone()
    ink[..., :9, :9] = torch.tensor([0.9, 0.1, 0.1])[None, :, None, None]
    actual = within(tinted(3, (0.8, 0.1, 0.1)), palette_of(ink))
    assert (actual - luminance(actual)).abs().mean() < 0.25 * (tinted(3, (0.8, 0.1, 0.1)) - luminance(actual)).abs().mean()


def test_one_palette_alone_is_its_own_mixture():
    palette = palette_of(tinted(0))
    torch.testing.assert_close(mixed(palette[None], ONE), palette)
    both = torch.stack([palette, palette_of(tinted(1, (0.1, 0.9, 0.1)))])
    torch.testing.assert_close(mixed(both, torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1, 1)), palette)


def test_a_mixture_of_equals_has_what_each_has():
    styles = [tinted(0, (0.6, 0.2, 0.1)), tinted(1, (0.1, 0.2, 0.6))]
    palettes = torch.stack([palette_of(style) for style in styles])
    palette = mixed(palettes, torch.full((2, 1, 1, 1, 1), 0.5))
    centres, shapes = zip(*(ellipse(each) for each in palettes), strict=True)
    centre, shape = ellipse(palette)
    np.testing.assert_allclose(centre, np.mean(centres, axis=0), rtol=1e-5)
    spread = sum(np.outer(each - centre, each - centre) for each in centres)
    np.testing.assert_allclose(shape, sum(shapes) + spread, rtol=1e-4)
    for style in styles:
        assert (distances(style, palette) > 1).mean() < 0.02


def test_palettes_may_differ_from_place_to_place():
    images, one, other = draw(1, 8, 8, seed=4), palette_of(tinted(0, (0.2, 0.1, 0.1))), palette_of(tinted(1, (0.1, 0.1, 0.2)))
    left = (torch.arange(8) < 4).expand(1, 1, 8, 8)
    actual = within(images, torch.where(left, one, other))
    torch.testing.assert_close(actual, torch.where(left, within(images, one), within(images, other)))


@pytest.mark.parametrize(
    ("size", "expected"), [((511, 900), (511, 900)), ((1023, 1200), (1023, 1200)), ((1024, 1537), (512, 769))]
)
def test_of_large_pictures_every_nth_pixel_is_looked_at(size, expected):
    image = np.arange(size[0] * size[1]).reshape(1, *size)
    assert sampled(image).shape == (1, *expected)
    assert np.array_equal(sampled(torch.from_numpy(image)), sampled(image))
