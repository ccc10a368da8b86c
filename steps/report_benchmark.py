"""Step: put the methods of a benchmark side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from zenml import step
from zenml.types import HTMLString

from ieast.checkpoint import load_model
from ieast.data.prepare import PreparedDataset
from ieast.data.versions import DataRef
from ieast.evaluation.comparison import Comparison, Figure, Report, Table, compare_scored
from ieast.evaluation.figures import difference_figures, showcase_sheet
from ieast.evaluation.pairs import read_picture
from ieast.evaluation.published import INPUTS, TABLE_2
from ieast.evaluation.showcase import showcase_pairs, write_originals
from ieast.experiment import BenchmarkConfig
from ieast.io.clips import list_clips
from ieast.io.files import evenly
from ieast.io.images import read_image
from ieast.registry.comparing import read_table, runs_below, runs_table, scored_of
from ieast.registry.register import fetch_model
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
def report_benchmark(
    prepared: PreparedDataset, data: DataRef, config: BenchmarkConfig
) -> tuple[Annotated[HTMLString, "report"], Annotated[list[Outcome], "outcomes"], Annotated[str, "showcase"]]:
    """One page from the runs below this one: Table 2, speed, scores, figures; and the folder that people are asked about."""
    prepared = prepared_at_hand(prepared, config.work_folder)
    log_document(config)
    parent = active_run()
    order = [entry.name for entry in config.methods]
    mlflow.set_tags({"kind": "benchmark", "methods": ", ".join(order)})
    runs = in_order(runs_below(parent), order)
    outcomes = [outcome_of(run) for run in runs]
    finished = [run for run in runs if run.info.status == "FINISHED"]
    scored = [scored_of(run) for run in finished]
    names = [each.variant for each in scored]
    baseline = config.reference if config.reference in names else next(iter(names), "")
    comparison = compare_scored(scored, baseline) if scored else None
    folder = Path(config.work_folder) / "benchmarks" / parent.info.run_id
    evaluation = config.cell(config.methods[0]).evaluation
    pairs = showcase_pairs(prepared, config.showcase, evaluation.styles)
    write_originals(pairs, prepared, config.showcase, folder)
    for run in finished:
        methods = folder / "methods"
        methods.mkdir(exist_ok=True)
        downloaded = MlflowClient().download_artifacts(run.info.run_id, "showcase", str(methods))
        Path(downloaded).rename(methods / run.data.tags["variant"])
    report = Report(
        title="Benchmark of style transfer methods",
        facts={
            "data": f"{data.md5} (revision {data.revision})",
            "code": ", ".join(sorted({each.code for each in scored})) or "none",
            **preference_facts(finished),
        },
        comparison=comparison,
        baseline=baseline,
        runs=runs_table(runs),
        tables=_tables(finished, comparison) if comparison else (),
        figures=[
            *difference_figures(comparison, baseline),
            *(_figures(finished, prepared, config, pairs, folder) if finished else []),
        ],
        warnings=[f"{each.variant} failed: {each.error}" for each in outcomes if each.error],
    )
    page = log_report(report)
    present(parent, runs, order, comparison, baseline)
    return HTMLString(page), outcomes, str(folder)


def _tables(finished: Sequence[Run], comparison: Comparison) -> list[Table]:
    return [*_stability(finished, comparison), *_speed(finished)]


def _stability(finished: Sequence[Run], comparison: Comparison) -> list[Table]:
    """Table 2 with the published values beside ours; none where no clip was scored."""
    scores = comparison.scores
    ours = scores[scores["metric"].str.startswith("temporal_")].set_index("variant")["mean"]
    if ours.empty:
        return []
    ours = ours[[INPUTS, *ours.index.drop(INPUTS)]]
    metric = scores.loc[scores["metric"].str.startswith("temporal_"), "metric"].iloc[0]
    methods = {run.data.tags["variant"]: run.data.tags["method"] for run in finished}
    published = pd.Series({name: TABLE_2.get(methods.get(name, name), float("nan")) for name in ours.index})
    values = pd.DataFrame(
        {
            metric: ours,
            "published LPIPS": published,
            "ours / inputs": ours / ours[INPUTS],
            "published / inputs": published / TABLE_2[INPUTS],
        }
    )
    note = (
        "Distance between adjacent frames, lower is steadier, beside the paper's Table 2. Its clips, network and training were "
        "others, so values compare within a column only; a ratio to the clips as they are takes part of that out."
    )
    return [Table("Table 2", note, values.loc[ours.index].rename_axis("method"))]


def _speed(finished: Sequence[Run]) -> list[Table]:
    rows = {}
    for run in finished:
        speeds = read_table(run, "speed.csv").set_index("size")
        units = {"seconds": "s", "peak_mb": "MiB"}
        rows[run.data.tags["variant"]] = {
            f"{size} px, {unit}": float(speeds[name][size]) for name, unit in units.items() for size in speeds.index
        }
    note = (
        "One stylization of a square picture, the style encoded anew; the median of repetitions, and the peak of memory beyond "
        "the model and the pictures. Empty: not measured, for it was expected to take too long."
    )
    return [Table("Speed and memory", note, pd.DataFrame.from_dict(rows, orient="index").rename_axis("method"))]


def _figures(
    finished: Sequence[Run], prepared: PreparedDataset, config: BenchmarkConfig, pairs: pd.DataFrame, folder: Path
) -> list[Figure]:
    names = [run.data.tags["variant"] for run in finished]
    shown = [
        Figure(
            "Stylizations",
            "As in the paper's Figure 3: the same pictures by each method.",
            showcase_sheet([_row(row, names, folder) for row in _diagonal(pairs)]),
        )
    ]
    clips = list_clips(Path(prepared.clips_folder)) if prepared.clips_folder else []
    evaluation = config.cell(config.methods[0]).evaluation
    size = evaluation.size
    styles = [read_picture(path, size) for path in evenly(evenly(prepared.scoring_paths("style"), evaluation.styles), 2)]
    models = {run.data.tags["variant"]: load_model(fetch_model(run.data.tags["model_uri"]))[0] for run in finished}
    flicker = {run.data.tags["variant"]: read_table(run, "evaluation/flicker.csv") for run in finished} if clips else {}
    return [*shown, *stability_figures(models, flicker, clips, styles, size)]


def _diagonal(pairs: pd.DataFrame) -> list[dict[str, str]]:
    """Pairs of which no two share a content or a style, as far as there are such."""
    contents, styles = (list(pairs[side].unique()) for side in ("content", "style"))
    chosen = {(contents[k % len(contents)], styles[k % len(styles)]) for k in range(SHOWN_PAIRS)}
    rows = pairs[["pair", "content", "style"]].astype(str).to_dict("records")
    return [{str(k): v for k, v in row.items()} for row in rows if (row["content"], row["style"]) in chosen]


def _row(pair: Mapping[str, str], names: Sequence[str], folder: Path) -> dict[str, Image.Image]:
    row = {side: read_image(folder / f"{side}s" / f"{pair[side]}.png") for side in ("content", "style")}
    return row | {name: read_image(folder / "methods" / name / f"{pair['pair']}.png") for name in names}
