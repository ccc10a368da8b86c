"""Step: let the gate decide who is champion."""

import logging
from pathlib import Path
from typing import Annotated

import mlflow
from zenml import log_metadata, step

from ieast.config import ExperimentConfig
from ieast.data.prepare import PreparedDataset
from ieast.errors import IeastError
from ieast.evaluation.evaluate import evaluate
from ieast.models.checkpoint import load_model
from ieast.registry.promotion import Decision, decide
from ieast.registry.register import apply_decision, champion_version, fetch_model
from ieast.training.folders import retire, training_folder
from steps.summary import write_summary
from steps.tracking import active_run, mirror_stage

log = logging.getLogger(__name__)


@step(experiment_tracker=True, enable_cache=False)
def promote_model(
    version: str, model: Path, scores: dict[str, float], prepared: PreparedDataset, config: ExperimentConfig
) -> Annotated[Decision, "decision"]:
    """Score the champion on the same pictures, by the candidate's encoder, and move the alias if every threshold holds."""
    name = config.registry.name
    champion_scores = None
    if (champion := champion_version(name)) is not None:
        champion_scores = _score_champion(f"models:/{name}/{champion}", model, prepared, config)
        mlflow.log_metrics({f"champion/{metric}": value for metric, value in champion_scores.items()})
    decision = decide(scores, champion_scores, config.promotion.thresholds)
    apply_decision(name, version, decision)
    # Not before: until the gate has spoken, the same command finds the trained model again instead of training anew.
    retire(training_folder(Path(config.work_folder), config, prepared.key), active_run().info.run_id)
    if decision.promote:
        mirror_stage("production")
    log_metadata(metadata={"promoted": decision.promote, "reasons": list(decision.reasons)}, infer_model=True)
    mlflow.set_tag("gate", "promoted" if decision.promote else "kept")
    log.info("%s", write_summary(config, version, decision, scores))
    return decision


def _score_champion(uri: str, candidate: Path, prepared: PreparedDataset, config: ExperimentConfig) -> dict[str, float]:
    try:
        champion, _ = load_model(fetch_model(uri))
    except IeastError as error:
        # No scores: every comparison with it then fails, and the gate says so.
        log.error("the champion %s cannot be loaded: %s", uri, error)
        return {}
    return evaluate(champion, prepared, config.evaluation, load_model(candidate)[0].encoder).metrics
