"""The last words of a pipeline run: what came out and where to look."""

from collections.abc import Mapping
from pathlib import Path

import mlflow

from ieast.experiment import ExperimentConfig
from ieast.io.files import atomic_write
from ieast.registry.addresses import how_to_open, models_address, report_address, run_address, version_address
from ieast.registry.gate import Verdict
from ieast.registry.store import note_store
from steps.support.tracking import active_run

SUMMARY = "last_run.txt"


def write_summary(config: ExperimentConfig, verdict: Verdict, scores: Mapping[str, float]) -> str:
    """Say what the run produced, and keep it in the work folder for `ieast last-run`, as well as where the registry is."""
    run, store = active_run(), mlflow.get_tracking_uri()
    experiment, run_id = run.info.experiment_id, run.info.run_id
    work = Path(config.work_folder)
    folder = work / "trained" / run.info.run_id
    grid = Path(
        mlflow.artifacts.download_artifacts(artifact_path="evaluation/grid.png", run_id=run.info.run_id, dst_path=str(folder))
    )
    name = config.registry.name
    lines = ["", "Scores"]
    lines += [f"  {metric:42} {value:.4f}" for metric, value in scores.items()]
    lines += ["Gate", *(f"  {reason}" for reason in verdict.decision.reasons), f"  {verdict.outcome}"]
    if config.encoder.weights == "untrained":
        lines += [
            "Note",
            "  The encoder is untrained (seeded random features): good for trying the pipeline, not for pictures.",
        ]
    if not any(metric.startswith("temporal_") for metric in scores):
        lines += ["Note", "  The dataset has no clips, so temporal stability was not scored."]
    version, alias = verdict.version, "champion" if verdict.decision.promote else "challenger"
    follow = f" --follow models:/{name}@champion" if verdict.decision.promote else ""
    lines += [
        "Where to look",
        f"  MLflow run          {run_address(store, experiment, run_id)}",
        f"  report              {report_address(store, experiment, run_id, 'evaluation/report.html')}",
        f"  registered model    {name} version {version}, alias {alias}: models:/{name}@{alias}",
        f"  its page            {version_address(store, name, version)}",
        f"  all versions        ieast models {name}; {models_address(store, experiment)}",
        f"  checkpoint, model   {folder}",
        f"  picture             {grid}",
        f"  stylize with it     ieast stylize CONTENT STYLE -o OUT --model {folder / 'model'}",
        f"  serve it            ieast serve models:/{name}@{alias}{follow}",
        *([f"  compare             ieast compare {name}@champion {name}/{version}"] if verdict.champion else []),
        f"  in a browser        {how_to_open(store)}",
    ]
    return keep_summary(work, lines)


def keep_summary(work_folder: Path | str, lines: list[str]) -> str:
    """Keep the last words of a run in the work folder, for `ieast last-run`."""
    text = "\n".join(lines)
    note_store(Path(work_folder))
    with atomic_write(Path(work_folder) / SUMMARY) as temporary:
        temporary.write_text(text + "\n")
    return text
