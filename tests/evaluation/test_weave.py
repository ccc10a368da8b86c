import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.color import lab2rgb, rgb2lab

from ieast.evaluation.weave import weave


def picture_of(lightness):
    """(1, 3, H, W) with this L and no colour."""
    lab = np.stack([lightness, np.zeros_like(lightness), np.zeros_like(lightness)], axis=-1)
    return torch.from_numpy(lab2rgb(lab)).permute(2, 0, 1)[None].float()


def texture(height, width, seed=0):
    """Grain, the finest of which is some pixels wide, of a deviation of 4."""
    grain = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 1.5)
    return 50 + 4 * grain / grain.std()


def pattern(height, width, period, seed=1):
    cell = np.random.default_rng(seed).normal(size=(period, period))
    tiled = np.tile((cell - cell.mean()) / cell.std(), (-(-height // period), -(-width // period)))
    return tiled[:height, :width]


def by_loops(picture):
    """The definition in words, with scikit-image's and SciPy's L and blur."""
    lightness = rgb2lab(np.round(picture[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8))[..., 0]
    fine = lightness - gaussian_filter(lightness, 4.0, mode="mirror", truncate=4.0)
    repeated, everything = [], []
    for top in range(0, fine.shape[0] // 64 * 64, 64):
        for left in range(0, fine.shape[1] // 64 * 64, 64):
            window = fine[top : top + 64, left : left + 64] - fine[top : top + 64, left : left + 64].mean()
            for y in range(8):
                for x in range(8):
                    members = window[y::8, x::8].ravel()
                    repeated.append(members.mean() ** 2 - members.var(ddof=1) / len(members))
            everything.append((window**2).mean())
    return np.mean(repeated) / np.mean(everything)


@pytest.mark.parametrize("size", [(64, 64), (130, 200)])
def test_weave_is_the_share_that_repeats(size):
    picture = picture_of(texture(*size) + 1.5 * pattern(*size, 8))
    assert weave(picture) == pytest.approx(by_loops(picture), abs=2e-3)
    assert weave(picture) > 0.1


@pytest.mark.parametrize("strength", [1, 2, 4])
def test_its_value_is_what_was_painted(strength):
    size = (256, 320)
    fine = texture(*size) - gaussian_filter(texture(*size), 4.0)
    woven = strength * pattern(*size, 8)
    share = np.var(woven) / (np.var(woven) + np.var(fine))
    assert weave(picture_of(texture(*size) + woven)) == pytest.approx(share, rel=0.1)


def test_where_nothing_repeats_there_is_none_and_single_pictures_scatter_around_it():
    values = [weave(picture_of(texture(128, 128, seed))) for seed in range(40)]
    assert np.mean(values) == pytest.approx(0, abs=0.005)
    assert min(values) < 0 < max(values)
    assert np.std(values) < 0.01


@pytest.mark.parametrize("period", [5, 7, 11])
def test_other_periods_are_textures(period):
    assert weave(picture_of(texture(192, 192) + 3 * pattern(192, 192, period))) < 0.02


def test_patterns_may_differ_from_area_to_area():
    halves = [pattern(128, 64, 8, seed) for seed in (1, 2)]
    assert weave(picture_of(texture(128, 128) + 4 * np.concatenate(halves, axis=1))) > 0.3


def test_flat_and_small_pictures_and_such_that_are_not_finite():
    assert weave(torch.full((1, 3, 64, 64), 0.4)) == pytest.approx(0, abs=1e-6)
    assert weave(picture_of(50 + 4 * pattern(24, 17, 8))) == pytest.approx(1, abs=0.02)
    with pytest.raises(ValueError, match="16 pixels and more each way, not 15x40"):
        weave(torch.rand(1, 3, 40, 15))
    broken = torch.rand(1, 3, 32, 32)
    broken[0, 0, 0, 0] = float("inf")
    assert np.isnan(weave(broken))
