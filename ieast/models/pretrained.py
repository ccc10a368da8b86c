"""What the package ships: the compact encoder and models trained on it."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "pretrained"

ENCODER = FOLDER / "vgg19-compact.safetensors"
"""The distilled encoder, in half precision, with unit mean taps."""

MODELS = {"ieast": FOLDER / "ieast", "sanet": FOLDER / "sanet"}
"""Trained on that encoder with the same data and budget: the paper's full method, and its backbone without EL and CL."""
