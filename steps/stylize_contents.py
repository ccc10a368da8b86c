"""Step: stylize contents in styles."""

import logging
from pathlib import Path
from typing import Annotated, Any

import mlflow
import pandas as pd
from zenml import log_metadata, step
from zenml.types import HTMLString

from ieast.config import BatchConfig
from ieast.data.versions import DataRef
from ieast.evaluation.batch_page import batch_page
from ieast.io.files import atomic_write
from ieast.models.references import is_uri, released_or_folder
from ieast.registry.addresses import how_to_open, run_address
from ieast.registry.lookup import look_up
from ieast.registry.register import fetch_model
from ieast.stylization.batch import MANIFEST, SHEET, stylize_batch
from ieast.stylization.loading import EngineSource
from steps.support.dead_runs import close_dead_runs
from steps.support.handover import data_at_hand
from steps.support.summary import keep_summary
from steps.support.tracking import active_run, log_document

log = logging.getLogger(__name__)

PAGE = "index.html"


# Not cached: an alias may have moved and files may have changed; what is there already costs nothing.
@step(experiment_tracker=True, enable_cache=False)
def stylize_contents(
    data: DataRef | None, config: BatchConfig
) -> tuple[Annotated[HTMLString, "report"], Annotated[pd.DataFrame, "manifest"], Annotated[str, "results"]]:
    """Make what is missing of the results, and a version of them with manifest, contact sheet and page."""
    if data is None:  # else the step before did
        close_dead_runs(Path(config.work_folder))
    log_document(config)
    folder, model = _model(config.model)
    dataset = data_at_hand(data, config.work_folder).folder if data is not None else None
    batch = stylize_batch(config, EngineSource(folder, device=config.device), dataset, model)
    facts = {**model, **({"data": f"{data.md5} (revision {data.revision})"} if data is not None else {})}
    page = batch_page(batch, facts)
    with atomic_write(batch.folder / PAGE) as temporary:
        temporary.write_text(page)
    mlflow.set_tags({"kind": "stylization", "results.version": batch.version, **facts})
    counts = {"made": batch.made, "kept": batch.kept, "failed": batch.failed}
    mlflow.log_metrics({f"results/{name}": count for name, count in counts.items()})
    for name in (MANIFEST, SHEET, PAGE):
        mlflow.log_artifact(str(batch.folder / name))
    metadata: dict[str, Any] = {**facts, "version": batch.version, "folder": str(batch.folder), **counts}
    log_metadata(metadata=metadata, artifact_name="manifest", infer_artifact=True)
    _say(config, batch.folder, counts, len(batch.passed_over))
    return HTMLString(page), batch.manifest, str(batch.folder)


def _model(name: str) -> tuple[Path, dict[str, str]]:
    """The folder of the model called `name`, and what runs and manifests say of it."""
    if not is_uri(name):
        return released_or_folder(name), {"model": name}
    if not name.startswith("models:/"):
        return fetch_model(name), {"model": name}
    version = look_up(name)
    folder = fetch_model(version.uri)  # not by its alias, which may have moved since
    return folder, {"model": version.uri, "model_asked_for": name, "model_aliases": ", ".join(version.aliases)}


def _say(config: BatchConfig, folder: Path, counts: dict[str, int], passed_over: int) -> None:
    run, store = active_run(), mlflow.get_tracking_uri()
    lines = ["", "Stylizations", *(f"  {name:19} {count}" for name, count in counts.items())]
    if passed_over:
        lines.append(f"  passed over         {passed_over} files that are neither contents, clips nor styles")
    lines += [
        "Where to look",
        f"  pictures            {folder}",
        f"  page                {folder / PAGE}",
        f"  contact sheet       {folder / SHEET}",
        f"  manifest            {folder / MANIFEST}",
        f"  MLflow run          {run_address(store, run.info.experiment_id, run.info.run_id)}",
        f"  in a browser        {how_to_open(store)}",
    ]
    log.info("%s", keep_summary(config.work_folder, lines))
