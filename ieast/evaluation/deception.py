"""The deception score by machine: the share of stylizations that a classifier takes for real artworks.

The paper asks people (Table 1). Here a classifier two-sample test does (Lopez-Paz & Oquab, Revisiting Classifier Two-Sample
Tests, ICLR 2017, https://arxiv.org/abs/1610.06545): logistic regression on pooled features, told nothing of the pictures
that it judges. Of stylizations that nothing in the features tells from artworks it takes half for real: 0.5 is the most to
hope for, where people, who also doubt real ones, give artworks more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ieast.evaluation.features import Array
from ieast.evaluation.logistic import fit_logistic
from ieast.evaluation.statistics import ratio_interval

FOLDS = 5
FEWEST = 10
"""Styles among the stylizations, and real artworks, below which nothing is measured."""

MOST_REAL = 100
"""Real artworks that are looked at, unless there are more stylizations."""

RIDGE = 0.01
"""Of features with unit deviation that are divided by the root of their number."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Deception:
    """Of stylizations that were judged by classifiers which had seen neither their style nor their content.

    Attributes:
        score: Share taken for real artworks; 0.5: indistinguishable, 0: always told apart. NaN where not measured.
        low: Of the 95 % bootstrap interval over styles.
        high: Of the same interval.
        accuracy: The mean of the share of stylizations and the share of artworks that were told rightly: at 0.5 the classifier
            can tell nothing, and the score says nothing against it; near 1 it can.
        skipped: Why it was not measured, if so.
    """

    score: float
    low: float
    high: float
    accuracy: float
    taken: tuple[float, ...] = ()
    """Of each stylization, 1 if it was taken for real, 0 if not, and 0.5 if neither; their mean is the score."""
    skipped: str | None = None


@dataclass(frozen=True)
class Stylizations:
    """Features (N, D) of stylizations, and the name of each one's style and content."""

    features: Array
    styles: Sequence[str]
    contents: Sequence[str]


def deception(real: Array, artworks: Sequence[str], stylized: Stylizations, seed: int = 0) -> Deception:
    """Score `stylized`, by cross-validation in which no picture is on both sides.

    Artworks are dealt to folds, and with each go the stylizations in its style. Whoever is judged in a fold, the classifier
    learns from nothing in the same style, from nothing of the same content, and not from the artwork itself. Both classes weigh
    alike.

    Args:
        real: Features of real artworks (M, D).
        artworks: Their names, among which styles may be.
        stylized: The stylizations.
        seed: Of folds and bootstrap.
    """
    finite = bool(np.isfinite(stylized.features).all())
    if (why := _too_few(artworks, stylized)) is not None or not finite:
        return Deception(*(float("nan"),) * 4, skipped=why or "there are stylizations that are not finite")
    features = np.concatenate([real, stylized.features])
    is_real = np.arange(len(features)) < len(real)
    styles = np.array([*artworks, *stylized.styles], dtype=object)
    contents = np.array([None] * len(real) + list(stylized.contents), dtype=object)
    verdicts = np.empty(len(features))  # 1: taken for real, 0.5: no telling
    for test, train in splits(is_real, styles, contents, seed):
        if not (train & ~is_real).any() or not (train & is_real).any():
            why = f"with {len(set(stylized.contents))} contents there is a fold whose stylizations leave none to learn from"
            return Deception(*(float("nan"),) * 4, skipped=why)
        verdicts[test] = judge(features[train], is_real[train], features[test])
    taken, kept = verdicts[~is_real], verdicts[is_real]
    groups = sorted(set(stylized.styles))
    own = [taken[styles[~is_real] == name] for name in groups]
    share = ratio_interval([each.sum() for each in own], [len(each) for each in own], seed)
    return Deception(share.mean, share.low, share.high, float((1 - taken.mean() + kept.mean()) / 2), tuple(taken))


def splits(is_real: Flags, styles: Array, contents: Array, seed: int) -> list[tuple[Flags, Flags]]:
    """Which items (N,) to judge and which to learn from, for each fold.

    Args:
        is_real: Whether an item is a real artwork.
        styles: Name of the artwork or, of a stylization, of its style.
        contents: Of a stylization the content's name, else None.
        seed: Decides who goes together.
    """
    random = np.random.default_rng(seed)
    used = sorted(set(styles[~is_real]))
    others = sorted(set(styles) - set(used))
    # Those with stylizations first, so that every fold has as many of them, give or take one.
    dealt = [*random.permutation(np.array(used, dtype=object)), *random.permutation(np.array(others, dtype=object))]
    fold_of = {name: number % FOLDS for number, name in enumerate(dealt)}
    folds = np.array([fold_of[name] for name in styles])
    splits = []
    for fold in range(FOLDS):
        test = folds == fold
        judged = {name for name in contents[test] if name is not None}
        splits.append((test, ~test & ~np.array([name in judged for name in contents])))
    return splits


def judge(features: Array, is_real: Flags, others: Array) -> Array:
    """Learn from `features` (N, D) and say of each of `others` (M, D) if it is real: 1, or 0, or 0.5 where it lies between."""
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0) * np.sqrt(features.shape[1])
    weights = np.where(is_real, 0.5 / is_real.sum(), 0.5 / (~is_real).sum())
    w, b = fit_logistic((features - centre) / spread, is_real.astype(float), RIDGE, weights)
    margins = (others - centre) / spread @ w + b
    return np.where(np.abs(margins) < 1e-9, 0.5, margins > 0)


def _too_few(artworks: Sequence[str], stylized: Stylizations) -> str | None:
    styles, real = len(set(stylized.styles)), len(set(artworks))
    if styles < FEWEST:
        return f"it takes stylizations in {FEWEST} styles, and there are {styles}"
    if real < FEWEST:
        return f"it takes {FEWEST} real artworks that were not enlarged, and there are {real}"
    return None
