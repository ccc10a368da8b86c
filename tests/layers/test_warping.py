import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from ieast.layers.warping import lands_inside, warp

HEIGHT, WIDTH = 9, 12


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def kernel(distance):
    """Keys' cubic with a = -3/4, as OpenCV and PyTorch have it."""
    d, a = abs(distance), -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def bicubic(picture, y, x):
    """The value of `picture` (C, H, W) at one place between pixels; beyond its border, that of the border."""
    y, x = np.clip(y, 0, HEIGHT - 1), np.clip(x, 0, WIDTH - 1)
    value = np.zeros(len(picture))
    for v in range(int(np.floor(y)) - 1, int(np.floor(y)) + 3):
        for u in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
            weight = kernel(y - v) * kernel(x - u)
            value += weight * picture[:, np.clip(v, 0, HEIGHT - 1), np.clip(u, 0, WIDTH - 1)]
    return value


def test_bilinear_values_are_scipys():
    pictures, flow = draw(2, 3, HEIGHT, WIDTH), 8 * draw(2, 2, HEIGHT, WIDTH, seed=1) - 4
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    for picture, steps, actual in zip(pictures.numpy(), flow.numpy(), warp(pictures, flow).numpy(), strict=True):
        places = [rows + steps[1], columns + steps[0]]
        expected = [map_coordinates(channel, places, order=1, mode="nearest") for channel in picture]
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_bicubic_values_are_those_of_keys_kernel():
    # Places within the picture; PyTorch's differ beyond its border, where only its outermost pixels could be seen.
    pictures, places = draw(2, 3, HEIGHT, WIDTH), draw(2, 2, HEIGHT, WIDTH, seed=1)
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    places = places * torch.tensor([WIDTH - 1, HEIGHT - 1])[:, None, None]
    actual = warp(pictures, places - torch.stack([columns, rows]), "bicubic").numpy()
    for k in range(2):
        for y in range(HEIGHT):
            for x in range(WIDTH):
                u, v = places[k, :, y, x].tolist()
                np.testing.assert_allclose(actual[k, :, y, x], bicubic(pictures[k].numpy(), v, u), atol=1e-4)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_whole_steps_move_pixels_as_they_are(mode):
    pictures = draw(1, 3, HEIGHT, WIDTH)
    flow = torch.tensor([3.0, -2.0])[None, :, None, None].expand(1, 2, HEIGHT, WIDTH)
    torch.testing.assert_close(warp(pictures, flow, mode)[..., 2:, :-3], pictures[..., :-2, 3:], rtol=0, atol=1e-5)


def test_a_place_is_inside_as_far_as_the_outermost_pixels_reach():
    flow = torch.zeros(1, 2, 1, 4)
    flow[0, 0, 0] = torch.tensor([-0.4, -1.6, 1.4, 0.6])
    assert lands_inside(flow).tolist() == [[[True, False, True, False]]]
