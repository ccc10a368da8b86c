import math
import statistics

import pytest
import torch
from helpers.features import draw_taps, exact, row

from ieast.layers.statistics import gram_matrix, mean_std, mean_variance_norm, total_variation
from reference import plain as reference


def test_mean_and_std_equal_the_reference():
    features = draw_taps(0, offset=2)[0]
    mean, std = mean_std(features)
    expected_mean, expected_std = reference.statistics(exact(features))
    torch.testing.assert_close(mean.double(), expected_mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(std.double(), expected_std, rtol=1e-5, atol=1e-6)


def test_mean_and_std_equal_those_of_the_standard_library():
    features = draw_taps(1, offset=-1)[1]
    mean, std = mean_std(features)
    for sample in range(3):
        for channel in range(6):
            values = features[sample, channel].double().flatten().tolist()
            assert mean[sample, channel].item() == pytest.approx(statistics.mean(values), rel=1e-5, abs=1e-6)
            expected = math.sqrt(statistics.variance(values) + 1e-5)
            assert std[sample, channel].item() == pytest.approx(expected, rel=1e-5)


def test_mean_and_std_by_hand():
    # (1 + 3) / 2 = 2; ((1 - 2)² + (3 - 2)²) / (2 - 1) = 2
    mean, std = mean_std(row(1, 3))
    assert mean.shape == std.shape == (1, 1)
    assert mean.item() == 2
    assert std.item() == pytest.approx(math.sqrt(2 + 1e-5))


def test_std_of_a_constant_map_has_a_finite_gradient():
    features = torch.full((1, 2, 3, 3), 5.0, requires_grad=True)
    mean_std(features)[1].sum().backward()
    assert torch.isfinite(features.grad).all()


def test_normalized_features_equal_the_reference():
    features = draw_taps(1, offset=3)[1]
    expected = reference.normalized(exact(features))
    torch.testing.assert_close(mean_variance_norm(features).double(), expected, rtol=1e-4, atol=1e-5)


def test_statistics_stay_in_fp32_for_half_precision_features():
    features = (torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(0)) + 300).bfloat16()
    mean, std = mean_std(features)
    assert mean.dtype == std.dtype == torch.float32
    torch.testing.assert_close(mean, features.float().mean(dim=(2, 3)))


def test_gram_matrix_is_that_of_the_definition():
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    actual = gram_matrix(features)
    for b in range(2):
        for i in range(3):
            for j in range(3):
                expected = sum(float(features[b, i, y, x] * features[b, j, y, x]) for y in range(4) for x in range(5)) / (
                    3 * 4 * 5
                )
                assert actual[b, i, j].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_neither_rounds_gram_matrices_nor_makes_them_overflow(dtype):
    features = 2 + torch.rand(1, 3, 192, 192, generator=torch.Generator().manual_seed(0))  # squares sum to more than 65504
    features = features.to(dtype)
    expected = gram_matrix(features.float())
    with torch.autocast("cpu", dtype):
        actual = gram_matrix(features)
    assert torch.equal(actual, expected)


def test_total_variation_by_hand():
    image = torch.tensor([[0.0, 1.0], [0.5, 0.5]]).expand(1, 3, 2, 2)
    assert total_variation(image).item() == pytest.approx((1 + 0) / 2 + (0.5 + 0.5) / 2)
    assert total_variation(torch.full((1, 3, 4, 4), 0.3)).item() == 0
