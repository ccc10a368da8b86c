"""The last words of a pipeline run: what came out and where to look."""

from collections.abc import Mapping
from pathlib import Path

import mlflow

from ieast.experiment import ExperimentConfig
from ieast.io.files import atomic_write
from ieast.registry.gate import Verdict
from ieast.registry.store import note_store, redacted
from steps.support.tracking import active_run

SUMMARY = "last_run.txt"


def write_summary(config: ExperimentConfig, verdict: Verdict, scores: Mapping[str, float]) -> str:
    """Say what the run produced, and keep it in the work folder for `ieast last-run`, as well as where the registry is."""
    run, store = active_run(), redacted(mlflow.get_tracking_uri())
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
        f"  MLflow run          {run.info.run_id} ({run.info.run_name}) in {store}",
        f"  registered model    {name} version {version}, alias {alias}: models:/{name}@{alias}",
        f"  all versions        ieast models {name}",
        f"  checkpoint, model   {folder}",
        f"  picture             {grid}",
        f"  stylize with it     ieast stylize CONTENT STYLE -o OUT --model {folder / 'model'}",
        f"  serve it            ieast serve models:/{name}@{alias}{follow}",
        f"  in a browser        make ui, or: mlflow ui --backend-store-uri {store}",
    ]
    return keep_summary(work, lines)


def keep_summary(work_folder: Path | str, lines: list[str]) -> str:
    """Keep the last words of a run in the work folder, for `ieast last-run`."""
    text = "\n".join(lines)
    note_store(Path(work_folder))
    with atomic_write(Path(work_folder) / SUMMARY) as temporary:
        temporary.write_text(text + "\n")
    return text
