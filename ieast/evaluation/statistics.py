"""Means with bootstrap confidence intervals, and paired comparisons of variants.

Tables are tidy: a row holds the scores of one variant, and perhaps of one of its seeds, on one unit, a clip or a pair of
pictures. Units are what is resampled. Seeds of a variant are averaged on each unit first, so an interval speaks of other
clips or pictures, not of other trainings.

A score that is NaN for every variant on a unit was not measured there (a clip too short for an interval), and the unit is left
out. A score that is NaN for some variants only is a failure, and makes what it enters NaN.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from ieast.errors import DataError
from ieast.metrics import find_metric

CONFIDENCE = 0.95
RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A mean or a share, and where it would lie with this confidence had other units been drawn."""

    mean: float
    low: float
    high: float
    count: int


def mean_interval(values: Iterable[float], seed: int = 0, confidence: float = CONFIDENCE) -> Interval:
    """The mean of `values` with its percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    The percentile method, because BCa is undefined for values that are all equal, and few clips often give those.

    Args:
        values: One a unit.
        seed: Of the resampling; the same seed and values give the same interval.
        confidence: Between 0 and 1.

    Returns:
        With one value `low` and `high` are NaN, for one unit says nothing about others; with none, or where a value is not
        finite, all are NaN.
    """
    sample = np.asarray(list(values), dtype=float)
    if not len(sample) or not np.isfinite(sample).all():
        return Interval(mean=np.nan, low=np.nan, high=np.nan, count=len(sample))
    return ratio_interval(sample, np.ones_like(sample), seed, confidence)


def ratio_interval(parts: ArrayLike, wholes: ArrayLike, seed: int = 0, confidence: float = CONFIDENCE) -> Interval:
    """The sum of `parts` over the sum of `wholes`, with the percentile bootstrap interval over units.

    Whole units are resampled, so what hangs together within one, such as the votes of one person, stays together; units with
    larger wholes weigh more (Cochran 1977, section 6, the ratio estimator).

    Args:
        parts: One a unit, such as how often a person voted for something.
        wholes: One a unit and positive, such as how often that person was asked.
        seed: Of the resampling; the same seed and values give the same interval.
        confidence: Between 0 and 1.

    Returns:
        With one unit `low` and `high` are NaN, for one says nothing about others; with none, all are NaN. Where all units have
        the same ratio the interval has no width.
    """
    part, whole = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    if not len(part):
        return Interval(mean=np.nan, low=np.nan, high=np.nan, count=0)
    ratio = float(_ratio(part, whole))
    if len(part) == 1:
        return Interval(mean=ratio, low=np.nan, high=np.nan, count=1)
    resampled = bootstrap(
        (part, whole),
        _ratio,
        paired=True,
        n_resamples=RESAMPLES,
        batch=max(1, 2**22 // len(part)),  # bounds memory, whatever the number of units
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean=ratio, low=float(resampled.low), high=float(resampled.high), count=len(part))


def summarize(
    table: pd.DataFrame, metrics: Sequence[str], unit: Sequence[str], variant: str = "variant", seed: int = 0
) -> pd.DataFrame:
    """Each variant's mean of each metric over units.

    Args:
        table: Columns `variant`, those of `unit`, those of `metrics`, and `seed` where variants were trained several times.
        metrics: Columns to average.
        unit: Columns that together name a unit: `["clip"]`, or `["content", "style"]`.
        variant: Name of the column of variants.
        seed: Of the resampling.

    Returns:
        A row a variant and metric: `variant`, `metric`, `mean`, `low`, `high`, `units`.

    Raises:
        DataError: A column is missing, or variants or seeds were not scored on the same units.
    """
    scores = _by_unit(table, metrics, unit, variant)
    rows = []
    for metric in metrics:
        measured = scores[metric].dropna(axis="index", how="all")
        for name in measured.columns:
            interval = mean_interval(measured[name], seed)
            rows.append(
                {
                    variant: name,
                    "metric": metric,
                    "mean": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "units": interval.count,
                }
            )
    return pd.DataFrame(rows)


def compare(
    table: pd.DataFrame, baseline: str, metrics: Sequence[str], unit: Sequence[str], variant: str = "variant", seed: int = 0
) -> pd.DataFrame:
    """Each other variant against `baseline`, unit by unit.

    Args:
        table: As `summarize` takes it.
        baseline: The variant that others are compared with.
        metrics: Columns to compare.
        unit: Columns that together name a unit.
        variant: Name of the column of variants.
        seed: Of the resampling.

    Returns:
        A row a variant and metric: `variant`, `baseline`, `metric`; `difference`, the mean over units of variant minus
        baseline, with its interval `low` to `high`; `wins`, the share of units on which the variant is the better one, a tie
        counting half; and `units`. Where `low` and `high` have the same sign, the variants differ at this confidence.

    Raises:
        DataError: There is no such baseline, a column is missing, or variants or seeds were not scored on the same units.
    """
    scores = _by_unit(table, metrics, unit, variant)
    names = list(table[variant].unique())
    if baseline not in names:
        raise DataError(f"there is no variant {baseline!r} to compare with; the table has {names}")
    rows = []
    for metric in metrics:
        measured = scores[metric].dropna(axis="index", how="all")
        for name in names:
            if name == baseline:
                continue
            differences = (measured[name] - measured[baseline]).to_numpy()
            interval = mean_interval(differences, seed)
            rows.append(
                {
                    variant: name,
                    "baseline": baseline,
                    "metric": metric,
                    "difference": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "wins": _wins(differences, metric),
                    "units": interval.count,
                }
            )
    return pd.DataFrame(rows)


def _by_unit(table: pd.DataFrame, metrics: Sequence[str], unit: Sequence[str], variant: str) -> pd.DataFrame:
    """Means over seeds: a row a unit, columns (metric, variant)."""
    missing = [name for name in (variant, *unit, *metrics) if name not in table.columns]
    if missing:
        raise DataError(f"the table of scores has no column {missing[0]!r}; it has {list(table.columns)}")
    _refuse_other_units(table, [variant, "seed"] if "seed" in table.columns else [variant], list(unit))
    # Not `mean`, which would pass over a seed that failed.
    means = table.groupby([*unit, variant], sort=False)[list(metrics)].agg(_strict_mean)
    return means.reset_index().pivot(index=list(unit), columns=variant, values=list(metrics))


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    return part.sum(axis=axis) / whole.sum(axis=axis)


def _strict_mean(column: pd.Series) -> float:
    return float(column.to_numpy().mean())


def _refuse_other_units(table: pd.DataFrame, group: list[str], unit: list[str]) -> None:
    units = {key: set(rows[unit].itertuples(index=False, name=None)) for key, rows in table.groupby(group, sort=False)}
    if not units:
        raise DataError("the table of scores is empty")
    first = next(iter(units))
    for key in units:
        for has, lacks in ((first, key), (key, first)):
            only = units[has] - units[lacks]
            if only:
                raise DataError(
                    f"{_named(group, lacks)} was not scored on {_named(unit, min(only))}, on which {_named(group, has)} was; "
                    "paired comparisons need the same units everywhere: score them on the same data"
                )


def _named(columns: list[str], key: tuple[object, ...]) -> str:
    return ", ".join(f"{column} {value}" for column, value in zip(columns, key, strict=True))


def _wins(differences: NDArray[np.float64], metric: str) -> float:
    if not len(differences) or not np.isfinite(differences).all():
        return float("nan")
    known = find_metric(metric)
    better = differences > 0 if known is not None and known.better == "higher" else differences < 0
    return float(np.mean(better) + np.mean(differences == 0) / 2)
