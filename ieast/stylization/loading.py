"""From a model folder to what computes: PyTorch or ONNX Runtime, on the device that was asked for."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ieast.errors import ConfigError, WeightsError
from ieast.stylization.engine import Engine

if TYPE_CHECKING:
    import torch

EngineName = Literal["auto", "torch", "onnx"]


@dataclass(frozen=True)
class EngineSource:
    """What an engine is loaded from, small enough to be sent to other processes.

    Attributes:
        folder: The model's.
        engine: PyTorch, ONNX Runtime, or PyTorch where it is installed.
        device: As `device_called` takes it.
    """

    folder: Path
    engine: EngineName = "auto"
    device: str = "auto"

    def load(self) -> tuple[Engine, str]:
        """The engine, and its method's name.

        Raises:
            ConfigError: The device cannot be used.
            WeightsError: The model cannot be loaded, or has no form for ONNX Runtime.
        """
        from ieast.onnx.folder import CARD, INSIDE

        if self.engine == "torch" or (self.engine == "auto" and find_spec("torch")):
            from ieast.checkpoint import load_model
            from ieast.stylization.session import TorchEngine
            from ieast.stylizer.allocator import keep_freed_memory

            keep_freed_memory()
            stylizer, card = load_model(self.folder)
            return TorchEngine(stylizer.to(device_called(self.device))), card.method
        from ieast.onnx.engine import OnnxEngine

        if self.device not in ("auto", "cpu"):
            raise ConfigError(
                f"--device {self.device}: ONNX Runtime's engine computes on the CPU. Install ieast with its extra `torch`"
            )
        place = self.folder if (self.folder / CARD).is_file() else self.folder / INSIDE
        if not (place / CARD).is_file():
            raise WeightsError(
                f"{self.folder} has no form for ONNX Runtime. Install ieast with its extra `torch` to run it on PyTorch, or "
                f"make one where PyTorch is: `ieast export-onnx {self.folder} -o {self.folder / INSIDE}`"
            )
        onnx = OnnxEngine(place)
        return onnx, onnx.card.method


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
