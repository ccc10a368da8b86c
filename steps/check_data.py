"""Step: compare the dataset with the champion's."""

from typing import Annotated

import mlflow
import pandas as pd
from zenml import log_metadata, step

from ieast.data.prepare import PreparedDataset
from ieast.data.profile import CHANGES, profile_dataset
from ieast.experiment import ExperimentConfig
from ieast.models.encoder_weights import build_encoder
from ieast.registry.data_check import PROFILE, compare_with_champion, refuse_shift
from ieast.registry.gate import plain
from steps.support.handover import prepared_at_hand
from steps.support.scoring import log_shown_table


@step(experiment_tracker=True, enable_cache=False)
def check_data(prepared: PreparedDataset, config: ExperimentConfig) -> Annotated[pd.DataFrame, "data_changes"]:
    """Profile the pictures, and stop where they differ from the champion's by more than `data.max_shift`; the differences."""
    prepared = prepared_at_hand(prepared, config.work_folder)
    profile = profile_dataset(prepared, build_encoder(config.promotion.encoder))
    mlflow.log_text(profile.to_csv(index=False), PROFILE)
    changes = compare_with_champion(config.registry.name, profile, config.data.max_shift)
    if changes is None:
        return pd.DataFrame(columns=CHANGES)
    log_shown_table(changes, "data_changes.json")
    log_metadata(metadata=plain({"largest_shift": float(changes["shift"].abs().max())}), infer_artifact=True)
    if config.data.max_shift is not None:
        refuse_shift(changes, config.data.max_shift)
    return changes
