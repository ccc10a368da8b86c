"""The command `ieast compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ieast.cli.registry import connect_registry, print_table

if TYPE_CHECKING:
    from ieast.evaluation.comparison import Report


def compare(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN-OR-VERSION...", help="Runs, a whole ablation or benchmark, ieast/2, ieast@champion."),
    ],
    baseline: Annotated[str | None, typer.Option(help="The row that others are compared with; by default the first.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder for the report as a page, and its tables as CSV.")
    ] = None,
) -> None:
    """Compare finished runs and registered versions pair by pair and clip by clip, with intervals.

    Whatever was scored on the same data is comparable: variants of several ablations, methods, days, versions.
    """
    store = connect_registry("ieast compare")
    from ieast.evaluation.comparison import report_page
    from ieast.io.files import atomic_write
    from ieast.registry.comparing import compare_runs

    report = compare_runs(names, baseline)
    _print_differences(report)
    for warning in report.warnings:
        typer.echo(warning)
    typer.echo(f"data        {report.facts['data']}\nruns        {len(report.runs)} in {store}")
    if output is None or report.comparison is None:
        return
    tables = {name: getattr(report.comparison, name) for name in ("scores", "differences", "seeds")}
    contents = {"report.html": report_page(report)} | {
        f"{name}.csv": table.to_csv(index=False) for name, table in tables.items()
    }
    for name, text in contents.items():
        with atomic_write(output / name) as temporary:
            temporary.write_text(text)
        typer.echo(f"{Path(name).stem:11} {output / name}")


def _print_differences(report: "Report") -> None:
    from rich.table import Table

    from ieast.metrics import with_arrow

    assert report.comparison is not None  # of two rows or more there is one
    differences = report.comparison.differences
    means = report.comparison.scores.set_index(["variant", "metric"])["mean"]
    table = Table("score")
    table.add_column(report.baseline, justify="right")
    variants = list(differences["variant"].unique())
    for variant in variants:
        table.add_column(f"{variant}\nagainst {report.baseline}", justify="right")
    by_place = differences.set_index(["metric", "variant"])
    for metric in differences["metric"].unique():
        cells = [f"{means[report.baseline, metric]:.4g}"]
        for variant in variants:
            row = by_place.loc[(metric, variant)]
            sure = "*" if row["low"] > 0 or row["high"] < 0 else " "
            cells.append(f"{row['difference']:+.3g} [{row['low']:+.3g}, {row['high']:+.3g}]{sure}")
        table.add_row(with_arrow(metric), *cells)
    print_table(table)
    typer.echo("Mean differences on the same pairs or clips, with 95 % intervals; *: the two differ. Arrows: better values.")
