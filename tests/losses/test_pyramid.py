import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from ieast.losses.pyramid import FAINTEST, band_deviations, band_loss, opponent_colours


def draw(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Noise on ramps, each picture with another strength."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 3, height, width, generator=generator) * torch.linspace(0.02, 0.15, count)[:, None, None, None]
    ramp = torch.linspace(0.2, 0.8, width).expand(count, 3, height, width)
    return (ramp + noise).clamp(0, 1)


def deviations_by_scipy(image: np.ndarray, bands: int) -> np.ndarray:
    red, green, blue = image.astype(float)
    level = np.stack([(red + green + blue) / np.sqrt(3), (red - green) / np.sqrt(2), (red + green - 2 * blue) / np.sqrt(6)])
    actual = []
    for _ in range(bands):
        blurred = np.stack([gaussian_filter(channel, 1.0, mode="mirror", truncate=4) for channel in level])
        actual.append(np.sqrt(((level - blurred) ** 2).mean(axis=(1, 2))))
        height, width = blurred.shape[1] // 2, blurred.shape[2] // 2
        cells = blurred[:, : 2 * height, : 2 * width].reshape(3, height, 2, width, 2)
        level = cells.mean(axis=(2, 4))
    return np.stack(actual)


def test_opponent_colours_are_an_orthonormal_basis_whose_first_axis_is_grey():
    basis = opponent_colours(torch.eye(3)[:, :, None, None])[:, :, 0, 0].T
    torch.testing.assert_close(basis @ basis.T, torch.eye(3))
    grey = opponent_colours(torch.full((1, 3, 2, 2), 0.4))
    torch.testing.assert_close(grey[:, 1:], torch.zeros(1, 2, 2, 2))


@pytest.mark.parametrize("size", [(48, 64), (53, 41)])
def test_deviations_of_bands_equal_those_by_scipy(size):
    images = draw(3, *size)
    actual = band_deviations(images)
    assert actual.shape == (3, 3, 3)
    for image, deviations in zip(images, actual, strict=True):
        np.testing.assert_allclose(deviations, deviations_by_scipy(image.numpy(), 3), rtol=1e-2, atol=2e-4)


def test_the_loss_by_hand():
    style, stylized, chosen = draw(2, 40, 40), draw(4, 48, 40, seed=1), torch.tensor([0, 1, 1, 0])
    expected = []
    for image, number in zip(stylized, chosen, strict=True):
        of_style, of_image = (deviations_by_scipy(each.numpy(), 3) for each in (style[number], image))
        expected.append(np.abs(of_image - of_style) / np.maximum(of_style[:, :1], FAINTEST))
    assert band_loss(stylized, style, chosen).item() == pytest.approx(np.mean(expected), rel=1e-2)


def test_equal_pictures_have_no_loss_and_coloured_speckle_has_more_than_grey():
    style = draw(1, 64, 64)
    chosen = torch.tensor([0])
    assert band_loss(style, style, chosen).item() == pytest.approx(0, abs=1e-6)
    speckle = 0.05 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(3))
    grey = band_loss(style + speckle, style, chosen)
    coloured = band_loss(style + speckle * torch.tensor([1.0, -1.0, 0.5])[:, None, None], style, chosen)
    assert coloured > grey > 0


def test_an_empty_artwork_does_not_blow_it_up():
    images = draw(1, 64, 64).requires_grad_(True)
    loss = band_loss(images, torch.full((1, 3, 64, 64), 0.9), torch.tensor([0]))
    (gradient,) = torch.autograd.grad(loss, images)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_autocast_does_not_round_it():
    images = draw(2, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        actual = band_deviations(images)
    torch.testing.assert_close(actual, band_deviations(images))
