"""Models by the names that people give them."""

from pathlib import Path

from ieast.cli.registry import connect_registry


def model_folder(model: str) -> Path:
    """The folder of the model that `model` means: a shipped one's name, a folder, or an address in MLflow.

    Raises:
        ConfigError: MLflow is not installed.
        RegistryError: There is no such model.
    """
    from ieast.models.references import is_uri, released_or_folder

    if is_uri(model):
        connect_registry(f"--model {model}")
        from ieast.registry.register import fetch_model

        return fetch_model(model)
    return released_or_folder(model)
