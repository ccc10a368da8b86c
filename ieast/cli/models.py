"""Models and devices by the names that people give them."""

from pathlib import Path
from typing import TYPE_CHECKING

from ieast.cli.registry import connect_registry
from ieast.errors import ConfigError

if TYPE_CHECKING:
    import torch


def device_called(name: str) -> "torch.device":
    """The device called `name`; `auto` is a GPU where there is one.

    Raises:
        ConfigError: This machine has no such device.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {name} cannot be used on this machine: {error}") from None
    return device


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
