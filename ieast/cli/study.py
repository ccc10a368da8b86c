"""The commands of `ieast study`: ask people, as section 4.3 of the paper does."""

import importlib.util
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ieast.errors import ConfigError
from ieast.installation import install_with
from ieast.study.plan import MOST, Plan

if TYPE_CHECKING:
    import pandas as pd

study_app = typer.Typer(no_args_is_help=True, help="User studies: which pictures people prefer, and take for painted by hand.")

Study = Annotated[Path, typer.Argument(help="A study's folder, as `ieast study build` wrote it.")]


@study_app.command()
def build(
    benchmark: Annotated[
        Path, typer.Argument(help="A benchmark's folder: pairs.csv, contents/, styles/, methods/, artworks/.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The study's folder.")],
    artworks: Annotated[Path | None, typer.Option(help="Folder of real artworks; by default BENCHMARK/artworks.")] = None,
    participants: Annotated[int, typer.Option(min=1, max=MOST, help="People to be asked.")] = Plan.participants,
    pairs: Annotated[int, typer.Option(min=0, help="Preference questions for each.")] = Plan.pairs,
    per_method: Annotated[int, typer.Option(min=0, help="Deception questions on each method, for each.")] = Plan.per_method,
    real: Annotated[int, typer.Option(min=0, help="Deception questions on real artworks, for each.")] = Plan.real,
    seed: Annotated[int, typer.Option(min=0)] = Plan.seed,
) -> None:
    """Lay out a study: who is asked what, in which order."""
    from ieast.study.build import build_study

    study = build_study(benchmark, output, Plan(participants, pairs, per_method, real, seed), artworks)
    deception = per_method * len(study.methods) + real
    typer.echo(f"{output}  {participants} participants, {pairs} preference and {deception} deception questions for each")
    typer.echo(f"methods   {', '.join(study.methods)}\nnext      ieast study serve {output}")


@study_app.command()
def serve(
    study: Study,
    host: Annotated[str, typer.Option(help="127.0.0.1 is this machine only; 0.0.0.0 is whoever reaches it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
) -> None:
    """Show the page on which people vote, until Ctrl-C; started again it goes on."""
    from ieast.study.store import Store

    store = Store(study)
    missing = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"ieast study serve needs {' and '.join(missing)}: {install_with('study')}")
    from ieast.io.ports import listen
    from ieast.study import web

    with listen(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        typer.echo(f"people vote at http://{name}:{listener.getsockname()[1]}/  (Ctrl-C stops)")
        sys.stdout.flush()
        # uvicorn raises again what interrupted it, unless the shell that started this had it ignored.
        with suppress(KeyboardInterrupt):
            web.serve(store, listener)
    typer.echo(f"stopped; all votes are in {study}")


@study_app.command()
def score(
    study: Study,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where CSV files go; by default STUDY/scores.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Count the votes: preference and deception scores with 95 % intervals, beside the paper's."""
    from ieast.study.score import score_study, write_scores

    scores = score_study(study, seed)
    paths = write_scores(scores, output or study / "scores")
    times = ", ".join(f"{seconds:.0f} s for {kind}" for kind, seconds in scores.seconds.items())
    typer.echo(
        f"{scores.begun} participants, {scores.finished} finished; {scores.answers} answers, median {times or 'unknown'}"
    )
    _print_scores("preference score: share of votes", scores.preference)
    _print_scores("deception score: share taken for painted by a human", scores.deception)
    for warning in scores.warnings:
        typer.echo(f"note: {warning}")
    for path in paths:
        typer.echo(f"table     {path}")


@study_app.command()
def scorer(
    study: Study,
    output: Annotated[Path, typer.Option("--output", "-o", help="The scorer's file, for evaluation.preference.")],
    encoder: Annotated[str, typer.Option(help="Encoder whose features it reads: that by which models are scored.")] = (
        "vgg19-compact"
    ),
    encoder_weights: Annotated[
        str | None, typer.Option(help="The encoder's file, as encoder.weights; by default the shipped one's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the pairs held out together, and of the bootstrap.")] = 0,
) -> None:
    """Learn which pictures people prefer: from votes, or from pictures made worse until there are enough."""
    from pydantic import ValidationError

    from ieast.config import EncoderConfig
    from ieast.config.base import describe
    from ieast.evaluation.preference import save_scorer
    from ieast.models.encoder_weights import build_encoder
    from ieast.study.scorer import FEWEST_ANSWERS, VOTES, make_scorer

    try:
        config = EncoderConfig.model_validate({"name": encoder, "weights": encoder_weights})
    except ValidationError as error:
        raise ConfigError(describe(error, "--encoder")) from None
    scorer = make_scorer(study, build_encoder(config), config.source, seed)
    save_scorer(scorer, output)
    card = scorer.card
    assert card is not None
    by = f" by {card.votes:.0f} answers" if card.source == VOTES else f"; fewer than {FEWEST_ANSWERS} preference answers"
    typer.echo(f"{output}  learnt from {card.comparisons} comparisons ({card.source}{by})")
    typer.echo(
        f"agreement {_number(card.agreement)}, {_number(card.low)} to {_number(card.high)} on {card.pairs} held-out pairs"
    )
    typer.echo(f"next      set evaluation.preference to {output}")


def _print_scores(title: str, scores: "pd.DataFrame") -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title, title_justify="left")
    shown.add_column("method", overflow="fold")
    for column in ("votes", "score", "95 % interval", "paper"):
        shown.add_column(column, justify="right", no_wrap=True)
    for row in scores.to_dict("records"):
        interval = f"{_number(row['low'])} to {_number(row['high'])}"
        shares = (_number(row["score"]), interval, _number(row["published"]))
        shown.add_row(row["method"], f"{row['votes']} of {row['asked']}", *shares)
    Console(highlight=False, markup=False).print(shown)


def _number(value: float) -> str:
    return f"{value:.3f}" if value == value else "-"
