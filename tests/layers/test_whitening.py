import pytest
import torch

from ieast.errors import NumericsError
from ieast.layers import whitening
from ieast.layers.whitening import KEPT, moments, move, powers


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated(batch, channels, height, width, seed=0):
    """Features whose channels differ in scale and depend on each other, with means far from 0."""
    mixture = draw(channels, channels, seed=seed + 1) * torch.logspace(-1, 1, channels)
    return torch.einsum("ij,bjhw->bihw", mixture, draw(batch, channels, height, width, seed=seed)) + 10 * draw(
        1, channels, 1, 1, seed=seed + 2
    )


def covariance_of(features):
    """Of one sample, by the definition."""
    flat = features.double().flatten(1)
    return torch.stack([torch.cov(flat)]) if len(flat) > 1 else flat.var(dim=1).reshape(1, 1, 1)


def whiten(features):
    mean, covariance = moments(features)
    return move(features, powers(covariance, -0.5)[0], mean)


@pytest.mark.parametrize("block", [7, 100, 1 << 21])
def test_moments_are_those_of_the_definition(monkeypatch, block):
    monkeypatch.setattr(whitening, "BLOCK_VALUES", block)
    features = correlated(2, 5, 6, 9).contiguous(memory_format=torch.channels_last)
    mean, covariance = moments(features)
    for k in range(2):
        torch.testing.assert_close(mean[k], features[k].double().flatten(1).mean(dim=1))
        torch.testing.assert_close(covariance[k : k + 1], covariance_of(features[k]))


def test_whitened_features_have_mean_0_and_identity_covariance():
    whitened = whiten(correlated(2, 12, 20, 20))
    for sample in whitened:
        torch.testing.assert_close(covariance_of(sample)[0], torch.eye(12).double(), rtol=0, atol=1e-4)
        torch.testing.assert_close(sample.mean(dim=(1, 2)), torch.zeros(12), rtol=0, atol=1e-4)


def test_with_fewer_positions_than_channels_the_covariance_is_the_identity_of_the_space_that_is_kept():
    whitened = whiten(correlated(1, 30, 3, 4))
    values = torch.linalg.eigvalsh(covariance_of(whitened[0])[0])
    torch.testing.assert_close(values, torch.tensor([0.0] * 19 + [1.0] * 11).double(), rtol=0, atol=1e-4)


def test_coloured_features_have_the_styles_covariance_and_mean():
    style = correlated(1, 12, 15, 17, seed=5)
    mean, covariance = moments(style)
    coloured = move(whiten(correlated(1, 12, 20, 20)), powers(covariance, 0.5)[0], shift=mean)
    torch.testing.assert_close(covariance_of(coloured[0]), covariance_of(style[0]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(coloured.mean(dim=(2, 3)), style.mean(dim=(2, 3)), rtol=1e-4, atol=1e-4)


def test_powers_are_matrix_powers():
    (_, covariance) = moments(correlated(2, 6, 10, 10))
    root, inverse_root, inverse = powers(covariance, 0.5, -0.5, -1)
    torch.testing.assert_close(root @ root, covariance)
    torch.testing.assert_close(inverse_root @ inverse_root, inverse)
    torch.testing.assert_close(inverse @ covariance, torch.eye(6).double().expand(2, -1, -1))
    torch.testing.assert_close(root, root.mT)


def test_eigenvalues_below_the_published_threshold_are_dropped():
    values = torch.tensor([0.0, KEPT / 2, KEPT * 2, 3.0]).double()
    basis = torch.linalg.qr(draw(4, 4).double()).Q
    covariance = (basis * values @ basis.T)[None]
    actual = torch.linalg.eigvalsh(powers(covariance, -0.5)[0])[0]
    expected = torch.tensor([0.0, 0.0, 3.0**-0.5, (2 * KEPT) ** -0.5]).double()
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("huge", [1e6, 1e12, 1e20])
def test_beside_one_huge_eigenvalue_rounding_is_not_taken_for_variance(huge):
    features = torch.zeros(1, 40, 8, 8)
    features[0] = draw(1, 8, 8) * huge**0.5 * draw(40, 1, 1, seed=1)  # all channels the same, but for a factor
    (whitening_matrix,) = powers(moments(features)[1], -0.5)
    assert torch.linalg.matrix_rank(whitening_matrix) == 1
    assert whiten(features).abs().max() < 10


def test_a_constant_map_whitens_to_nothing():
    assert torch.equal(whiten(torch.full((1, 4, 5, 5), 3.7)), torch.zeros(1, 4, 5, 5))
    assert torch.equal(whiten(torch.full((1, 4, 1, 1), 3.7)), torch.zeros(1, 4, 1, 1))


def fail(times, monkeypatch):
    """Lets the decomposition fail so often; returns what was added to the diagonal at each call."""
    real, added = torch.linalg.eigh, []

    def eigh(matrix):
        added.append(float(matrix[0, 0, 0]))
        if len(added) <= times:
            raise torch.linalg.LinAlgError("linalg.eigh: the algorithm failed to converge")
        return real(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", eigh)
    return added


@pytest.mark.parametrize("times", [1, 4])
def test_what_does_not_converge_is_tried_again_with_a_little_on_the_diagonal(monkeypatch, times):
    covariance = moments(correlated(1, 6, 10, 10))[1]
    expected = powers(covariance, -0.5)[0]
    added = fail(times, monkeypatch)
    torch.testing.assert_close(powers(covariance, -0.5)[0], expected, rtol=1e-4, atol=1e-6)
    assert len(added) == times + 1
    assert added == sorted(added)
    assert added[-1] > added[0]


def test_what_never_converges_says_so(monkeypatch):
    added = fail(1000, monkeypatch)
    with pytest.raises(NumericsError, match=r"a 6x6 covariance does not converge.*Crop or scale the picture a little"):
        powers(moments(correlated(1, 6, 10, 10))[1], -0.5)
    assert len(added) == 5


def test_broken_features_are_named_and_not_tried(monkeypatch):
    added = fail(0, monkeypatch)
    features = draw(1, 3, 4, 4)
    features[0, 1, 2, 2] = float("nan")
    with pytest.raises(NumericsError, match="features of a picture are not finite"):
        powers(moments(features)[1], -0.5)
    assert added == []
