import numpy as np
import pytest
import torch
from helpers.datasets import draw_picture
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab

from ieast.evaluation.noise import DETAIL_FLOOR, fine_structure
from ieast.io.images import to_tensor


def by_scikit_image(image) -> tuple[float, float]:
    """Detail and noise: CIELAB by scikit-image, the blur by SciPy, which mirrors at the edges, too."""
    lab = rgb2lab(np.asarray(image))
    fine = [lab[..., k] - gaussian_filter(lab[..., k], 1.0, mode="mirror", truncate=4.0) for k in range(3)]
    squares = [np.mean(part**2) for part in fine]
    return np.sqrt(squares[0]), np.sqrt((squares[1] + squares[2]) / 2)


@pytest.mark.parametrize(("seed", "width", "height"), [(0, 64, 48), (1, 33, 57), (2, 16, 16)])
def test_fine_structure_is_that_of_scikit_image_and_scipy(seed, width, height):
    image = draw_picture(seed, width, height)
    detail, noise = by_scikit_image(image)
    actual = fine_structure(to_tensor(image))
    assert (actual.detail, actual.noise) == pytest.approx((detail, noise), rel=5e-3)
    assert actual.colour_noise == pytest.approx(noise / detail, rel=5e-3)


def test_of_grey_pictures_all_is_detail():
    grey = torch.rand(1, 1, 40, 48, generator=torch.Generator().manual_seed(0)).expand(1, 3, 40, 48)
    actual = fine_structure(grey)
    assert actual.detail > 5
    assert actual.colour_noise == pytest.approx(0, abs=1e-3)


def test_flat_pictures_have_neither_and_do_not_blow_up_the_ratio():
    flat = torch.full((1, 3, 32, 32), 0.5)
    assert fine_structure(flat).colour_noise == pytest.approx(0, abs=1e-6)
    flat[0, 0, 16, 16] += 1 / 255  # one step of one channel at one pixel
    actual = fine_structure(flat)
    assert 0 < actual.detail < DETAIL_FLOOR
    assert actual.colour_noise == pytest.approx(actual.noise / DETAIL_FLOOR)
    assert actual.colour_noise < 0.5


def test_a_picture_is_measured_as_it_would_be_written():
    picture = to_tensor(draw_picture(3, 40, 32))
    shifted = picture + 0.4 / 255
    assert fine_structure(shifted.clamp(0, 1)) == fine_structure(picture)
    assert fine_structure(picture * 3 - 1) == fine_structure((picture * 3 - 1).clamp(0, 1))


def test_what_is_not_finite_has_no_score():
    picture = torch.full((1, 3, 16, 16), 0.5)
    picture[0, 0, 0, 0] = float("nan")
    assert all(np.isnan(value) for value in fine_structure(picture))
