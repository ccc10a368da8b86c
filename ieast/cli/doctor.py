"""The command `ieast doctor`."""

import json
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from ieast.errors import IeastError
from ieast.io.cores import usable_cores

_PACKAGES = (
    "torch",
    "torchvision",
    "onnxruntime",
    "numpy",
    "pillow",
    "av",
    "lightning",
    "mlflow",
    "zenml",
    "dvc",
    "fastapi",
    "ray",
)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what this installation is and has: what to put in a bug report."""
    report = examine()
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    for section, facts in report.items():
        typer.echo(section)
        for name, value in facts.items():
            typer.echo(f"  {name:<14} {value}")


def examine() -> dict[str, dict[str, Any]]:
    """Versions, devices, memory, weights at hand and the stack's state; nothing of it is fetched, made or changed.

    No section can fail: an installation that is broken is what this is for.
    """
    return {
        "versions": _versions(),
        "machine": _machine(),
        "weights": _weights(),
        "stack": _stack(),
    }


def _versions() -> dict[str, str]:
    versions = {"ieast": _version("ieast"), "python": platform.python_version(), "system": platform.platform()}
    return versions | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _machine() -> dict[str, str]:
    import psutil

    memory = psutil.virtual_memory()
    disk = shutil.disk_usage(Path.cwd())
    facts = {
        "cores": f"{os.cpu_count()}, of which this process may use {usable_cores()}",
        "memory": f"{memory.available / 1e9:.1f} GB available of {memory.total / 1e9:.1f} GB",
        "disk": f"{disk.free / 1e9:.1f} GB free here",
    }
    try:
        import torch
    except (ImportError, OSError) as error:
        return facts | {"torch": f"cannot be loaded: {error}"}
    from ieast.layers.precision import gains_by_bf16, has_bf16
    from ieast.stylizer.memory import available_bytes

    facts["memory"] += f"; {available_bytes() / 1e9:.1f} GB may be taken"
    facts["threads"] = str(torch.get_num_threads())
    facts["bf16"] = "not by this CPU"
    if has_bf16("cpu"):
        facts["bf16"] = "yes" if gains_by_bf16("cpu") else "yes, but slower than fp32: this CPU lacks AMX"
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    facts["GPUs"] = ", ".join(names) or "none"
    return facts


def _weights() -> dict[str, str]:
    from ieast.models.pretrained import ENCODER, MODELS

    facts = {"encoder": "shipped" if ENCODER.is_file() else f"missing: {ENCODER}"}
    for name, folder in MODELS.items():
        try:
            from ieast.checkpoint import load_model

            _, card = load_model(folder)
            facts[name] = f"loads: {card.method} on {card.encoder.name}"
        except (IeastError, ImportError, OSError) as error:
            facts[name] = f"does not load: {error}"
    return facts | {name: "at hand" if versions else "not at hand" for name, versions in _downloads().items()}


def _downloads() -> dict[str, bool]:
    """What torchvision would otherwise download."""
    try:
        import torch
    except (ImportError, OSError):
        return {}
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    patterns = {"vgg19": "vgg19-*.pth", "raft": "raft_*.pth", "inception": "*inception*.pth"}
    return {name: any(folder.glob(pattern)) for name, pattern in patterns.items()}


def _stack() -> dict[str, str]:
    work = Path(os.environ.get("IEAST_WORK", ".work"))
    zenml = Path(os.environ.get("ZENML_CONFIG_PATH", ".zen-config"))
    facts = {
        "command": " ".join(Path(word).name for word in sys.argv[:1]),
        "ZenML": f"configured in {zenml}"
        if (zenml / "config.yaml").is_file()
        else f"nothing in {zenml}; `make stack` makes it",
        "last run": "noted" if (work / "last_run.txt").is_file() else f"none in {work}",
    }
    if _version("mlflow") == "not installed":
        return facts | {"MLflow": "not installed"}
    try:
        from ieast.registry.listing import list_models
        from ieast.registry.store import connect

        store = connect(work)
        facts["MLflow"] = store
        table = list_models()
        for name, rows in table.groupby("name"):
            champions = rows[rows["aliases"].str.split().map(lambda aliases: "champion" in aliases)]["version"]
            facts[f"model {name}"] = f"{len(rows)} versions, champion {', '.join(champions) or 'none'}"
    except (IeastError, ImportError) as error:
        facts["registry"] = str(error)
    return facts
