"""What the reports of an ablation and a benchmark have in common: reading the runs below their own, and the last words."""

import io
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from torch import Tensor

from ieast.errors import PipelineError
from ieast.evaluation.comparison import Comparison, Figure, Report, Scored, report_page
from ieast.evaluation.figures import as_picture, stability_sheet
from ieast.evaluation.heatmaps import plot_flicker
from ieast.io.clips import read_frames
from ieast.registry.register import redacted
from ieast.stylizer.base import Stylizer
from steps.support.summary import keep_summary
from steps.support.tracking import active_run
from steps.support.variant_runs import Outcome

log = logging.getLogger(__name__)

SHOWN_FRAMES, SHOWN_CLIPS = 3, 6


def log_report(report: Report) -> str:
    """Put the page, its figures and its tables into the active run; the page."""
    page = report_page(report)
    mlflow.log_text(page, "report.html")
    for figure in report.figures:
        mlflow.log_image(figure.picture, f"figures/{figure.title.lower().replace(' ', '_')}.png")
    for table in report.tables:
        mlflow.log_text(table.values.to_csv(), f"tables/{table.title.lower().replace(' ', '_')}.csv")
    if report.comparison is not None:
        _log_tables(report.comparison)
    return page


def conclude(outcomes: list[Outcome], work_folder: str, what: str, also: Sequence[str] = ()) -> None:
    """Say where to look, with the lines `also`.

    Raises:
        PipelineError: Something failed; all others and the report are kept.
    """
    run, store = active_run(), redacted(mlflow.get_tracking_uri())
    folder = Path(work_folder) / "reports" / run.info.run_id
    kept = [name for name in ("report.html", *_tables(run)) if _fetch(run, name, folder)]
    width = max(len(each.variant) for each in outcomes)
    lines = ["", what]
    lines += [
        f"  {each.variant:{width}} seed {each.seed}  {each.error or 'finished'}  (run {each.run_id})" for each in outcomes
    ]
    lines += [
        "Where to look",
        *(f"  {Path(name).stem:19} {folder / name}" for name in kept),
        *also,
        f"  MLflow run          {run.info.run_id} ({run.info.run_name}) in {store}; those compared are the runs below it",
        f"  compare them        make ui, or: mlflow ui --backend-store-uri {store}; select the runs, press Compare",
    ]
    log.info("%s", keep_summary(work_folder, lines))
    failed = [each for each in outcomes if each.error]
    if failed:
        raise PipelineError(
            f"{len(failed)} of {len(outcomes)} {what.lower()} failed; the others and the report are kept. Mend what is said "
            "above and run the same command: it makes only what is missing"
        )


def stability_figures(
    models: Mapping[str, Stylizer],
    flicker: Mapping[str, pd.DataFrame],
    clips: Sequence[Path],
    styles: Sequence[Tensor],
    size: int,
) -> list[Figure]:
    """Figures of the first clips, one in each of `styles`, and of flicker over time; none without clips.

    Args:
        models: Stylizers by the name to show.
        flicker: By the same names, `Evaluation.flicker`.
        clips: All clips.
        styles: (3, H, W) in [0, 1].
        size: Smallest side of frames in pixels.
    """
    if not clips:
        return []
    note = "As in the paper's Figure 4: adjacent frames, then where they differ; brighter is more, on one scale."
    shown = [
        Figure(f"Stability on {clip.name}", note, stability_sheet(models, list(read_frames(clip, size, SHOWN_FRAMES)), style))
        for clip, style in zip(clips, styles, strict=False)
    ]
    note = "Perceptual distances between adjacent frames; dashed, the clip as it is."
    return [*shown, Figure("Flicker over time", note, as_picture(plot_flicker(flicker, SHOWN_CLIPS)))]


def children_of(parent: Run) -> list[Run]:
    """The compared runs below `parent`, the oldest first."""
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    runs = MlflowClient().search_runs([parent.info.experiment_id], query, order_by=["attributes.start_time ASC"])
    return [run for run in runs if "variant" in run.data.tags]


def outcome_of(run: Run) -> Outcome:
    """What became of `run`."""
    tags = run.data.tags
    error = None if run.info.status == "FINISHED" else tags.get("error") or f"the run is {run.info.status}"
    return Outcome(variant=tags["variant"], seed=int(tags["seed"]), run_id=run.info.run_id, error=error)


def scored_of(run: Run) -> Scored:
    """The tables of scores of `run`, which finished."""
    tags = run.data.tags
    pairs, clips, references = (read_table(run, f"evaluation/{name}.csv") for name in ("pairs", "clips", "references"))
    return Scored(tags["variant"], int(tags["seed"]), run.info.run_id, tags["code"], pairs, clips, references)


def preference_facts(runs: Sequence[Run]) -> dict[str, str]:
    """How far the preference scores of `runs` can be trusted, for the report; nothing where there are none."""
    for run in runs:
        agreement = [run.data.metrics.get(f"evaluation/preference_agreement{end}", math.nan) for end in ("", "_low", "_high")]
        if math.isfinite(agreement[0]):
            share, low, high = agreement
            return {
                "preference": f"by a scorer that agreed with {share:.0%} (95 % interval {low:.0%} to {high:.0%}) of "
                "comparisons it had not seen"
            }
    return {}


def read_table(run: Run, name: str) -> pd.DataFrame:
    """The CSV artifact `name` of `run`; an empty one is an empty table."""
    text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{name}")
    return pd.read_csv(io.StringIO(text)) if text.strip() else pd.DataFrame()


def runs_table(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a run, for the report."""
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


def _tables(run: Run) -> list[str]:
    return [entry.path for entry in MlflowClient().list_artifacts(run.info.run_id, "tables")]


def _log_tables(comparison: Comparison) -> None:
    for name in ("scores", "differences", "seeds"):
        mlflow.log_text(getattr(comparison, name).to_csv(index=False), f"tables/{name}.csv")
    means = {f"{row['variant']}/{row['metric']}": float(row["mean"]) for row in comparison.scores.to_dict("records")}
    # MLflow's names of metrics have no plus sign.
    mlflow.log_metrics({name.replace("+", "-"): mean for name, mean in means.items() if math.isfinite(mean)})
