"""Registered models in MLflow: registering, aliases, and fetching back."""

import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model, get_model_info
from mlflow.models.model import ModelInfo
from PIL import Image

from ieast.checkpoint import ModelCard, load_model, read_card
from ieast.errors import RegistryError
from ieast.io.images import encode_png
from ieast.models.references import is_uri, released_or_folder
from ieast.registry.inventory import INVENTORY, file_digests, inventory
from ieast.registry.lookup import CHALLENGER, CHAMPION
from ieast.registry.pyfunc import SIGNATURE
from ieast.registry.scores import scores_of_run
from ieast.registry.store import explained, redacted, set_experiment

FOLDERS = "registered folders"
"""The experiment that models are logged to which no pipeline's run made."""
MOST_OF_A_TAG = 500
LOGGED = "models:/"
"""What addresses of logged models begin with, before their id."""
REGISTERED = "registered"
"""The tag by which a run names the version that its model became."""
DIGESTS = "sha256"
"""Of a logged model's metadata: hex SHA-256 by the name of the file. A version has them as tags, `sha256.NAME`."""
PACKAGE = Path(__file__).resolve().parents[1]
# What loading and stylizing import; training's libraries are not needed to serve.
_REQUIREMENTS = ("mlflow", "torch", "pillow", "numpy", "pandas", "psutil", "pydantic", "pyyaml", "safetensors", "tqdm")


def log_model(model_folder: Path, name: str | None = None, label: str = "model", step: int = 0) -> ModelInfo:
    """Log the exported model to the active run as a pyfunc, called `label`, and, with `name`, register it.

    `step` says after how many iterations it was, for runs that log several.

    Its inventory becomes an artifact of the run, and the digests of its files a part of the model's metadata.
    """
    requirements = [f"{package}=={version(package)}" for package in _REQUIREMENTS]
    mlflow.log_text(inventory(model_folder, requirements), INVENTORY)
    return mlflow.pyfunc.log_model(
        name=re.sub(r"[^\w+-]", "-", label),
        python_model=str(PACKAGE / "registry" / "served_model.py"),
        artifacts={"model": str(model_folder)},
        code_paths=[str(PACKAGE)],
        signature=SIGNATURE,
        input_example=(_example(), {"alpha": 1.0, "style_size": 512, "preserve_colour": "none"}),
        pip_requirements=requirements,
        registered_model_name=name,
        step=step,
        metadata=style_metadata(read_card(model_folder)) | {DIGESTS: file_digests(model_folder)},
    )


def style_metadata(card: ModelCard) -> dict[str, Any]:
    """What a registered model says of its training styles: how many, and how far half and 95 % of them are at most."""
    if card.styles is None:
        return {}
    return {
        "training_styles": card.styles.count,
        "novelty_median": card.styles.quantile(0.5),
        "novelty_95": card.styles.quantile(0.95),
    }


def register(model_folder: Path, name: str, tags: Mapping[str, str]) -> str:
    """Log the exported model to the active run, register it as `name`, and point the alias `challenger` at it.

    Returns:
        The new version's number.
    """
    info = log_model(model_folder, name)
    number = str(info.registered_model_version)
    client = MlflowClient()
    for key, value in {**tags, **_digest_tags(info)}.items():
        client.set_model_version_tag(name, number, key, value)
    client.set_registered_model_alias(name, CHALLENGER, number)
    return number


def register_logged(uri: str, name: str, tags: Mapping[str, str]) -> str:
    """Register the logged model at `uri` as `name`, and point the alias `challenger` at it.

    Returns:
        The new version's number.
    """
    client = MlflowClient()
    number = str(mlflow.register_model(uri, name).version)
    for key, value in {**tags, **_digest_tags(get_model_info(uri))}.items():
        client.set_model_version_tag(name, number, key, value)
    client.set_registered_model_alias(name, CHALLENGER, number)
    return number


def register_run(run_id: str, name: str) -> str:
    """Register the model of a finished run of an ablation or a benchmark as `name`, and point the alias `challenger` at it.

    Returns:
        The new version's number.

    Raises:
        RegistryError: There is no such run, it holds no model, or the registry cannot be reached.
    """
    client = MlflowClient()
    with explained(f"registering the model of run {run_id}"):
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise RegistryError(
                    f"there is no run {run_id}; the last words of an ablation or a benchmark name the runs of its models"
                ) from None
            raise
        if (uri := run.data.tags.get("model_uri")) is None:
            raise RegistryError(
                f"run {run_id} ({run.info.run_name}) holds no model: it did not finish, or it is not a variant's"
            )
        number = register_logged(uri, name, _tags_of(run) | _score_tags(scores_of_run(run)))
        client.set_tag(run_id, REGISTERED, f"{name} {number}")
    return number


def register_on_the_way(uri: str, name: str) -> str:
    """Register the logged model at `uri` (`models:/m-...`), such as one that a training kept on the way, as `name`.

    Returns:
        The new version's number, which the alias `challenger` then points at.

    Raises:
        RegistryError: There is no such model, or the registry cannot be reached.
    """
    client = MlflowClient()
    with explained(f"registering {uri}"):
        try:
            model = client.get_logged_model(uri.removeprefix(LOGGED))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise RegistryError(
                    f"there is no logged model {uri}; the tab Models of an experiment in MLflow's UI names those it has"
                ) from None
            raise
        scores = {metric.key: metric.value for metric in model.metrics or []}
        tags = _score_tags(scores)
        if model.source_run_id is not None:
            run = client.get_run(model.source_run_id)
            step = logged_models(run).get(model.model_id, 0)
            tags |= _tags_of(run) | ({"iteration": str(step)} if step else {})
        return register_logged(uri, name, tags)


def logged_models(run: Run) -> dict[str, int]:
    """The ids of the models that `run` has logged, and the iterations they were logged for."""
    return {} if run.outputs is None else {output.model_id: output.step for output in run.outputs.model_outputs}


def register_folder(folder: Path, name: str) -> str:
    """Register the model in `folder`, in an MLflow run of its own, as `name`, and point the alias `challenger` at it.

    Returns:
        The new version's number.

    Raises:
        WeightsError: The folder holds no model that loads.
        RegistryError: The registry cannot be reached.
    """
    _, card = load_model(folder)
    tags = {"method": card.method, "encoder": card.encoder.name}
    if isinstance(code := card.provenance.get("code"), str):
        tags["code"] = code
    if (adaptation := card.provenance.get("adaptation")) is not None:
        tags["adapted_to"] = ", ".join(adaptation["artworks"])[:MOST_OF_A_TAG]
    with explained(f"registering the model in {folder}"):
        if mlflow.active_run() is None:
            set_experiment(FOLDERS)
        with mlflow.start_run(run_name=folder.resolve().name, nested=True):
            mlflow.set_tags(tags)
            return register(folder, name, tags)


def champion_version(name: str) -> str | None:
    """The version that `champion` points at, or None before the first promotion.

    Raises:
        RegistryError: The registry cannot be reached.
    """
    with explained(f"looking for the champion of {name}"):
        try:
            number = MlflowClient().get_registered_model(name).aliases.get(CHAMPION)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
    return None if number is None else str(number)  # SQLite stores give integers


def fetch_model(uri: str, into: Path | None = None) -> Path:
    """A local folder with the exported model behind `uri`: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or `runs:/...`.

    Args:
        uri: The model.
        into: An empty folder to which it is copied; by default it is left where it is, if that is on this machine.

    Raises:
        RegistryError: There is no such model, or the tracking server cannot be reached.
    """
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=None if into is None else str(into)))
        artifacts = Model.load(folder).flavors["python_function"]["artifacts"]
        return folder / artifacts["model"]["path"]
    except Exception as error:  # each kind of storage has its own
        raise RegistryError(
            f"model {uri} cannot be fetched from {redacted(mlflow.get_tracking_uri())}: {redacted(str(error))}. Set "
            "MLFLOW_TRACKING_URI to the store that holds it; the Models page of its UI lists names, versions and aliases"
        ) from error


def named_model(model: str) -> Path:
    """A local folder with the model that a person calls `model`, see `ieast.models.references`.

    Raises:
        RegistryError: There is no such model, or the tracking server cannot be reached.
    """
    return fetch_model(model) if is_uri(model) else released_or_folder(model)


def _tags_of(run: Run) -> dict[str, str]:
    kept = ("data.md5", "code", "encoder", "method", "variant", "seed")
    return {key: run.data.tags[key] for key in kept if key in run.data.tags}


def _score_tags(scores: Mapping[str, float]) -> dict[str, str]:
    return {f"score.{name}": f"{value:.6g}" for name, value in scores.items()}


def _digest_tags(info: ModelInfo) -> dict[str, str]:
    """None of models that earlier versions logged."""
    return {f"{DIGESTS}.{name}": digest for name, digest in (info.metadata or {}).get(DIGESTS, {}).items()}


def _example() -> pd.DataFrame:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    across, down = np.meshgrid(ramp, ramp)
    content = Image.fromarray(np.stack([across, down, 255 - across], axis=2))
    style = Image.fromarray(np.stack([(across // 32) * 36, (down // 32) * 36, across ^ down], axis=2).astype(np.uint8))
    return pd.DataFrame({"content": [encode_png(content)], "style": [encode_png(style)]})
