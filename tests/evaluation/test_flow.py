import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from ieast.evaluation.flow import WarpingErrors, optical_flow, visible, warp, warping_error


def texture(seed: int, height: int = 64, width: int = 96) -> torch.Tensor:
    """Soft noise (3, H, W) with contrast everywhere."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(3, height, width)), (0, 2, 2))
    return torch.from_numpy((noise - noise.min()) / (noise.max() - noise.min())).float()


def views(seed: int, *shifts: tuple[int, int], height: int = 64, width: int = 96) -> list[torch.Tensor]:
    """Windows on one texture whose contents move by `shifts`, down and to the right."""
    wide = texture(seed, height + 40, width + 40)
    return [wide[:, 20 - down : 20 - down + height, 20 - right : 20 - right + width] for down, right in shifts]


@pytest.mark.parametrize("shift", [(0, 0), (0, 3), (2, -4), (-5, 1)])
def test_a_shift_by_whole_pixels_is_the_flow(shift):
    a, b = views(0, (0, 0), shift)
    flow = optical_flow(a, b)
    assert flow.shape == (2, 64, 96)
    down, right = shift
    inner = flow[:, 10:-10, 10:-10]
    assert (inner - torch.tensor([right, down]).view(2, 1, 1)).abs().max() < 0.25


def test_a_shifted_picture_has_no_warping_error_where_it_is_seen_twice():
    a, b = views(0, (0, 0), (0, 6))
    forward, backward = optical_flow(a, b), optical_flow(b, a)
    mask = visible(forward, backward)
    assert mask[:, :85].float().mean() > 0.95
    assert not mask[:, 92:].any()  # these columns leave the picture
    assert warping_error(a, b, forward, mask) < 1e-4
    unmoved = warping_error(a, b, torch.zeros_like(forward), mask)
    assert unmoved > 100 * warping_error(a, b, forward, mask)


def test_what_an_object_hides_is_masked():
    behind, front = texture(1), texture(2)[:, :, :20]
    a, b = behind.clone(), behind.clone()
    a[:, :, 30:50], b[:, :, 38:58] = front, front
    mask = visible(optical_flow(a, b), optical_flow(b, a))
    assert mask[8:-8, 51:57].float().mean() < 0.2  # seen in a, behind the bar in b
    assert mask[8:-8, 4:20].float().mean() > 0.9
    assert mask[8:-8, 70:90].float().mean() > 0.9


def test_visible_is_the_published_criteria():
    random = np.random.default_rng(0)
    height, width = 7, 9
    smooth = gaussian_filter(random.normal(size=(2, 2, height, width)), (0, 0, 3, 3)) * 12
    forward, backward = smooth[0], -smooth[0] + random.normal(0, 0.6, (2, height, width))
    mask = visible(torch.from_numpy(forward), torch.from_numpy(backward))
    counts = {"returns": 0, "smooth": 0, "inside": 0}
    for y in range(height):
        for x in range(width):
            u, v = forward[:, y, x]
            back = [map_coordinates(part, [[y + v], [x + u]], order=1, mode="nearest")[0] for part in backward]
            length, back_length = u**2 + v**2, back[0] ** 2 + back[1] ** 2
            returns = (u + back[0]) ** 2 + (v + back[1]) ** 2 <= 0.01 * (length + back_length) + 0.5
            slopes = 0.0
            for part in forward:
                slopes += (part[y + 1, x] - part[y, x]) ** 2 if y + 1 < height else 0
                slopes += (part[y, x + 1] - part[y, x]) ** 2 if x + 1 < width else 0
            is_smooth = slopes <= 0.01 * length + 0.002
            inside = -0.5 <= x + u <= width - 0.5 and -0.5 <= y + v <= height - 0.5
            assert bool(mask[y, x]) == (returns and is_smooth and inside)
            counts["returns"] += returns
            counts["smooth"] += is_smooth
            counts["inside"] += inside
    assert all(0 < count < height * width for count in counts.values())  # each criterion decided something
    assert 0 < mask.sum() < height * width


def test_the_error_is_the_mean_squared_difference_over_channels_and_visible_pixels():
    random = np.random.default_rng(0)
    first, second = random.random((2, 3, 5, 6))
    flow, mask = random.uniform(-1.5, 1.5, (2, 5, 6)), random.random((5, 6)) < 0.6
    squares = []
    for y in range(5):
        for x in range(6):
            # Where the flow leads, held inside the picture; there between four pixels.
            column, row = np.clip(x + flow[0, y, x], 0, 5), np.clip(y + flow[1, y, x], 0, 4)
            left, top = min(int(column), 4), min(int(row), 3)
            right, down = column - left, row - top
            for channel in range(3):
                corners = second[channel, top : top + 2, left : left + 2]
                value = (
                    (1 - down) * ((1 - right) * corners[0, 0] + right * corners[0, 1])
                    + down * ((1 - right) * corners[1, 0] + right * corners[1, 1])
                )  # fmt: skip
                if mask[y, x]:
                    squares.append((value - first[channel, y, x]) ** 2)
    actual = warping_error(*(torch.from_numpy(x) for x in (first, second, flow, mask)))
    assert actual == pytest.approx(np.mean(squares), rel=1e-6)


def test_nothing_visible_gives_no_error():
    picture = texture(0)
    assert warping_error(picture, picture, torch.zeros(2, 64, 96), torch.zeros(64, 96, dtype=torch.bool)) is None


def test_warping_along_no_flow_changes_nothing():
    picture = texture(0)
    assert torch.allclose(warp(picture, torch.zeros(2, 64, 96)), picture, atol=1e-5)


def test_a_clip_is_measured_at_every_interval_by_the_flow_of_its_originals():
    originals = views(3, *((0, 2 * k) for k in range(5)))
    stylized = [1 - frame if k % 2 else frame for k, frame in enumerate(originals)]  # flickers at every step
    errors = WarpingErrors((1, 2, 9))
    for original, shown in zip(originals, stylized, strict=True):
        errors.add(original, shown)
    assert {interval: len(steps) for interval, steps in errors.inputs.items()} == {1: 4, 2: 3, 9: 0}
    assert {interval: len(steps) for interval, steps in errors.stylized.items()} == {1: 4, 2: 3, 9: 0}
    for k, error in enumerate(errors.stylized[1]):
        forward, backward = optical_flow(originals[k], originals[k + 1]), optical_flow(originals[k + 1], originals[k])
        expected = warping_error(stylized[k], stylized[k + 1], forward, visible(forward, backward))
        assert error == pytest.approx(expected)
        assert error > 100 * errors.inputs[1][k]
    assert errors.stylized[2] == pytest.approx(errors.inputs[2], rel=1e-3)  # every other frame is steady


def test_a_stylization_that_is_not_a_number_has_an_error_that_is_none():
    frame = texture(0)
    errors = WarpingErrors((1,))
    for _ in range(2):
        errors.add(frame, torch.full_like(frame, float("nan")))
    assert np.isnan(errors.stylized[1]).all()
    assert np.isfinite(errors.inputs[1]).all()
