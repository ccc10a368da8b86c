import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from ieast.losses.motion import draw_flow, moved, temporal_loss

SIZE = 24


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def flows(seed=0, count=6, shift=5.0, bend=2.0):
    return draw_flow(count, SIZE, shift, bend, np.random.default_rng(seed))


def constant(right, down, count=1):
    return torch.tensor([right, down])[None, :, None, None].expand(count, 2, SIZE, SIZE)


def test_flows_stay_within_their_bounds_and_use_them():
    flow = flows(count=200)
    assert flow.shape == (200, 2, SIZE, SIZE)
    assert flow.dtype == torch.float32
    assert 5 < flow.abs().max() <= 7
    middle = flow.mean(dim=(2, 3))
    assert middle.min() < -4
    assert middle.max() > 4


def test_flows_are_smooth_and_differ_from_picture_to_picture():
    flow = flows()
    assert max(flow.diff(dim=dim).abs().max() for dim in (2, 3)) < 1
    assert len({tuple(each) for each in flow[:, :, 5, 5].tolist()}) == 6


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_without_a_bend_whole_pictures_move(shift):
    flow = flows(shift=shift, bend=0.0)
    torch.testing.assert_close(flow, flow[:, :, :1, :1].expand_as(flow))
    assert flow.abs().max() <= shift


def test_flows_and_noise_follow_from_what_draws_them():
    assert torch.equal(flows(1), flows(1))
    assert not torch.equal(flows(1), flows(2))
    images = draw(2, 3, SIZE, SIZE)
    first, again, other = (moved(images, flows()[:2], 0.1, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_noise_is_gaussian_of_the_given_deviation():
    images = torch.full((4, 3, SIZE, SIZE), 0.5)
    noise = moved(images, constant(1.0, 0.0, 4), 0.02, np.random.default_rng(0)) - 0.5
    assert noise.std().item() == pytest.approx(0.02, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=1e-3)
    assert (noise.abs() < 0.02).float().mean().item() == pytest.approx(0.683, abs=0.02)


def test_moved_pictures_stay_within_range():
    images = (draw(2, 3, SIZE, SIZE) > 0.5).float()  # whose bicubic values overshoot
    actual = moved(images, flows()[:2], 0.1, np.random.default_rng(0))
    assert actual.min() == 0
    assert actual.max() == 1


def loss_by_loops(stylized, of_moved, flow):
    """Pixel by pixel; by scipy, on slopes, which every interpolation continues alike."""
    errors = []
    for picture, other, steps in zip(stylized.numpy(), of_moved.numpy(), flow.numpy(), strict=True):
        for y in range(SIZE):
            for x in range(SIZE):
                u, v = x + steps[0, y, x], y + steps[1, y, x]
                if -0.5 <= u <= SIZE - 0.5 and -0.5 <= v <= SIZE - 0.5:
                    place = [[np.clip(v, 0, SIZE - 1)], [np.clip(u, 0, SIZE - 1)]]
                    value = [map_coordinates(channel, place, order=1)[0] for channel in picture]
                    errors.append(np.mean(np.square(value - other[:, y, x])))
    return np.mean(errors)


def test_the_loss_is_the_mean_square_where_the_flow_stays_inside():
    slope = torch.linspace(0, 1, SIZE)
    stylized = torch.stack([slope.expand(SIZE, SIZE), slope[:, None].expand(SIZE, SIZE), torch.full((SIZE, SIZE), 0.3)])
    stylized, of_moved, flow = stylized.expand(3, -1, -1, -1), draw(3, 3, SIZE, SIZE), flows()[:3]
    actual = temporal_loss(stylized, of_moved, flow).item()
    assert actual == pytest.approx(loss_by_loops(stylized, of_moved, flow), rel=2e-3)


def test_what_treats_every_pixel_alike_costs_nothing_but_noise():
    images, flow = 0.2 + 0.6 * draw(3, 3, SIZE, SIZE), flows()[:3]
    still = moved(images, flow, 0.0, np.random.default_rng(0))
    assert temporal_loss(1 - images, 1 - still, flow).item() < 1e-3  # where bicubic values were cut off
    grainy = moved(images, flow, 0.05, np.random.default_rng(0))
    assert temporal_loss(1 - images, 1 - grainy, flow).item() == pytest.approx(0.05**2, rel=0.1)


def test_a_pattern_that_stays_where_it_is_costs_its_difference_to_itself_moved():
    # Stripes of two pixels that a model paints whatever it sees: moved by two pixels, black is white.
    stripes = (torch.arange(SIZE) // 2 % 2).float().expand(1, 3, SIZE, SIZE)
    assert temporal_loss(stripes, stripes, constant(2.0, 0.0)).item() == pytest.approx(1, rel=1e-4)
    assert temporal_loss(stripes, stripes, constant(4.0, 0.0)).item() == pytest.approx(0, abs=1e-6)
    assert temporal_loss(stripes, stripes, constant(0.0, 2.0)).item() == pytest.approx(0, abs=1e-6)


def test_what_comes_in_from_outside_does_not_count():
    stylized, of_moved, flow = draw(1, 3, SIZE, SIZE), draw(1, 3, SIZE, SIZE, seed=1), constant(6.0, 0.0)
    loss = temporal_loss(stylized, of_moved, flow)
    of_moved[..., -6:] = 50.0
    torch.testing.assert_close(temporal_loss(stylized, of_moved, flow), loss)


def test_both_sides_learn():
    stylized, of_moved = (draw(1, 3, SIZE, SIZE, seed=seed).requires_grad_() for seed in (0, 1))
    temporal_loss(stylized, of_moved, constant(1.5, 0.5)).backward()
    assert stylized.grad.norm() > 0
    assert of_moved.grad.norm() > 0
