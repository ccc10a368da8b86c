import pytest
import torch

from ieast.layers import reductions
from ieast.layers.reductions import mean_variance, squared_distance

FORMATS = (torch.contiguous_format, torch.channels_last)


def draw(seed=0, memory_format=torch.contiguous_format, dtype=torch.float32):
    values = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(seed)) * 2 + 10
    return values.to(dtype, memory_format=memory_format)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("part", [1 << 26, 50])
def test_moments_and_their_gradients_are_those_of_pytorch(memory_format, part, monkeypatch):
    monkeypatch.setattr(reductions, "_PART", part)  # 50 elements: row by row
    features = draw(memory_format=memory_format).requires_grad_()
    exact = features.detach().double().requires_grad_()
    mean, variance = mean_variance(features)
    wanted_variance, wanted_mean = torch.var_mean(exact, dim=(2, 3))
    torch.testing.assert_close(mean.double(), wanted_mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(variance.double(), wanted_variance, rtol=1e-5, atol=1e-6)
    (mean * 3 + variance.square()).sum().backward()
    (wanted_mean * 3 + wanted_variance.square()).sum().backward()
    torch.testing.assert_close(features.grad.double(), exact.grad, rtol=1e-4, atol=1e-5)
    assert features.grad.is_contiguous(memory_format=memory_format)


def test_the_variance_of_a_map_far_from_zero_keeps_its_digits():
    features = torch.tensor([1e4, 1e4 + 1, 1e4 + 2, 1e4 + 3]).reshape(1, 1, 2, 2)
    _, variance = mean_variance(features)
    assert variance.item() == pytest.approx(5 / 3, rel=1e-6)  # (1.5² + 0.5² + 0.5² + 1.5²) / 3


def test_moments_of_bf16_maps_are_computed_in_fp32_and_their_gradient_is_bf16():
    features = draw(dtype=torch.bfloat16).requires_grad_()
    mean, variance = mean_variance(features)
    assert mean.dtype == variance.dtype == torch.float32
    torch.testing.assert_close(mean, features.detach().float().mean(dim=(2, 3)))
    (mean.sum() + variance.sum()).backward()
    exact = features.detach().float().requires_grad_()
    sum(torch.var_mean(exact, dim=(2, 3))).sum().backward()
    assert features.grad.dtype == torch.bfloat16
    torch.testing.assert_close(features.grad.float(), exact.grad, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("memory_format", FORMATS)
def test_squared_distances_and_the_gradients_to_both_sides_are_the_sums(memory_format):
    a, b = (draw(seed, memory_format).requires_grad_() for seed in (1, 2))
    actual = squared_distance(a, b)
    expected = ((a.detach().double() - b.detach().double()) ** 2).flatten(1).sum(1)
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-5)
    (actual * torch.tensor([1.0, 3.0])).sum().backward()
    slope = 2 * (a - b).detach() * torch.tensor([1.0, 3.0])[:, None, None, None]
    torch.testing.assert_close(a.grad, slope)
    torch.testing.assert_close(b.grad, -slope)


def test_what_needs_no_gradient_gets_none():
    a, b = draw(1).requires_grad_(), draw(2)
    squared_distance(a, b).sum().backward()
    assert b.grad is None
