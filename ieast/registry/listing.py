"""What a registry holds, as tables."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from ieast.errors import RegistryError
from ieast.registry.store import explained


def list_models(name: str | None = None) -> pd.DataFrame:
    """The versions of one registered model, or of all, latest first.

    Returns:
        A row a version: `name`, `version`, `aliases`, `created` (UTC), `run` (MLflow's), and a column for each tag that any
        version has; where it is missing, the cell is empty.

    Raises:
        RegistryError: There is no such model, there are none at all, or the registry cannot be reached.
    """
    with explained("listing the registered models"):
        models = _registered_models()
        if name is not None:
            models = [model for model in models if model.name == name]
            if not models:
                raise _unknown(name)
        rows = [_row(model, version) for model in models for version in versions_of(model.name)]
    if not rows:
        raise RegistryError(
            f"{name or 'the registry'} holds no model version yet; a run of the training pipeline registers one. If there "
            "should be one, set MLFLOW_TRACKING_URI to the store that holds it"
        )
    table = pd.DataFrame(rows)
    return table[[*_COLUMNS, *sorted(set(table.columns) - set(_COLUMNS))]].fillna("")


def versions_of(name: str) -> list[ModelVersion]:
    """The versions of the registered model `name`, latest first.

    Raises:
        RegistryError: There is no such model; says which there are.
    """
    client = MlflowClient()
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise _unknown(name) from error
        raise
    quote = '"' if "'" in name else "'"
    versions = _all_pages(lambda token: client.search_model_versions(f"name = {quote}{name}{quote}", page_token=token))
    return sorted(versions, key=lambda version: int(version.version), reverse=True)


_COLUMNS = ("name", "version", "aliases", "created", "run")


def _row(model: RegisteredModel, version: ModelVersion) -> dict[str, str]:
    number = str(version.version)  # SQLite stores give integers
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    facts = {
        "name": model.name,
        "version": number,
        "aliases": " ".join(sorted(alias for alias, other in model.aliases.items() if str(other) == number)),
        "created": created.strftime("%Y-%m-%d %H:%M"),
        "run": version.run_id or "",
    }
    return version.tags | facts


def _registered_models() -> list[RegisteredModel]:
    client = MlflowClient()
    return _all_pages(lambda token: client.search_registered_models(page_token=token))


def _unknown(name: str) -> RegistryError:
    names = sorted(model.name for model in _registered_models())
    return RegistryError(
        f"there is no registered model {name}; there are {', '.join(names) or 'none'}. If it should be there, set "
        "MLFLOW_TRACKING_URI to the store that holds it"
    )


def _all_pages(search: Callable[[str | None], Any]) -> list[Any]:
    page = search(None)
    entries = list(page)
    while page.token:
        page = search(page.token)
        entries += page
    return entries
