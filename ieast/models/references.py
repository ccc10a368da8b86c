"""What a person may call a model: a released one, a folder, or a registry's or run's address."""

from pathlib import Path

from ieast.models.pretrained import MODELS


def is_uri(model: str) -> bool:
    """Whether `model` is a registry's or a run's, such as `models:/NAME@ALIAS`, and neither a released one nor a folder."""
    return "://" in model or model.startswith(("models:/", "runs:/"))


def released_or_folder(model: str) -> Path:
    """The folder of the released model that `model` names, or else `model` as a folder; `./ieast` is always a folder."""
    return MODELS.get(model) or Path(model)
