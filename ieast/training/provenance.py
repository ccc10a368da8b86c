"""Where results come from: configuration, code and libraries."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ieast.checkpoint import ModelCard
from ieast.config import Document
from ieast.data.prepare import PreparedDataset


def provenance(config: Document, prepared: PreparedDataset) -> dict[str, Any]:
    """What a finished training says of how it came to be."""
    return {
        "prepared": prepared.model_dump(mode="json", include={"key", "data_digest", "counts", "held_out"}),
        "config": config.model_dump(mode="json"),
        "code": git_commit(),
        "python": platform.python_version(),
        "libraries": library_versions(),
    }


def learnt_from(card: ModelCard) -> list[dict[str, Any]]:
    """What the model of `card` was trained on, and before that the models that it started from, the last first."""
    own = card.provenance.get("prepared")
    return [*([own] if own else []), *card.provenance.get("started_from", [])]


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide results, of those that are installed."""
    versions = {}
    for name in ("ieast", "torch", "torchvision", "lightning", "lpips", "numpy", "pillow", "mlflow", "zenml", "dvc"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def git_commit() -> str:
    """The commit of this code, with `-modified` if the working tree differs; `unknown` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        # Installed, this code may lie inside a repository that is not its own.
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return "unknown"
        return _git(root, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-modified")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
