"""What computes, as people choose it."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ieast.cli.models import device_called
from ieast.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from ieast.stylization.engine import Engine

EngineName = Literal["auto", "torch", "onnx"]

EngineOption = Annotated[
    EngineName,
    typer.Option(help="PyTorch, or ONNX Runtime, which needs less and can do less; auto takes PyTorch where it is."),
]


def load_engine(folder: Path, engine: EngineName, device: str) -> "tuple[Engine, str]":
    """The model in `folder` on PyTorch or ONNX Runtime, and its method's name.

    Raises:
        ConfigError: The device cannot be used.
        WeightsError: The model cannot be loaded, or has no form for ONNX Runtime.
    """
    from ieast.onnx.folder import CARD, INSIDE

    if engine == "auto":
        engine = "torch" if find_spec("torch") else "onnx"
    if engine == "torch":
        from ieast.checkpoint import load_model
        from ieast.stylization.session import TorchEngine
        from ieast.stylizer.allocator import keep_freed_memory

        keep_freed_memory()
        stylizer, card = load_model(folder)
        return TorchEngine(stylizer.to(device_called(device))), card.method
    from ieast.onnx.engine import OnnxEngine

    if device not in ("auto", "cpu"):
        raise ConfigError(f"--device {device}: ONNX Runtime's engine computes on the CPU. Install ieast with its extra `torch`")
    place = folder if (folder / CARD).is_file() else folder / INSIDE
    if not (place / CARD).is_file():
        raise WeightsError(
            f"{folder} has no form for ONNX Runtime. Install ieast with its extra `torch` to run it on PyTorch, or make one "
            f"where PyTorch is: `ieast export-onnx {folder} -o {folder / INSIDE}`"
        )
    onnx = OnnxEngine(place)
    return onnx, onnx.card.method
