"""The commands of `ieast` on MLflow's registry."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ieast.errors import ConfigError
from ieast.installation import install_with

if TYPE_CHECKING:
    import pandas as pd

    from ieast.registry.gate import Verdict

KEPT = 3
"""Exit code of `ieast promote` when the gate says no; 2 is for errors, 1 for what nobody foresaw."""

Name = Annotated[str, typer.Argument(help="The registered model, such as ieast.")]


def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="Which of its versions, as `ieast models` lists them.")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A YAML file as in configs/: its data, evaluation and thresholds.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Without the gate; say why with --reason.")] = False,
    reason: Annotated[str | None, typer.Option(help="With --force: why; recorded with your name.")] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="What the gate lets through becomes champion if you agree; recorded with your name.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide and change nothing.")] = False,
) -> None:
    """Let the gate decide whether a version becomes champion.

    Exit code 0: it does, 3: the champion stays, 2: nothing could be decided.
    """
    if force:
        if config is not None or dry_run or ask:
            raise ConfigError("--force promotes without the gate: leave out --config, --ask and --dry-run, or --force")
        if not (reason and reason.strip()):
            raise ConfigError("--force needs --reason TEXT, which is recorded with your name")
        _promote_by_force(name, version, reason)
        return
    if reason is not None:
        raise ConfigError("--reason goes with --force; the gate gives its own reasons")
    if config is None:
        raise ConfigError("say with --config FILE what the gate asks and on which data, such as -c configs/quickstart.yaml")
    verdict = _decide(name, version, config, dry_run, ask)
    if not verdict.decision.promote:
        raise typer.Exit(KEPT)


def register(
    model: Annotated[
        str,
        typer.Argument(
            help="A variant's or method's MLflow run, as the ablation or benchmark named it last; a logged model "
            "(models:/m-...), such as one that training kept on the way; or a model folder."
        ),
    ],
    name: Name,
) -> None:
    """Make a run's model, a logged one, or that in a folder, a version of NAME, the challenger."""
    store = connect_registry("ieast register")
    from ieast.registry.register import LOGGED, register_folder, register_on_the_way, register_run

    if Path(model).is_dir():
        version, origin = register_folder(Path(model), name), f"in {model}"
    elif model.startswith(LOGGED):
        version, origin = register_on_the_way(model, name), model
    else:
        version, origin = register_run(model, name), f"of run {model}"
    typer.echo(f"version {version} of {name}, alias challenger, is the model {origin}")
    typer.echo(f"let the gate decide   ieast promote {name} {version} --config CONFIG")
    _say_where(name, version, store)


def rollback(
    name: Name,
    to: Annotated[str | None, typer.Option(help="An earlier champion; by default the one before the present.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
) -> None:
    """Make the previous champion champion again; given again, the one before it."""
    store = connect_registry("ieast rollback")
    from ieast.registry.champions import roll_back

    before, now = roll_back(name, to, reason)
    typer.echo(f"version {now} of {name} is champion again, instead of version {before}")
    _say_where(name, now, store)


def list_versions(
    name: Annotated[str | None, typer.Argument(help="One registered model; by default all.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Everything that is recorded, as CSV.")] = False,
) -> None:
    """List the registered models: versions, aliases, scores and what the gate said."""
    connect_registry("ieast models")
    from ieast.registry.listing import list_models

    table = list_models(name)
    if csv:
        typer.echo(table.to_csv(index=False), nl=False)
    else:
        _print_versions(table)


def connect_registry(what: str) -> str:
    """Make MLflow use the store at hand for `what`, see `ieast.registry.store.connect`.

    Raises:
        ConfigError: MLflow is not installed.
        RegistryError: There is no such store.
    """
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError(f"{what} needs MLflow, which is not installed: {install_with('pipelines')}")
    from ieast.registry.store import connect

    return connect(Path(os.environ.get("IEAST_WORK", ".work")))


def _decide(name: str, version: str, path: Path, dry_run: bool, ask: bool) -> "Verdict":
    from ieast.evaluation.evaluate import require_evaluation_weights
    from ieast.experiment import ExperimentConfig

    config = ExperimentConfig.load(path)
    store = connect_registry("ieast promote")
    from ieast.data.prepare import prepare_dataset
    from ieast.data.versions import load_dataset
    from ieast.registry.champions import check_candidate, settle
    from ieast.registry.gate import compare
    from ieast.registry.register import fetch_model

    check_candidate(name, version)
    require_evaluation_weights(config.evaluation)
    model = fetch_model(f"models:/{name}/{version}")
    work = Path(config.work_folder)
    data = load_dataset(config.data, work)
    prepared = prepare_dataset(Path(data.folder), work, config.prepare, data.md5)
    verdict = compare(name, version, model, prepared, config, run=f"ieast promote -c {path}")
    if not dry_run and verdict.decision.promote and (ask or config.promotion.ask):
        verdict = _ask(verdict)
    if not dry_run:
        verdict = settle(verdict)
    _print_verdict(verdict, dry_run)
    _say_where(name, version, store)
    return verdict


def _ask(verdict: "Verdict") -> "Verdict":
    """Show the scores, and hear whether whoever sits there agrees, and why.

    Raises:
        ConfigError: Nobody does.
    """
    from ieast.registry.gate import answered

    _print_scores(verdict)
    try:
        agrees = typer.confirm(f"The gate lets version {verdict.version} through. Shall it be champion?", err=True)
        why = typer.prompt("Why, for the record", err=True)
    except typer.Abort:
        raise ConfigError(
            "nobody answered, so nothing was changed: give the command in a terminal, or leave out --ask and promotion.ask"
        ) from None
    return answered(verdict, agrees=agrees, why=why)


def _promote_by_force(name: str, version: str, reason: str) -> None:
    store = connect_registry("ieast promote")
    from ieast.registry.champions import force

    before = force(name, version, reason)
    instead = "" if before is None else f", instead of version {before}"
    typer.echo(f"version {version} of {name} is champion{instead}; the gate was not asked")
    _say_where(name, version, store)


def _print_verdict(verdict: "Verdict", dry_run: bool) -> None:
    _print_scores(verdict)
    typer.echo("\n".join(["Reasons", *(f"  {reason}" for reason in verdict.decision.reasons)]))
    if dry_run:
        outcome = "would be promoted" if verdict.decision.promote else "would not be promoted"
        typer.echo(f"version {verdict.version} {outcome}; nothing was changed")
    elif verdict.decision.promote:
        typer.echo(f"promoted: version {verdict.version} is champion")
    else:
        typer.echo("kept: the champion stays" if verdict.champion else "kept: there is still no champion")
    typer.echo(f"data      {verdict.data_md5} ({verdict.data_revision})\nencoder   {verdict.encoder}, for both")


def _print_scores(verdict: "Verdict") -> None:
    from rich.table import Table

    from ieast.metrics import with_arrow

    against = "" if verdict.champion is None else f" against champion {verdict.champion}"
    typer.echo(f"{verdict.name} version {verdict.version}{against}")
    table = Table("score")
    table.add_column(f"version {verdict.version}", justify="right")
    if verdict.champion is not None:
        table.add_column(f"champion {verdict.champion}", justify="right")
    others = verdict.champion_scores or {}
    for metric in [*verdict.scores, *(other for other in others if other not in verdict.scores)]:
        cells = [_number(verdict.scores, metric)] + ([_number(others, metric)] if verdict.champion is not None else [])
        table.add_row(with_arrow(metric), *cells)
    print_table(table)


def _say_where(name: str, version: str, store: str) -> None:
    typer.echo(f"model     models:/{name}/{version} in {store}\nrecord    ieast models {name}")


def _number(scores: Mapping[str, float], metric: str) -> str:
    return f"{scores[metric]:.4f}" if metric in scores else "-"


def _print_versions(table: "pd.DataFrame") -> None:
    from rich.table import Table

    shown = Table()
    for column in ("name", "version", "aliases", "model", "scores", "decision", "data", "created"):
        shown.add_column(column, overflow="fold", no_wrap=column == "scores")  # in a narrow terminal nothing is cut off
    for row in table.to_dict("records"):
        model = f"{row.get('method', '')}\n{row.get('encoder', '')}"
        cells = [row["name"], row["version"], row["aliases"].replace(" ", "\n"), model, _scores_of(row), _decision_of(row)]
        cells += [row.get("data.md5", "")[:8], row["created"].replace(" ", "\n")]
        shown.add_row(*cells, end_section=True)
    print_table(shown)


def _scores_of(row: Mapping[Any, str]) -> str:
    """The gate's scores, by the same encoder for all versions; before the gate has spoken, those of registration."""
    from ieast.registry.gate import SCORE

    for prefix in (SCORE, "score."):
        scores = {key.removeprefix(prefix): value for key, value in row.items() if key.startswith(prefix) and value}
        if scores:
            return "\n".join(f"{metric} {value}" for metric, value in scores.items() if not metric.endswith("_inputs"))
    return ""


def _decision_of(row: Mapping[Any, str]) -> str:
    decision = row.get("gate.decision", "")
    rolled_back = row.get("rollback.at", "") >= row.get("gate.at", "") and row.get("rollback.at")
    return f"{decision}, rolled back to {row['rollback.to']}" if rolled_back else decision


def print_table(table: Any) -> None:
    """Print a table of rich's, as wide as the terminal, or as 200 columns where there is none."""
    from rich.console import Console

    # Without a terminal there is no width to keep to, and a log or a file should not have broken words.
    Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200, highlight=False, markup=False).print(table)
