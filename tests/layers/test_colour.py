import numpy as np
import pytest
import torch
from helpers.trainings import draw
from scipy.linalg import sqrtm

from ieast.layers.colour import luminance, match_colours, with_colours_of

Y = np.array([0.299, 0.587, 0.114])  # of YIQ (NTSC)


def pixels(images):
    """(B, 3, H, W) as float64 of shape (B, H·W, 3)."""
    return images.double().flatten(2).transpose(1, 2).numpy()


def test_luminance_by_hand():
    colours = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.5, 0.5, 0.5]]).T[None, :, None]
    torch.testing.assert_close(luminance(colours)[0, 0, 0], torch.tensor([0.299, 0.587, 0.114, 0.5]))


# -- luminance --------------------------------------------------------------------------------------------------------------


def extremes():
    """Contents and stylizations of random colours, and every pair of extreme ones."""
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1e-7, 0.5, 1.0])] * 3)  # (64, 3)
    pairs = torch.cartesian_prod(torch.arange(64), torch.arange(64))  # (4096, 2)
    content, stylized = (corners[chosen].T.reshape(1, 3, 64, 64) for chosen in pairs.T)
    return torch.cat([draw(1, 64, 64), content]), torch.cat([draw(1, 64, 64, seed=1), stylized])


def test_the_stylized_luminance_stays_even_in_8_bits():
    content, stylized = extremes()
    picture = with_colours_of(content, stylized)
    assert picture.min() >= 0
    assert picture.max() <= 1
    rounded = np.round(pixels(picture) * 255) / 255
    assert np.abs(rounded @ Y - pixels(stylized) @ Y).max() < 1 / 255


def test_the_contents_colour_is_kept_as_far_as_there_is_room():
    content, stylized = extremes()
    picture, content, stylized = (pixels(images) for images in (with_colours_of(content, stylized), content, stylized))
    expected, grey = content - (content @ Y)[..., None], (stylized @ Y)[..., None]
    # By search: the largest of 1001 steps from grey to the full colour that stays in [0, 1].
    steps = np.linspace(0, 1, 1001)
    inside = np.ones((*grey.shape[:2], len(steps)), dtype=bool)
    for channel in range(3):
        value = grey + expected[..., channel : channel + 1] * steps
        inside &= (value >= -1e-6) & (value <= 1 + 1e-6)
    reach = steps[inside.cumprod(axis=-1).sum(axis=-1) - 1][..., None]
    assert np.abs(picture - grey - reach * expected).max() < 2e-3
    whole = reach[..., 0] == 1
    assert whole.mean() > 0.1
    assert np.abs(picture - grey - expected)[whole].max() < 1e-5


def test_a_grey_content_gives_a_grey_picture():
    stylized = draw(1, 8, 8)
    picture = with_colours_of(torch.full((1, 3, 8, 8), 0.3), stylized)
    torch.testing.assert_close(picture, luminance(stylized).expand(-1, 3, -1, -1), rtol=0, atol=1e-6)


# -- coral ------------------------------------------------------------------------------------------------------------------


def tinted(batch, height, width, seed):
    """Pictures whose channels correlate."""
    mix = torch.tensor([[0.6, 0.3, 0.0], [0.2, 0.5, 0.1], [0.3, 0.0, 0.3]])
    return torch.einsum("oi,bihw->bohw", mix, draw(batch, height, width, seed))


def test_colour_mean_and_covariance_become_the_contents():
    style, content = tinted(2, 30, 40, 1), draw(2, 25, 16, seed=2) * 0.7 + 0.1
    picture = pixels(match_colours(style, content))
    for actual, expected in zip(picture, pixels(content), strict=True):
        np.testing.assert_allclose(actual.mean(axis=0), expected.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(np.cov(actual.T, bias=True), np.cov(expected.T, bias=True), atol=1e-4)


def test_colours_move_by_the_symmetric_roots():
    style, content = tinted(1, 30, 40, 1), draw(1, 25, 16, seed=2)
    (s,), (c,) = pixels(style), pixels(content)
    ridge = 1e-5 * np.eye(3)
    turn = sqrtm(np.cov(c.T, bias=True) + ridge) @ np.linalg.inv(sqrtm(np.cov(s.T, bias=True) + ridge))
    expected = (s - s.mean(axis=0)) @ turn.T + c.mean(axis=0)
    np.testing.assert_allclose(pixels(match_colours(style, content))[0], expected, atol=1e-5)


def test_one_style_is_matched_to_each_content():
    style, contents = tinted(1, 12, 10, 1), draw(3, 9, 9, seed=2) * torch.tensor([0.2, 0.6, 1.0])[:, None, None, None]
    together = match_colours(style, contents)
    assert together.shape == (3, 3, 12, 10)
    for k in range(3):
        torch.testing.assert_close(together[k : k + 1], match_colours(style, contents[k : k + 1]))


def test_large_pictures_are_summed_in_chunks(monkeypatch):
    style, content = tinted(1, 20, 30, 1), draw(1, 25, 16, seed=2)
    whole = match_colours(style, content)
    monkeypatch.setattr("ieast.layers.whitening.BLOCK_VALUES", 21)
    torch.testing.assert_close(match_colours(style, content), whole)


@pytest.mark.parametrize("flat", ["style", "content", "both"])
def test_pictures_of_one_colour_do_no_harm(flat):
    style = torch.full((1, 3, 8, 8), 0.25) if flat != "content" else draw(1, 8, 8)
    content = torch.full((1, 3, 8, 8), 0.75) if flat != "style" else draw(1, 8, 8, seed=1)
    actual = match_colours(style, content)
    torch.testing.assert_close(actual.mean(dim=(2, 3)), content.mean(dim=(2, 3)), rtol=0, atol=1e-5)
    if flat != "content":
        assert actual.std(dim=(2, 3)).max() < 1e-5
