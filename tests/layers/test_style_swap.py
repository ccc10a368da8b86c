import pytest
import torch
import torch.nn.functional as F

from ieast.layers.style_swap import best_matches, paste, reflect, swap, swap_bytes


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def position(k, length):
    """Where the reflected coordinate k lies: there and back again."""
    while not 0 <= k < length:
        if length == 1:
            return 0
        k = -k if k < 0 else 2 * (length - 1) - k
    return k


def patch(features, row, column, side):
    """The patch around a position, in reflected coordinates, as (side, side, C)."""
    _, height, width = features.shape
    offsets = range(-(side // 2), side // 2 + 1)
    return torch.stack(
        [
            torch.stack([features[:, position(row + down, height), position(column + right, width)] for right in offsets])
            for down in offsets
        ]
    )


def slow_matches(content, style, side):
    _, height, width = content.shape
    _, style_height, style_width = style.shape
    patches = [patch(style, row, column, side).double() for row in range(style_height) for column in range(style_width)]
    actual = torch.empty(height, width, dtype=torch.long)
    for row in range(height):
        for column in range(width):
            own = patch(content, row, column, side).double()
            actual[row, column] = max(range(len(patches)), key=lambda k: float((own * patches[k] / patches[k].norm()).sum()))
    return actual


def slow_paste(style, matches, side):
    height, width = matches.shape
    pasted, count = torch.zeros(len(style), height, width), torch.zeros(height, width)
    for row in range(height):
        for column in range(width):
            actual = patch(style, int(matches[row, column]) // style.shape[2], int(matches[row, column]) % style.shape[2], side)
            for down in range(side):
                for right in range(side):
                    y, x = row + down - side // 2, column + right - side // 2
                    if 0 <= y < height and 0 <= x < width:
                        pasted[:, y, x] += actual[down, right]
                        count[y, x] += 1
    return pasted / count


SIZES = [
    ((5, 7), (6, 4), 3),
    ((4, 4), (9, 5), 5),
    ((2, 3), (3, 2), 5),
    ((1, 1), (3, 3), 5),
    ((3, 3), (1, 1), 3),
    ((4, 6), (5, 5), 1),
]


@pytest.mark.parametrize(("size", "style_size", "side"), SIZES)
def test_matches_and_paste_are_those_of_loops(size, style_size, side):
    content, style = draw(6, *size), draw(6, *style_size, seed=1)
    matches = best_matches(content, style, side)
    assert torch.equal(matches, slow_matches(content, style, side))
    torch.testing.assert_close(paste(style, matches, side), slow_paste(style, matches, side))


def test_matching_is_a_convolution_with_normalized_patches_and_pasting_a_transposed_one():
    content, style = draw(1, 4, 6, 7), draw(1, 4, 5, 8, seed=1)
    patches = F.unfold(F.pad(style, (2, 2, 2, 2), mode="reflect"), 5)[0].T.reshape(40, 4, 5, 5)
    kernels = patches / patches.flatten(1).norm(dim=1)[:, None, None, None]
    scores = F.conv2d(F.pad(content, (2, 2, 2, 2), mode="reflect"), kernels)
    chosen = F.one_hot(scores.argmax(dim=1), 40).permute(0, 3, 1, 2).float()
    pasted = F.conv_transpose2d(chosen, patches)[..., 2:-2, 2:-2]
    count = F.conv_transpose2d(torch.ones(1, 1, 6, 7), torch.ones(1, 1, 5, 5))[..., 2:-2, 2:-2]
    torch.testing.assert_close(swap(content, style, 5), pasted / count)


@pytest.mark.parametrize("block", [1, 25, 60, 100])
def test_bands_equal_the_whole(block):
    content, style = draw(8, 9, 11), draw(8, 10, 7, seed=1)
    assert torch.equal(best_matches(content, style, 5, block), best_matches(content, style, 5))


@pytest.mark.parametrize("size", [(12, 9), (5, 5), (2, 2), (1, 4)])
def test_a_style_given_as_the_content_comes_back_up_to_its_edges(size):
    features = draw(2, 16, *size)
    torch.testing.assert_close(swap(features, features, 5), features)


def test_each_content_of_a_batch_has_its_style_or_all_have_one():
    content, style = draw(2, 4, 5, 6), draw(2, 4, 6, 5, seed=1)
    both = swap(content, style, 3)
    for k in range(2):
        assert torch.equal(both[k : k + 1], swap(content[k : k + 1], style[k : k + 1], 3))
    assert torch.equal(swap(content, style[:1], 3)[1:], swap(content[1:], style[:1], 3))


def test_length_decides_nothing_in_the_style():
    content = draw(3, 6, 6)
    style = content * torch.logspace(-2, 2, 6)[:, None]
    assert torch.equal(best_matches(content, style, 1).flatten(), torch.arange(36))


def test_maps_of_zeros_give_finite_features():
    zeros = torch.zeros(1, 3, 4, 4)
    assert torch.equal(swap(zeros, zeros, 5), zeros)
    assert torch.isfinite(swap(draw(1, 3, 4, 4), zeros, 5)).all()
    assert torch.isfinite(swap(zeros, draw(1, 3, 4, 4), 5)).all()


def test_reflection_is_pytorchs_where_that_can_and_goes_on_where_it_cannot():
    features = draw(2, 5, 4)
    assert torch.equal(reflect(features, 3), F.pad(features, (3, 3, 3, 3), mode="reflect"))
    assert reflect(torch.tensor([[[0.0, 1, 2]]]), 4)[0, 4].tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]
    assert torch.equal(reflect(features[:, :1, :1], 2), features[:, :1, :1].expand(-1, 5, 5))


def test_memory_of_products_stays_bounded_however_large_the_maps():
    small, large = swap_bytes((64, 64), (64, 64), 5), swap_bytes((512, 512), (512, 512), 5)
    assert 4 * 64**4 < small < 2e8
    assert large < 1e9
