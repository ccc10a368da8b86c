import pytest
import torch

from ieast.stylizer.blending import is_nowhere, shares


def mask(*columns, height=16):
    """A mask of 8 pixels wide columns of these values."""
    return torch.tensor(columns).repeat_interleave(8).expand(1, 1, height, -1)


def test_without_masks_shares_are_normalized_weights():
    assert shares([1.0, 3.0], [None, None], 1.0, (16, 16)) == ([0.25, 0.75], 0.0)
    assert shares([2.0, 2.0], [None, None], 0.5, (16, 16)) == ([0.25, 0.25], 0.5)


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_shares_by_hand(alpha):
    # Columns: both in full; only the first, in part; both in part, together less than 1; together more than 1.
    (first, second), rest = shares([1.0, 3.0], [mask(1.0, 0.4, 0.2, 0.8), mask(1.0, 0.0, 0.4, 0.6)], alpha, (16, 32))
    torch.testing.assert_close(first[0, 0, 0], alpha * torch.tensor([0.25, 0.4, 0.6 * 0.2 / 1.4, 0.8 / 2.6]))
    torch.testing.assert_close(second[0, 0, 0], alpha * torch.tensor([0.75, 0.0, 0.6 * 1.2 / 1.4, 1.8 / 2.6]))
    torch.testing.assert_close(rest[0, 0, 0], 1 - alpha * torch.tensor([1.0, 0.4, 0.6, 1.0]))


def test_shares_sum_to_1_and_no_weight_is_too_small():
    random = torch.Generator().manual_seed(0)
    drawn = [torch.rand(2, 1, 40, 56, generator=random), torch.rand(1, 1, 40, 56, generator=random), None]
    for masks in (drawn, drawn[:2]):
        styles, rest = shares([1.0, 1e-9, 1e9][: len(masks)], masks, 0.9, (48, 64))
        torch.testing.assert_close(sum(styles) + rest, torch.ones(2, 1, 6, 8))
    (_, small), _ = shares([1e9, 1e-9], [torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)], 1.0, (16, 16))
    torch.testing.assert_close(small, torch.ones(1, 1, 2, 2))


def test_a_mask_is_averaged_over_each_position_and_continued_by_its_border():
    pixels = torch.zeros(1, 1, 20, 12)
    pixels[..., :4, :2] = 1  # 8 of the 64 pixels of the first position
    pixels[..., 19, 11] = 1
    (actual,), _ = shares([1.0], [pixels], 1.0, (32, 32))
    continued = torch.zeros(32, 32)
    continued[:20, :12] = pixels[0, 0]
    continued[19:, 11:] = 1
    assert actual[0, 0, 0, 0] == 0.125
    torch.testing.assert_close(actual[0, 0], continued.reshape(4, 8, 4, 8).mean(dim=(1, 3)))


def test_what_rounding_leaves_counts_as_nothing():
    soft = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert is_nowhere(shares([1.0, 1.0], [soft, 1 - soft], 1.0, (64, 64))[1])
    assert not is_nowhere(shares([1.0], [soft], 1.0, (64, 64))[1])
    assert is_nowhere(0.0)
    assert not is_nowhere(0.5)


def test_shares_of_another_tap_are_at_its_positions():
    at_pixels, at_cells = (shares([1.0], [mask(1.0, 0.0)], 1.0, (16, 16), cell)[0][0] for cell in (1, 16))
    assert at_pixels.shape == (1, 1, 16, 16)
    assert torch.equal(at_pixels[0, 0, 0], torch.tensor([1.0] * 8 + [0.0] * 8))
    torch.testing.assert_close(at_cells, torch.full((1, 1, 1, 1), 0.5))
