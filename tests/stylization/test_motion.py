import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ieast.stylization.motion import grey_of, grid, optical_flow, pull, trusted


def texture(seed, height, width):
    """Soft noise, uint8 (height, width, 3), with contrast everywhere."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width, 3)), (2, 2, 0))
    return np.uint8(255 * (noise - noise.min()) / (noise.max() - noise.min()))


def shifted(seed, right, down, height=64, width=96):
    """A window on a texture whose contents have moved by so much."""
    wide = texture(seed, height + 80, width + 80)
    return np.ascontiguousarray(wide[40 - down : 40 - down + height, 40 - right : 40 - right + width])


def flows(a, b, **options):
    grey_a, grey_b = grey_of(a), grey_of(b)
    return optical_flow(grey_a, grey_b, **options), optical_flow(grey_b, grey_a, **options)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (-4, 2)])
def test_a_shift_is_the_flow(right, down, fast):
    flow, _ = flows(shifted(0, 0, 0), shifted(0, right, down), fast=fast)
    assert flow.shape == (64, 96, 2)
    assert flow.dtype == np.float32
    assert np.abs(flow[12:-12, 12:-12] - (right, down)).mean() < 0.2


def test_a_motion_too_long_to_be_seen_is_followed_from_where_it_started():
    a, b = grey_of(shifted(0, 0, 0)), grey_of(shifted(0, 38, 0))
    start = np.zeros((64, 96, 2), np.float32)
    start[..., 0] = 36
    flow = optical_flow(a, b, start)
    seen = flow[12:-12, 8:48]
    assert np.abs(seen - (38, 0)).mean() < 0.5
    assert np.abs(optical_flow(a, b)[12:-12, 8:48] - (38, 0)).mean() > 5
    assert (start == (36, 0)).all()  # is not written to


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (11, 300), (16, 300), (24, 1000), (40, 7)])
def test_pictures_too_thin_for_dis_have_a_flow(size):
    for start in (None, np.zeros((*size, 2), np.float32)):
        for fast in (False, True):
            picture = grey_of(texture(1, *size))
            flow = optical_flow(picture, picture, start, fast=fast)
            assert flow.shape == (*size, 2)
            assert np.abs(flow).max() < 0.1


def test_pulling_along_the_flow_brings_back_what_moved():
    a, b = shifted(2, 0, 0), shifted(2, 5, -3)
    flow = np.broadcast_to(np.float32([5, -3]), (64, 96, 2))
    assert (pull(b, flow, grid(64, 96))[3:, :-5] == a[3:, :-5]).all()


def test_what_moved_is_trusted_but_for_what_left_the_picture():
    a, b = shifted(3, 0, 0), shifted(3, 6, 0)
    trust = trusted(*flows(a, b), a, b, grid(64, 96))
    assert trust.shape == (64, 96)
    assert trust[4:-4, 4:84].mean() > 0.95
    assert (trust[:, 90:] == 0).all()


def test_what_an_object_hides_is_not_trusted():
    behind, front = texture(4, 64, 96), texture(5, 64, 20)
    a, b = behind.copy(), behind.copy()
    a[:, 30:50], b[:, 38:58] = front, front
    trust = trusted(*flows(a, b), a, b, grid(64, 96))
    assert trust[8:-8, 51:57].mean() < 0.2  # seen in a, behind the bar in b
    assert trust[8:-8, 4:20].mean() > 0.9
    assert trust[8:-8, 70:90].mean() > 0.9


def test_what_looks_different_is_not_trusted_though_the_flow_leads_back():
    a = np.full((64, 96, 3), 100, np.uint8)
    b = a.copy()
    b[20:44, 30:66] = 130
    still = np.zeros((64, 96, 2), np.float32)
    trust = trusted(still, still, a, b, grid(64, 96))
    assert (trust[22:42, 32:64] == 0).all()
    assert trust[4:14, 4:-4].min() > 0.95


@pytest.mark.parametrize("other", [(6, 7), (8, 9)])
def test_two_scenes_have_nothing_in_common(other):
    a, b = (texture(seed, 64, 96) for seed in other)
    assert trusted(*flows(a, b), a, b, grid(64, 96)).mean() < 0.05
