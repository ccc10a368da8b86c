"""Steps: put the variants of an ablation side by side, and end the run as they ended."""

import io
import logging
import math
from pathlib import Path
from typing import Annotated

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from zenml import step
from zenml.types import HTMLString

from ieast.clips import list_clips, read_frames
from ieast.config import AblationConfig
from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.errors import PipelineError
from ieast.evaluation.comparison import Comparison, Figure, Report, Scored, compare_scored, report_page
from ieast.evaluation.figures import as_picture, pairs_sheet, stability_sheet
from ieast.evaluation.heatmaps import plot_flicker
from ieast.evaluation.pairs import spread
from ieast.models.checkpoint import load_model
from ieast.models.stylizer import Stylizer
from ieast.registry.register import fetch_model, redacted
from steps.summary import keep_summary
from steps.tracking import active_run, log_document
from steps.variant_runs import Outcome

log = logging.getLogger(__name__)

SHOWN_PAIRS, SHOWN_FRAMES = 6, 3


@step(experiment_tracker=True, enable_cache=False)
def report_ablation(
    prepared: PreparedDataset, data: DataRef, config: AblationConfig
) -> tuple[Annotated[HTMLString, "report"], Annotated[list[Outcome], "outcomes"]]:
    """One page from the runs below this one: tables with intervals, comparisons, figures, versions, and what is missing."""
    log_document(config)
    parent = active_run()
    mlflow.set_tags({"kind": "ablation", "variants": ", ".join(config.variants), "seeds": ", ".join(map(str, config.seeds))})
    runs = _children(parent)
    outcomes = [_outcome(run) for run in runs]
    finished = [run for run in runs if run.info.status == "FINISHED"]
    scored = [_scored(run) for run in finished]
    baseline = next((name for name in config.variants if name in {each.variant for each in scored}), "")
    comparison = compare_scored(scored, baseline) if scored else None
    report = Report(
        title="Ablation of external and contrastive learning",
        facts=_facts(data, config, scored),
        comparison=comparison,
        baseline=baseline,
        runs=_table(runs),
        figures=_figures(finished, prepared, config) if finished else (),
        warnings=_warnings(outcomes, scored, config),
    )
    page = report_page(report)
    mlflow.log_text(page, "report.html")
    for figure in report.figures:
        mlflow.log_image(figure.picture, f"figures/{figure.title.lower().replace(' ', '_')}.png")
    if comparison is not None:
        _log_tables(comparison)
    return HTMLString(page), outcomes


@step(experiment_tracker=True, enable_cache=False)
def conclude_ablation(outcomes: list[Outcome], work_folder: str) -> None:
    """Say where to look; fail if a variant did."""
    run, store = active_run(), redacted(mlflow.get_tracking_uri())
    folder = Path(work_folder) / "reports" / run.info.run_id
    kept = [name for name in ("report.html", "tables/scores.csv", "tables/differences.csv") if _fetch(run, name, folder)]
    lines = ["", "Variants"]
    lines += [f"  {each.variant:8} seed {each.seed}  {each.error or 'finished'}  (run {each.run_id})" for each in outcomes]
    lines += [
        "Where to look",
        *(f"  {Path(name).stem:19} {folder / name}" for name in kept),
        f"  MLflow run          {run.info.run_id} ({run.info.run_name}) in {store}; its variants are the runs below it",
        f"  compare them        make ui, or: mlflow ui --backend-store-uri {store}; select the variants, press Compare",
    ]
    log.info("%s", keep_summary(work_folder, lines))
    failed = [each for each in outcomes if each.error]
    if failed:
        raise PipelineError(
            f"{len(failed)} of {len(outcomes)} variants failed; the others and the report are kept. Mend what is said above "
            "and run the same command: it trains only what is missing"
        )


def _fetch(run: Run, name: str, folder: Path) -> bool:
    """Copy an artifact of `run` to `folder`, if there is one of that name."""
    client = MlflowClient()
    parent = str(Path(name).parent)
    if all(entry.path != name for entry in client.list_artifacts(run.info.run_id, None if parent == "." else parent)):
        return False
    target = folder / parent
    target.mkdir(parents=True, exist_ok=True)
    client.download_artifacts(run.info.run_id, name, str(target))  # which drops the artifact's own folders
    return True


def _children(parent: Run) -> list[Run]:
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    found = MlflowClient().search_runs([parent.info.experiment_id], query, order_by=["attributes.start_time ASC"])
    return [run for run in found if "variant" in run.data.tags]


def _outcome(run: Run) -> Outcome:
    tags = run.data.tags
    error = None if run.info.status == "FINISHED" else tags.get("error") or f"the run is {run.info.status}"
    return Outcome(variant=tags["variant"], seed=int(tags["seed"]), run_id=run.info.run_id, error=error)


def _scored(run: Run) -> Scored:
    tags = run.data.tags
    pairs, clips = (_csv(run, f"evaluation/{name}.csv") for name in ("pairs", "clips"))
    return Scored(tags["variant"], int(tags["seed"]), run.info.run_id, tags["code"], pairs, clips)


def _csv(run: Run, name: str) -> pd.DataFrame:
    text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{name}")
    return pd.read_csv(io.StringIO(text)) if text.strip() else pd.DataFrame()


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
    found = [f"{each.variant}, seed {each.seed} failed: {each.error}" for each in outcomes if each.error]
    if len({each.code for each in scored}) > 1:
        found.append("The variants were trained by different versions of the code, see Runs.")
    if len(config.seeds) < 3:
        found.append("Fewer than three seeds: differences between variants may be differences between trainings.")
    return found


def _table(runs: list[Run]) -> pd.DataFrame:
    rows = []
    for run in runs:
        minutes = ((run.info.end_time or run.info.start_time) - run.info.start_time) / 60_000
        rows.append(
            {
                "variant": run.data.tags["variant"],
                "seed": run.data.tags["seed"],
                "status": run.info.status.lower(),
                "minutes": f"{minutes:.1f}",
                "code": run.data.tags.get("code", ""),
                "MLflow run": run.info.run_id,
            }
        )
    return pd.DataFrame(rows, columns=["variant", "seed", "status", "minutes", "code", "MLflow run"])


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
            flicker[variant] = _csv(runs[0], "evaluation/flicker.csv") if prepared.clips_folder else pd.DataFrame()
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
    for clip, style in zip(clips[:2], styles[:2], strict=False):
        frames = list(read_frames(clip, size, SHOWN_FRAMES))
        shown.append(
            Figure(
                f"Stability on {clip.name}",
                "As in the paper's Figure 4: adjacent frames, then where they differ; brighter is more, on one scale.",
                stability_sheet(models, frames, style),
            )
        )
    if clips:
        shown.append(
            Figure(
                "Flicker over time",
                "Perceptual distances between adjacent frames, by each variant's first seed; dashed, the clip as it is.",
                as_picture(plot_flicker(flicker, SHOWN_PAIRS)),
            )
        )
    return shown


def _log_tables(comparison: Comparison) -> None:
    for name in ("scores", "differences", "seeds"):
        mlflow.log_text(getattr(comparison, name).to_csv(index=False), f"tables/{name}.csv")
    means = {f"{row['variant']}/{row['metric']}": float(row["mean"]) for row in comparison.scores.to_dict("records")}
    mlflow.log_metrics({name: mean for name, mean in means.items() if math.isfinite(mean)})
