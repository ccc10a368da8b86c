"""What the reports of an ablation and a benchmark have in common: reading the runs below their own, and the last words."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from torch import Tensor
from zenml import log_metadata

from ieast.errors import PipelineError
from ieast.evaluation.comparison import Comparison, Figure, Report, report_page
from ieast.evaluation.figures import as_picture, stability_sheet
from ieast.evaluation.heatmaps import plot_flicker
from ieast.io.clips import read_frames
from ieast.metrics import headline, is_better
from ieast.registry.addresses import how_to_open, models_address, run_address, runs_address, view_keys
from ieast.registry.comparing import read_table
from ieast.stylizer.base import Stylizer
from steps.support.notes import colour_runs, linked_run, note_run, note_score, save_views
from steps.support.scoring import SCORES, log_shown_table
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
    run = active_run()
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
        *_where_to_compare(run, any(not each.error for each in outcomes)),
    ]
    log.info("%s", keep_summary(work_folder, lines))
    failed = [each for each in outcomes if each.error]
    if failed:
        raise PipelineError(
            f"{len(failed)} of {len(outcomes)} {what.lower()} failed; the others and the report are kept. Mend what is said "
            "above and run the same command: it makes only what is missing"
        )


def present(parent: Run, runs: Sequence[Run], order: Sequence[str], comparison: Comparison | None, baseline: str) -> None:
    """Make the runs below `parent` easy to compare in MLflow's UI: notes, colours, views, and links from one to the other."""
    finished = [run for run in runs if run.info.status == "FINISHED"]
    colour_runs(runs, order)
    for run in finished:
        note_score(run)
    if comparison is None:
        return
    save_views(parent, headline(comparison.scores["metric"]))
    pictures = ["figures/stylizations.png", f"figures/differences_to_{baseline}.png"]
    there = {entry.path for entry in MlflowClient().list_artifacts(parent.info.run_id, "figures")}
    note_run(parent, _verdict(comparison, baseline), "report.html", [path for path in pictures if path in there])
    log_metadata(metadata={"mlflow": linked_run(parent.info.experiment_id, parent.info.run_id)})


def _verdict(comparison: Comparison, baseline: str) -> str:
    """In sentences: what each variant is better and worse in than the baseline, where the interval leaves 0 out."""
    if comparison.differences.empty:
        return f"**{baseline}** alone was scored."
    sentences = []
    for variant, rows in comparison.differences.groupby("variant", sort=False):
        sure = rows[(rows["low"] > 0) | (rows["high"] < 0)]
        better = [row["metric"] for row in sure.to_dict("records") if is_better(row["metric"], row["difference"])]
        worse = [row["metric"] for row in sure.to_dict("records") if is_better(row["metric"], -row["difference"])]
        said = [f"{word} in {', '.join(names)}" for word, names in (("better", better), ("worse", worse)) if names]
        sentences.append(f"- **{variant}** against **{baseline}**: {'; '.join(said) or 'no difference that is certain'}")
    return "\n".join(sentences)


def _where_to_compare(run: Run, finished: bool) -> list[str]:
    """Addresses in MLflow's UI, if anything can be compared."""
    store, experiment = mlflow.get_tracking_uri(), run.info.experiment_id
    lines = [f"  MLflow run          {run_address(store, experiment, run.info.run_id)}"]
    if finished:
        table, pictures = view_keys(run.info.run_id)
        lines += [
            f"  compare scores      {runs_address(store, experiment, table)}",
            f"  compare curves      {runs_address(store, experiment, table, charts=True)}",
            f"  compare pictures    {runs_address(store, experiment, pictures, charts=True)}",
            f"  compare models      {models_address(store, experiment)}",
            f"  compare any runs    ieast compare {run.info.run_id}, or other runs and versions",
        ]
    return [*lines, f"  in a browser        {how_to_open(store)}"]


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


def in_order(runs: Sequence[Run], order: Sequence[str]) -> list[Run]:
    """`runs` by their variants' places in `order`, then by seed, whichever was trained first."""
    return sorted(runs, key=lambda run: (order.index(run.data.tags["variant"]), int(run.data.tags["seed"])))


def outcome_of(run: Run) -> Outcome:
    """What became of `run`."""
    tags = run.data.tags
    error = None if run.info.status == "FINISHED" else tags.get("error") or f"the run is {run.info.status}"
    return Outcome(variant=tags["variant"], seed=int(tags["seed"]), run_id=run.info.run_id, error=error)


def preference_facts(runs: Sequence[Run]) -> dict[str, str]:
    """How far the preference scores of `runs` can be trusted, for the report; nothing where there are none."""
    for run in runs:
        scores = read_table(run, SCORES).set_index("score")
        if "preference_agreement" in scores.index:
            share, low, high = scores.loc["preference_agreement", ["value", "low", "high"]]
            return {
                "preference": f"by a scorer that agreed with {share:.0%} (95 % interval {low:.0%} to {high:.0%}) of "
                "comparisons it had not seen"
            }
    return {}


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
        table = getattr(comparison, name)
        mlflow.log_text(table.to_csv(index=False), f"tables/{name}.csv")
        log_shown_table(table, f"{name}.json")
