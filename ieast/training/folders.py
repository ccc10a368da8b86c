"""Where a training keeps its checkpoint while it lasts, so that the same command finds it again."""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ieast.config import FREE_SETTINGS
from ieast.experiment import ExperimentConfig
from ieast.io.files import atomic_write

log = logging.getLogger(__name__)

CHECKPOINT = "last.ckpt"
RECORD = "training.json"
"""In the folder of a retired training: which it was, and how long."""
RUN = "run.json"
"""In the folder of a training that MLflow knows of: the run that trained there last."""
PICTURES = "pictures"
"""In the folder of a training: what it looked like on the way."""
MODELS = "models"
"""In the folder of a training: models of the way, as `model_on_the_way` names them."""

DECISIVE = ("method", "encoder", "model", "objective", "training")
"""What decides the outcome of training, but for `FREE_SETTINGS`; evaluation, promotion and names do not."""

LATER_TERMS = {"coherence": "coherence", "temporal": "motion"}
"""Terms of the objective that came when trainings already had folders, and the section of each one's settings."""


def model_on_the_way(folder: Path, iteration: int) -> Path:
    """Where a training in `folder` keeps the model that it has after so many iterations, its first stage among them."""
    return folder / MODELS / f"iteration_{iteration:07d}"


def models_on_the_way(folder: Path) -> dict[int, Path]:
    """The models that a training in `folder` has kept, by iterations, in order."""
    return {int(path.name.removeprefix("iteration_")): path for path in sorted((folder / MODELS).glob("iteration_*"))}


def training_key(config: ExperimentConfig, prepared_key: str) -> str:
    """Changes with all that decides the outcome of the training that `config` describes on the dataset `prepared_key`."""
    return _digest(_identity(config, prepared_key))


def training_folder(work_folder: Path, config: ExperimentConfig, prepared_key: str) -> Path:
    """The folder of that training. Its name leaves out how long it is to last, so that a longer one goes on in it."""
    return folder_of(work_folder / "training", _identity(config, prepared_key))


def folder_of(parent: Path, identity: Mapping[str, Any]) -> Path:
    """The folder in `parent` of a training with this `identity`, of which the section `training` holds `iterations`.

    Earlier versions named it with the iterations too; if there is such a one and no other, it is that.
    """
    training = {name: value for name, value in identity["training"].items() if name != "iterations"}
    folder, earlier = parent / _digest({**identity, "training": training}), parent / _digest(identity)
    return earlier if earlier.exists() and not folder.exists() else folder


def note_run(folder: Path, run: str) -> None:
    """Note that the MLflow run `run` trains in `folder` now."""
    with atomic_write(folder / RUN) as temporary:
        temporary.write_text(json.dumps({"mlflow_run": run}))


def noted_run(folder: Path) -> str | None:
    """The MLflow run that trained in `folder` last, or None."""
    return str(json.loads((folder / RUN).read_text())["mlflow_run"]) if (folder / RUN).exists() else None


def take_up(folder: Path, iterations: int) -> None:
    """If nothing has been done in `folder` yet, begin there with the longest retired training that it is to go on from.

    Args:
        folder: Of `training_folder`.
        iterations: How long it is to last. A training that was retired after as many, or more, is made anew.
    """
    if (folder / CHECKPOINT).exists():
        return
    retired = {}
    for record in folder.parent.parent.glob(f"trained/*/{RECORD}"):
        facts = json.loads(record.read_text())
        if facts["training"] == folder.name and facts["iterations"] < iterations and (record.parent / CHECKPOINT).exists():
            retired[facts["iterations"]] = record.parent / CHECKPOINT
    if retired:
        source = retired[max(retired)]
        log.info("going on from the finished training of %d iterations in %s", max(retired), source.parent)
        with atomic_write(folder / CHECKPOINT) as temporary:
            shutil.copyfile(source, temporary)
        note_run(folder, source.parent.name)  # as `retire` names it


def retire(folder: Path, run: str, iterations: int) -> Path:
    """Move a finished training, whose model is kept elsewhere, to `trained/RUN`: the same command then trains anew.

    Args:
        folder: Of `training_folder`.
        run: The MLflow run that made it.
        iterations: How long it lasted, for `take_up`.
    """
    target = folder.parent.parent / "trained" / run
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / RECORD) as temporary:
        temporary.write_text(json.dumps({"training": folder.name, "iterations": iterations}))
    folder.rename(target)
    return target


def _identity(config: ExperimentConfig, prepared_key: str) -> dict[str, Any]:
    settings = config.model_dump(mode="json", include=set(DECISIVE), exclude={"training": set(FREE_SETTINGS)})
    for term, its_settings in LATER_TERMS.items():
        # A term without weight decides nothing, and the folder is named as it was before there was such a term.
        if not settings["objective"]["weights"][term]:
            del settings["objective"]["weights"][term], settings["objective"][its_settings]
    return {"prepared": prepared_key, "held_out": config.prepare.held_out, **settings}


def _digest(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
