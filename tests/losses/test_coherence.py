import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ieast.losses.coherence import coherence_loss, draw_anchors, neighbour_differences


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("size", "count", "expected"), [((9, 7), 8, 8), ((4, 4), 8, 4), ((3, 5), 8, 3), ((3, 3), 1, 1)])
def test_anchors_are_different_positions_with_eight_neighbours(size, count, expected):
    rows, columns = draw_anchors(*size, count, np.random.default_rng(0))
    assert len({*zip(rows.tolist(), columns.tolist(), strict=True)}) == len(rows) == len(columns) == expected
    assert 1 <= rows.min() <= rows.max() <= size[0] - 2
    assert 1 <= columns.min() <= columns.max() <= size[1] - 2


def test_every_position_that_may_be_an_anchor_is_one_sometimes():
    random, drawn = np.random.default_rng(0), set()
    for _ in range(40):
        rows, columns = draw_anchors(4, 5, 2, random)
        drawn |= {*zip(rows.tolist(), columns.tolist(), strict=True)}
    assert drawn == {(row, column) for row in (1, 2) for column in (1, 2, 3)}


def test_anchors_follow_from_what_draws_them():
    first, again, other = (draw_anchors(20, 20, 8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.stack(first), torch.stack(again))
    assert not torch.equal(torch.stack(first), torch.stack(other))


def differences_by_loops(features, anchors):
    """(B, 8N, C): of each anchor, its neighbours in the order of reading."""
    vectors = []
    for y, x in anchors:
        for v in (y - 1, y, y + 1):
            for u in (x - 1, x, x + 1):
                if (v, u) != (y, x):
                    vectors.append(features[:, :, y, x] - features[:, :, v, u])
    return torch.stack(vectors, dim=1)


def test_differences_are_those_of_each_anchor_to_its_neighbours():
    features, anchors = draw(2, 5, 6, 8), [(1, 1), (4, 6), (2, 3)]
    actual = neighbour_differences(features, *torch.tensor(anchors).T)
    torch.testing.assert_close(actual, differences_by_loops(features, anchors))


def loss_by_loops(stylized, content, tau):
    """-log of each place's share, picture by picture and place by place."""
    losses = []
    for of_stylized, of_content in zip(stylized.double(), content.double(), strict=True):
        for m in range(len(of_stylized)):
            scores = [float(torch.exp(of_stylized[m] @ of_content[n] / tau)) for n in range(len(of_content))]
            losses.append(-np.log(scores[m] / sum(scores)))
    return np.mean(losses)


@pytest.mark.parametrize("tau", [0.07, 1.0])
def test_the_loss_is_what_the_equation_says(tau):
    stylized, content = (F.normalize(draw(3, 16, 6, seed=seed) - 0.5, dim=2) for seed in (0, 1))
    actual = coherence_loss(stylized, content, tau).item()
    assert actual == pytest.approx(loss_by_loops(stylized, content, tau), rel=1e-4)


def test_the_loss_by_hand():
    # Two places: each is like its own (1) and unlike the other (0), so -log(e² / (e² + 1)) at τ = 1/2.
    vectors = torch.eye(2)[None]
    assert coherence_loss(vectors, vectors, 0.5).item() == pytest.approx(np.log(1 + np.exp(-2)), rel=1e-5)
    assert coherence_loss(vectors, vectors.flip(1), 0.5).item() == pytest.approx(np.log(1 + np.exp(2)), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_round_the_loss(dtype):
    stylized, content = (F.normalize(draw(2, 8, 6, seed=seed) - 0.5, dim=2) for seed in (0, 1))
    expected = coherence_loss(stylized, content, 0.07)
    with torch.autocast("cpu", dtype):
        assert torch.equal(coherence_loss(stylized, content, 0.07), expected)


def test_pictures_are_no_negatives_of_each_other():
    stylized, content = (F.normalize(draw(2, 8, 6, seed=seed) - 0.5, dim=2) for seed in (0, 1))
    alone = [coherence_loss(stylized[k : k + 1], content[k : k + 1], 0.1) for k in range(2)]
    torch.testing.assert_close(coherence_loss(stylized, content, 0.1), sum(alone) / 2)


def test_a_map_that_is_brighter_everywhere_differs_alike():
    features = draw(1, 4, 6, 6)
    anchors = draw_anchors(6, 6, 3, np.random.default_rng(0))
    torch.testing.assert_close(neighbour_differences(features + 7, *anchors), neighbour_differences(features, *anchors))
