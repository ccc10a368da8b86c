"""What the package ships: the compact encoder and models trained on it."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "pretrained"

ENCODER = FOLDER / "vgg19-compact.safetensors"
"""The distilled encoder, in half precision, with unit mean taps."""

MODELS = {"ieast": FOLDER / "ieast", "sanet": FOLDER / "sanet"}
"""Trained on that encoder with the same data and budget: the paper's full method, and its backbone without EL and CL."""


def is_uri(model: str) -> bool:
    """Whether `model` is a registry's or a run's, such as `models:/NAME@ALIAS`, and neither a released one nor a folder."""
    return "://" in model or model.startswith(("models:/", "runs:/"))


def released_or_folder(model: str) -> Path:
    """The folder of the released model that `model` names, or else `model` as a folder; `./ieast` is always a folder."""
    return MODELS.get(model) or Path(model)
