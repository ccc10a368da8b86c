"""Step: put the variants of an ablation side by side."""

from pathlib import Path
from typing import Annotated

import mlflow
import pandas as pd
from mlflow.entities import Run
from zenml import step
from zenml.types import HTMLString

from ieast.checkpoint import load_model
from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.evaluation.comparison import Figure, Report, Scored, compare_scored
from ieast.evaluation.figures import difference_figures, pairs_sheet
from ieast.evaluation.pairs import spread
from ieast.experiment import AblationConfig
from ieast.io.clips import list_clips
from ieast.registry.comparing import read_table, runs_below, runs_table, scored_of
from ieast.registry.register import fetch_model
from ieast.stylizer.base import Stylizer
from steps.support.comparison_runs import (
    in_order,
    log_report,
    outcome_of,
    preference_facts,
    present,
    stability_figures,
)
from steps.support.handover import prepared_at_hand
from steps.support.tracking import active_run, log_document
from steps.support.variant_runs import Outcome

SHOWN_PAIRS = 6


@step(experiment_tracker=True, enable_cache=False)
def report_ablation(
    prepared: PreparedDataset, data: DataRef, config: AblationConfig
) -> tuple[Annotated[HTMLString, "report"], Annotated[list[Outcome], "outcomes"]]:
    """One page from the runs below this one: tables with intervals, comparisons, figures, versions, and what is missing."""
    prepared = prepared_at_hand(prepared, config.work_folder)
    log_document(config)
    parent = active_run()
    mlflow.set_tags({"kind": "ablation", "variants": ", ".join(config.variants), "seeds": ", ".join(map(str, config.seeds))})
    runs = in_order(runs_below(parent), config.variants)
    outcomes = [outcome_of(run) for run in runs]
    finished = [run for run in runs if run.info.status == "FINISHED"]
    scored = [scored_of(run) for run in finished]
    baseline = next((name for name in config.variants if name in {each.variant for each in scored}), "")
    comparison = compare_scored(scored, baseline) if scored else None
    report = Report(
        title="Ablation of external and contrastive learning",
        facts=_facts(data, config, scored) | preference_facts(finished),
        comparison=comparison,
        baseline=baseline,
        runs=runs_table(runs),
        figures=[*difference_figures(comparison, baseline), *(_figures(finished, prepared, config) if finished else [])],
        warnings=_warnings(outcomes, scored, config),
    )
    page = log_report(report)
    present(parent, runs, config.variants, comparison, baseline)
    return HTMLString(page), outcomes


def _facts(data: DataRef, config: AblationConfig, scored: list[Scored]) -> dict[str, str]:
    training = config.experiment.training
    return {
        "data": f"{data.md5} (revision {data.revision})",
        "code": ", ".join(sorted({each.code for each in scored})) or "none",
        "encoder": f"{config.experiment.encoder.name}, {config.experiment.encoder.source}",
        "training": f"{training.reconstruction_iterations} iterations of reconstruction, {training.iterations} of the whole "
        f"objective, batch {training.batch_size}, crop {training.crop}",
        "seeds": ", ".join(map(str, config.seeds)),
    }


def _warnings(outcomes: list[Outcome], scored: list[Scored], config: AblationConfig) -> list[str]:
    messages = [f"{each.variant}, seed {each.seed} failed: {each.error}" for each in outcomes if each.error]
    if len({each.code for each in scored}) > 1:
        messages.append("The variants were trained by different versions of the code, see Runs.")
    if len(config.seeds) < 3:
        messages.append("Fewer than three seeds: differences between variants may be differences between trainings.")
    return messages


def _figures(finished: list[Run], prepared: PreparedDataset, config: AblationConfig) -> list[Figure]:
    """By each variant's first seed that finished."""
    models: dict[str, Stylizer] = {}
    flicker: dict[str, pd.DataFrame] = {}
    for variant in config.variants:
        runs = sorted(
            (run for run in finished if run.data.tags["variant"] == variant), key=lambda run: int(run.data.tags["seed"])
        )
        if runs:
            models[variant] = load_model(fetch_model(runs[0].data.tags["model_uri"]))[0]
            flicker[variant] = read_table(runs[0], "evaluation/flicker.csv") if prepared.clips_folder else pd.DataFrame()
    size = config.experiment.evaluation.size
    contents = [picture for _, picture in spread(prepared.scoring_paths("content"), SHOWN_PAIRS, size)]
    styles = [picture for _, picture in spread(prepared.scoring_paths("style"), SHOWN_PAIRS, size)]
    shown = [
        Figure(
            "Stylizations",
            "As in the paper's Figure 5 (a): the same pictures by each variant's first seed.",
            pairs_sheet(models, list(zip(contents, styles, strict=False))),
        )
    ]
    clips = list_clips(Path(prepared.clips_folder)) if prepared.clips_folder else []
    return [*shown, *stability_figures(models, flicker, clips, styles[:2], size)]
