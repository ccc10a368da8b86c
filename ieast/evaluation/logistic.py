"""Logistic regression with a ridge penalty, for the few pictures and many features of the scorers here."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Array = NDArray[np.float64]


def fit_logistic(x: Array, y: Array, ridge: float, weights: Array | None = None, intercept: bool = True) -> tuple[Array, float]:
    """The w and b that minimize Σ v_i log(1 + exp(-s_i (w x_i + b))) / Σ v_i + ridge ‖w‖² / 2, where s_i is 1 or -1.

    The optimum lies in the span of the rows, so Newton's steps are taken there: in as many dimensions as there are rows, where
    features are more. The loss is strictly convex in w, and b is finite where both classes occur, so there is one optimum.

    Args:
        x: (N, D).
        y: (N,) of 0 and 1.
        ridge: Positive; b is not penalized.
        weights: (N,) v, not negative; all 1 by default.
        intercept: Whether there is a b; otherwise it is 0, as comparisons of two things have it (Bradley & Terry 1952).

    Returns:
        w (D,) and b.
    """
    v = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)
    v, sign = v / v.sum(), 2 * np.asarray(y, dtype=float) - 1
    u, s, basis = np.linalg.svd(x, full_matrices=False)
    z = np.column_stack([u * s, np.ones(len(y))]) if intercept else u * s  # (N, R), the rows in the basis of their span
    penalty = np.full(z.shape[1], ridge)
    if intercept:
        penalty[-1] = 0.0

    def value(w: Array) -> tuple[float, Array]:
        margin = sign * (z @ w)
        gradient = -z.T @ (v * sign * expit(-margin)) + penalty * w
        return float(v @ np.logaddexp(0, -margin) + penalty @ np.square(w) / 2), gradient

    def curvature(w: Array) -> Array:
        share = expit(z @ w)
        return (z.T * (v * share * (1 - share))) @ z + np.diag(penalty)

    optimum = minimize(value, np.zeros(z.shape[1]), jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-9})
    w, b = (optimum.x[:-1], float(optimum.x[-1])) if intercept else (optimum.x, 0.0)
    return w @ basis, b
