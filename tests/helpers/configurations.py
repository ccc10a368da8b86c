"""The quickstart's configuration, and what makes it small."""

from pathlib import Path
from typing import Any

QUICKSTART = Path(__file__).resolve().parents[2] / "configs" / "quickstart.yaml"

# What makes the quickstart small enough for a test: iterations of milliseconds.
SMALL: dict[str, Any] = {
    "prepare": {"size": 48, "min_side": 16, "workers": 1, "held_out": 0},
    "encoder": {"weights": "untrained"},
    "model": {
        "start": None,
        "attention_start": "identity",
        "discriminator_scales": 1,
        "discriminator_width": 8,
        "style_head": [16, 8],
        "content_head": [16, 8],
    },
    "training": {
        "iterations": 4,
        "reconstruction_iterations": 2,
        "anneal": 0,
        "ema_decay": None,
        "crop": 32,
        "accelerator": "cpu",
        "channels_last": False,
        "log_every": 1,
        "picture_every": 4,
        "checkpoint_every": 100,
    },
    "evaluation": {"size": 48, "pairs": 3, "grid_contents": 2, "grid_styles": 3, "max_frames": 3},
}


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, section by section."""
    both = {key: merge(base.get(key) or {}, value) if isinstance(value, dict) else value for key, value in over.items()}
    return base | both
