"""Where a training keeps its checkpoint while it lasts, so that the same command finds it again."""

import hashlib
import json
from pathlib import Path

from ieast.experiment import ExperimentConfig

# What decides the outcome of training; evaluation, promotion and names do not ...
DECISIVE = ("method", "encoder", "model", "objective", "training")
# ... and neither do these settings of the section `training`, which may change when a run is continued.
FREE_SETTINGS = frozenset(
    {"accelerator", "cache_gb", "channels_last", "compile", "loader_workers", "log_every", "picture_every", "checkpoint_every"}
)


def training_folder(work_folder: Path, config: ExperimentConfig, prepared_key: str) -> Path:
    """The folder of the training that `config` describes on the prepared dataset `prepared_key`."""
    settings = config.model_dump(mode="json", include=set(DECISIVE), exclude={"training": set(FREE_SETTINGS)})
    identity = json.dumps({"prepared": prepared_key, "held_out": config.prepare.held_out, **settings}, sort_keys=True)
    return work_folder / "training" / hashlib.sha256(identity.encode()).hexdigest()[:16]


def retire(folder: Path, run: str) -> Path:
    """Move a finished training, whose model is registered, to `trained/RUN`: the same command then trains anew."""
    target = folder.parent.parent / "trained" / run
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(target)
    return target
