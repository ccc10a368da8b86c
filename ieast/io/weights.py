"""Files of weights: read without running what is in them, and downloaded where they are not at hand."""

from pathlib import Path
from pickle import UnpicklingError
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor

from ieast.errors import WeightsError


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors file or of a .pth state dict; nothing in the file is executed.

    Raises:
        WeightsError: The file is missing, damaged, or not a state dict of plain tensors.
    """
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}; check the path, or put the file there")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WeightsError(
            f"{path} is not a plain state dict of tensors; refused, because loading it could run code"
        ) from error
    except Exception as error:  # damage shows as anything: struct.error, IndexError, AssertionError, ...
        raise WeightsError(f"{path} cannot be read as weights ({error}); download or copy it again") from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} is not a state dict of tensors")
    return dict(state)


def hub_file(url: str, what: str, *, instead: str) -> Path:
    """The file of PyTorch's hub at `url`, downloaded unless it is there already.

    Args:
        url: Where it is; its name holds the beginning of its SHA-256, which is checked.
        what: What it is, as the beginning of a sentence.
        instead: What else one can do, for the error.

    Raises:
        WeightsError: It cannot be downloaded; says where to put it.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[-1])
    try:
        if not path.exists():
            torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{what} could not be had from {url} ({error}). On a machine without network, put the file {path.name} into "
            f"{path.parent} (or set TORCH_HOME), or {instead}"
        ) from error
    return path
