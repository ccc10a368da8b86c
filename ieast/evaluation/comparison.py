"""Variants or methods side by side: tables with intervals, figures like the paper's, and one page that holds them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from PIL import Image

from ieast.evaluation.pages import data_uri, page
from ieast.evaluation.references import REFERENCES
from ieast.evaluation.statistics import compare, summarize
from ieast.metrics import with_arrow

UNITS = {"pairs": ("content", "style"), "clips": ("clip", "style")}
"""What names a row of each table of scores."""
INPUTS = "inputs"
"""Stands among the variants for the clips as they are: the floor of what is measured on clips."""


@dataclass(frozen=True)
class Scored:
    """One trained and scored model: the tables that `ieast.evaluation.evaluate` made of it."""

    variant: str
    seed: int
    run_id: str
    code: str
    pairs: pd.DataFrame
    clips: pd.DataFrame
    references: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Comparison:
    """What the scores say, as tidy tables."""

    scores: pd.DataFrame
    """A row a variant and metric: mean over units and seeds, with its interval."""
    differences: pd.DataFrame
    """A row a variant and metric: mean difference to the baseline, with its interval, and the share of units won."""
    seeds: pd.DataFrame
    """A row a variant, seed and metric: the mean over units, NaN where the seed failed on one."""


def compare_scored(scored: Sequence[Scored], baseline: str) -> Comparison:
    """Tables of `scored`, with all variants compared with `baseline` on the same pairs and clips.

    Raises:
        DataError: Variants were not scored on the same pictures and clips, or there is no such baseline.
    """
    scores, differences, seeds = [], [], []
    for kind, unit in UNITS.items():
        table = pd.concat([_labelled(each, getattr(each, kind)) for each in scored], ignore_index=True)
        metrics = [name for name in table.columns if name not in (*unit, "variant", "seed", "frames") and not _is_floor(name)]
        if not metrics:  # a dataset without clips
            continue
        scores += [_floors(scored[0], table, unit), summarize(table, metrics, unit)]
        if table["variant"].nunique() > 1:
            differences.append(compare(table, baseline, metrics, unit))
        means = _seed_means(table, metrics, unit)
        seeds.append(means.melt(ignore_index=False, var_name="metric", value_name="mean").reset_index())
    scores.append(_references(scored[0]))
    order = [*dict.fromkeys(each.variant for each in scored), INPUTS, *REFERENCES]
    return Comparison(*(_in_order(part, order) for part in (scores, differences, seeds)))


def _seed_means(table: pd.DataFrame, metrics: Sequence[str], unit: Sequence[str]) -> pd.DataFrame:
    """Each metric's mean over the units that it was measured on, as in `ieast.evaluation.statistics`; a row a variant and seed.

    pandas' mean passes over a unit that is NaN for this seed alone, which is a failure and makes the mean NaN.
    """
    names, scores = ["variant", "seed"], table[list(metrics)]
    measured = table.groupby(list(unit))[list(metrics)].transform("count") > 0
    failed = (scores.isna() & measured).groupby([table[name] for name in names], sort=False).any()
    return table.groupby(names, sort=False)[list(metrics)].mean().mask(failed)


def _in_order(parts: Sequence[pd.DataFrame], order: Sequence[str]) -> pd.DataFrame:
    """`parts` as one table, its variants in `order`."""
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values("variant", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)


def _is_floor(name: str) -> bool:
    return name.endswith("_inputs")


def _floors(any_of_them: Scored, table: pd.DataFrame, unit: Sequence[str]) -> pd.DataFrame:
    """The scores of the clips as they are, which are the same whatever stylized them, as those of a variant `inputs`."""
    one = table[(table["variant"] == any_of_them.variant) & (table["seed"] == any_of_them.seed)].assign(variant=INPUTS)
    floors = [name for name in table.columns if _is_floor(name)]
    summary = summarize(one, floors, unit) if floors else pd.DataFrame(columns=["variant", "metric"])
    return summary.assign(metric=summary["metric"].str.removesuffix("_inputs"))


def _references(any_of_them: Scored) -> pd.DataFrame:
    """The scores of contents and styles as they are, which are the same whatever was scored beside them."""
    table = any_of_them.references
    if table.empty:
        return pd.DataFrame(columns=["variant", "metric"])
    table = table.rename(columns={"reference": "variant"})
    return summarize(table, [name for name in table.columns if name not in (*UNITS["pairs"], "variant")], UNITS["pairs"])


def _labelled(each: Scored, table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(variant=each.variant, seed=each.seed)


@dataclass(frozen=True)
class Figure:
    """A picture of the report."""

    title: str
    note: str
    picture: Image.Image


@dataclass(frozen=True)
class Table:
    """A table of the report, beside those of the comparison."""

    title: str
    note: str
    values: pd.DataFrame
    """Shown as it is, its index first; numbers with four significant digits."""


@dataclass(frozen=True)
class Report:
    """All that the page shows."""

    title: str
    facts: Mapping[str, str]
    """What was compared, such as the data's version and the code's."""
    comparison: Comparison | None
    baseline: str
    runs: pd.DataFrame
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    warnings: Sequence[str] = ()


def report_page(report: Report) -> str:
    """The report as one HTML page; nothing is loaded from elsewhere."""
    comparison = report.comparison
    return page(
        "comparison.html",
        report=report,
        scores=_wide(comparison.scores, _interval) if comparison else None,
        differences=_wide(comparison.differences, _difference) if comparison and len(comparison.differences) else None,
        seeds=_wide(comparison.seeds.assign(variant=_variant_and_seed), lambda row: _number(row["mean"]))
        if comparison
        else None,
        tables=[(table, table.values.map(_shown)) for table in report.tables],
        figures=[(figure, data_uri(figure.picture)) for figure in report.figures],
    )


def _variant_and_seed(seeds: pd.DataFrame) -> pd.Series:
    return seeds["variant"] + ", seed " + seeds["seed"].astype(str)


def _wide(table: pd.DataFrame, cell: Callable[[pd.Series], str]) -> pd.DataFrame:
    """A row a metric, a column a variant, in the order they come."""
    shown = table.assign(cell=table.apply(cell, axis=1)).pivot(index="metric", columns="variant", values="cell")
    shown = shown.reindex(index=table["metric"].unique(), columns=table["variant"].unique()).fillna("")
    return shown.rename(index=with_arrow)


def _interval(row: pd.Series) -> str:
    return f"{_number(row['mean'])}\n[{_number(row['low'])},\N{NO-BREAK SPACE}{_number(row['high'])}]"


def _difference(row: pd.Series) -> str:
    interval = f"[{row['low']:+.4f},\N{NO-BREAK SPACE}{row['high']:+.4f}]"
    return f"{row['difference']:+.4f}\n{interval}\nbetter on {row['wins']:.0%}"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _number(value: float) -> str:
    return f"{value:.4f}"
