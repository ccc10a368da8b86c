import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from ieast.evaluation.logistic import fit_logistic


def by_descent(x, y, ridge, weights, intercept):
    """The optimum over w and b themselves, of the loss written out."""

    def loss(both):
        w, b = both[:-1], both[-1] * intercept
        total = 0.0
        for row, label, weight in zip(x, y, weights, strict=True):
            p = 1 / (1 + np.exp(-(row @ w + b)))
            total -= weight * (label * np.log(p) + (1 - label) * np.log(1 - p))
        return total / sum(weights) + ridge * (w @ w) / 2

    actual = minimize(loss, np.zeros(x.shape[1] + 1), method="BFGS", options={"gtol": 1e-8}).x
    return actual[:-1], actual[-1] * intercept


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [(30, 3), (6, 11)])
@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_the_optimum_is_that_of_another_method(rows, columns, ridge, intercept):
    random = np.random.default_rng(rows)
    x, y = random.normal(size=(rows, columns)), random.integers(0, 2, rows).astype(float)
    y[:2] = 0, 1
    weights = random.uniform(0.2, 3, rows)
    w, b = fit_logistic(x, y, ridge, weights, intercept)
    expected, offset = by_descent(x, y, ridge, weights, intercept)
    assert w == pytest.approx(expected, abs=1e-4)
    assert b == pytest.approx(offset, abs=1e-4)


def test_one_comparison_by_hand():
    # log(1 + exp(-w)) + w² / 2 has its minimum where w = 1 / (1 + exp(w)).
    w, b = fit_logistic(np.array([[1.0]]), np.array([1.0]), ridge=1.0, intercept=False)
    assert b == 0
    assert w[0] == pytest.approx(brentq(lambda v: v - 1 / (1 + np.exp(v)), 0, 1), abs=1e-9)


def test_a_weight_counts_like_so_many_rows():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(8, 2)), np.array([0, 1] * 4, dtype=float)
    counts = np.array([1, 2, 3, 1, 1, 2, 1, 1])
    w, b = fit_logistic(x, y, 0.1, counts)
    expected, offset = fit_logistic(np.repeat(x, counts, axis=0), np.repeat(y, counts), 0.1)
    assert w == pytest.approx(expected)
    assert b == pytest.approx(offset)
