"""Step: let the gate decide who is champion."""

import logging
from pathlib import Path
from typing import Annotated

import mlflow
from zenml import log_metadata, step

from ieast.data.prepare import PreparedDataset
from ieast.experiment import ExperimentConfig
from ieast.registry.champions import settle
from ieast.registry.gate import compare, waiting
from ieast.registry.promotion import Decision
from ieast.training.folders import retire, training_folder
from steps.support.handover import prepared_at_hand
from steps.support.notes import note_gate
from steps.support.scoring import log_shown_table
from steps.support.summary import write_summary
from steps.support.tracking import active_run, mirror_champion

log = logging.getLogger(__name__)


@step(experiment_tracker=True, enable_cache=False)
def promote_model(
    version: str, model: Path, scores: dict[str, float], prepared: PreparedDataset, config: ExperimentConfig
) -> Annotated[Decision, "decision"]:
    """Score candidate and champion on the same pictures, and move the alias if every threshold holds."""
    prepared = prepared_at_hand(prepared, config.work_folder)
    run = active_run().info.run_id
    verdict = compare(config.registry.name, version, model, prepared, config, run, own_scores=scores)
    if config.promotion.ask and verdict.decision.promote:
        verdict = waiting(verdict)
    verdict = settle(verdict)
    log_shown_table(verdict.table(), "gate.json")
    mlflow.log_text(verdict.table().to_csv(index=False), "gate.csv")
    mlflow.set_tag("gate", verdict.outcome)
    note_gate(verdict, scores)
    # Not before: until the gate has spoken, the same command finds the trained model again instead of training anew.
    trained = training_folder(Path(config.work_folder), config, prepared.key)
    if trained.exists():  # on the machine that trained
        retire(trained, run, config.training.iterations)
    mirror_champion(config.registry.name)
    log_metadata(metadata={"gate": verdict.metadata()}, infer_model=True)
    log.info("%s", write_summary(config, verdict, scores))
    return verdict.decision
